//! Lists that may not hold the same item twice: `x-kubernetes-list-type` `set` and `map`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::cause::{Cause, Place};
use super::node::Node;

/// Names every item that is there a second time.
pub(super) fn check(node: &Node, value: &Value, at: &Place) -> Vec<Cause> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match (node.properties.get(name), node.entries()) {
                (Some(below), _) => check(below, value, &at.child(name)),
                (None, Some(below)) => check(below, value, &at.key(name)),
                (None, None) => Vec::new(),
            })
            .collect(),
        Value::Array(items) => {
            let mut causes = duplicates(node, items, at);
            if let Some(below) = &node.items {
                let each = items.iter().enumerate();
                causes.extend(each.flat_map(|(index, item)| check(below, item, &at.index(index))));
            }
            causes
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn duplicates(node: &Node, items: &[Value], at: &Place) -> Vec<Cause> {
    let identity = |item: &Value| match node.list_type.as_str() {
        "set" => Some(item.clone()),
        "map" => {
            let keys = node.list_map_keys.iter();
            let keys = keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
            Some(Value::Object(keys.collect::<Map<_, _>>()))
        }
        _ => None,
    };
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut causes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(identity) = identity(item) else { continue };
        let times = times.entry(identity.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            causes.push(Cause::duplicate(at.index(index), &identity));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_second_of_the_same_items_is_named() {
        let node: Node = serde_json::from_value(json!({
            "properties": {
                "set": {"x-kubernetes-list-type": "set"},
                "map": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]},
                "free": {},
                "deep": {"additionalProperties": {"x-kubernetes-list-type": "set"}},
            },
        }))
        .unwrap();
        let cases = [
            (json!({"set": ["x", "y", "x", "x"]}), vec!["set[2]: Duplicate value: \"x\""]),
            (json!({"free": ["x", "x"]}), vec![]),
            (json!({"map": [{"a": 1, "b": 1}, {"a": 1, "b": 2}]}), vec![]),
            (
                json!({"map": [{"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 2}]}),
                vec!["map[1]: Duplicate value: {\"a\":1,\"b\":1}"],
            ),
            (json!({"deep": {"k": [1, 1]}}), vec!["deep[k][1]: Duplicate value: 1"]),
        ];
        for (value, wanted) in cases {
            let got: Vec<_> = check(&node, &value, &Place::default()).iter().map(Cause::to_string).collect();
            assert_eq!(got, wanted, "{value}");
        }
    }
}
