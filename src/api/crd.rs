//! The CustomResourceDefinition, generated from the types.
//!
//! The API server accepts only a restricted form of JSON Schema, the *structural* schema: every field has a type in
//! its place, there are no references, and no `oneOf` adds fields
//! ([structural schemas](https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema)).
//! `schemars` derives the JSON Schema, and `Structural` below turns it into that form.

mod kubernetes;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::{MCPSERVERS, MCPServerSpec, MCPServerStatus};

/// The rule for the name of an MCPServer: its Service has the same name, and that must be a DNS label.
///
/// It is about new objects. One of before this rule can't change its name, and every change would break the rule: also that
/// of its status, which says what is wrong with it.
const NAME_RULE: &str = "oldSelf.hasValue() || (self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))";
const NAME_MESSAGE: &str = "metadata.name becomes the name of a Service: at most 63 lower-case letters, digits and '-', \
     beginning with a letter and ending with a letter or digit";

/// The whole definition, as an object for `kubectl apply`.
pub fn definition() -> Value {
    let singular = MCPSERVERS.kind.to_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": MCPSERVERS.to_string()},
        "spec": {
            "group": MCPSERVERS.group,
            "scope": "Namespaced",
            "names": {
                "kind": MCPSERVERS.kind,
                "listKind": format!("{}List", MCPSERVERS.kind),
                "plural": MCPSERVERS.plural,
                "singular": singular,
                "shortNames": ["mcp", "mcps"],
                "categories": ["all"],
            },
            "versions": [{
                "name": MCPSERVERS.version,
                "served": true,
                "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

/// The definition as YAML, as in `config/crd`.
///
/// # Errors
///
/// The definition can't be written as YAML, which a test rules out.
pub fn yaml() -> Result<String, serde_saphyr::ser::Error> {
    let mut options = serde_saphyr::SerializerOptions::default();
    // Deep in the schema, a line is more indentation than text, and there are thousands of them.
    options.folded_wrap_chars = 120;
    serde_saphyr::to_string_with_options(&definition(), options)
}

/// What `kubectl get mcpservers` shows; priority 1 only with `-o wide`.
fn columns() -> Value {
    let column = |name: &str, kind: &str, path: &str, priority: i32, description: &str| {
        let mut column = json!({"name": name, "type": kind, "jsonPath": path, "description": description});
        if priority > 0 {
            column["priority"] = priority.into();
        }
        column
    };
    let ready = |field: &str| format!(r#".status.conditions[?(@.type=="Ready")].{field}"#);
    json!([
        column("Ready", "string", &ready("status"), 0, "Whether the server does what the spec asks."),
        column("Phase", "string", ".status.phase", 0, "The state in one word."),
        column("Available", "integer", ".status.availableReplicas", 0, "The number of pods that are available."),
        // Not spec.replicas: with an autoscaler, that is not what decides.
        column("Pods", "integer", ".status.replicas", 0, "The number of pods, available or not."),
        column("URL", "string", ".status.url", 0, "Where clients in the cluster reach the server."),
        column("Age", "date", ".metadata.creationTimestamp", 0, "How long the MCPServer has existed."),
        column("Image", "string", ".spec.image", 1, "The container image."),
        column("Server", "string", ".status.server.name", 1, "What the server calls itself."),
        column("Protocol", "string", ".status.server.protocolVersions[0]", 1, "The protocol that the server speaks."),
        column("Tools", "integer", ".status.server.tools", 1, "The number of tools that the server offers."),
        column("Message", "string", &ready("message"), 1, "Why the server is ready, or not."),
    ])
}

fn schema() -> Value {
    json!({
        "description": "MCPServer runs a Model Context Protocol server: a Deployment and a Service of its own name.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "description": "The version of this schema, mcp.mcp.dev/v1alpha1.",
                "type": "string",
            },
            "kind": {"description": "MCPServer.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural::<MCPServerSpec>(),
            "status": structural::<MCPServerStatus>(),
        },
        "x-kubernetes-validations": [{"rule": NAME_RULE, "message": NAME_MESSAGE, "optionalOldSelf": true}],
    })
}

fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.meta_schema = None);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let definitions = match schema.as_object_mut().and_then(|schema| schema.remove("components")) {
        Some(mut components) => kubernetes::amended(components["schemas"].take()),
        None => Value::Null,
    };
    let mut schema = inlined(schema, &definitions);
    Structural.transform(&mut schema);
    schema.to_value()
}

/// The schema with all its references replaced by what they refer to. What stands beside a reference wins: it says what
/// this field is for.
fn inlined(schema: Value, definitions: &Value) -> Schema {
    fn inline(schema: &mut Value, definitions: &Value) {
        if let Some(object) = schema.as_object_mut()
            && let Some(meant) = meant(object, definitions)
        {
            for (key, value) in meant.as_object().into_iter().flatten() {
                object.entry(key).or_insert_with(|| value.clone());
            }
            return inline(schema, definitions);
        }
        match schema {
            Value::Object(members) => members.values_mut().for_each(|member| inline(member, definitions)),
            Value::Array(items) => items.iter_mut().for_each(|item| inline(item, definitions)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    /// A reference with something beside it is written as `allOf: [{$ref: …}]`.
    fn meant(object: &mut Map<String, Value>, definitions: &Value) -> Option<Value> {
        if let Some(Value::String(reference)) = object.remove("$ref") {
            return reference.rsplit('/').next().map(|name| definitions[name].clone());
        }
        object.remove("allOf").map(|mut all| all[0].take())
    }
    let mut schema = schema;
    inline(&mut schema, definitions);
    schema.try_into().unwrap_or_default()
}

/// Turns a JSON Schema into a structural one.
#[derive(Debug, Clone, Copy)]
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        // Names of Rust types say nothing to users, and an absent field is the only way to say "none".
        object.remove("title");
        object.remove("nullable");
        unwrap_option(object);
        merge_variants(object);
        one_line_descriptions(object);
        describe_lists_once(object);
        known_formats(object);
    }
}

/// An optional value becomes "this or null". In Kubernetes an absent field means the same, so only "this" is kept.
fn unwrap_option(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|one| one != "null");
        let only = types.pop();
        object.extend(only.map(|only| ("type".to_owned(), only)));
    }
    let Some(Value::Array(choices)) = object.remove("anyOf") else { return };
    let inner = choices.into_iter().find(|choice| choice["enum"] != json!([null]) && choice["type"] != "null");
    for (key, value) in inner.as_ref().and_then(Value::as_object).into_iter().flatten() {
        object.entry(key).or_insert_with(|| value.clone());
    }
}

/// An enum with documented variants becomes `oneOf` constants. Kubernetes requires one `enum`; the documentation of
/// the variants goes into the description.
fn merge_variants(object: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = object.remove("oneOf") else { return };
    let constant = |variant: &Value| variant["enum"][0].as_str().or(variant["const"].as_str()).map(str::to_owned);
    let names: Vec<String> = variants.iter().filter_map(constant).collect();
    let meanings = variants.iter().filter_map(|variant| variant["description"].as_str()).collect::<Vec<_>>().join(" ");
    let description = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description} {meanings}").replace('`', "");
    object.insert("description".to_owned(), description.trim().into());
    object.insert("type".to_owned(), "string".into());
    object.insert("enum".to_owned(), names.into());
}

/// Source lines are wrapped, but `kubectl explain` wraps by itself.
fn one_line_descriptions(object: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    }
}

/// A list says what its items are; that they are such items needs no second text, of which there would be hundreds.
fn describe_lists_once(object: &mut Map<String, Value>) {
    if let Some(items) = object.get_mut("items").and_then(Value::as_object_mut) {
        items.remove("description");
    }
}

/// The API server does not know Rust's formats, such as `uint16`, and would warn about them.
fn known_formats(object: &mut Map<String, Value>) {
    const KNOWN: [&str; 3] = ["int32", "int64", "date-time"];
    if object.get("format").and_then(Value::as_str).is_some_and(|format| !KNOWN.contains(&format)) {
        object.remove("format");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits each schema with its path.
    fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
        visit(path, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, visit);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&format!("{path}[]"), &schema[inner], visit);
            }
        }
    }

    #[test]
    fn every_field_has_a_type_and_a_description() {
        let definition = definition();
        walk("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |path, schema| {
            let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
            assert!(typed, "{path} has no type: {schema}");
            let described = schema["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described || path == ".metadata" || path.ends_with("[]"), "{path} has no description: {schema}");
            for refused in ["$ref", "oneOf", "anyOf", "allOf", "const", "nullable", "title", "$schema", "definitions"] {
                assert!(schema.get(refused).is_none(), "{path} has {refused}: {schema}");
            }
        });
    }

    #[test]
    fn the_readmes_fields_keep_their_names_types_and_defaults() {
        let definition = definition();
        let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let field = |name: &str| {
            let mut field = spec["properties"][name].clone();
            field.as_object_mut().unwrap().remove("description");
            field
        };
        assert_eq!(spec["required"], json!(["image"]));
        assert_eq!(field("image"), json!({"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^\\S*$"}));
        assert_eq!(field("replicas"), json!({"type": "integer", "format": "int32", "minimum": 0, "default": 1}));
        assert_eq!(
            field("port"),
            json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535, "default": 8080})
        );
        assert_eq!(field("secretName")["type"], "string");
    }

    /// Found by a review: "Desired" was `spec.replicas`, whatever an autoscaler had made of it.
    #[test]
    fn no_column_shows_a_number_of_pods_that_an_autoscaler_may_overrule() {
        let columns = columns();
        let paths: Vec<_> = columns.as_array().unwrap().iter().map(|column| &column["jsonPath"]).collect();
        assert!(paths.contains(&&json!(".status.replicas")) && !paths.contains(&&json!(".spec.replicas")), "{paths:?}");
    }

    /// `kubectl apply` keeps a copy of the object in an annotation, and all annotations together must stay below 256 KiB.
    #[test]
    fn the_definition_stays_small_enough_to_be_applied() {
        assert!(yaml().unwrap().len() < 200 * 1024);
    }

    #[test]
    fn an_enum_is_one_list_of_words_and_says_what_they_mean() {
        let definition = definition();
        let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let kind = &spec["properties"]["service"]["properties"]["type"];
        assert_eq!(kind["enum"], json!(["ClusterIP", "NodePort", "LoadBalancer"]));
        assert!(kind["description"].as_str().unwrap().contains("from within the cluster"), "{kind}");
    }
}
