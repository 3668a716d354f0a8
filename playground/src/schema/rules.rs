//! `x-kubernetes-validations`: rules in CEL, held against an object.
//!
//! A rule stands at a schema and sees the value there as `self`, and what it was as `oldSelf`. A rule
//! that names `oldSelf` is a transition rule: without an old value it has nothing to say, unless it
//! takes it as an optional. A rule that fails on a value that has not changed is not told, so that a
//! stricter rule doesn't lock up what is stored; transition rules are always told.

use std::cell::OnceCell;

use kube_cel::KubeCelExt;
use kube_cel::cel::Context;
use serde::Deserialize;
use serde_json::Value;

use super::cause::{Cause, Place};
use super::cel::{self, Expression};
use super::node::Node;

/// A rule as the CRD has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rule {
    #[serde(rename = "rule")]
    pub(super) source: String,
    pub(super) message: String,
    pub(super) message_expression: String,
    pub(super) reason: Option<String>,
    pub(super) field_path: String,
    pub(super) optional_old_self: Option<bool>,
    /// `None` until compiled.
    #[serde(skip)]
    pub(super) compiled: Option<Compiled>,
}

#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: Expression,
    /// `None` where there is none.
    pub(super) message: Option<Expression>,
    /// The rule names `oldSelf`.
    pub(super) transition: bool,
}

/// The causes of every rule that fails.
pub(super) fn check(root: &Node, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    FUNCTIONS.with(|functions| {
        Rules { functions }.value(root, new, Before { value: old, unchanged: false }, &Place::default(), true)
    })
}

thread_local! {
    /// What rules can call. There are two hundred, so they are not put together for each write.
    static FUNCTIONS: Context<'static> = {
        let mut context = Context::default().with_all();
        cel::add_types(&mut context);
        context
    };
}

struct Rules<'a> {
    functions: &'a Context<'static>,
}

/// What a value was.
#[derive(Clone, Copy)]
struct Before<'a> {
    /// `None` where there is none, or where none can be told to be the same.
    value: Option<&'a Value>,
    /// The nearest value above that can be told to be the same is.
    unchanged: bool,
}

impl<'a> Before<'a> {
    fn below(self, here: &Value, value: Option<&'a Value>) -> Self {
        let unchanged = self.value.map_or(self.unchanged, |old| old == here);
        Self { value, unchanged }
    }

    fn is(self, now: &Value) -> bool {
        self.value.map_or(self.unchanged, |old| old == now)
    }
}

impl Rules<'_> {
    fn value(&self, node: &Node, new: &Value, old: Before<'_>, at: &Place, resource: bool) -> Vec<Cause> {
        if new.is_null() {
            return Vec::new();
        }
        let mut causes = self.here(node, new, old, at, resource);
        for node in &node.all_of {
            causes.extend(self.value(node, new, old, at, resource));
        }
        match new {
            Value::Array(items) => {
                let Some(below) = &node.items else { return causes };
                for (index, item) in items.iter().enumerate() {
                    let old = old.below(new, node.same_item(old.value, item));
                    causes.extend(self.value(below, item, old, &at.index(index), below.embedded));
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    let old = old.below(new, old.value.and_then(|old| old.get(name)));
                    let (below, at) = match (node.properties.get(name), node.entries()) {
                        (Some(below), _) => (below, at.child(name)),
                        (None, Some(below)) => (below, at.key(name)),
                        (None, None) => continue,
                    };
                    causes.extend(self.value(below, value, old, &at, below.embedded));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        causes
    }

    /// The rules of this very schema.
    fn here(&self, node: &Node, new: &Value, old: Before<'_>, at: &Place, resource: bool) -> Vec<Cause> {
        // Of a value that is as it was only transition rules are told, so the others need not be asked.
        let unchanged = old.is(new);
        let is_asked = |rule: &&Compiled| rule.transition || !unchanged;
        if !node.rules.iter().filter_map(|rule| rule.compiled.as_ref()).any(|rule| is_asked(&rule)) {
            return Vec::new();
        }
        let mut context = self.functions.new_inner_scope();
        context.add_variable_from_value("self", cel::value(new, Some(node), resource));
        let old = old.value.filter(|old| !old.is_null());
        // Made for the first rule that names it: a whole object is much to make.
        let old_self = OnceCell::new();
        let old_self = || old_self.get_or_init(|| old.map(|old| cel::value(old, Some(node), resource))).clone();
        let mut causes = Vec::new();
        for rule in &node.rules {
            let Some(compiled) = rule.compiled.as_ref().filter(is_asked) else { continue };
            let optional = rule.optional_old_self == Some(true);
            let mut context = context.new_inner_scope();
            if compiled.transition {
                match old_self() {
                    old if optional => context.add_variable_from_value("oldSelf", cel::optional(old)),
                    Some(old) => context.add_variable_from_value("oldSelf", old),
                    None => continue,
                }
            } else if compiled.message.as_ref().is_some_and(|message| message.names("oldSelf"))
                && let Some(old) = old_self()
            {
                context.add_variable_from_value("oldSelf", old);
            }
            causes.extend(rule.check(compiled, &context, node, new, at));
        }
        causes
    }
}

impl Rule {
    fn check(&self, compiled: &Compiled, context: &Context<'_>, node: &Node, new: &Value, at: &Place) -> Option<Cause> {
        let failed = |says: String| Some(Cause::invalid(at, Value::from(node.type_name.as_str()), &says));
        match compiled.rule.test(context) {
            Ok(true) => None,
            Ok(false) => {
                let message = compiled.message.as_ref().and_then(|message| message.text(context));
                let message = message.unwrap_or_else(|| self.default_message());
                Some(self.cause(node, new, &self.blamed(at), &message))
            }
            Err(cel::Failure::NoOverload) => failed(format!(
                "'no such overload': call arguments did not match a supported operator, function or macro \
                 signature for rule: {}",
                self.name()
            )),
            Err(cel::Failure::Other(why)) => failed(format!("{why} evaluating rule: {}", self.name())),
        }
    }

    fn cause(&self, node: &Node, value: &Value, at: &Place, message: &str) -> Cause {
        let whole = ["object", "array"].contains(&node.type_name.as_str());
        match self.reason.as_deref() {
            Some("FieldValueForbidden") => Cause::forbidden(at, message),
            Some("FieldValueRequired") => Cause::required(at, message),
            Some("FieldValueDuplicate") if whole => Cause::duplicate_whole(at),
            Some("FieldValueDuplicate") => Cause::duplicate(at, value),
            Some(_) | None if whole => Cause::invalid_whole(at, message),
            Some(_) | None => Cause::invalid(at, value, message),
        }
    }

    /// Where the rule says the fault is: `.spec.x` or `.map['key']`, seen from its own place.
    fn blamed(&self, at: &Place) -> Place {
        steps(&self.field_path).into_iter().fold(at.clone(), |at, step| at.child(&step))
    }

    fn default_message(&self) -> String {
        if self.message.is_empty() { format!("failed rule: {}", self.name()) } else { self.name().to_owned() }
    }

    fn name(&self) -> &str {
        if self.message.is_empty() { self.source.trim() } else { self.message.trim() }
    }
}

/// The member names of a `fieldPath`.
pub(super) fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, left) = if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']").unwrap_or((quoted, ""))
        } else {
            let bare = rest.trim_start_matches('.');
            bare.split_at(bare.find(['.', '[']).unwrap_or(bare.len()))
        };
        steps.push(step.to_owned());
        rest = left;
    }
    steps
}
