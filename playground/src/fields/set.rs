//! A set of paths, as one managed fields entry holds it.
//!
//! A path can be a member without anything below it and the other way round: `{"f:a":{".":{},"f:b":{}}}`
//! holds `.a` and `.a.b`, `{"f:a":{"f:b":{}}}` holds `.a.b` only. The difference matters: a member goes
//! with everything below it when its owner drops it.
//!
//! Every write reads sets of its object and writes them again, so a level is one sorted list, and both ways lead
//! straight to the text: no [`Value`] is made in between. A set that a write does not touch is not read at all
//! ([`may_touch`]).

use std::cmp::Ordering;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::path::Step;

/// A set of paths into an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Sorted by step; each step is here once.
    entries: Vec<Entry>,
}

/// What of a set begins with one step. Never nothing: a member, or something below, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    step: Step,
    /// The step is in the set by itself.
    member: bool,
    /// What is in the set below the step.
    below: FieldSet,
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
        self.entries.is_empty()
    }

    /// Adds a path; the empty path, which stands for the whole object, is never in a set.
    pub fn insert(&mut self, path: &[Step]) {
        let [first, rest @ ..] = path else { return };
        let at = self.place_for(first);
        let entry = &mut self.entries[at];
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.below.insert(rest);
        }
    }

    /// Whether this very path is in the set.
    pub fn has(&self, path: &[Step]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.below(first).is_some_and(|set| set.has(rest)),
        }
    }

    /// Whether the path of this one step is in the set.
    pub(super) fn has_member(&self, step: &Step) -> bool {
        self.find(step).is_ok_and(|at| self.entries[at].member)
    }

    /// What is in the set below a step.
    pub(super) fn below(&self, step: &Step) -> Option<&Self> {
        let below = &self.entries[self.find(step).ok()?].below;
        (!below.is_empty()).then_some(below)
    }

    /// A set with the same steps at this level, where `change` says of each whether it is a member by itself and what is
    /// below it.
    pub(super) fn map(&self, mut change: impl FnMut(&Step, bool, &Self) -> (bool, Self)) -> Self {
        let changed = self.entries.iter().map(|Entry { step, member, below }| {
            let (member, below) = change(step, *member, below);
            Entry { step: step.clone(), member, below }
        });
        Self { entries: changed.collect() }
    }

    /// The paths that are in either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        for Entry { step, member, below } in other.entries {
            match self.find(&step) {
                Ok(at) => {
                    let mine = &mut self.entries[at];
                    mine.member |= member;
                    mine.below = std::mem::take(&mut mine.below).union(below);
                }
                Err(at) => self.entries.insert(at, Entry { step, member, below }),
            }
        }
        self
    }

    /// The paths that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = |Entry { step, member, below }: &Entry| {
            let theirs = &other.entries[other.find(step).ok()?];
            let (member, below) = (*member && theirs.member, below.intersection(&theirs.below));
            (member || !below.is_empty()).then(|| Entry { step: step.clone(), member, below })
        };
        Self { entries: self.entries.iter().filter_map(both).collect() }
    }

    /// The paths that are here and not in the other; what is below a path of the other stays.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        self.take(other, false);
        self
    }

    /// The paths that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(mut self, other: &Self) -> Self {
        self.take(other, true);
        self
    }

    /// Takes the other's paths out, `and_below` with all that is below them.
    fn take(&mut self, other: &Self, and_below: bool) {
        for theirs in &other.entries {
            let Ok(at) = self.find(&theirs.step) else { continue };
            let mine = &mut self.entries[at];
            if theirs.member {
                mine.member = false;
            }
            if theirs.member && and_below {
                mine.below = Self::default();
            } else {
                mine.below.take(&theirs.below, and_below);
            }
            if !mine.member && mine.below.is_empty() {
                self.entries.remove(at);
            }
        }
    }

    /// Every path, in the order in which the API server lists them: a level's own, then what is below.
    pub fn paths(&self) -> Vec<Vec<Step>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, here: &mut Vec<Step>, paths: &mut Vec<Vec<Step>>) {
        for entry in self.entries.iter().filter(|entry| entry.member) {
            paths.push([here.as_slice(), std::slice::from_ref(&entry.step)].concat());
        }
        for Entry { step, member: _, below } in &self.entries {
            here.push(step.clone());
            below.collect(here, paths);
            here.pop();
        }
    }

    fn find(&self, step: &Step) -> Result<usize, usize> {
        // What is read or walked comes in order: then the place is the end.
        match self.entries.last().map(|last| last.step.cmp(step)) {
            Some(Ordering::Less) => Err(self.entries.len()),
            Some(Ordering::Equal) => Ok(self.entries.len() - 1),
            Some(Ordering::Greater) | None => self.entries.binary_search_by(|entry| entry.step.cmp(step)),
        }
    }

    /// Where the step stands, or now stands; the caller puts something there.
    fn place_for(&mut self, step: &Step) -> usize {
        self.find(step).unwrap_or_else(|at| {
            self.entries.insert(at, Entry { step: step.clone(), member: false, below: Self::default() });
            at
        })
    }

    /// Reads FieldsV1; what is no step (a field of a later format) is `None`.
    pub fn decode(fields: &Value) -> Option<Self> {
        Self::deserialize(fields).ok()
    }

    /// FieldsV1 as a value.
    pub fn encode(&self) -> Value {
        let mut text = Vec::new();
        self.write(&mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes FieldsV1, its members in the order of their names.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        text.push(b'{');
        self.write_members(text);
        text.push(b'}');
    }

    fn write_members(&self, text: &mut Vec<u8>) {
        for (at, Entry { step, member, below }) in self.entries.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            step.write(text);
            text.extend_from_slice(match (member, below.is_empty()) {
                (true, false) => br#":{".":{},"#,
                (true, true) | (false, _) => b":{",
            });
            below.write_members(text);
            text.push(b'}');
        }
    }
}

/// One level of FieldsV1 as it is read.
struct Level {
    set: FieldSet,
    /// There was a `.`: the level itself is a member.
    dot: bool,
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of FieldsV1")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Level, A::Error> {
                let mut level = Level { set: FieldSet::default(), dot: false };
                while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    if name == "." {
                        map.next_value::<IgnoredAny>()?;
                        level.dot = true;
                        continue;
                    }
                    let step = Step::decode(&name).ok_or_else(|| A::Error::custom("no step"))?;
                    let Level { set: below, dot } = map.next_value()?;
                    let at = level.set.place_for(&step);
                    level.set.entries[at].member = dot || below.is_empty();
                    level.set.entries[at].below = below;
                }
                Ok(level)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for FieldSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level::deserialize(deserializer).map(|level| level.set)
    }
}

/// Whether the FieldsV1 in a text may have a path in common with the set. "No" is certain; it is told from the names at
/// the top, without reading the rest: who writes a status need not know what everybody else owns of the spec.
pub(super) fn may_touch(text: &[u8], set: &FieldSet) -> bool {
    let is_among = |name: &[u8]| {
        let same = |entry: &Entry| match &entry.step {
            Step::Field(field) => name.strip_prefix(b"f:") == Some(field.as_bytes()),
            Step::Index(_) | Step::Key(_) | Step::Value(_) => true,
        };
        name.contains(&b'\\') || set.entries.iter().any(same)
    };
    let (mut depth, mut rest) = (0, text);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            // FieldsV1 is objects in objects: every text in it is a name.
            b'"' => {
                let name = &rest[..end_of_text(rest)];
                rest = rest.get(name.len() + 1..).unwrap_or_default();
                if depth == 1 && is_among(name) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Where the quote is that ends the text.
fn end_of_text(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn a_text_is_read_where_it_may_have_a_path_of_the_set_and_is_not_where_it_cannot() {
        let fields = json!({"f:spec": {"f:status": {}}, "f:a\"b": {"k:{\"x\":\"f:status\"}": {}}, "f:z": {}});
        let text = fields.to_string();
        for (paths, wanted) in
            [(json!({"f:spec": {"f:other": {}}}), true), (json!({"f:z": {}}), true), (json!({"f:a\"b": {}}), true)]
        {
            assert_eq!(may_touch(text.as_bytes(), &set(&paths)), wanted, "{paths}");
        }
        let plain = json!({"f:spec": {"f:status": {}, "k:{\"x\":\"}f:status\"}": {}}, "f:z": {}}).to_string();
        assert!(!may_touch(plain.as_bytes(), &set(&json!({"f:status": {"f:spec": {}}}))));
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
            (a.clone().union(b.clone()), json!({"f:w": {"f:v": {}}, "f:x": {".": {}, "f:y": {}}, "f:z": {}})),
            (a.intersection(&b), json!({"f:x": {}})),
            (a.clone().difference(&b), json!({"f:x": {"f:y": {}}, "f:z": {}})),
            (a.clone().recursive_difference(&b), json!({"f:z": {}})),
            (b.clone().difference(&a), json!({"f:w": {"f:v": {}}})),
            (a.clone().difference(&a), json!({})),
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
