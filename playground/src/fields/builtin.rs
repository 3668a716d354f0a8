//! The reader of the table of built-in kinds, `builtin.txt`, where its form is explained.
//!
//! The table is text because its subject is: one line per type, held easily against the Go source.
//! It is part of the program; the tests see to it that every name in it has its line.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::schema::{Fields, Keyed, Member, Node};

/// The types of the table by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: BTreeMap<&'static str, &'static str>,
}

impl Table {
    /// Splits the table into its lines; comments and blank lines are skipped.
    pub(super) fn parse(text: &'static str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { lines: lines.filter_map(|line| line.split_once(": ")).collect() }
    }

    /// The type of that name. Types don't contain themselves, so this ends.
    pub(super) fn node(&self, name: &str) -> Option<Node> {
        let members = split(self.lines.get(name)?).map(|field| self.member(field)).collect();
        Some(Node::Fields(Arc::new(Fields { members, rest: Node::Open { typed: true }, typed: true })))
    }

    fn member(&self, field: &str) -> (String, Member) {
        let (name, kind) = field.split_once(' ').unwrap_or((field, ""));
        let always = name.ends_with('!');
        let node = self.kind(kind);
        (name.trim_end_matches('!').to_owned(), Member { node, always })
    }

    fn kind(&self, kind: &str) -> Node {
        if let Some(list) = kind.strip_prefix("list(") {
            let (keys, item) = list.split_once(')').unwrap_or((list, ""));
            return Node::List(Arc::new(Keyed {
                keys: keys.split(',').map(key).collect(),
                item: self.kind(item.trim_start_matches(':')),
            }));
        }
        match kind {
            "set" => Node::Set,
            "leaf" => Node::Leaf,
            name => self.node(name).unwrap_or(Node::Open { typed: true }),
        }
    }
}

/// `protocol="TCP"` or just `name`.
fn key(text: &str) -> (String, Option<Value>) {
    let (name, default) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), serde_json::from_str(default).ok())
}

/// Splits at the commas that are not inside parentheses.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    line.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_has_its_line() {
        let table = Table::parse(include_str!("builtin.txt"));
        for (name, line) in &table.lines {
            for field in split(line) {
                let kind = field.split_once(' ').map_or("", |(_, kind)| kind);
                let kind = kind.rsplit_once(')').map_or(kind, |(_, item)| item);
                let kind = kind.trim_start_matches(':');
                let known = ["", "set", "leaf"].contains(&kind) || table.lines.contains_key(kind);
                assert!(known, "{name}: {field}");
            }
        }
    }

    #[test]
    fn a_line_tells_keys_defaults_and_what_is_always_there() {
        let table = Table::parse("A: b! B, c list(d,e=\"x\"):B\nB: f leaf");
        let a = table.node("A").unwrap();
        assert!(a.child("b").always && !a.child("c").always);
        let Node::List(list) = a.child("c").node else { panic!("c is no list") };
        assert_eq!(list.keys, [("d".to_owned(), None), ("e".to_owned(), Some("x".into()))]);
        assert!(matches!(list.item.child("f").node, Node::Leaf));
    }
}
