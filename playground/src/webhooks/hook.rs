//! A webhook as its configuration has it, and whether it is to see a write.
//!
//! Namespace, object and rules are looked at in the order of `webhook/generic/webhook.go`. With the match policy
//! `Equivalent` a rule also covers the other versions (and for Events the other group) of what it names, and the
//! webhook then sees the object in the version that the rule names.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Duration;

use super::review::Asked;
use crate::builtin::selector;
use crate::cluster::{Cluster, Operation};
use crate::resources::{Resource, Trait};
use crate::schema;
use crate::status::Status;

/// One entry of `webhooks`. What is not there has the default that the stored configuration shows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) client_config: ClientConfig,
    pub(super) failure_policy: FailurePolicy,
    /// In seconds.
    pub(super) timeout_seconds: Option<u64>,
    rules: Vec<Rule>,
    match_policy: MatchPolicy,
    namespace_selector: Value,
    object_selector: Value,
    match_conditions: Vec<Condition>,
    side_effects: String,
}

/// Where a webhook is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientConfig {
    pub(super) url: Option<String>,
    pub(super) service: Option<ServiceReference>,
    /// PEM in base64.
    pub(super) ca_bundle: String,
}

/// A Service in the cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceReference {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) port: Option<u16>,
}

/// What happens where a webhook gives no answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum FailurePolicy {
    Ignore,
    #[default]
    Fail,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
enum MatchPolicy {
    Exact,
    #[default]
    Equivalent,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    scope: Scope,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Scope {
    Cluster,
    Namespaced,
    #[default]
    #[serde(rename = "*")]
    All,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    expression: String,
}

impl Hook {
    /// How long it may take to answer.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(10))
    }

    /// Whether it may be asked about what is not going to happen.
    pub(super) fn is_free_in_dry_runs(&self) -> bool {
        matches!(self.side_effects.as_str(), "None" | "NoneOnDryRun")
    }
}

/// All webhooks of all configurations, in the order of their names.
pub(super) fn all(configurations: &[Arc<Value>]) -> Result<Vec<Hook>, Status> {
    let hooks = configurations.iter().flat_map(|found| found["webhooks"].as_array().into_iter().flatten());
    hooks.map(|hook| Hook::deserialize(hook).map_err(|error| Status::internal(error.to_string()))).collect()
}

/// The version in which the webhook is to see the object; `None` where it is not to see it.
pub(super) fn matches(cluster: &Cluster, hook: &Hook, asked: &Asked) -> Result<Option<Arc<Resource>>, Status> {
    let in_namespace = namespace_matches(cluster, hook, asked);
    if matches!(in_namespace, Ok(false)) || !object_matches(hook, asked) {
        return Ok(None);
    }
    let Some(form) = form(cluster, hook, asked) else { return Ok(None) };
    in_namespace.map(|_| Some(form))
}

/// Whether all conditions hold. One that does not hold decides; one that fails leaves it to the failure policy.
pub(super) fn conditions_hold(hook: &Hook, asked: &Asked, request: &Value) -> Result<bool, Status> {
    let mut faults = Vec::new();
    let mut bare = request.clone();
    let (object, old) = (bare["object"].take(), bare["oldObject"].take());
    let variables = [("object", &object), ("oldObject", &old), ("request", &bare)];
    for Condition { expression } in &hook.match_conditions {
        match schema::condition_holds(expression, &variables) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => faults.push(format!("expression '{expression}' resulted in error: {why}")),
        }
    }
    match (faults.as_slice(), hook.failure_policy) {
        ([], _) => Ok(true),
        (_, FailurePolicy::Ignore) => Ok(false),
        ([one], FailurePolicy::Fail) => Err(Status::forbidden(&asked.resource, &asked.key.name, one, Vec::new())),
        (several, FailurePolicy::Fail) => {
            let why = format!("[{}]", several.join(", "));
            Err(Status::forbidden(&asked.resource, &asked.key.name, &why, Vec::new()))
        }
    }
}

/// An error where the labels of the namespace are not to be had.
fn namespace_matches(cluster: &Cluster, hook: &Hook, asked: &Asked) -> Result<bool, Status> {
    let everything = hook.namespace_selector.as_object().is_none_or(serde_json::Map::is_empty);
    let namespace = asked.namespace();
    if everything || namespace.is_empty() {
        return Ok(true);
    }
    // The newest labels of a namespace that is being written are not yet stored.
    let own = if asked.is_namespace() && asked.subresource.is_empty() { asked.object.as_ref() } else { None };
    if let Some(object) = own {
        return Ok(selector::matches(&hook.namespace_selector, &object["metadata"]["labels"]));
    }
    let found = cluster.get("namespaces", "", namespace).ok_or_else(|| Status::namespace_not_found(namespace))?;
    Ok(selector::matches(&hook.namespace_selector, &found["metadata"]["labels"]))
}

/// The object as it is to be or as it was: one that matches is enough, so that nobody evades by a label.
fn object_matches(hook: &Hook, asked: &Asked) -> bool {
    let everything = hook.object_selector.as_object().is_none_or(serde_json::Map::is_empty);
    let both = asked.object.iter().chain(&asked.old_object);
    everything || both.into_iter().any(|object| selector::matches(&hook.object_selector, &object["metadata"]["labels"]))
}

fn form(cluster: &Cluster, hook: &Hook, asked: &Asked) -> Option<Arc<Resource>> {
    if hook.rules.iter().any(|rule| rule.matches(asked, &asked.resource)) {
        return Some(Arc::clone(&asked.resource));
    }
    if hook.match_policy == MatchPolicy::Exact {
        return None;
    }
    let registry = cluster.registry();
    let equivalent = |other: &Arc<Resource>| {
        let offers = match asked.subresource.as_str() {
            "scale" => other.scale.is_some(),
            "status" => other.has(Trait::Status),
            _ => true,
        };
        other.table() == asked.resource.table() && offers
    };
    let others: Vec<&Arc<Resource>> = registry.all().filter(|other| equivalent(other)).collect();
    let found = hook.rules.iter().find_map(|rule| others.iter().find(|other| rule.matches(asked, other)));
    found.map(|found| Arc::clone(found))
}

impl Rule {
    fn matches(&self, asked: &Asked, resource: &Resource) -> bool {
        let Self { operations, api_groups, api_versions, resources, scope } = self;
        let lists = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        let operation = match asked.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        };
        lists(operations, operation)
            && lists(api_groups, &resource.group)
            && lists(api_versions, &resource.version)
            && resources.iter().any(|one| names(one, &resource.plural, &asked.subresource))
            && match scope {
                Scope::All => true,
                Scope::Namespaced => resource.namespaced,
                Scope::Cluster => !resource.namespaced,
            }
    }
}

/// `pods`, `pods/status`, `pods/*`, `*`, `*/*`: a name without a slash is the object itself, never a subresource.
fn names(rule: &str, plural: &str, subresource: &str) -> bool {
    let (resource, part) = rule.split_once('/').unwrap_or((rule, ""));
    (resource == "*" || resource == plural) && (part == "*" || part == subresource)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_rule_names_objects_and_subresources_apart() {
        for (rule, of_object, of_status) in [
            ("pods", true, false),
            ("pods/status", false, true),
            ("pods/*", true, true),
            ("*", true, false),
            ("*/*", true, true),
            ("*/status", false, true),
            ("services", false, false),
        ] {
            assert_eq!((names(rule, "pods", ""), names(rule, "pods", "status")), (of_object, of_status), "{rule}");
        }
    }
}
