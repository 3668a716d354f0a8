//! Events of `events.k8s.io/v1`.
//!
//! The core/v1 Event of old is taken as it comes: its rules protect nobody who is
//! likely to be tested here.

use serde_json::{Value, json};

use super::field::{Causes, default as fill, int, text};
use super::names;

/// Fields that come back even when they are empty: they have no `omitempty`.
pub(super) fn default(resource: &str, event: &mut Value) {
    if resource == "events" {
        return;
    }
    fill(event, "deprecatedSource", json!({}));
    for key in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp"] {
        fill(event, key, Value::Null);
    }
}

/// Checks an Event.
pub(super) fn validate(new: &Value, old: Option<&Value>, causes: &mut Causes) {
    validate_legacy(new, causes);
    match old {
        None => validate_create(new, causes),
        Some(old) => validate_update(new, old, causes),
    }
}

fn validate_legacy(event: &Value, causes: &mut Causes) {
    let namespace = text(&event["metadata"], "namespace");
    let regarding = text(&event["regarding"], "namespace");
    let mismatch = if text(event, "eventTime").is_empty() {
        regarding != namespace && !(regarding.is_empty() && namespace == "default")
    } else {
        regarding.is_empty() && !["default", "kube-system"].contains(&namespace)
    };
    if mismatch {
        let detail = "does not match event.namespace";
        causes.invalid_text("involvedObject.namespace", regarding, detail);
    }
    if text(event, "eventTime").is_empty() {
        return;
    }
    let controller = text(event, "reportingController");
    if controller.is_empty() {
        causes.required("reportingController", "");
    }
    let complaints = names::qualified(controller);
    causes.complaints("reportingController", controller, &complaints);
    for key in ["reportingInstance", "action", "reason"] {
        let value = text(event, key);
        if value.is_empty() {
            causes.required(key, "");
        }
        at_most(key, value, 128, causes);
    }
    at_most("message", text(event, "note"), 1024, causes);
}

fn at_most(field: &str, value: &str, limit: usize, causes: &mut Causes) {
    if value.len() > limit {
        let detail = format!("can have at most {limit} characters");
        causes.invalid_text(field, "", &detail);
    }
}

fn validate_create(event: &Value, causes: &mut Causes) {
    validate_series(event, causes);
    if text(event, "eventTime").is_empty() {
        causes.required("eventTime", "");
    }
    let kind = text(event, "type");
    if !["Normal", "Warning"].contains(&kind) {
        causes.invalid_text("type", "", &format!("has invalid value: {kind}"));
    }
    for (key, field) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
    ] {
        if event.get(key).is_some_and(|v| !v.is_null() && *v != 0) {
            causes.invalid_text(field, "", "needs to be unset");
        }
    }
}

fn validate_series(event: &Value, causes: &mut Causes) {
    let Some(series) = event.get("series") else {
        return;
    };
    if int(series, "count").unwrap_or(0) < 2 {
        causes.invalid_text("series.count", "", "should be at least 2");
    }
    if text(series, "lastObservedTime").is_empty() {
        causes.required("series.lastObservedTime", "");
    }
}

/// Of an Event only its series may grow.
fn validate_update(new: &Value, old: &Value, causes: &mut Causes) {
    if new.get("series") != old.get("series") {
        validate_series(new, causes);
    }
    for (key, field) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if new.get(key) != old.get(key) {
            let value = new.get(key).unwrap_or(&Value::Null);
            causes.invalid(field, value, "field is immutable");
        }
    }
}
