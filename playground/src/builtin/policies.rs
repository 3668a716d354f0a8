//! Kinds that say how others may live: budgets, priorities, webhooks.
//!
//! Nothing here enforces them: budgets are kept true by a controller, and webhooks are called in [`crate::webhooks`].
//! They are stored with their defaults, and what could not be stored by Kubernetes is refused
//! with its words.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, default as fill, int, list, list_mut, text};
use super::labels;

/// What a person may give a PriorityClass at most; what is above is the system's own.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

/// Fills in the status of a PodDisruptionBudget: its conditions have a message, if an empty one.
pub(super) fn default_budget(budget: &mut Value) {
    let Some(status) = budget.get_mut("status") else { return };
    for condition in list_mut(status, "conditions") {
        fill(condition, "message", "");
    }
}

/// Fills in a PriorityClass.
pub(super) fn default_priority(class: &mut Value) {
    fill(class, "preemptionPolicy", "PreemptLowerPriority");
}

/// Checks a PodDisruptionBudget.
pub(super) fn validate_budget(budget: &Value, causes: &mut Causes) {
    let spec = &budget["spec"];
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        // The internal type has no JSON names, so Go's field names show.
        let members = [
            ("MinAvailable", "minAvailable"),
            ("Selector", "selector"),
            ("MaxUnavailable", "maxUnavailable"),
            ("UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy"),
        ];
        let members = members.map(|(name, key)| format!("\"{name}\":{}", spec.get(key).unwrap_or(&Value::Null)));
        let json = format!("{{{}}}", members.join(","));
        causes.invalid_json("spec", &json, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        let field = format!("spec.{key}");
        causes.non_negative(&field, int(spec, key));
        if let Some(share) = spec.get(key).and_then(Value::as_str) {
            match share.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(0..=100)) => {}
                Some(Ok(_)) => causes.invalid_text(&field, share, "must not be greater than 100%"),
                _ => causes.invalid_text(
                    &field,
                    share,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                     '93%', regex used for validation is '[0-9]+%')",
                ),
            }
        }
    }
}

/// Checks whom a budget is for, and what becomes of those who are not well.
pub(super) fn validate_budgeted(budget: &Value, causes: &mut Causes) {
    let spec = &budget["spec"];
    if let Some(selector) = spec.get("selector") {
        labels::validate_selector(selector, "spec.selector", causes);
    }
    let (policy, known) = (text(spec, "unhealthyPodEvictionPolicy"), ["AlwaysAllow", "IfHealthyBudget"]);
    if !policy.is_empty() && !known.contains(&policy) {
        causes.not_supported("spec.unhealthyPodEvictionPolicy", policy, &known);
    }
}

/// Checks a PriorityClass.
pub(super) fn validate_priority(class: &Value, old: Option<&Value>, causes: &mut Causes) {
    let value = int(class, "value").unwrap_or(0);
    let of_the_system = text(&class["metadata"], "name").starts_with("system-");
    match old {
        None if of_the_system => {
            let detail = "priority class names with 'system-' prefix are reserved for system use only";
            causes.forbidden("metadata.name", detail);
        }
        None if value > HIGHEST_PRIORITY => {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
            causes.forbidden("value", &detail);
        }
        None => {}
        Some(old) => {
            if int(old, "value").unwrap_or(0) != value {
                causes.forbidden("value", "may not be changed in an update.");
            }
            if old.get("preemptionPolicy") != class.get("preemptionPolicy") {
                causes.invalid_text("preemptionPolicy", text(class, "preemptionPolicy"), "field is immutable");
            }
        }
    }
    let policies = ["Never", "PreemptLowerPriority"];
    if !policies.contains(&text(class, "preemptionPolicy")) {
        causes.not_supported("preemptionPolicy", text(class, "preemptionPolicy"), &policies);
    }
}

/// Checks the webhooks of a configuration.
pub(super) fn validate_webhooks(configuration: &Value, causes: &mut Causes) {
    let effects = ["None", "NoneOnDryRun"];
    let mut seen = BTreeSet::new();
    for (at, hook) in list(configuration, "webhooks").iter().enumerate() {
        let path = format!("webhooks[{at}]");
        let name = text(hook, "name");
        if name.is_empty() {
            causes.required(&format!("{path}.name"), "");
        } else if name.split('.').filter(|part| !part.is_empty()).count() < 3 {
            let detail = "should be a domain with at least three segments separated by dots";
            causes.invalid_text(&format!("{path}.name"), name, detail);
        }
        if !seen.insert(name) {
            causes.duplicate(&format!("{path}.name"), name);
        }
        validate_versions(hook, &path, causes);
        match text(hook, "sideEffects") {
            "" => causes.required(&format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun"),
            effect if effects.contains(&effect) => {}
            effect => causes.not_supported(&format!("{path}.sideEffects"), effect, &effects),
        }
        validate_answers(hook, &path, causes);
        for (index, rule) in list(hook, "rules").iter().enumerate() {
            validate_rule(rule, &format!("{path}.rules[{index}]"), causes);
        }
        let client = &hook["clientConfig"];
        if let Some(service) = client.get("service") {
            validate_service(service, &format!("{path}.clientConfig.service"), causes);
        }
        if client["url"].is_string() == client["service"].is_object() {
            causes.required(&format!("{path}.clientConfig"), "exactly one of url or service is required");
        }
        if let Some(url) = client["url"].as_str() {
            validate_url(url, &format!("{path}.clientConfig.url"), causes);
        }
    }
}

/// At least one version that the server speaks, and no other twice.
fn validate_versions(hook: &Value, path: &str, causes: &mut Causes) {
    let versions = list(hook, "admissionReviewVersions");
    let field = format!("{path}.admissionReviewVersions");
    if versions.is_empty() {
        return causes.required(&field, "must specify one of v1, v1beta1");
    }
    if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let json = Value::from(versions);
        causes.invalid(&field, &json, "must include at least one of v1, v1beta1");
    }
}

/// How long it is waited for, and what happens where no answer comes.
fn validate_answers(hook: &Value, path: &str, causes: &mut Causes) {
    if let Some(seconds) = int(hook, "timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        causes.invalid(&format!("{path}.timeoutSeconds"), &json!(seconds), detail);
    }
    for (key, known) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        let value = text(hook, key);
        if !value.is_empty() && !known.contains(&value) {
            causes.not_supported(&format!("{path}.{key}"), value, &known);
        }
    }
    for key in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = hook.get(key) {
            labels::validate_selector(selector, &format!("{path}.{key}"), causes);
        }
    }
}

fn validate_rule(rule: &Value, path: &str, causes: &mut Causes) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let operations = list(rule, "operations");
    if operations.is_empty() {
        causes.required(&format!("{path}.operations"), "");
    }
    if operations.len() > 1 && operations.iter().any(|operation| operation == "*") {
        let detail = "if '*' is present, must not specify other operations";
        causes.invalid(&format!("{path}.operations"), &operations.into(), detail);
    }
    for (index, operation) in operations.iter().filter_map(Value::as_str).enumerate() {
        if !OPERATIONS.contains(&operation) {
            causes.not_supported(&format!("{path}.operations[{index}]"), operation, &OPERATIONS);
        }
    }
    for (key, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions"), ("resources", "resources")] {
        let (values, field) = (list(rule, key), format!("{path}.{key}"));
        if values.is_empty() {
            causes.required(&field, "");
        }
        if key != "resources" && values.len() > 1 && values.iter().any(|value| value == "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            causes.invalid(&field, &values.into(), &detail);
        }
    }
    let (scope, scopes) = (text(rule, "scope"), ["*", "Cluster", "Namespaced"]);
    if !scope.is_empty() && !scopes.contains(&scope) {
        causes.not_supported(&format!("{path}.scope"), scope, &scopes);
    }
}

fn validate_service(service: &Value, path: &str, causes: &mut Causes) {
    for key in ["name", "namespace"] {
        if text(service, key).is_empty() {
            causes.required(&format!("{path}.{key}"), "");
        }
    }
    if let Some(port) = int(service, "port").filter(|port| !(1..=65535).contains(port)) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        causes.invalid(&format!("{path}.port"), &json!(port), detail);
    }
    let way = text(service, "path");
    if !way.is_empty() && !way.starts_with('/') {
        causes.invalid_text(&format!("{path}.path"), way, "must start with a '/'");
    }
}

/// As `apiserver/pkg/util/webhook/validation.go` has it.
fn validate_url(url: &str, field: &str, causes: &mut Causes) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        causes.invalid_text(field, scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if rest.split('/').next().is_none_or(str::is_empty) {
        causes.invalid_text(field, "", &format!("host must be specified{FORM}"));
    }
    if rest.contains('#') {
        causes.invalid_text(field, url, "fragments are not permitted in the URL");
    } else if let Some((_, query)) = rest.split_once('?') {
        causes.invalid_text(field, query, "query parameters are not permitted in the URL");
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::found;
    use super::*;

    #[test]
    fn a_budget_names_one_bound_and_a_share_is_a_share() {
        let budget = |spec: Value| found(|causes| validate_budget(&json!({"spec": spec}), causes));
        assert!(budget(json!({"minAvailable": 1})).is_empty());
        assert!(budget(json!({"maxUnavailable": "25%"})).is_empty());
        assert!(budget(json!({"minAvailable": 1, "maxUnavailable": 1}))[0].contains("cannot be both set"));
        assert!(budget(json!({"minAvailable": "101%"}))[0].contains("must not be greater than 100%"));
        assert!(budget(json!({"minAvailable": "many"}))[0].contains("a valid percent string"));
    }

    #[test]
    fn a_priority_stays_what_it_was_made() {
        let class = |value: i64| json!({"metadata": {"name": "p"}, "value": value, "preemptionPolicy": "Never"});
        assert!(found(|causes| validate_priority(&class(1), None, causes)).is_empty());
        assert_eq!(
            found(|causes| validate_priority(&class(2_000_000_000), None, causes)),
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
        );
        assert_eq!(
            found(|causes| validate_priority(&class(2), Some(&class(1)), causes)),
            ["value: Forbidden: may not be changed in an update."]
        );
    }

    #[test]
    fn a_webhook_says_where_it_is_and_what_it_does() {
        let good = json!({"name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": "https://x"}});
        let check = |hook: &Value| found(|causes| validate_webhooks(&json!({"webhooks": [hook]}), causes));
        assert!(check(&good).is_empty());
        assert_eq!(check(&json!({"name": "a"})).len(), 4);
        let mut plain = good.clone();
        plain["clientConfig"]["url"] = "http://x".into();
        let why = "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired \
                   format: https://host[/path]";
        assert_eq!(check(&plain), [why]);
    }
}
