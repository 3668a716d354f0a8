//! The rules of a schema: read, type-checked, and kept for evaluation.

use serde_json::json;

use super::super::cause::{Cause, Place};
use super::super::cel::Expression;
use super::super::node::{Additional, Node};
use super::super::rules::{Compiled, Rule};
use super::super::types::{self, Type};

/// Compiles every rule, here and below. What is wrong with them is told where each stands.
pub(super) fn compile(root: &mut Node, at: &Place) -> Vec<Cause> {
    let mut causes = Vec::new();
    below(root, at, &Around { resource: true, uncorrelatable: None }, &mut causes);
    causes
}

/// What a schema is inside of.
#[derive(Clone)]
struct Around {
    /// It is an object with type and metadata.
    resource: bool,
    /// The list, if any, whose items can't be told to be the same from one state to the next: there
    /// is no `oldSelf` in it.
    uncorrelatable: Option<Place>,
}

fn below(node: &mut Node, at: &Place, around: &Around, causes: &mut Vec<Cause>) {
    let inside = |node: &Node| Around { resource: node.embedded, ..around.clone() };
    if let Some(Additional::Schema(node)) = &mut node.additional_properties {
        let around = inside(node);
        below(node, &at.child("additionalProperties"), &around, causes);
    }
    for (name, node) in &mut node.properties {
        let around = inside(node);
        below(node, &at.child("properties").key(name), &around, causes);
    }
    if let Some(items) = &mut node.items {
        let mut around = inside(items);
        if node.list_type != "map" {
            around.uncorrelatable.get_or_insert_with(|| at.clone());
        }
        below(items, &at.child("items"), &around, causes);
    }
    let mut rules = std::mem::take(&mut node.rules);
    for (index, rule) in rules.iter_mut().enumerate() {
        let at = at.child("x-kubernetes-validations").index(index);
        causes.extend(read(rule, node, around, &at));
    }
    node.rules = rules;
}

fn read(rule: &mut Rule, node: &Node, around: &Around, at: &Place) -> Vec<Cause> {
    let this = Type::of(node, around.resource);
    let optional = rule.optional_old_self == Some(true);
    let old = if optional { Type::Dyn } else { this.clone() };
    let compiled = |source: &str, what: &str| {
        let expression = Expression::parse(source).map_err(|why| format!("{what}compilation failed: {why}"))?;
        let found =
            types::check(&expression, source, &this, &old).map_err(|why| format!("{what}compilation failed: {why}"))?;
        Ok::<_, String>((expression, found))
    };
    let refuse = |field: &str, why: &str| vec![Cause::invalid(at.child(field), shown(rule), why)];
    let expression = match compiled(&rule.source, "") {
        Ok((expression, found)) if found.may_be_bool() => expression,
        Ok(_) => return refuse("rule", "cel expression must evaluate to a bool"),
        Err(why) => return refuse("rule", &why),
    };
    let message = if rule.message_expression.is_empty() {
        None
    } else {
        match compiled(&rule.message_expression, "messageExpression ") {
            Ok((expression, found)) if found.may_be_string() => Some(expression),
            Ok(_) => return refuse("messageExpression", "messageExpression must evaluate to a string"),
            Err(why) => return refuse("messageExpression", &why),
        }
    };
    let transition = expression.names("oldSelf");
    let mut causes = Vec::new();
    match (transition, &around.uncorrelatable, rule.optional_old_self) {
        (true, Some(list), _) => {
            let says = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {list}");
            causes.push(Cause::invalid(at.child("rule"), json!(rule.source), &says));
        }
        (false, _, Some(optional)) => {
            let says = "may not be set if oldSelf is not used in rule";
            causes.push(Cause::invalid(at.child("optionalOldSelf"), json!(optional), says));
        }
        (true, None, _) | (false, _, None) => {}
    }
    rule.compiled = Some(Compiled { rule: expression, message, transition });
    causes
}

/// The rule as the API server shows it: with the names of its Go struct, in their order, which a JSON
/// object of ours does not keep.
fn shown(rule: &Rule) -> String {
    let Rule { source, message, message_expression, reason, field_path, optional_old_self, compiled: _ } = rule;
    let shown = format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        json!(source),
        json!(message),
        json!(message_expression),
        json!(reason),
        json!(field_path),
        json!(optional_old_self),
    );
    // Go's encoder keeps its JSON fit to stand in HTML.
    shown.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}
