//! The schema of a custom resource: what a CRD says of its objects, and what an API server makes of it.
//!
//! ```text
//! CRD version --[read]--> Structural          or the causes why the CRD is refused
//!
//! object  --[prune]--> known fields --[default]--> complete --[validate]--> stored, or refused with causes
//! ```
//!
//! An API server refuses in fixed words, and programs as well as people act on them; so the words here
//! are the recorded ones, whatever a library would say. The library checks patterns and formats, and
//! CEL is evaluated by kube-cel.
//!
//! Not here: the cost estimate of rules (an expensive rule is taken), the metadata inside embedded
//! resources, and what a CRD says beside its schema (names, printer columns, conversion).

mod cause;
mod cel;
mod check;
mod condition;
mod definition;
mod fill;
mod functions;
mod known;
mod lists;
mod node;
mod prune;
mod rules;
mod typed;
mod types;

use serde_json::Value;

use cause::Place;
pub use cause::{Cause, message};
pub use condition::condition_holds;
use node::Node;

/// The schema of one version of a custom resource.
#[derive(Debug)]
pub struct Structural {
    root: Node,
    /// Somewhere in the schema is a rule.
    has_rules: bool,
    /// The paths of `subresources.scale`; empty where there is none.
    spec_replicas: String,
    status_replicas: String,
}

impl Structural {
    /// Reads an entry of a CRD's `spec.versions`, with the checks that an API server makes of it. The
    /// causes name their fields as if all versions had this schema: `spec.validation.openAPIV3Schema...`.
    pub fn from_crd_version(version: &Value) -> Result<Self, Vec<Cause>> {
        let root = definition::read(version)?;
        let scale = &version["subresources"]["scale"];
        let path = |name: &str| scale[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            has_rules: has_rules(&root),
            spec_replicas: path("specReplicasPath"),
            status_replicas: path("statusReplicasPath"),
            root,
        })
    }

    /// Takes out of a body each `null` that may not be one: it is how clients send "not set". What server-side apply has
    /// made is not a body; its nulls are held against the schema.
    pub fn drop_nulls(&self, object: &mut Value) {
        fill::drop_nulls(object, Some(&self.root));
    }

    /// Sets the defaults of what is missing, or is `null` and may not be.
    pub fn default(&self, object: &mut Value) {
        fill::default(object, &self.root);
    }

    /// The values that are of another type than the schema says, and what server-side apply says of them.
    pub fn mistyped(&self, object: &Value) -> Vec<(String, String)> {
        typed::mistyped(&self.root, object)
    }

    /// Removes the fields that the schema does not know, and names them as the API server does in a
    /// warning or a strict refusal: `spec.foo`. Type and metadata are left alone.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(object, &self.root)
    }

    /// What is wrong with an object that is to be created, or to replace the old one. What did not
    /// change is not complained of.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = check::check(&self.root, new, old, &Place::default());
        causes.extend(replicas(&self.spec_replicas, new));
        causes.extend(replicas(&self.status_replicas, new));
        self.lists_and_rules(causes, new, old)
    }

    /// The same for an update through the status subresource, which looks at the status only; the
    /// rules see the whole object.
    pub fn validate_status(&self, new: &Value, old: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        if let (Some(node), Some(status)) = (self.root.properties.get("status"), new.get("status")) {
            causes = check::check(node, status, old.get("status"), &Place::new("status"));
        }
        causes.extend(replicas(&self.status_replicas, new));
        self.lists_and_rules(causes, new, Some(old))
    }

    fn lists_and_rules(&self, mut causes: Vec<Cause>, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let duplicates = |object: &Value| lists::check(&self.root, object, &Place::default());
        let found = duplicates(new);
        if !found.is_empty() && old.is_none_or(|old| duplicates(old).is_empty()) {
            causes.extend(found);
        }
        if !self.has_rules {
            return causes;
        }
        if causes.iter().any(Cause::blocks_rules) {
            let says = "some validation rules were not checked because the object was invalid; correct the existing \
                        errors to complete validation";
            causes.push(Cause::invalid(Place::default(), &Value::Null, says));
        } else {
            causes.extend(rules::check(&self.root, new, old));
        }
        causes
    }
}

fn has_rules(node: &Node) -> bool {
    let below = node.properties.values().chain(node.items.as_deref()).chain(node.entries());
    !node.rules.is_empty() || below.into_iter().any(has_rules)
}

/// The number of replicas, where the scale subresource finds it, must be one.
fn replicas(path: &str, object: &Value) -> Option<Cause> {
    if path.is_empty() {
        return None;
    }
    let mut found = object;
    let mut steps = path.split('.').filter(|step| !step.is_empty()).peekable();
    let unreadable = |value: &Value, wanted: &str| {
        let why = format!(
            "{path} accessor error: {} is of the type {}, expected {wanted}",
            go_text(value),
            typed::go_type(value)
        );
        Some(Cause::invalid(path, 0, &why))
    };
    while let Some(step) = steps.next() {
        found = found.get(step)?;
        if steps.peek().is_some() && found.is_null() {
            return None;
        }
        if steps.peek().is_some() && !found.is_object() {
            return unreadable(found, "map[string]interface{}");
        }
    }
    let Some(number) = found.as_i64() else { return unreadable(found, "int64") };
    if number < 0 {
        Some(Cause::invalid(path, found, "should be a non-negative integer"))
    } else if number > i64::from(i32::MAX) {
        Some(Cause::invalid(path, found, &format!("should be less than or equal to {}", i32::MAX)))
    } else {
        None
    }
}

/// A JSON value as Go's `%v` prints it; what is in lists and maps only as far as they are empty or flat.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |float| float.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}:{}", go_text(value)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        Value::Bool(truth) => truth.to_string(),
    }
}

#[cfg(test)]
mod tests;
