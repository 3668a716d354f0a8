//! Labels wherever they stand, and the selectors that ask for them.

use serde_json::Value;

use super::field::{Causes, entries, list, text};
use super::names;

/// Checks the labels at `key` of `holder`; `path` is what the complaints call them.
pub(super) fn validate(holder: &Value, key: &str, path: &str, causes: &mut Causes) {
    for (name, value) in entries(holder, key) {
        causes.complaints(path, name, &names::qualified(name));
        let value = value.as_str().unwrap_or_default();
        causes.complaints(path, value, &names::label_value(value));
    }
}

/// Checks annotations in the same way; their values are free.
pub(super) fn validate_annotations(holder: &Value, path: &str, causes: &mut Causes) {
    const LIMIT: usize = 256 * 1024;
    let mut size = 0;
    for (name, value) in entries(holder, "annotations") {
        let lower = name.to_lowercase();
        causes.complaints(path, name, &names::qualified(&lower));
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > LIMIT {
        causes.too_long(path, LIMIT);
    }
}

/// Checks a label selector.
pub(super) fn validate_selector(selector: &Value, path: &str, causes: &mut Causes) {
    validate(selector, "matchLabels", &format!("{path}.matchLabels"), causes);
    for (index, rule) in list(selector, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(rule, "values");
        validate_operator(text(rule, "operator"), values.len(), &path, causes);
        let key = text(rule, "key");
        causes.complaints(&format!("{path}.key"), key, &names::qualified(key));
        for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
            causes.complaints(&format!("{path}.values[{index}]"), value, &names::label_value(value));
        }
    }
}

/// Some operators need values, others take none.
pub(super) fn validate_operator(operator: &str, values: usize, path: &str, causes: &mut Causes) {
    match operator {
        "In" | "NotIn" if values == 0 => {
            causes.required(&format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.forbidden(&format!("{path}.values"), detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => causes.invalid_text(&format!("{path}.operator"), other, "not a valid selector operator"),
    }
}
