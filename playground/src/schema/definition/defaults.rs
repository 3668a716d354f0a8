//! The defaults of a schema must themselves fit it.

use serde_json::Value;

use super::super::cause::{Cause, Place};
use super::super::check;
use super::super::node::Node;
use super::super::prune::prune;

/// Every default, here and below, that holds unknown fields or a value that would be refused.
pub(super) fn check(node: &Node, at: &Place) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(default) = &node.default {
        let at = at.child("default");
        if prunes(default, node) {
            causes.push(Cause::invalid(&at, default, "must not have unknown fields"));
        }
        causes.extend(check::check(node, default, None, &at));
    }
    if let Some(items) = &node.items {
        causes.extend(check(items, &at.child("items")));
    }
    for (name, property) in &node.properties {
        causes.extend(check(property, &at.child("properties").key(name)));
    }
    causes
}

fn prunes(default: &Value, node: &Node) -> bool {
    let mut pruned = default.clone();
    !prune(&mut pruned, node).is_empty()
}
