//! A set of paths, as one managed fields entry holds it.
//!
//! A path can be a member without anything below it and the other way round: `{"f:a":{".":{},"f:b":{}}}`
//! holds `.a` and `.a.b`, `{"f:a":{"f:b":{}}}` holds `.a.b` only. The difference matters: a member goes
//! with everything below it when its owner drops it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::path::Step;

/// A set of paths into an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// The steps that are in the set by themselves.
    pub(super) members: BTreeSet<Step>,
    /// What is in the set below a step; no value is an empty set.
    pub(super) children: BTreeMap<Step, FieldSet>,
}

impl FieldSet {
    /// A set of paths made of plain field names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.iter().map(|name| Step::field(name)).collect::<Vec<_>>());
        }
        set
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Adds a path; the empty path, which stands for the whole object, is never in a set.
    pub fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether this very path is in the set.
    pub fn has(&self, path: &[Step]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|set| set.has(rest)),
        }
    }

    /// The paths that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.members.extend(other.members.iter().cloned());
        for (step, below) in &other.children {
            let mine = all.children.entry(step.clone()).or_default();
            *mine = mine.union(below);
        }
        all
    }

    /// The paths that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = |(step, below): (&Step, &Self)| {
            let below = below.intersection(other.children.get(step)?);
            (!below.is_empty()).then(|| (step.clone(), below))
        };
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(both).collect(),
        }
    }

    /// The paths that are here and not in the other; what is below a path of the other stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.without(other, false)
    }

    /// The paths that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.without(other, true)
    }

    fn without(&self, other: &Self, and_below: bool) -> Self {
        let left = |(step, below): (&Step, &Self)| {
            if and_below && other.members.contains(step) {
                return None;
            }
            let below = match other.children.get(step) {
                Some(theirs) => below.without(theirs, and_below),
                None => below.clone(),
            };
            (!below.is_empty()).then(|| (step.clone(), below))
        };
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(left).collect(),
        }
    }

    /// Every path, in the order in which the API server lists them: a level's own, then what is below.
    pub fn paths(&self) -> Vec<Vec<Step>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, here: &mut Vec<Step>, paths: &mut Vec<Vec<Step>>) {
        for step in &self.members {
            paths.push([here.as_slice(), std::slice::from_ref(step)].concat());
        }
        for (step, below) in &self.children {
            here.push(step.clone());
            below.collect(here, paths);
            here.pop();
        }
    }

    /// Reads FieldsV1; what is no step (a field of a later format) is `None`.
    pub fn decode(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in fields.as_object()? {
            if name == "." {
                continue;
            }
            let step = Step::decode(name)?;
            let members = below.as_object()?;
            if members.is_empty() || members.contains_key(".") {
                set.members.insert(step.clone());
            }
            let below = Self::decode(below)?;
            if !below.is_empty() {
                set.children.insert(step, below);
            }
        }
        Some(set)
    }

    /// Writes FieldsV1.
    pub fn encode(&self) -> Value {
        let mut fields = Map::new();
        for step in &self.members {
            fields.insert(step.encode(), json!({}));
        }
        for (step, below) in &self.children {
            let mut inner = below.encode();
            if self.members.contains(step) {
                inner["."] = json!({});
            }
            fields.insert(step.encode(), inner);
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::decode(fields).unwrap()
    }

    #[test]
    fn fields_v1_reads_back_what_it_writes() {
        let cases = [
            json!({}),
            json!({"f:a": {}}),
            json!({"f:a": {".": {}, "f:b": {}}}),
            json!({"f:a": {"k:{\"name\":\"x\"}": {".": {}, "f:image": {}}, "v:\"y\"": {}}}),
        ];
        for fields in cases {
            assert_eq!(set(&fields).encode(), fields);
        }
    }

    #[test]
    fn what_is_not_fields_v1_is_refused() {
        for fields in [json!(1), json!({"a": {}}), json!({"f:a": 1})] {
            assert_eq!(FieldSet::decode(&fields), None, "{fields}");
        }
    }

    #[test]
    fn the_set_operations_go_path_by_path() {
        let a = set(&json!({"f:x": {".": {}, "f:y": {}}, "f:z": {}}));
        let b = set(&json!({"f:x": {}, "f:w": {"f:v": {}}}));
        let cases = [
            (a.union(&b), json!({"f:w": {"f:v": {}}, "f:x": {".": {}, "f:y": {}}, "f:z": {}})),
            (a.intersection(&b), json!({"f:x": {}})),
            (a.difference(&b), json!({"f:x": {"f:y": {}}, "f:z": {}})),
            (a.recursive_difference(&b), json!({"f:z": {}})),
            (b.difference(&a), json!({"f:w": {"f:v": {}}})),
            (a.difference(&a), json!({})),
        ];
        for (got, wanted) in cases {
            assert_eq!(got.encode(), wanted);
        }
    }

    #[test]
    fn paths_are_listed_level_by_level() {
        let set = set(&json!({"f:a": {"f:b": {}}, "f:c": {}, "k:{\"n\":1}": {}}));
        let printed: Vec<_> = set.paths().iter().map(|p| super::super::path::print(p)).collect();
        assert_eq!(printed, [".c", "[n=1]", ".a.b"]);
    }
}
