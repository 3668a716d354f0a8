//! OpenAPI v2, made from v3.
//!
//! There is one document for all groups, its schemas are `definitions`, and what v2 can't say (one of several, null) is
//! left open, as the API server does.

use serde_json::{Map, Value, json};

const V3: &str = "#/components/schemas/";
const V2: &str = "#/definitions/";
/// What v2 has no words for.
const UNSAID: [&str; 4] = ["anyOf", "oneOf", "not", "nullable"];

/// Joins documents of v3 to one of v2.
pub(super) fn document(documents: impl Iterator<Item = Value>) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for mut document in documents {
        if let Value::Object(found) = document["paths"].take() {
            paths.extend(found.into_iter().map(|(path, item)| (path, self::path(item))));
        }
        if let Value::Object(found) = document["components"]["schemas"].take() {
            definitions.extend(found.into_iter().map(|(name, schema)| (name, self::schema(schema))));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes playground", "version": "v0.1.0"},
        "paths": paths,
        "definitions": definitions,
    })
}

fn path(mut item: Value) -> Value {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            parameter["type"] = parameter["schema"]["type"].take();
            parameter["uniqueItems"] = true.into();
            if let Some(parameter) = parameter.as_object_mut() {
                parameter.remove("schema");
            }
        }
        for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            let content = schema(response["content"]["application/json"]["schema"].take());
            *response = json!({"description": response["description"], "schema": content});
        }
        operation["consumes"] = json!(["*/*"]);
        operation["produces"] = json!(["application/json"]);
        operation["schemes"] = json!(["https"]);
    }
    item
}

/// A schema, and all those in it.
fn schema(schema: Value) -> Value {
    match schema {
        Value::Object(mut members) => {
            // v3 wraps a reference that has something beside it; in v2 it may have.
            if let Some([one]) = members.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
                && let Some(reference) = one.get("$ref").cloned()
            {
                members.remove("allOf");
                members.insert("$ref".into(), reference);
            }
            let either = members.get("format").is_some_and(|format| format == "int-or-string");
            let known = members.into_iter().filter(|(name, _)| !UNSAID.contains(&name.as_str()));
            let mut schema: Map<String, Value> = known
                .map(|(name, member)| match name.as_str() {
                    "properties" => (name, properties(member)),
                    "default" | "enum" | "example" => (name, member),
                    "$ref" => (name, reference(&member)),
                    _ => (name, self::schema(member)),
                })
                .collect();
            if either {
                schema.insert("type".into(), "string".into());
            }
            schema.into()
        }
        Value::Array(items) => items.into_iter().map(self::schema).collect(),
        other => other,
    }
}

/// The names here are fields, whatever they look like.
fn properties(properties: Value) -> Value {
    match properties {
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, schema(member))).collect(),
        other => other,
    }
}

fn reference(reference: &Value) -> Value {
    reference.as_str().unwrap_or_default().replace(V3, V2).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_in_v2_what_v2_can_say() {
        let third = json!({"type": "object", "properties": {
            "nullable": {"type": "string", "nullable": true},
            "meta": {"description": "d", "allOf": [{"$ref": "#/components/schemas/a.Meta"}]},
            "port": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
            "list": {"type": "array", "items": {"$ref": "#/components/schemas/a.Item"}},
            "choice": {"type": "string", "enum": ["a"], "default": "a", "not": {"enum": ["b"]}},
        }});
        let second = json!({"type": "object", "properties": {
            "nullable": {"type": "string"},
            "meta": {"description": "d", "$ref": "#/definitions/a.Meta"},
            "port": {"format": "int-or-string", "type": "string"},
            "list": {"type": "array", "items": {"$ref": "#/definitions/a.Item"}},
            "choice": {"type": "string", "enum": ["a"], "default": "a"},
        }});
        assert_eq!(schema(third), second);
    }
}
