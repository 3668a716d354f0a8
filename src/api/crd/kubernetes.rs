//! What the schemas of Kubernetes' own types lack.
//!
//! `k8s-openapi` takes them from the API server's OpenAPI document, which describes types and leaves most rules to code.
//! Without those rules here, a mistake would be admitted with the MCPServer, and refused later with the Deployment, where
//! the person who made it no longer looks.

mod pod;
mod policy;
mod probe;
mod scheduling;
mod volume;

use serde_json::{Map, Value, json};

/// The definitions, with the rules that are worth having at once.
pub(super) fn amended(mut definitions: Value) -> Value {
    for (definition, property, rules) in rules() {
        let schema = &mut definitions[definition];
        let place = if property.is_empty() { schema } else { &mut schema["properties"][property] };
        if let (Some(place), Value::Object(rules)) = (place.as_object_mut(), rules) {
            place.extend(rules);
        }
    }
    if let Some(sources) = definitions[volume::VOLUME]["properties"].as_object_mut() {
        sources.retain(|source, _| !volume::REMOVED.contains(&source.as_str()));
    }
    for definition in definitions.as_object_mut().into_iter().flat_map(Map::values_mut) {
        shorten(definition);
    }
    definitions
}

/// A rule that a schema lacks: of which definition, which property (or, without a name, the definition itself), and what
/// is added. No two have the same place.
type Rule = (&'static str, &'static str, Value);

fn rules() -> impl Iterator<Item = Rule> {
    [pod::rules(), probe::rules(), scheduling::rules(), volume::rules(), policy::rules()].into_iter().flatten()
}

/// Rules in CEL, each with what it says to whoever breaks it.
fn validations(rules: &[(&str, &str)]) -> Value {
    let rules: Vec<Value> = rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
    json!({"x-kubernetes-validations": rules})
}

/// Keeps the first sentence of each description: with all of their text the definition would be too large for an
/// annotation, which is where `kubectl apply` keeps a copy. `kubectl explain pod.spec` has the rest.
fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                let ends = [". ", ".\n", "\n\n"].into_iter().filter_map(|end| text.find(end)).min();
                text.truncate(ends.unwrap_or(text.len()));
            }
            members.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::generate::SchemaSettings;

    use super::*;
    use crate::api::MCPServerSpec;

    /// A rule of a type that has another name in the next version would be gone, and nobody would notice.
    #[test]
    fn each_rule_has_a_place_of_its_own() {
        let schema = SchemaSettings::openapi3().into_generator().into_root_schema_for::<MCPServerSpec>().to_value();
        let definitions = &schema["components"]["schemas"];
        let mut places = BTreeSet::new();
        for (definition, property, _) in rules() {
            let schema = &definitions[definition];
            assert!(schema.is_object(), "there is no {definition}");
            assert!(property.is_empty() || schema["properties"][property].is_object(), "no {property} in {definition}");
            assert!(places.insert((definition, property)), "two rules of {property} in {definition}");
        }
        for removed in volume::REMOVED {
            assert!(definitions[volume::VOLUME]["properties"][removed].is_object(), "there is no {removed} any more");
        }
    }
}
