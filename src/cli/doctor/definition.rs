//! Is the CRD installed, served, and the one that this operator was built with?
//!
//! The API server stores a definition in its own words: it fills in defaults and leaves out what says nothing. So both
//! sides are [put into the same words](plain) before they are compared. What differs then has a direction:
//!
//! | the cluster's definition | verdict |
//! |---|---|
//! | lacks something that ours has, and adds nothing | older |
//! | adds something that ours lacks, and lacks nothing | newer |
//! | anything else | edited |
//!
//! Only descriptions may differ: they change nothing.

use serde_json::{Map, Value, json};

use super::finding::Finding;

/// Where the definition is.
pub const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mcpservers.mcp.mcp.dev";
/// What is examined.
pub const WHAT: &str = "CRD";
const SCHEMA: &str = "CRD schema";
const INSTALL: &str = "install it with `smooth-operator crd | kubectl apply --server-side -f -` (or `make install`, or `kubectl apply --server-side -k config/crd`)";

/// There is no such definition.
pub fn absent() -> Finding {
    Finding::wrong(WHAT, "mcpservers.mcp.mcp.dev is not installed", INSTALL)
}

/// Compares the cluster's definition with ours.
pub fn judge(ours: &Value, theirs: &Value) -> Vec<Finding> {
    vec![established(theirs), equal(ours, theirs)]
}

fn established(theirs: &Value) -> Finding {
    let conditions = theirs["status"]["conditions"].as_array().into_iter().flatten();
    let of = |kind: &str| conditions.clone().find(|condition| condition["type"] == kind);
    let told =
        |kind: &str| of(kind).and_then(|condition| condition["message"].as_str()).unwrap_or("no reason is given");
    if !theirs["metadata"]["deletionTimestamp"].is_null() {
        return Finding::wrong(WHAT, "mcpservers.mcp.mcp.dev is being deleted, with every MCPServer", INSTALL);
    }
    if of("Established").is_some_and(|condition| condition["status"] == "True") {
        return Finding::ok(WHAT, "mcpservers.mcp.mcp.dev is installed and established");
    }
    if of("NamesAccepted").is_some_and(|condition| condition["status"] == "False") {
        let found = format!("another CRD has its names: {}", told("NamesAccepted"));
        return Finding::wrong(WHAT, &found, "delete the other CRD, or its short names");
    }
    let found = format!("it is not established: {}", told("Established"));
    Finding::wrong(WHAT, &found, "wait a moment; if it stays so, delete it and install it again")
}

fn equal(ours: &Value, theirs: &Value) -> Finding {
    let mut differences = Differences::default();
    differences.compare(&mut Vec::new(), &plain("", &ours["spec"]), &plain("", &with_defaults(&theirs["spec"])));
    let Differences { missing, added, changed, described } = &differences;
    let (found, mend) = match (missing.as_slice(), added.as_slice(), changed.as_slice()) {
        ([], [], []) if *described == 0 => return Finding::ok(SCHEMA, "it is the one of this version"),
        ([], [], []) => return Finding::ok(SCHEMA, "it is the one of this version, but for descriptions"),
        (missing @ [_, ..], [], _) => (format!("older: without {}", some(missing)), INSTALL.to_owned()),
        ([], added @ [_, ..], _) => {
            let mend = "upgrade the operator; or go back to its own CRD, which drops the data in these fields";
            (format!("newer: with {}", some(added)), mend.to_owned())
        }
        (missing, added, changed) => {
            let all: Vec<String> = [missing, added, changed].concat();
            let mend = format!("{INSTALL}, with --force-conflicts");
            (format!("edited: other in {}", some(&all)), mend)
        }
    };
    Finding::wrong(SCHEMA, &found, &mend)
}

/// A few of them, and how many more there are.
fn some(paths: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Where two definitions differ, as paths for people.
#[derive(Debug, Default)]
struct Differences {
    /// What theirs lacks.
    missing: Vec<String>,
    /// What theirs has besides.
    added: Vec<String>,
    /// What is there on both sides, and not the same.
    changed: Vec<String>,
    /// The number of descriptions that are not the same.
    described: usize,
}

impl Differences {
    fn compare(&mut self, path: &mut Vec<String>, ours: &Value, theirs: &Value) {
        let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) else {
            if !same(ours, theirs) {
                self.changed.push(readable(path));
            }
            return;
        };
        for (name, our) in ours {
            path.push(name.clone());
            match theirs.get(name) {
                _ if is_description(name, our) => self.described += usize::from(theirs.get(name) != Some(our)),
                Some(their) => self.compare(path, our, their),
                None => self.missing.push(readable(path)),
            }
            path.pop();
        }
        for (name, their) in theirs.iter().filter(|(name, _)| !ours.contains_key(*name)) {
            path.push(name.clone());
            if is_description(name, their) {
                self.described += 1;
            } else {
                self.added.push(readable(path));
            }
            path.pop();
        }
    }
}

/// A description is text; a field that has this name is an object.
fn is_description(name: &str, value: &Value) -> bool {
    name == "description" && value.is_string()
}

/// Equal, where a number may be written as 1 or as 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| same(one, other))
        }
        (one, other) => one == other,
    }
}

/// `versions.v1alpha1.schema.openAPIV3Schema.properties.spec.properties.image` is known to people as
/// `v1alpha1.spec.image`.
fn readable(path: &[String]) -> String {
    const SKIPPED: [&str; 5] = ["versions", "schema", "openAPIV3Schema", "properties", "items"];
    let words: Vec<&str> = path.iter().map(String::as_str).filter(|word| !SKIPPED.contains(word)).collect();
    words.join(".")
}

/// Without what the API server fills in where we leave it out.
fn with_defaults(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(spec) = spec.as_object_mut()
        && spec.get("conversion") == Some(&json!({"strategy": "None"}))
    {
        spec.remove("conversion");
    }
    spec
}

/// The same in fewer words: what says nothing is left out, and lists of things with names become maps.
fn plain(name: &str, value: &Value) -> Value {
    match value {
        // Data, in which an empty text or list says something.
        _ if matches!(name, "default" | "enum" | "example") => value.clone(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), plain(name, value)));
            Value::Object(members.filter(|(name, value)| says_something(name, value)).collect())
        }
        Value::Array(items) if matches!(name, "versions" | "additionalPrinterColumns") => {
            let named = |item: &Value| Some((item["name"].as_str()?.to_owned(), plain("", item)));
            Value::Object(items.iter().filter_map(named).collect::<Map<String, Value>>())
        }
        other => other.clone(),
    }
}

/// Whether a Go program would write this member: it leaves out what is empty, and no for an answer.
fn says_something(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes || matches!(name, "served" | "storage" | "default"),
        Value::String(text) => !text.is_empty() || name == "default",
        Value::Array(items) => !items.is_empty() || name == "default",
        // `subresources: {status: {}}` says that there is one.
        Value::Object(members) => !members.is_empty() || matches!(name, "status" | "default"),
        Value::Number(number) => name != "priority" || number.as_i64() != Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::api::crd;

    /// A definition that was installed, as an API server tells it.
    fn installed(edit: impl FnOnce(&mut Value)) -> Value {
        let mut definition = crd::definition();
        definition["spec"]["conversion"] = json!({"strategy": "None"});
        definition["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        edit(&mut definition);
        definition
    }

    fn schema_of(edit: impl FnOnce(&mut Value)) -> Finding {
        judge(&crd::definition(), &installed(edit)).pop().unwrap()
    }

    fn spec(definition: &mut Value) -> &mut Map<String, Value> {
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        definition.pointer_mut(path).unwrap().as_object_mut().unwrap()
    }

    #[test]
    fn ours_in_the_api_servers_words_is_ours() {
        let found = schema_of(|it| {
            it["spec"]["preserveUnknownFields"] = false.into();
            it["spec"]["versions"][0]["additionalPrinterColumns"][0]["priority"] = 0.into();
            spec(it)["replicas"]["minimum"] = json!(0.0);
        });
        assert_eq!(found, Finding::ok(SCHEMA, "it is the one of this version"));
    }

    #[test]
    fn what_lacks_a_field_is_older_and_what_has_one_more_is_newer() {
        let older = schema_of(|it| drop(spec(it).remove("suspend")));
        assert_eq!(older.verdict, Verdict::Wrong);
        assert!(older.found.starts_with("older: without v1alpha1.spec.suspend; install it with"), "{}", older.found);
        let newer = schema_of(|it| drop(spec(it).insert("shiny".into(), json!({"type": "string"}))));
        assert!(newer.found.starts_with("newer: with v1alpha1.spec.shiny; upgrade the operator"), "{}", newer.found);
    }

    #[test]
    fn what_was_changed_by_hand_is_edited() {
        let limit = schema_of(|it| spec(it)["replicas"]["maximum"] = 3.into());
        assert!(limit.found.starts_with("newer: with v1alpha1.spec.replicas.maximum"), "{}", limit.found);
        let port = schema_of(|it| spec(it)["port"]["maximum"] = 9000.into());
        assert!(port.found.starts_with("edited: other in v1alpha1.spec.port.maximum; "), "{}", port.found);
        let both = schema_of(|it| {
            spec(it).remove("suspend");
            spec(it).insert("shiny".into(), json!({"type": "string"}));
        });
        assert!(
            both.found.starts_with("edited: other in v1alpha1.spec.suspend, v1alpha1.spec.shiny"),
            "{}",
            both.found
        );
    }

    /// Whoever rewords a description has changed nothing that anybody could rely on.
    #[test]
    fn another_description_is_not_wrong() {
        let found = schema_of(|it| spec(it)["image"]["description"] = "An image.".into());
        assert_eq!(found, Finding::ok(SCHEMA, "it is the one of this version, but for descriptions"));
    }

    #[test]
    fn a_version_that_is_not_served_any_more_is_a_difference() {
        let found = schema_of(|it| it["spec"]["versions"][0]["served"] = false.into());
        assert!(found.found.contains("v1alpha1.served"), "{}", found.found);
    }

    #[test]
    fn of_many_differences_a_few_are_named_and_the_schema_never_shown() {
        let found = schema_of(|it| spec(it).retain(|name, _| name == "image"));
        assert!(found.found.contains(" more"), "{}", found.found);
        assert!(found.found.len() < 400, "{}", found.found);
    }

    #[test]
    fn a_definition_that_is_not_served_says_why() {
        let refused = json!([
            {"type": "NamesAccepted", "status": "False", "message": "\"mcps\" is already in use"},
            {"type": "Established", "status": "False", "message": "not all names are accepted"},
        ]);
        let found = established(&installed(|it| it["status"]["conditions"] = refused));
        assert_eq!(found.verdict, Verdict::Wrong);
        assert!(found.found.contains("\"mcps\" is already in use"), "{}", found.found);
        let young = established(&installed(|it| it["status"] = Value::Null));
        assert_eq!(young.verdict, Verdict::Wrong);
        let leaving = established(&installed(|it| it["metadata"]["deletionTimestamp"] = "2026-11-22T20:00:00Z".into()));
        assert!(leaving.found.contains("is being deleted"), "{}", leaving.found);
    }
}
