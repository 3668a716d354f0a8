//! The schemas of Kubernetes' own types, from the table of [`types`](crate::types).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::types::{Field, Holds, Id, Type, Types};

/// The schemas of these types and of all that they name, by name.
pub(super) fn schemas(roots: impl IntoIterator<Item = Id>) -> Map<String, Value> {
    let types = Types::get();
    let mut found = Map::new();
    let mut seen = BTreeSet::new();
    let mut next: Vec<Id> = roots.into_iter().collect();
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            let of = types.named(id);
            for field in &of.fields {
                next.extend(named_in(&field.holds));
            }
            found.insert(name(of), schema(of));
        }
    }
    for (name, schema) in leaves() {
        found.insert(name.to_owned(), schema);
    }
    found
}

/// `io.k8s.api.apps.v1.Deployment`
pub(super) fn name(of: &Type) -> String {
    let (package, rest) = of.name.split_once('/').unwrap_or(("", of.name));
    match package {
        "meta" => format!("io.k8s.apimachinery.pkg.apis.meta.{rest}"),
        package => format!("io.k8s.api.{package}.{rest}"),
    }
}

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const FIELDS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";

/// The types that hold no fields: what they are in JSON.
fn leaves() -> [(&'static str, Value); 5] {
    [
        (QUANTITY, json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
        (INT_OR_STRING, json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})),
        (TIME, json!({"type": "string", "format": "date-time"})),
        (MICRO_TIME, json!({"type": "string", "format": "date-time"})),
        (FIELDS, json!({"type": "object"})),
    ]
}

fn named_in(holds: &Holds) -> Option<Id> {
    match holds {
        Holds::Struct(id) => Some(*id),
        Holds::List(item) | Holds::Map(item) => named_in(item),
        _ => None,
    }
}

/// Without apiVersion and kind, which only roots have.
pub(super) fn schema(of: &Type) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    members(of, &mut properties, &mut required);
    let mut schema = json!({"type": "object"});
    if !properties.is_empty() {
        schema["properties"] = properties.into();
    }
    if !required.is_empty() {
        required.sort_unstable();
        schema["required"] = required.into();
    }
    schema
}

fn members(of: &Type, properties: &mut Map<String, Value>, required: &mut Vec<&'static str>) {
    for field in &of.fields {
        match field.holds {
            Holds::Struct(id) if field.name.is_empty() => members(Types::get().named(id), properties, required),
            _ => {
                properties.insert(field.name.to_owned(), member(field));
                required.extend(field.required.then_some(field.name));
            }
        }
    }
}

fn member(field: &Field) -> Value {
    let mut schema = held(&field.holds);
    if let Some(reference) = schema.get("$ref").cloned() {
        // As Kubernetes has it: a reference takes nothing beside it.
        schema = json!({"allOf": [{"$ref": reference}]});
    }
    if !field.choices.is_empty() {
        let holder = if schema["type"] == "array" { &mut schema["items"] } else { &mut schema };
        holder["enum"] = json!(field.choices);
    }
    schema
}

fn held(holds: &Holds) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    match holds {
        Holds::Text => json!({"type": "string"}),
        Holds::Bool => json!({"type": "boolean"}),
        Holds::Int32 => json!({"type": "integer", "format": "int32"}),
        Holds::Int64 => json!({"type": "integer", "format": "int64"}),
        Holds::Bytes => json!({"type": "string", "format": "byte"}),
        Holds::Time => reference(TIME),
        Holds::MicroTime => reference(MICRO_TIME),
        Holds::IntOrString => reference(INT_OR_STRING),
        Holds::Quantity => reference(QUANTITY),
        Holds::Fields => reference(FIELDS),
        Holds::Struct(id) => reference(&name(Types::get().named(*id))),
        Holds::List(item) => json!({"type": "array", "items": held(item)}),
        Holds::Map(item) => json!({"type": "object", "additionalProperties": held(item)}),
    }
}
