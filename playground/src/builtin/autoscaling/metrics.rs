//! What an autoscaler goes by.
//!
//! A metric has a type and, under the field of that name, its one source. Each source says what it measures and what it
//! aims at, in a target of which exactly some fields make sense:
//!
//! ```text
//!                       value  averageValue  averageUtilization
//!   Object                 at least one
//!   External                exactly one
//!   Pods                            x
//!   Resource, ContainerResource          exactly one
//! ```

use serde_json::{Value, json};

use super::super::amounts::{self, parse};
use super::super::field::{Causes, int, list, text};
use super::super::names;
use super::validate_reference;

/// The types and their fields, in the order in which Kubernetes looks for them.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

/// Checks the metrics of an autoscaler that has at least `min` replicas.
pub(super) fn validate(spec: &Value, min: i64, causes: &mut Causes) {
    let metrics = list(spec, "metrics");
    for (at, metric) in metrics.iter().enumerate() {
        validate_metric(metric, &format!("spec.metrics[{at}]"), causes);
    }
    if min == 0 && !metrics.iter().any(|metric| matches!(text(metric, "type"), "Object" | "External")) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        causes.forbidden("spec.metrics", detail);
    }
}

fn validate_metric(metric: &Value, path: &str, causes: &mut Causes) {
    let (kind, field) = (text(metric, "type"), format!("{path}.type"));
    if kind.is_empty() {
        causes.required(&field, "must specify a metric source type");
    }
    if !TYPES.contains(&kind) {
        causes.not_supported(&field, kind, &TYPES);
    }
    let present: Vec<&str> = SOURCES.into_iter().map(|(_, key)| key).filter(|key| metric.get(key).is_some()).collect();
    // Of several sources the first is looked at, whatever the type.
    if let Some(key) = present.first() {
        validate_source(key, &metric[*key], &format!("{path}.{key}"), causes);
    }
    let expected = SOURCES.into_iter().find(|(name, _)| *name == kind).map(|(_, key)| key);
    match expected {
        // Said twice by Kubernetes, too.
        None => causes.not_supported(&field, kind, &TYPES),
        Some(key) if !present.contains(&key) => {
            causes.required(&format!("{path}.{key}"), "must populate information for the given metric source");
        }
        Some(_) => {}
    }
    if present.len() > 1 {
        for key in present.into_iter().filter(|key| Some(*key) != expected) {
            causes.forbidden(&format!("{path}.{key}"), "must populate the given metric source only");
        }
    }
}

fn validate_source(key: &str, source: &Value, path: &str, causes: &mut Causes) {
    match key {
        "object" => {
            validate_reference(&source["describedObject"], &format!("{path}.describedObject"), causes);
            validate_measured(source, path, causes);
            validate_amount(source, path, "must set either a target value or averageValue", causes);
        }
        "external" => {
            validate_measured(source, path, causes);
            validate_amount(source, path, "must set either a target value for metric or a per-pod target", causes);
            if has(source, "value") && has(source, "averageValue") {
                let detail = "may not set both a target value for metric and a per-pod target";
                causes.forbidden(&format!("{path}.target.value"), detail);
            }
        }
        "pods" => {
            validate_measured(source, path, causes);
            if !has(source, "averageValue") {
                causes.required(&format!("{path}.target.averageValue"), "must specify a positive target averageValue");
            }
        }
        _ => validate_resource(key, source, path, causes),
    }
}

fn has(source: &Value, key: &str) -> bool {
    source["target"].get(key).is_some()
}

/// What has a name, in the system that measures it.
fn validate_measured(source: &Value, path: &str, causes: &mut Causes) {
    let (name, field) = (text(&source["metric"], "name"), format!("{path}.metric.name"));
    if name.is_empty() {
        causes.required(&field, "must specify a metric name");
    } else {
        causes.complaints(&field, name, &names::path_segment(name));
    }
    validate_target(&source["target"], &format!("{path}.target"), causes);
}

fn validate_amount(source: &Value, path: &str, detail: &str, causes: &mut Causes) {
    if !has(source, "value") && !has(source, "averageValue") {
        causes.required(&format!("{path}.target.averageValue"), detail);
    }
}

/// What pods, or one container of each, ask for and use.
fn validate_resource(key: &str, source: &Value, path: &str, causes: &mut Causes) {
    let of_container = key == "containerResource";
    let (name, field) = (text(source, "name"), format!("{path}.name"));
    if name.is_empty() {
        causes.required(&field, "must specify a resource name");
    } else if of_container {
        amounts::validate_name(name, &field, causes);
    }
    if of_container {
        let (container, field) = (text(source, "container"), format!("{path}.container"));
        if container.is_empty() {
            causes.required(&field, "must specify a container");
        } else {
            causes.complaints(&field, container, &names::dns_label(container));
        }
    }
    validate_target(&source["target"], &format!("{path}.target"), causes);
    match (has(source, "averageUtilization"), has(source, "averageValue")) {
        (false, false) => {
            let detail = "must set either a target raw value or a target utilization";
            causes.required(&format!("{path}.target.averageUtilization"), detail);
        }
        (true, true) => {
            let detail = "may not set both a target raw value and a target utilization";
            causes.forbidden(&format!("{path}.target.averageValue"), detail);
        }
        (true, false) | (false, true) => {}
    }
}

fn validate_target(target: &Value, path: &str, causes: &mut Causes) {
    let (kind, field) = (text(target, "type"), format!("{path}.type"));
    if kind.is_empty() {
        causes.required(&field, "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        causes.invalid_text(&field, kind, "must be either Utilization, Value, or AverageValue");
    }
    for key in ["value", "averageValue"] {
        if let Some(amount) = target.get(key).and_then(parse).filter(|amount| amount.nanos() <= 0) {
            causes.invalid_text(&format!("{path}.{key}"), &amount.canonical(), "must be positive");
        }
    }
    if let Some(percent) = int(target, "averageUtilization").filter(|percent| *percent < 1) {
        causes.invalid(&format!("{path}.averageUtilization"), &json!(percent), "must be greater than 0");
    }
}

#[cfg(test)]
mod tests;
