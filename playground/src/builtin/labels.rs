//! Labels wherever they stand: in a template, a selector, a node selector.

use serde_json::Value;

use super::field::{Causes, entries};
use super::names;

/// Checks the labels at `key` of `holder`; `path` is what the complaints call them.
pub(super) fn validate(holder: &Value, key: &str, path: &str, causes: &mut Causes) {
    for (name, value) in entries(holder, key) {
        causes.complaints(path, name, &names::qualified(name));
        let value = value.as_str().unwrap_or_default();
        causes.complaints(path, value, &names::label_value(value));
    }
}
