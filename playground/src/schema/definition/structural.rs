//! A schema is structural if each value has one type, told outside of any junctor.
//!
//! `allOf`, `anyOf`, `oneOf` and `not` may restrict values and not shape them: pruning and defaulting
//! could otherwise not know what a field is.

use serde_json::{Map, Value, json};

use super::super::cause::{Cause, Place};

/// Everything that keeps the schema from being structural, sorted.
pub(super) fn check(schema: &Value, at: &Place) -> Vec<Cause> {
    let mut causes = Vec::new();
    value(schema, Level::Root, at, &mut causes);
    complete(schema, schema, at, at, &mut causes);
    causes.sort_by_key(Cause::to_string);
    causes
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema[name].as_str().unwrap_or_default()
}

fn members<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema[name].as_object().into_iter().flatten()
}

fn value(schema: &Value, level: Level, at: &Place, causes: &mut Vec<Cause>) {
    if text(schema, "type") == "array" && !schema["items"].is_object() {
        causes.push(Cause::required(at.child("items"), "must be specified"));
    }
    if schema["items"].is_object() {
        value(&schema["items"], Level::Item, &at.child("items"), causes);
    }
    for (name, schema) in members(schema, "properties") {
        value(schema, Level::Field, &at.child("properties").key(name), causes);
    }
    if let Some(entries) = schema.get("additionalProperties") {
        let at = at.child("additionalProperties");
        if level == Level::Root {
            causes.push(Cause::forbidden(&at, "must not be used at the root"));
        } else if schema["x-kubernetes-embedded-resource"] == true {
            causes.push(Cause::forbidden(&at, "must not be used if x-kubernetes-embedded-resource is set"));
        }
        if entries.is_object() {
            value(entries, Level::Field, &at, causes);
        }
    }
    if let Some(why) = not_a_pattern(&schema["pattern"]) {
        let says = format!("must be a valid regular expression, but isn't: {why}");
        causes.push(Cause::invalid(at.child("pattern"), &schema["pattern"], &says));
    }
    extensions(schema, at, causes);
    type_of(schema, level, at, causes);
    metadata(schema, level, at, causes);
    junctors(schema, at, causes);
}

fn not_a_pattern(pattern: &Value) -> Option<String> {
    let pattern = pattern.as_str().filter(|pattern| !pattern.is_empty())?;
    jsonschema::validator_for(&json!({"pattern": pattern})).err().map(|error| error.to_string())
}

fn extensions(schema: &Value, at: &Place, causes: &mut Vec<Cause>) {
    if schema["x-kubernetes-int-or-string"] == true {
        for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if schema[name] == true {
                let says = "must be false if x-kubernetes-int-or-string is true";
                causes.push(Cause::invalid(at.child(name), json!(true), says));
            }
        }
    }
}

fn type_of(schema: &Value, level: Level, at: &Place, causes: &mut Vec<Cause>) {
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    let free = schema["x-kubernetes-int-or-string"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true;
    let (name, here) = (text(schema, "type"), at.child("type"));
    if embedded && name != "object" {
        let says = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(match name {
            "" => Cause::required(here, says),
            name => Cause::invalid(here, json!(name), says),
        });
        return;
    }
    if name.is_empty() && !free {
        let says = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(here, says));
    } else if level == Level::Root && !name.is_empty() && name != "object" {
        causes.push(Cause::invalid(here, json!(name), "must be object at the root"));
    }
}

/// The type and the metadata of an object are the server's to define.
fn metadata(schema: &Value, level: Level, at: &Place, causes: &mut Vec<Cause>) {
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    let properties = at.child("properties");
    if level == Level::Root || embedded {
        for (name, wanted) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
            let found = schema["properties"].get(name).map(|schema| text(schema, "type"));
            if let Some(found) = found.filter(|found| *found != wanted) {
                let at = properties.key(name).child("type");
                causes.push(Cause::invalid(at, json!(found), &format!("must be {wanted}")));
            }
        }
    }
    let preserve = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if embedded && !preserve && members(schema, "properties").next().is_none() {
        let says = "must not be empty if x-kubernetes-embedded-resource is true without \
                    x-kubernetes-preserve-unknown-fields";
        causes.push(Cause::required(&properties, says));
    }
    let restricts_names_only = |metadata: &Map<String, Value>| {
        let known = |name: &str| ["type", "properties", "default"].contains(&name);
        let names = metadata.get("properties").and_then(Value::as_object).into_iter().flatten();
        metadata.keys().all(|name| known(name))
            && names.into_iter().all(|(name, _)| ["name", "generateName"].contains(&name.as_str()))
    };
    let found = schema["properties"].get("metadata").and_then(Value::as_object);
    if level == Level::Root && found.is_some_and(|metadata| !restricts_names_only(metadata)) {
        let says = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.push(Cause::forbidden(properties.key("metadata"), says));
    }
}

/// What the junctors of a schema may not hold.
fn junctors(schema: &Value, at: &Place, causes: &mut Vec<Cause>) {
    let int_or_string = json!([{"type": "integer"}, {"type": "string"}]);
    for name in ["allOf", "anyOf", "oneOf"] {
        let schemas = schema[name].as_array().into_iter().flatten();
        for (index, inner) in schemas.enumerate() {
            let allowed = match name {
                "anyOf" => schema["anyOf"] == int_or_string,
                "allOf" => index == 0 && inner["anyOf"] == int_or_string,
                _ => false,
            };
            if name == "anyOf" && allowed {
                continue;
            }
            nested(inner, allowed, &at.child(name).index(index), causes);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], false, &at.child("not"), causes);
    }
}

fn nested(schema: &Value, skip_any_of: bool, at: &Place, causes: &mut Vec<Cause>) {
    for (name, says) in [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ] {
        let empty = [json!(null), json!(""), json!(false), json!([])];
        if schema.get(name).is_some_and(|value| !empty.contains(value)) {
            causes.push(Cause::forbidden(at.child(name), says));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let says = "must not be specified in a nested context";
        causes.push(Cause::forbidden(at.child("properties").key("metadata"), says));
    }
    for (name, schema) in members(schema, "properties") {
        nested(schema, false, &at.child("properties").key(name), causes);
    }
    if schema["items"].is_object() {
        nested(&schema["items"], false, &at.child("items"), causes);
    }
    let mut inner = schema.clone();
    if let Some(inner) = inner.as_object_mut().filter(|_| skip_any_of) {
        inner.remove("anyOf");
    }
    junctors(&inner, at, causes);
}

/// Every field that a junctor of the root speaks of must be there outside of it. (The API server looks
/// at the root only.) `at` is the place in the junctor, `outside_at` where the field must be.
fn complete(inner: &Value, outside: &Value, at: &Place, outside_at: &Place, causes: &mut Vec<Cause>) {
    for name in ["not", "allOf", "anyOf", "oneOf"] {
        match &inner[name] {
            Value::Array(schemas) => {
                for (index, inner) in schemas.iter().enumerate() {
                    below(inner, Some(outside), &at.child(name).index(index), outside_at, causes);
                }
            }
            inner @ Value::Object(_) => below(inner, Some(outside), &at.child(name), outside_at, causes),
            _ => {}
        }
    }
}

fn below(inner: &Value, outside: Option<&Value>, at: &Place, outside_at: &Place, causes: &mut Vec<Cause>) {
    let Some(outside) = outside else {
        causes.push(Cause::required(outside_at, &format!("because it is defined in {at}")));
        return;
    };
    complete(inner, outside, at, outside_at, causes);
    if inner["items"].is_object() {
        let items = outside.get("items").filter(|items| items.is_object());
        below(&inner["items"], items, &at.child("items"), &outside_at.child("items"), causes);
    }
    for (name, inner) in members(inner, "properties") {
        let (at, outside_at) = (at.child("properties").key(name), outside_at.child("properties").key(name));
        below(inner, outside["properties"].get(name), &at, &outside_at, causes);
    }
}
