//! Role-based access control: what the stored roles and bindings allow (`plugin/pkg/auth/authorizer/rbac/rbac.go`).
//!
//! ```text
//!  user, groups --> ClusterRoleBindings ----------------> ClusterRole    in every namespace, and outside of them
//!               \-> RoleBindings of the namespace ------> Role           in that namespace
//!                                                \------> ClusterRole    in that namespace
//! ```
//!
//! Rules only add up: nothing forbids what another rule allows. They are read from the store at every request; who has
//! just been given a right has it with the next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::user::{MASTERS, as_service_account};
use super::{About, Attributes, Authorization, Rule, User};
use crate::builtin::selector;
use crate::cluster::Cluster;

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// The answer to "may they?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// They may.
    pub allowed: bool,
    /// Which binding allows it, or which role is missing; often empty.
    pub reason: String,
}

/// The role that a binding gives to a user.
struct Grant {
    binding: Arc<Value>,
    /// Where in the binding's subjects the user was found.
    subject: usize,
}

impl Cluster {
    /// May this user do this?
    pub fn authorize(&self, user: &User, wanted: &Attributes) -> Verdict {
        let plainly = |allowed| Verdict { allowed, reason: String::new() };
        if self.auth().authorization == Authorization::AlwaysAllow || user.is_in(MASTERS) {
            return plainly(true);
        }
        let namespace = match &wanted.about {
            // Whoever probes it has no credentials.
            About::Path(path) if matches!(path.as_str(), "/healthz" | "/livez" | "/readyz") => return plainly(true),
            About::Path(_) => "",
            About::Resource(about) => &about.namespace,
        };
        let mut missing = Vec::new();
        for grant in self.grants(user, namespace) {
            match self.rules_of_binding(&grant.binding) {
                Ok(rules) if rules.iter().any(|rule| rule.allows(wanted)) => {
                    return Verdict { allowed: true, reason: format!("RBAC: allowed by {}", grant.describe()) };
                }
                Ok(_) => {}
                Err(why) => missing.push(why),
            }
        }
        let reason = if missing.is_empty() { String::new() } else { format!("RBAC: {}", joined(&missing)) };
        Verdict { allowed: false, reason }
    }

    /// All rules that hold for a user in a namespace (or, where it is empty, outside of all), and what could not be
    /// resolved.
    pub fn rules_for(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        if self.auth().authorization == Authorization::AlwaysAllow {
            let all = vec!["*".to_owned()];
            let resources =
                Rule { verbs: all.clone(), api_groups: all.clone(), resources: all.clone(), ..Rule::default() };
            return (vec![resources, Rule { verbs: all.clone(), urls: all, ..Rule::default() }], Vec::new());
        }
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for grant in self.grants(user, namespace) {
            match self.rules_of_binding(&grant.binding) {
                Ok(found) => rules.extend(found),
                Err(why) => missing.push(why),
            }
        }
        (rules, missing)
    }

    /// The rules of the role that a binding names; where there is no such role, what Kubernetes says to that.
    pub(super) fn rules_of_binding(&self, binding: &Value) -> Result<Vec<Rule>, String> {
        let (kind, name) = (text(&binding["roleRef"], "kind"), text(&binding["roleRef"], "name"));
        let (resource, namespace) = match kind {
            "Role" => (ROLES, text(&binding["metadata"], "namespace")),
            _ => (CLUSTER_ROLES, ""),
        };
        match self.get(resource, namespace, name) {
            Some(role) => Ok(Rule::all_of(&role)),
            None => Err(format!("{}.rbac.authorization.k8s.io {name:?} not found", kind.to_lowercase())),
        }
    }

    fn grants(&self, user: &User, namespace: &str) -> Vec<Grant> {
        let mut bindings = self.list(CLUSTER_ROLE_BINDINGS, None);
        if !namespace.is_empty() {
            bindings.extend(self.list(ROLE_BINDINGS, Some(namespace)));
        }
        let grants = bindings.into_iter().filter_map(|binding| {
            let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
            let subject = subjects.iter().position(|subject| is(user, subject, namespace_of(&binding)))?;
            Some(Grant { binding, subject })
        });
        grants.collect()
    }
}

impl Grant {
    /// `RoleBinding "b/ns" of Role "r" to User "u"`
    fn describe(&self) -> String {
        let Self { binding, subject } = self;
        let (subject, namespace) = (&binding["subjects"][*subject], namespace_of(binding));
        let name = text(&binding["metadata"], "name");
        let binding_name = if namespace.is_empty() { name.to_owned() } else { format!("{name}/{namespace}") };
        let to = match (text(subject, "kind"), text(subject, "namespace")) {
            ("ServiceAccount", "") => format!("{}/{namespace}", text(subject, "name")),
            ("ServiceAccount", own) => format!("{}/{own}", text(subject, "name")),
            _ => text(subject, "name").to_owned(),
        };
        let role = &binding["roleRef"];
        format!(
            "{} {binding_name:?} of {} {:?} to {} {to:?}",
            text(binding, "kind"),
            text(role, "kind"),
            text(role, "name"),
            text(subject, "kind")
        )
    }
}

/// Is the user this subject of a binding in `namespace`?
fn is(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = text(subject, "name");
    match text(subject, "kind") {
        "User" => user.name == name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let own = text(subject, "namespace");
            let namespace = if own.is_empty() { namespace } else { own };
            as_service_account(&user.name) == Some((namespace, name))
        }
        _ => false,
    }
}

/// The rules that an aggregated role should have: those of all roles that its selectors select, each once, in the order of
/// the roles' names. `None` for a role that aggregates nothing.
pub(crate) fn aggregated(role: &Value, all: &[Arc<Value>]) -> Option<Vec<Value>> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let mut rules = Vec::new();
    for selector in selectors {
        for other in all {
            let itself = other["metadata"]["name"] == role["metadata"]["name"];
            if itself || !selector::matches(selector, &other["metadata"]["labels"]) {
                continue;
            }
            for rule in other["rules"].as_array().into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

/// Several faults as Go joins them: each once.
pub(super) fn joined(faults: &[String]) -> String {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&str> = faults.iter().map(String::as_str).filter(|fault| seen.insert(*fault)).collect();
    match distinct.as_slice() {
        [only] => (*only).to_owned(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn namespace_of(binding: &Value) -> &str {
    text(&binding["metadata"], "namespace")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
