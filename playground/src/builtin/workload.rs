//! Deployments and ReplicaSets: a selector, a template and how many of it.

use serde_json::{Value, json};

use super::field::{Causes, child, default, entries, int, list, struct_json, text};
use super::{labels, pod, selector};

const SELECTOR_ORDER: [&str; 2] = ["matchLabels", "matchExpressions"];

/// Fills in a Deployment.
pub(super) fn default_deployment(deployment: &mut Value) {
    if let Some(spec) = child(deployment, "spec") {
        default(spec, "replicas", 1);
        default(spec, "strategy", json!({}));
        default_strategy(&mut spec["strategy"]);
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        default_template(spec);
    }
    default(deployment, "status", json!({}));
}

fn default_strategy(strategy: &mut Value) {
    default(strategy, "type", "RollingUpdate");
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    if let Some(rolling) = child(strategy, "rollingUpdate") {
        default(rolling, "maxUnavailable", "25%");
        default(rolling, "maxSurge", "25%");
    }
}

fn default_template(spec: &mut Value) {
    if let Some(template) = child(spec, "template") {
        default(template, "metadata", json!({}));
        if let Some(spec) = child(template, "spec") {
            pod::default_spec(spec);
        }
    }
}

/// Fills in a ReplicaSet.
pub(super) fn default_replica_set(set: &mut Value) {
    if let Some(spec) = child(set, "spec") {
        default(spec, "replicas", 1);
        default_template(spec);
    }
    if let Some(status) = child(set, "status") {
        default(status, "replicas", 0);
    }
}

/// Checks a Deployment.
pub(super) fn validate_deployment(new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &new["spec"];
    causes.non_negative("spec.replicas", int(spec, "replicas"));
    validate_pods(spec, "deployment", causes);
    validate_strategy(&spec["strategy"], causes);
    for key in ["minReadySeconds", "revisionHistoryLimit"] {
        causes.non_negative(&format!("spec.{key}"), int(spec, key));
    }
    let ready = int(spec, "minReadySeconds").unwrap_or(0);
    if let Some(deadline) = int(spec, "progressDeadlineSeconds") {
        causes.non_negative("spec.progressDeadlineSeconds", Some(deadline));
        if deadline <= ready {
            let detail = "must be greater than minReadySeconds";
            causes.invalid("spec.progressDeadlineSeconds", &json!(deadline), detail);
        }
    }
    validate_same_selector(spec, old, causes);
}

/// Checks a ReplicaSet.
pub(super) fn validate_replica_set(new: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = &new["spec"];
    for key in ["replicas", "minReadySeconds"] {
        causes.non_negative(&format!("spec.{key}"), int(spec, key));
    }
    validate_pods(spec, "replicaset", causes);
    validate_same_selector(spec, old, causes);
}

/// Checks selector and template. Without a selector the template can't match it; with one that can't be read there is
/// nothing to hold the template to.
fn validate_pods(spec: &Value, kind: &str, causes: &mut Causes) {
    const PATH: &str = "spec.selector";
    let Some(selector) = spec.get("selector") else {
        causes.required(PATH, "");
        validate_match(None, &spec["template"], causes);
        return validate_template(&spec["template"], causes);
    };
    let mut faults = Causes::default();
    labels::validate_selector(selector, PATH, &mut faults);
    let readable = faults.is_empty();
    causes.extend(faults);
    if entries(selector, "matchLabels").next().is_none() && list(selector, "matchExpressions").is_empty() {
        causes.invalid(PATH, selector, &format!("empty selector is invalid for {kind}"));
    }
    if readable {
        validate_match(Some(selector), &spec["template"], causes);
        validate_template(&spec["template"], causes);
    } else {
        causes.invalid_json(PATH, &struct_json(selector, &SELECTOR_ORDER), "invalid label selector");
    }
}

fn validate_match(selector: Option<&Value>, template: &Value, causes: &mut Causes) {
    let labels = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
    if !selector.is_some_and(|selector| selector::matches(selector, labels)) {
        let detail = "`selector` does not match template `labels`";
        causes.invalid("spec.template.metadata.labels", labels, detail);
    }
}

fn validate_template(template: &Value, causes: &mut Causes) {
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    labels::validate(metadata, "labels", "spec.template.labels", causes);
    labels::validate_annotations(metadata, "spec.template.annotations", causes);
    pod::validate_spec(&template["spec"], false, "spec.template.spec", causes);
    if !list(&template["spec"], "ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        causes.forbidden("spec.template.spec.ephemeralContainers", detail);
    }
    let policy = text(&template["spec"], "restartPolicy");
    if policy != "Always" {
        causes.not_supported("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if template["spec"].get("activeDeadlineSeconds").is_some() {
        let field = "spec.template.spec.activeDeadlineSeconds";
        causes.forbidden(field, "activeDeadlineSeconds in ReplicaSet is not Supported");
    }
}

fn validate_strategy(strategy: &Value, causes: &mut Causes) {
    let path = "spec.strategy";
    let rolling = strategy.get("rollingUpdate");
    match (text(strategy, "type"), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            causes.forbidden("spec.strategy.rollingUpdate", detail);
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => {
            let detail = "this should be defaulted and never be nil";
            causes.required("spec.strategy.rollingUpdate", detail);
        }
        ("RollingUpdate", Some(rolling)) => validate_rolling(rolling, causes),
        (other, _) => {
            let types = ["Recreate", "RollingUpdate"];
            causes.not_supported(&format!("{path}.type"), other, &types);
        }
    }
}

fn validate_rolling(rolling: &Value, causes: &mut Causes) {
    const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
    let mut both_zero = true;
    for key in ["maxUnavailable", "maxSurge"] {
        let value = rolling.get(key).unwrap_or(&Value::Null);
        let field = format!("spec.strategy.rollingUpdate.{key}");
        if let Value::String(text) = value {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
            match percent {
                None => causes.invalid(&field, value, PERCENT),
                Some(number) if number > 100 && key == "maxUnavailable" => {
                    causes.invalid(&field, value, "must not be greater than 100%");
                }
                Some(_) => {}
            }
            both_zero &= percent == Some(0);
        } else {
            causes.non_negative(&field, value.as_i64());
            both_zero &= value.as_i64() == Some(0);
        }
    }
    if both_zero {
        let value = rolling.get("maxUnavailable").unwrap_or(&Value::Null);
        let field = "spec.strategy.rollingUpdate.maxUnavailable";
        causes.invalid(field, value, "may not be 0 when `maxSurge` is 0");
    }
}

/// A selector is for life: with another one the pods would have no owner.
fn validate_same_selector(spec: &Value, old: Option<&Value>, causes: &mut Causes) {
    let Some(old) = old else {
        return;
    };
    let selector = spec.get("selector").unwrap_or(&Value::Null);
    if Some(selector) != old["spec"].get("selector") {
        let json = struct_json(selector, &SELECTOR_ORDER);
        causes.invalid_json("spec.selector", &json, "field is immutable");
    }
}
