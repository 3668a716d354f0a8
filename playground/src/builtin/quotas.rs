//! ResourceQuotas: what may be counted, and of which objects.
//!
//! Counting is done in [`crate::cluster`], here is said what can be counted at all. A scope narrows a quota down to some
//! pods (or claims), so that beside it only what pods (or claims) use makes sense:
//!
//! ```text
//!   scopes: [BestEffort]         the same as   scopeSelector: BestEffort Exists
//!   hard:   pods                               those pods ask for nothing else
//! ```
//!
//! A quota never changes its scopes: what it has counted so far would no longer be what it counts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::amounts;
use super::field::{Causes, child, entries, list, quoted, text};

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// No pod is of both.
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
/// What pods may ask for, beside being counted.
const OF_PODS: [&str; 6] = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const ONLY_EXISTS: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
    ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
    ResourceQuotaScopeCrossNamespacePodAffinity";
const FOREIGN: &str = "unsupported scope applied to resource";

/// Fills in a ResourceQuota.
pub(super) fn default(quota: &mut Value) {
    if let Some(hard) = child(quota, "spec").and_then(|spec| spec.get_mut("hard")) {
        amounts::canonicalize(hard);
    }
}

/// Checks a ResourceQuota.
pub(super) fn validate(quota: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &quota["spec"];
    for (name, amount) in entries(spec, "hard") {
        amounts::validate_counted(name, amount, &format!("spec.hard[{name}]"), causes);
    }
    validate_scopes(spec, causes);
    if let Some(selector) = spec.get("scopeSelector") {
        validate_selector(spec, selector, causes);
    }
    let scopes = |quota: &Value| list(&quota["spec"], "scopes").iter().map(Value::to_string).collect::<BTreeSet<_>>();
    if old.is_some_and(|old| scopes(old) != scopes(quota)) {
        causes.invalid("spec.scopes", &spec["scopes"], "field is immutable");
    }
}

fn validate_scopes(spec: &Value, causes: &mut Causes) {
    let (field, scopes) = ("spec.scopes", &spec["scopes"]);
    let named: Vec<&str> = list(spec, "scopes").iter().filter_map(Value::as_str).collect();
    for scope in &named {
        if !SCOPES.contains(scope) {
            causes.invalid(field, scopes, "unsupported scope");
        }
        for _ in foreign(spec, scope) {
            causes.invalid(field, scopes, FOREIGN);
        }
    }
    validate_together(&named, scopes, causes);
}

fn validate_selector(spec: &Value, selector: &Value, causes: &mut Causes) {
    let path = "spec.scopeSelector.matchExpressions";
    let rules = list(selector, "matchExpressions");
    for rule in rules {
        let (scope, operator) = (text(rule, "scopeName"), text(rule, "operator"));
        if !SCOPES.contains(&scope) {
            causes.invalid_text(&format!("{path}.scopeName"), scope, "unsupported scope");
        }
        for _ in foreign(spec, scope) {
            causes.invalid_json(path, &selector_json(rules), FOREIGN);
        }
        if SCOPES.contains(&scope)
            && !matches!(scope, "PriorityClass" | "VolumeAttributesClass")
            && operator != "Exists"
        {
            causes.invalid_text(&format!("{path}.operator"), operator, ONLY_EXISTS);
        }
        validate_operator(operator, rule.get("values"), path, causes);
    }
    let named: Vec<&str> = rules.iter().map(|rule| text(rule, "scopeName")).collect();
    validate_together(&named, &spec["scopes"], causes);
}

fn validate_operator(operator: &str, values: Option<&Value>, path: &str, causes: &mut Causes) {
    let field = format!("{path}.values");
    match (operator, values) {
        ("In" | "NotIn", None) => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            causes.required(&field, detail);
        }
        ("Exists" | "DoesNotExist", Some(values)) => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            causes.invalid(&field, values, detail);
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
        (other, _) => causes.invalid_text(&format!("{path}.operator"), other, "not a valid selector operator"),
    }
}

/// A selector's conflict is told of the scopes, too, as Kubernetes does.
fn validate_together(named: &[&str], scopes: &Value, causes: &mut Causes) {
    for pair in CONFLICTS {
        if pair.iter().all(|scope| named.contains(scope)) {
            causes.invalid("spec.scopes", scopes, "conflicting scopes");
        }
    }
}

/// What is counted, and nothing within this scope uses.
fn foreign<'a>(spec: &'a Value, scope: &'a str) -> impl Iterator<Item = &'a String> {
    let used = move |name: &str| match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => name == "pods" || OF_PODS.contains(&name),
        _ => true,
    };
    entries(spec, "hard").map(|(name, _)| name).filter(move |name| amounts::is_counted(name) && !used(name))
}

/// The internal type has no JSON names, so Go's field names show.
fn selector_json(rules: &[Value]) -> String {
    let rule = |rule: &Value| {
        let (scope, operator) = (quoted(text(rule, "scopeName")), quoted(text(rule, "operator")));
        let values = rule.get("values").unwrap_or(&Value::Null);
        format!("{{\"ScopeName\":{scope},\"Operator\":{operator},\"Values\":{values}}}")
    };
    let rules: Vec<String> = rules.iter().map(rule).collect();
    format!("{{\"MatchExpressions\":[{}]}}", rules.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field::found;
    use super::*;

    fn faults(spec: &Value) -> Vec<String> {
        found(|causes| validate(&json!({"spec": spec}), None, causes))
    }

    #[test]
    fn amounts_are_written_as_the_server_writes_them() {
        let mut quota = json!({"spec": {"hard": {"cpu": "1000m", "pods": 3}}});
        default(&mut quota);
        assert_eq!(quota["spec"]["hard"], json!({"cpu": "1", "pods": "3"}));
    }

    #[test]
    fn what_is_counted_has_a_name_and_a_whole_amount() {
        let fine = json!({"cpu": "500m", "requests.hugepages-2Mi": "2Mi", "count/deployments.apps": "1",
            "requests.example.com/gpu": "500m", "pods": "3"});
        assert!(faults(&json!({"hard": fine})).is_empty());
        assert_eq!(
            faults(&json!({"hard": {"gold": "1"}})),
            [
                "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified",
                "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource for quota",
            ]
        );
        let storage = "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota";
        assert_eq!(faults(&json!({"hard": {"storage": "1"}})), [storage]);
        let negative = "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0";
        assert_eq!(faults(&json!({"hard": {"pods": "-1"}})), [negative]);
        for name in ["pods", "count/x", "example.com/gpu"] {
            let part = format!("spec.hard[{name}]: Invalid value: \"1500m\": must be an integer");
            assert_eq!(faults(&json!({"hard": {name: "1.5"}})), [part]);
        }
        assert!(faults(&json!({"hard": {"a/b/c": "1"}}))[0].contains("a qualified name must consist of"));
    }

    #[test]
    fn a_scope_is_known_and_counts_what_it_has() {
        let fault = |scope: &str, detail: &str| format!("spec.scopes: Invalid value: [\"{scope}\"]: {detail}");
        assert_eq!(faults(&json!({"scopes": ["All"], "hard": {"secrets": "1"}})), [fault("All", "unsupported scope")]);
        for (scope, fine, foreign) in [
            ("BestEffort", "pods", "cpu"),
            ("NotBestEffort", "cpu", "secrets"),
            ("Terminating", "limits.memory", "requests.storage"),
            ("PriorityClass", "pods", "services"),
            ("VolumeAttributesClass", "requests.storage", "pods"),
            ("VolumeAttributesClass", "persistentvolumeclaims", "cpu"),
        ] {
            let of = |name: &str| faults(&json!({"scopes": [scope], "hard": {name: "1"}}));
            assert!(of(fine).is_empty() && of("count/x").is_empty(), "{scope}");
            assert_eq!(of(foreign), [fault(scope, FOREIGN)]);
        }
        for pair in CONFLICTS {
            let both = format!("spec.scopes: Invalid value: [\"{}\",\"{}\"]: conflicting scopes", pair[0], pair[1]);
            assert_eq!(faults(&json!({"scopes": pair})), [both]);
        }
    }

    #[test]
    fn a_selector_of_scopes_asks_what_can_be_answered() {
        let of =
            |rules: Value, hard: Value| faults(&json!({"scopeSelector": {"matchExpressions": rules}, "hard": hard}));
        let rule = |scope: &str, operator: &str| json!({"scopeName": scope, "operator": operator});
        let of_one = |rule: Value| of(json!([rule]), json!({}));
        let path = "spec.scopeSelector.matchExpressions";
        assert!(of_one(rule("BestEffort", "Exists")).is_empty());
        assert!(of_one(json!({"scopeName": "PriorityClass", "operator": "In", "values": ["high"]})).is_empty());
        let unknown = format!("{path}.scopeName: Invalid value: \"All\": unsupported scope");
        assert_eq!(of_one(rule("All", "Exists")), [unknown]);
        assert_eq!(
            of_one(rule("BestEffort", "DoesNotExist")),
            [format!("{path}.operator: Invalid value: \"DoesNotExist\": {ONLY_EXISTS}")]
        );
        assert_eq!(
            of_one(rule("PriorityClass", "NotIn")),
            [format!(
                "{path}.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )]
        );
        assert_eq!(
            of_one(json!({"scopeName": "PriorityClass", "operator": "Exists", "values": ["a"]})),
            [format!(
                "{path}.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope \
             selector"
            )]
        );
        let odd = format!("{path}.operator: Invalid value: \"Is\": not a valid selector operator");
        assert_eq!(of_one(rule("PriorityClass", "Is")), [odd]);
        assert_eq!(
            of(json!([rule("BestEffort", "Exists")]), json!({"cpu": "1"})),
            [format!(
                "{path}: Invalid value: {{\"MatchExpressions\":[{{\"ScopeName\":\"BestEffort\",\"Operator\":\"Exists\",\
             \"Values\":null}}]}}: {FOREIGN}"
            )]
        );
        let both = json!([rule("Terminating", "Exists"), rule("NotTerminating", "Exists")]);
        assert_eq!(of(both, json!({})), ["spec.scopes: Invalid value: null: conflicting scopes"]);
    }

    #[test]
    fn a_quota_keeps_its_scopes() {
        let quota = |scopes: Value| json!({"spec": {"scopes": scopes}});
        let (old, turned) = (quota(json!(["Terminating", "BestEffort"])), quota(json!(["BestEffort", "Terminating"])));
        assert!(found(|causes| validate(&turned, Some(&old), causes)).is_empty());
        assert_eq!(
            found(|causes| validate(&quota(json!(["BestEffort"])), Some(&old), causes)),
            ["spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"]
        );
    }
}
