//! The checks of a CRD's schema, when the CRD is made.
//!
//! Three of them, in the API server's order: the schema must be structural ([`structural`]), hold
//! nothing that is not supported ([`keywords`]), and its rules must be well typed ([`rules`]), which is
//! asked only where the first two are content.

mod defaults;
mod keywords;
mod rules;
mod structural;

use serde_json::Value;

use super::cause::{Cause, Place};
use super::node::Node;

/// Where the API server says that a version's schema is, as long as all versions share it.
const SCHEMA: &str = "spec.validation.openAPIV3Schema";

/// Reads and checks the schema of a version of a CRD.
pub(super) fn read(version: &Value) -> Result<Node, Vec<Cause>> {
    let Some(schema) = version["schema"].get("openAPIV3Schema").filter(|schema| schema.is_object()) else {
        let field = "spec.versions[0].schema.openAPIV3Schema";
        return Err(vec![Cause::required(field, "")]);
    };
    let at = Place::new(SCHEMA);
    let mut causes = root(schema, version["subresources"].get("status").is_some_and(|status| !status.is_null()));
    let supported = !keywords::unsupported(schema);
    if supported {
        causes.extend(structural::check(schema, &at));
    }
    let structural = supported && causes.is_empty();
    let of_keywords = keywords::check(schema, &at);
    let sound = structural && of_keywords.is_empty();
    causes.extend(of_keywords);
    if !sound {
        return Err(causes);
    }
    let malformed = |why: String| vec![Cause::invalid(&at, Value::from(""), &why)];
    let mut node: Node = serde_json::from_value(schema.clone()).map_err(|error| malformed(error.to_string()))?;
    node.compile().map_err(|(pattern, why)| {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        vec![Cause::invalid(at.child("pattern"), Value::from(pattern), &why)]
    })?;
    let mut causes = defaults::check(&node, &at);
    if causes.is_empty() {
        causes = rules::compile(&mut node, &at);
    }
    if causes.is_empty() { Ok(node) } else { Err(causes) }
}

/// The members that the root may have where the status is validated apart.
const ROOT: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];

fn root(schema: &Value, status: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let members = schema.as_object().into_iter().flatten();
    let mut others = members.map(|(name, _)| name.as_str()).filter(|name| !ROOT.iter().any(|(_, known)| known == name));
    if status && others.any(|name| name != "nullable") {
        let names: Vec<_> = ROOT.iter().map(|(name, _)| *name).collect();
        let says = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        causes.push(Cause::invalid(SCHEMA, schema, &says));
    }
    if schema["nullable"] == true {
        causes.push(Cause::forbidden(format!("{SCHEMA}.nullable"), "nullable cannot be true at the root"));
    }
    causes
}
