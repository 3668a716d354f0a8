//! What differs between two states of an object, as paths.
//!
//! Equal objects differ in nothing, whatever the path; a value that comes or goes takes every path
//! inside it along. This is what ownership follows: who changes a path takes it from everyone else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use super::schema::{Node, Schema, Shape, shape};
use super::set::FieldSet;

static NULL: Value = Value::Null;

/// The difference between an old and a new object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// The paths that have another value now, or a value for the first time; and those that have none any more.
    pub(super) fn changed_and_removed(self) -> (FieldSet, FieldSet) {
        (self.modified.union(self.added), self.removed)
    }

    /// The same difference without these paths and what is below them.
    pub(super) fn excluding(self, paths: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(paths),
            modified: self.modified.recursive_difference(paths),
            added: self.added.recursive_difference(paths),
        }
    }
}

/// Compares two objects.
pub(super) fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let mut walk = Walk { path: Vec::new(), out: Comparison::default() };
    walk.values(&schema.root, [Some(old), Some(new)]);
    walk.out
}

struct Walk {
    path: Vec<Step>,
    out: Comparison,
}

type Pair<'a> = [Option<&'a Value>; 2];

impl Walk {
    fn values(&mut self, node: &Node, pair: Pair<'_>) {
        match shape(node, pair) {
            Shape::Leaf => self.leaf(pair),
            Shape::Members => {
                self.members(node, pair);
                self.comes_or_goes(pair);
            }
            Shape::Items => {
                self.items(node, pair);
                self.comes_or_goes(pair);
            }
        }
    }

    fn leaf(&mut self, pair: Pair<'_>) {
        match pair {
            [Some(old), Some(new)] if old != new => self.out.modified.insert(&self.path),
            [Some(_), Some(_)] => {}
            _ => self.comes_or_goes(pair),
        }
    }

    fn comes_or_goes(&mut self, pair: Pair<'_>) {
        match pair {
            [None, Some(_)] => self.out.added.insert(&self.path),
            [Some(_), None] => self.out.removed.insert(&self.path),
            [Some(_), Some(_)] | [None, None] => {}
        }
    }

    fn members(&mut self, node: &Node, pair: Pair<'_>) {
        let objects = pair.map(|side| side.and_then(Value::as_object));
        let keys: BTreeSet<&String> = objects.into_iter().flatten().flat_map(Map::keys).collect();
        for key in keys {
            let child = node.child(key);
            let mut sides = objects.map(|object| object.and_then(|object| object.get(key)));
            if node.typed() {
                sides = sides.map(|side| side.filter(|value| !value.is_null()));
            }
            if child.always {
                sides = there_all_the_same(sides, pair);
            }
            if sides != [None, None] {
                self.step(Step::field(key), child.node, sides);
            }
        }
    }

    fn items(&mut self, node: &Node, pair: Pair<'_>) {
        let mut by_step: BTreeMap<Step, [Vec<&Value>; 2]> = BTreeMap::new();
        for (side, list) in pair.into_iter().enumerate() {
            for item in list.and_then(Value::as_array).into_iter().flatten() {
                // An item that can't be named can't be owned: validation refuses it.
                if let Ok(step) = node.step_to(item) {
                    by_step.entry(step).or_default()[side].push(item);
                }
            }
        }
        for (step, sides) in by_step {
            self.item(step, node.item(), &sides);
        }
    }

    /// Old objects may hold the same item twice; such a group is owned as one.
    fn item(&mut self, step: Step, node: &Node, [old, new]: &[Vec<&Value>; 2]) {
        let here = [self.path.as_slice(), std::slice::from_ref(&step)].concat();
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => self.step(step, node, [old.first().copied(), new.first().copied()]),
            (0 | 1, _) => {
                if let [old] = old.as_slice() {
                    self.step(step, node, [Some(old), None]);
                }
                self.out.added.insert(&here);
            }
            (_, 0 | 1) => {
                if let [new] = new.as_slice() {
                    self.step(step, node, [None, Some(new)]);
                }
                self.out.removed.insert(&here);
            }
            _ if old != new => self.out.modified.insert(&here),
            _ => {}
        }
    }

    fn step(&mut self, step: Step, node: &Node, pair: Pair<'_>) {
        // Most of an object stays as it is, and this is found without naming each of its paths.
        if matches!(pair, [Some(old), Some(new)] if old == new) {
            return;
        }
        self.path.push(step);
        self.values(node, pair);
        self.path.pop();
    }
}

/// A member that the server always has is empty, not absent, where its object is there.
fn there_all_the_same<'a>(sides: Pair<'a>, parents: Pair<'_>) -> Pair<'a> {
    let [old, new] = sides;
    let fill = |side: Option<&'a Value>, parent: Option<&Value>| side.or_else(|| parent.is_some().then_some(&NULL));
    match [fill(old, parents[0]), fill(new, parents[1])] {
        [Some(old), Some(new)] if is_zero(old) && is_zero(new) => [None, None],
        filled => filled,
    }
}

/// What Go writes for a field that nobody set.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(schema: &Schema, old: &Value, new: &Value) -> [Value; 3] {
        let Comparison { removed, modified, added } = compare(schema, old, new);
        [removed.encode(), modified.encode(), added.encode()]
    }

    #[test]
    fn what_comes_goes_or_changes_is_told_by_its_path() {
        let pod = Schema::builtin("Pod");
        let cases = [
            (json!({"spec": {"a": 1}}), json!({"spec": {"a": 1}}), [json!({}), json!({}), json!({})]),
            (
                json!({"spec": {"a": 1, "b": 2}}),
                json!({"spec": {"a": 2, "c": {"d": 3}}}),
                [
                    json!({"f:spec": {"f:b": {}}}),
                    json!({"f:spec": {"f:a": {}}}),
                    json!({"f:spec": {"f:c": {".": {}, "f:d": {}}}}),
                ],
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "image": "1"}]}}),
                json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "1"}]}}),
                [
                    json!({}),
                    json!({}),
                    json!({"f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}}),
                ],
            ),
        ];
        for (old, new, wanted) in cases {
            assert_eq!(difference(&pod, &old, &new), wanted, "{old} {new}");
        }
    }

    #[test]
    fn an_atomic_value_changes_as_one() {
        let deployment = Schema::builtin("Deployment");
        let old = json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}});
        let new = json!({"spec": {"selector": {"matchLabels": {"a": "2"}}}});
        let wanted = [json!({}), json!({"f:spec": {"f:selector": {}}}), json!({})];
        assert_eq!(difference(&deployment, &old, &new), wanted);
    }

    #[test]
    fn a_struct_that_is_always_there_is_not_added_but_its_pointers_are() {
        let deployment = Schema::builtin("Deployment");
        let new = json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}, "type": "x"}}});
        let [_, _, added] = difference(&deployment, &json!({}), &new);
        let wanted = json!({"f:spec": {"f:strategy": {
            "f:rollingUpdate": {".": {}, "f:maxSurge": {}},
            "f:type": {},
        }}});
        assert_eq!(added, wanted);
    }

    #[test]
    fn null_is_absent_in_a_built_in_kind_and_a_value_in_a_custom_resource() {
        let (old, new) = (json!({"spec": {}}), json!({"spec": {"a": null}}));
        let builtin = difference(&Schema::builtin("Pod"), &old, &new);
        assert_eq!(builtin, [json!({}), json!({}), json!({})]);
        let custom = Schema::from_openapi(&json!({"type": "object"}));
        let wanted = [json!({}), json!({}), json!({"f:spec": {"f:a": {}}})];
        assert_eq!(difference(&custom, &old, &new), wanted);
    }

    #[test]
    fn the_same_item_twice_is_owned_as_one() {
        let pod = Schema::builtin("Pod");
        let twice = json!({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}});
        let once = json!({"spec": {"containers": [{"name": "a"}]}});
        let item = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {}}}});
        let [_, _, added] = difference(&pod, &once, &twice);
        assert_eq!(added, item);
        assert_eq!(difference(&pod, &twice, &twice), [json!({}), json!({}), json!({})]);
    }
}
