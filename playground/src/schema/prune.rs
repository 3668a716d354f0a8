//! What the schema doesn't know is not stored.

use serde_json::Value;

use super::node::{Additional, Node};
use crate::types::{self, Types};

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes the unknown fields of an object and names them, `spec.foo`, `spec.list[0].foo`, sorted.
pub(super) fn prune(object: &mut Value, root: &Node) -> Vec<String> {
    let mut walk = Walk { path: String::new(), unknown: Vec::new() };
    walk.value(object, Some(root), true);
    walk.unknown.sort();
    walk.unknown
}

struct Walk {
    path: String,
    unknown: Vec<String>,
}

impl Walk {
    /// `resource` tells that the object has metadata of its own, which no schema speaks of.
    fn value(&mut self, value: &mut Value, node: Option<&Node>, resource: bool) {
        let preserve = node.is_some_and(|node| node.preserve);
        match value {
            Value::Object(members) => {
                members.retain(|name, value| {
                    if resource && META.contains(&name.as_str()) {
                        if name == "metadata" {
                            self.within(name, |walk| walk.metadata(value));
                        }
                        return true;
                    }
                    self.within(name, |walk| walk.member(name, value, node, preserve))
                });
            }
            Value::Array(items) => {
                let node = node.and_then(|node| node.items.as_deref());
                if preserve && node.is_none() {
                    return;
                }
                for (index, item) in items.iter_mut().enumerate() {
                    self.at(&format!("[{index}]"), |walk| walk.value(item, node, is_resource(node)));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Of a resource's metadata what Kubernetes' own type doesn't know is not stored.
    fn metadata(&mut self, metadata: &mut Value) {
        let unknown = types::drop_unknown(Types::get().metadata(), metadata);
        self.unknown.extend(unknown.iter().map(|name| format!("{}.{name}", self.path)));
    }

    /// Whether the member stays.
    fn member(&mut self, name: &str, value: &mut Value, node: Option<&Node>, preserve: bool) -> bool {
        let known = node.and_then(|node| node.member(name));
        let allowed = node.and_then(|node| node.additional_properties.as_ref());
        match (known, allowed) {
            (Some(node), _) => {
                self.value(value, Some(node), node.embedded);
                true
            }
            (None, _) if preserve => true,
            (None, Some(Additional::Allowed(_))) => {
                self.value(value, None, false);
                true
            }
            (None, _) => {
                self.unknown.push(self.path.clone());
                false
            }
        }
    }

    fn within<T>(&mut self, name: &str, then: impl FnOnce(&mut Self) -> T) -> T {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.at(&format!("{dot}{name}"), then)
    }

    fn at<T>(&mut self, step: &str, then: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.path.len();
        self.path.push_str(step);
        let result = then(self);
        self.path.truncate(here);
        result
    }
}

fn is_resource(node: Option<&Node>) -> bool {
    node.is_some_and(|node| node.embedded)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_go_and_are_named() {
        let node: Node = serde_json::from_value(json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "a": {"type": "string"},
                        "list": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
                        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"c": {}}}},
                        "any": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": true,
                            "properties": {"known": {"type": "object"}},
                        },
                        "pod": {
                            "type": "object",
                            "x-kubernetes-embedded-resource": true,
                            "properties": {"spec": {"type": "object"}},
                        },
                    },
                },
            },
        }))
        .unwrap();
        let mut object = json!({
            "apiVersion": "x/v1",
            "kind": "X",
            "metadata": {"name": "x", "anything": 1},
            "status": {},
            "spec": {
                "a": "1",
                "kind": "not of a resource",
                "z": 1,
                "list": [{"b": 1}, {"b": 2, "y": 1}],
                "map": {"k": {"c": 1, "x": 1}},
                "any": {"free": {"as": "air"}, "known": {"w": 1}},
                "pod": {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"v": 1}, "data": 1},
            },
        });
        let unknown = prune(&mut object, &node);
        let wanted = [
            "metadata.anything",
            "spec.any.known.w",
            "spec.kind",
            "spec.list[1].y",
            "spec.map.k.x",
            "spec.pod.data",
            "spec.pod.spec.v",
            "spec.z",
            "status",
        ];
        assert_eq!(unknown, wanted);
        let wanted = json!({
            "apiVersion": "x/v1",
            "kind": "X",
            "metadata": {"name": "x"},
            "spec": {
                "a": "1",
                "list": [{"b": 1}, {"b": 2}],
                "map": {"k": {"c": 1}},
                "any": {"free": {"as": "air"}, "known": {}},
                "pod": {"kind": "Pod", "metadata": {"name": "p"}, "spec": {}},
            },
        });
        assert_eq!(object, wanted);
    }
}
