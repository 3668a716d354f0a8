//! The merge schema of a custom resource, from its OpenAPI schema.
//!
//! `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` say how to merge; what they leave open
//! is atomic for a list and member by member for an object. Where unknown fields are preserved there
//! is nothing to go by, and the value merges as it looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::schema::{Fields, Keyed, Member, Node};

/// The object itself: its metadata is the same as everyone's, whatever the schema says of it.
pub(super) fn root(schema: &Value, metadata: &Node) -> Node {
    object(schema, metadata, true)
}

fn node(schema: &Value, metadata: &Node) -> Node {
    let says = |name: &str| schema.get(name).and_then(Value::as_str);
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    match says("type") {
        Some("array") => list(schema, says("x-kubernetes-list-type"), metadata),
        Some("object") if says("x-kubernetes-map-type") == Some("atomic") => Node::Leaf,
        Some("object") => object(schema, metadata, embedded),
        None if preserves(schema) => object(schema, metadata, embedded),
        Some(_) | None => Node::Leaf,
    }
}

fn list(schema: &Value, list_type: Option<&str>, metadata: &Node) -> Node {
    match list_type {
        Some("set") => Node::Set,
        Some("map") => {
            let items = &schema["items"];
            let names = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let keys: Vec<_> = names
                .filter_map(Value::as_str)
                .map(|name| (name.to_owned(), items["properties"][name].get("default").cloned()))
                .collect();
            if keys.is_empty() {
                return Node::Leaf;
            }
            Node::List(Arc::new(Keyed { keys, item: node(items, metadata) }))
        }
        Some(_) | None => Node::Leaf,
    }
}

/// `resource` tells whether its `metadata` is ObjectMeta: that of the root and of an embedded resource.
fn object(schema: &Value, metadata: &Node, resource: bool) -> Node {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut members: BTreeMap<_, _> = properties
        .map(|(name, schema)| (name.clone(), Member { node: node(schema, metadata), always: false }))
        .collect();
    if resource {
        let node = metadata.clone();
        members.insert("metadata".to_owned(), Member { node, always: false });
    }
    let rest = match &schema["additionalProperties"] {
        entry @ Value::Object(_) => node(entry, metadata),
        _ => Node::Open { typed: false },
    };
    Node::Fields(Arc::new(Fields { members, rest, typed: false }))
}

fn preserves(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::Schema;
    use super::*;

    #[test]
    fn the_extensions_tell_how_a_field_merges() {
        let schema = Schema::from_openapi(&json!({
            "type": "object",
            "properties": {
                "metadata": {"type": "object"},
                "plain": {"type": "array", "items": {"type": "string"}},
                "set": {"type": "array", "x-kubernetes-list-type": "set"},
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a", "b"],
                    "items": {
                        "type": "object",
                        "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "x"}},
                    },
                },
                "atomic": {"type": "object", "x-kubernetes-map-type": "atomic"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
                "number": {"type": "integer"},
            },
        }));
        let root = &schema.root;
        let kind = |name: &str| match root.child(name).node {
            Node::Leaf => "leaf",
            Node::Open { .. } => "open",
            Node::Fields(_) => "fields",
            Node::List(_) => "list",
            Node::Set => "set",
        };
        let cases = [
            ("metadata", "fields"),
            ("plain", "leaf"),
            ("set", "set"),
            ("map", "list"),
            ("atomic", "leaf"),
            ("labels", "fields"),
            ("any", "fields"),
            ("number", "leaf"),
            ("unknown", "open"),
        ];
        for (name, wanted) in cases {
            assert_eq!(kind(name), wanted, "{name}");
        }
        let step = root.child("map").node.step_to(&json!({"a": "1"})).unwrap();
        assert_eq!(step.to_string(), r#"[a="1",b="x"]"#);
        assert!(!root.child("labels").node.child("team").declared);
    }
}
