//! The paths that an applied configuration claims, and the sets derived from such a claim.

use serde_json::Value;

use super::path::Step;
use super::schema::{Node, Schema, Shape, shape};
use super::set::FieldSet;

/// The paths of an object: its leaves, its list items, the entries of its maps. A struct is not among
/// them, only its fields are: who applies `spec.replicas` doesn't claim `spec`.
pub(super) fn owned(schema: &Schema, object: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    values(&schema.root, object, &mut Vec::new(), &mut set);
    set
}

fn values(node: &Node, value: &Value, path: &mut Vec<Step>, set: &mut FieldSet) {
    match (shape(node, [Some(value), None]), value) {
        (Shape::Members, Value::Object(members)) => {
            for (name, value) in members {
                let child = node.child(name);
                path.push(Step::field(name));
                values(child.node, value, path, set);
                if !child.declared {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Shape::Items, Value::Array(items)) => {
            for item in items {
                let Ok(step) = node.step_to(item) else { continue };
                path.push(step);
                values(node.item(), item, path, set);
                set.insert(path);
                path.pop();
            }
        }
        // Nothing inside: an empty list claims nothing, so that others may add to it.
        (_, Value::Array(_)) if matches!(node, Node::List(_) | Node::Set) => {}
        _ => set.insert(path),
    }
}

/// The set with every struct field that leads to one of its paths: what goes when the paths go.
/// An entry of a map is not added: `labels.team` can go without `labels`.
pub(super) fn with_structs(schema: &Schema, set: &FieldSet) -> FieldSet {
    ensure(&schema.root, set)
}

fn ensure(node: &Node, set: &FieldSet) -> FieldSet {
    set.map(|step, member, below| {
        if below.is_empty() {
            return (member, FieldSet::default());
        }
        match step {
            Step::Field(name) => {
                let child = node.child(name);
                (member || child.declared, ensure(child.node, below))
            }
            Step::Key(_) | Step::Value(_) | Step::Index(_) => (member, ensure(node.item(), below)),
        }
    })
}

/// The value without the paths of the set; `None` where nothing is left of it.
pub(super) fn remove(node: &Node, value: &Value, set: &FieldSet) -> Option<Value> {
    let below = |step: &Step, node: &Node, value: &Value| {
        if set.has_member(step) {
            return None;
        }
        match set.below(step) {
            Some(set) => remove(node, value, set),
            None => Some(value.clone()),
        }
    };
    match (shape(node, [Some(value), None]), value) {
        (Shape::Members, Value::Object(members)) => {
            let keep = |(name, value): (&String, &Value)| {
                let value = below(&Step::field(name), node.child(name).node, value)?;
                Some((name.clone(), value))
            };
            let left: serde_json::Map<_, _> = members.iter().filter_map(keep).collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        (Shape::Items, Value::Array(items)) => {
            let keep = |item: &Value| match node.step_to(item) {
                Ok(step) => below(&step, node.item(), item),
                Err(_) => Some(item.clone()),
            };
            let left: Vec<_> = items.iter().filter_map(keep).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        _ => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_claims_its_leaves_its_items_and_what_is_empty() {
        let pod = Schema::builtin("Pod");
        let object = json!({
            "metadata": {"labels": {"team": "a"}, "finalizers": ["x/y"]},
            "spec": {
                "containers": [{"name": "c", "resources": {}, "ports": []}],
                "nodeSelector": {"a": "b"},
                "tolerations": [{"key": "k"}],
            },
        });
        let wanted = json!({
            "f:metadata": {"f:labels": {"f:team": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {
                "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:resources": {}}},
                "f:nodeSelector": {},
                "f:tolerations": {},
            },
        });
        assert_eq!(owned(&pod, &object).encode(), wanted);
    }

    #[test]
    fn entries_of_an_undeclared_object_are_claimed_at_every_level() {
        let schema = Schema::from_openapi(&json!({"type": "object"}));
        let wanted = json!({"f:a": {".": {}, "f:b": {".": {}, "f:c": {}}}});
        assert_eq!(owned(&schema, &json!({"a": {"b": {"c": 1}}})).encode(), wanted);
    }

    #[test]
    fn removing_all_that_is_in_a_list_removes_the_list() {
        let pod = Schema::builtin("Pod");
        let object = json!({"kind": "Pod", "spec": {"volumes": [{"name": "a"}], "x": 1}});
        let set = FieldSet::decode(&json!({"f:spec": {"f:volumes": {"k:{\"name\":\"a\"}": {}}}}));
        let left = remove(&pod.root, &object, &set.unwrap());
        assert_eq!(left, Some(json!({"kind": "Pod", "spec": {"x": 1}})));
    }

    #[test]
    fn the_structs_on_the_way_are_added_and_items_are_not() {
        let pod = Schema::builtin("Pod");
        let set = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}});
        let wanted = json!({
            "f:spec": {".": {}, "f:containers": {".": {}, "k:{\"name\":\"a\"}": {"f:image": {}}}},
        });
        assert_eq!(with_structs(&pod, &FieldSet::decode(&set).unwrap()).encode(), wanted);
    }
}
