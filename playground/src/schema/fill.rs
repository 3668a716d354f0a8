//! Defaults, as an API server sets them on a custom resource.

use serde_json::Value;

use super::node::Node;

/// Removes every `null` that may not be one and that no default replaces. It is the form in which
/// clients send "not set".
pub(super) fn drop_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| {
                let node = node.and_then(|node| node.member(name));
                let drop = |node: &Node| value.is_null() && !node.nullable && node.default.is_none();
                if node.is_some_and(drop) {
                    return false;
                }
                drop_nulls(value, node);
                true
            });
        }
        Value::Array(items) => {
            let node = node.and_then(|node| node.items.as_deref());
            for item in items {
                drop_nulls(item, node);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Sets what is missing, and what is `null` and may not be.
pub(super) fn default(value: &mut Value, node: &Node) {
    match value {
        Value::Object(members) => {
            for (name, property) in &node.properties {
                let Some(default) = &property.default else { continue };
                if members.get(name).is_none_or(|value| value.is_null() && !property.nullable) {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in members.iter_mut() {
                if let Some(node) = node.member(name) {
                    replace_null(value, node);
                    self::default(value, node);
                }
            }
        }
        Value::Array(items) => {
            let Some(node) = &node.items else { return };
            for item in items {
                replace_null(item, node);
                self::default(item, node);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replace_null(value: &mut Value, node: &Node) {
    if value.is_null()
        && !node.nullable
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_fill_what_is_missing_and_nulls_that_may_not_be() {
        let node: Node = serde_json::from_value(json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer", "default": 1},
                "n": {"type": "integer", "default": 2, "nullable": true},
                "o": {"type": "object", "default": {}, "properties": {"p": {"type": "string", "default": "x"}}},
                "l": {"type": "array", "items": {"type": "object", "properties": {"q": {"default": true}}}},
                "m": {"type": "object", "additionalProperties": {"properties": {"r": {"default": 0}}}},
                "s": {"type": "string"},
                "v": {"type": "string", "nullable": true},
            },
        }))
        .unwrap();
        let cases = [
            (json!({}), json!({"a": 1, "n": 2, "o": {"p": "x"}})),
            (
                json!({"a": null, "n": null, "s": null, "o": null, "v": null}),
                json!({"a": 1, "n": null, "o": {"p": "x"}, "v": null}),
            ),
            (
                json!({"a": 5, "n": 6, "o": {"p": "y"}, "l": [{}], "m": {"k": {}}, "unknown": null}),
                json!({"a": 5, "n": 6, "o": {"p": "y"}, "l": [{"q": true}], "m": {"k": {"r": 0}}, "unknown": null}),
            ),
        ];
        for (mut value, wanted) in cases {
            drop_nulls(&mut value, Some(&node));
            default(&mut value, &node);
            assert_eq!(value, wanted);
        }
    }
}
