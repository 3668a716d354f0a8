//! Where pods may go: affinities, spreading, tolerations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{Causes, int, list, text};
use super::{labels, names};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks `affinity`.
pub(super) fn validate_affinity(spec: &Value, path: &str, causes: &mut Causes) {
    let Some(affinity) = spec.get("affinity") else { return };
    if let Some(node) = affinity.get("nodeAffinity") {
        validate_node_affinity(node, &format!("{path}.affinity.nodeAffinity"), causes);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(of_pods) = affinity.get(kind) else { continue };
        let path = format!("{path}.affinity.{kind}");
        for (index, term) in list(of_pods, REQUIRED).iter().enumerate() {
            validate_pod_term(term, &format!("{path}.{REQUIRED}[{index}]"), causes);
        }
        for (index, weighted) in list(of_pods, PREFERRED).iter().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            validate_weight(weighted, &path, causes);
            let term = weighted.get("podAffinityTerm").unwrap_or(&Value::Null);
            validate_pod_term(term, &format!("{path}.podAffinityTerm"), causes);
        }
    }
}

fn validate_node_affinity(affinity: &Value, path: &str, causes: &mut Causes) {
    if let Some(required) = affinity.get(REQUIRED) {
        let path = format!("{path}.{REQUIRED}.nodeSelectorTerms");
        let terms = list(required, "nodeSelectorTerms");
        if terms.is_empty() {
            causes.required(&path, "must have at least one node selector term");
        }
        for (index, term) in terms.iter().enumerate() {
            validate_node_term(term, &format!("{path}[{index}]"), causes);
        }
    }
    for (index, preferred) in list(affinity, PREFERRED).iter().enumerate() {
        let path = format!("{path}.{PREFERRED}[{index}]");
        validate_weight(preferred, &path, causes);
        let term = preferred.get("preference").unwrap_or(&Value::Null);
        validate_node_term(term, &format!("{path}.preference"), causes);
    }
}

fn validate_weight(weighted: &Value, path: &str, causes: &mut Causes) {
    let weight = int(weighted, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        causes.invalid(&format!("{path}.weight"), &json!(weight), "must be in the range 1-100");
    }
}

fn validate_node_term(term: &Value, path: &str, causes: &mut Causes) {
    for (index, rule) in list(term, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(rule, "values").len();
        match text(rule, "operator") {
            "Gt" | "Lt" if values != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                causes.required(&format!("{path}.values"), detail);
            }
            "Gt" | "Lt" => {}
            operator => labels::validate_operator(operator, values, &path, causes),
        }
        let key = text(rule, "key");
        causes.complaints(&format!("{path}.key"), key, &names::qualified(key));
    }
    for (index, rule) in list(term, "matchFields").iter().enumerate() {
        validate_field_rule(rule, &format!("{path}.matchFields[{index}]"), causes);
    }
}

/// The one field of a node that can be asked for is its name.
fn validate_field_rule(rule: &Value, path: &str, causes: &mut Causes) {
    let (values, key) = (list(rule, "values"), text(rule, "key"));
    match text(rule, "operator") {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            causes.required(&format!("{path}.values"), detail);
        }
        "In" | "NotIn" => {}
        other => causes.invalid_text(&format!("{path}.operator"), other, "not a valid selector operator"),
    }
    if key != "metadata.name" {
        return causes.invalid_text(&format!("{path}.key"), key, "not a valid field selector key");
    }
    for (index, name) in values.iter().filter_map(Value::as_str).enumerate() {
        causes.complaints(&format!("{path}.values[{index}]"), name, &names::dns_subdomain(name));
    }
}

fn validate_pod_term(term: &Value, path: &str, causes: &mut Causes) {
    for key in ["labelSelector", "namespaceSelector"] {
        if let Some(selector) = term.get(key) {
            labels::validate_selector(selector, &format!("{path}.{key}"), causes);
        }
    }
    for namespace in list(term, "namespaces").iter().filter_map(Value::as_str) {
        causes.complaints(&format!("{path}.namespace"), namespace, &names::dns_label(namespace));
    }
    let (key, field) = (text(term, "topologyKey"), format!("{path}.topologyKey"));
    if key.is_empty() {
        causes.required(&field, "can not be empty");
    }
    causes.complaints(&field, key, &names::qualified(key));
}

/// Checks `topologySpreadConstraints`.
pub(super) fn validate_spread(spec: &Value, path: &str, causes: &mut Causes) {
    let constraints = list(spec, "topologySpreadConstraints");
    let kind = |constraint: &Value| {
        (text(constraint, "topologyKey").to_owned(), text(constraint, "whenUnsatisfiable").to_owned())
    };
    for (index, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}.topologySpreadConstraints[{index}]");
        let skew = int(constraint, "maxSkew").unwrap_or(0);
        if skew <= 0 {
            causes.invalid(&format!("{path}.maxSkew"), &json!(skew), "must be greater than 0");
        }
        let (topology, otherwise) = kind(constraint);
        if topology.is_empty() {
            causes.required(&format!("{path}.topologyKey"), "can not be empty");
        }
        let known = ["DoNotSchedule", "ScheduleAnyway"];
        if !known.contains(&otherwise.as_str()) {
            causes.not_supported(&format!("{path}.whenUnsatisfiable"), &otherwise, &known);
        }
        if constraints[index + 1..].iter().any(|other| kind(other) == kind(constraint)) {
            let both = format!("{{{topology}, {otherwise}}}");
            causes.duplicate(&format!("{path}.{{topologyKey, whenUnsatisfiable}}"), &both);
        }
        validate_domains(constraint, &otherwise, &path, causes);
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = text(constraint, key);
            if !policy.is_empty() && !["Honor", "Ignore"].contains(&policy) {
                causes.not_supported(&format!("{path}.{key}"), policy, &["Honor", "Ignore"]);
            }
        }
        if let Some(selector) = constraint.get("labelSelector") {
            labels::validate_selector(selector, &format!("{path}.labelSelector"), causes);
        }
    }
}

fn validate_domains(constraint: &Value, otherwise: &str, path: &str, causes: &mut Causes) {
    let Some(least) = int(constraint, "minDomains") else { return };
    let field = format!("{path}.minDomains");
    if least <= 0 {
        causes.invalid(&field, &json!(least), "must be greater than 0");
    }
    if otherwise != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {otherwise}");
        causes.invalid(&field, &json!(least), &detail);
    }
}

/// Checks `tolerations`.
pub(super) fn validate_tolerations(spec: &Value, path: &str, causes: &mut Causes) {
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        validate_toleration(toleration, &format!("{path}.tolerations[{index}]"), causes);
    }
}

fn validate_toleration(toleration: &Value, path: &str, causes: &mut Causes) {
    let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
    let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
    let (of_operator, of_effect) = (format!("{path}.operator"), format!("{path}.effect"));
    if !key.is_empty() {
        causes.complaints(&format!("{path}.key"), key, &names::qualified(key));
    }
    if key.is_empty() && operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        causes.invalid_text(&of_operator, operator, detail);
    }
    let seconds = toleration.get("tolerationSeconds");
    if seconds.is_some() && effect != "NoExecute" {
        causes.invalid_text(&of_effect, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    match operator {
        "Equal" | "" => {
            let complaints = names::label_value(value).join(";");
            if !complaints.is_empty() {
                causes.invalid_text(&of_operator, value, &complaints);
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            // The internal type has no JSON names, so Go's field names show.
            let members = [("Key", json!(key)), ("Operator", json!(operator)), ("Value", json!(value))];
            let rest = [("Effect", json!(effect)), ("TolerationSeconds", seconds.cloned().unwrap_or_default())];
            let members = members.into_iter().chain(rest).map(|(name, value)| format!("\"{name}\":{value}"));
            let json = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            causes.invalid_json(&of_operator, &json, "value must be empty when `operator` is 'Exists'");
        }
        other => causes.not_supported(&of_operator, other, &["Equal", "Exists"]),
    }
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !effect.is_empty() && !effects.contains(&effect) {
        causes.not_supported(&of_effect, effect, &effects);
    }
}

/// Checks what a pod waits for: `schedulingGates` before it is placed, `readinessGates` before it is ready.
pub(super) fn validate_gates(spec: &Value, path: &str, causes: &mut Causes) {
    for (index, gate) in list(spec, "readinessGates").iter().enumerate() {
        let condition = text(gate, "conditionType");
        let field = format!("{path}.readinessGates[{index}].conditionType");
        causes.complaints(&field, condition, &names::qualified(condition));
    }
    let mut seen = BTreeSet::new();
    for (index, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let (name, field) = (text(gate, "name"), format!("{path}.schedulingGates[{index}]"));
        causes.complaints(&field, name, &names::qualified(name));
        if !seen.insert(name) {
            causes.duplicate(&field, name);
        }
    }
}
