//! From a CustomResourceDefinition to the resources it defines.
//!
//! Each served version becomes a [`Resource`] of its own; all share one table. A definition that can't be understood
//! yields causes, in the words of the API server, and never a resource that is half there.

use std::sync::Arc;

use serde_json::Value;

use super::{Form, Origin, Resource, Scale, ScaleSelector, Trait};
use crate::fields;
use crate::schema::{Cause, Structural};

/// What only custom resources have.
#[derive(Debug)]
pub struct Custom {
    /// Name of the definition.
    pub definition: String,
    /// The version that objects are stored in.
    pub storage_version: String,
    /// Defaults, pruning and validation.
    pub structural: Arc<Structural>,
    /// The schema as written, for OpenAPI documents.
    pub openapi: Value,
    /// What `kubectl get` shows; empty means the age alone.
    pub columns: Vec<Column>,
}

/// An entry of `additionalPrinterColumns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `date` ...
    pub kind: String,
    /// Format hint for clients.
    pub format: String,
    /// Description; empty for the default one.
    pub description: String,
    /// 0 is always shown, more only with `-o wide`.
    pub priority: i64,
    /// Where the value is.
    pub json_path: String,
}

/// Reads a definition: one resource for each served version.
pub fn parse_definition(definition: &Value) -> Result<Vec<Resource>, Vec<Cause>> {
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let storage = versions.iter().find(|version| version["storage"] == true);
    let storage_version = text(&storage.map_or(Value::Null, |version| version["name"].clone()));
    let mut resources = Vec::new();
    let mut causes = Vec::new();
    for version in versions {
        match Structural::of_crd_version(version) {
            Ok(structural) if version["served"] == true => {
                resources.push(resource(definition, version, &storage_version, structural));
            }
            Ok(_) => {}
            Err(found) => causes.extend(found),
        }
    }
    if causes.is_empty() { Ok(resources) } else { Err(causes) }
}

fn resource(definition: &Value, version: &Value, storage_version: &str, structural: Arc<Structural>) -> Resource {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let subresources = &version["subresources"];
    let openapi = version["schema"]["openAPIV3Schema"].clone();
    let version_name = text(&version["name"]);
    Resource {
        group: text(&spec["group"]),
        form: if version_name == storage_version { Form::Stored } else { Form::Renamed },
        version: version_name,
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        traits: traits(subresources["status"].is_object()),
        scale: subresources["scale"].is_object().then(|| scale(&subresources["scale"])),
        schema: Arc::new(merging(&openapi, subresources["status"].is_object())),
        selectable: selectable(version),
        origin: Origin::Custom(Box::new(Custom {
            definition: text(&definition["metadata"]["name"]),
            storage_version: storage_version.to_owned(),
            structural,
            openapi,
            columns: columns(version),
        })),
    }
}

fn traits(status: bool) -> Vec<Trait> {
    let status = status.then_some(Trait::Status);
    [Trait::Generation, Trait::NeedsVersion, Trait::DeleteCollection].into_iter().chain(status).collect()
}

fn merging(openapi: &Value, status: bool) -> fields::Schema {
    let schema = fields::Schema::from_openapi(openapi);
    if status { schema.with_status() } else { schema }
}

fn scale(scale: &Value) -> Scale {
    let path = |value: &Value| text(value).split('.').filter(|part| !part.is_empty()).map(Into::into).collect();
    Scale {
        spec_replicas: path(&scale["specReplicasPath"]),
        status_replicas: path(&scale["statusReplicasPath"]),
        selector: match &scale["labelSelectorPath"] {
            Value::String(_) => ScaleSelector::Text(path(&scale["labelSelectorPath"])),
            _ => ScaleSelector::Absent,
        },
    }
}

fn selectable(version: &Value) -> Vec<(String, String)> {
    let fields = version["selectableFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let paths = fields.iter().map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned());
    paths.map(|path| (path.clone(), path)).collect()
}

fn columns(version: &Value) -> Vec<Column> {
    let columns = version["additionalPrinterColumns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parsed = columns.iter().map(|column| Column {
        name: text(&column["name"]),
        kind: text(&column["type"]),
        format: text(&column["format"]),
        description: text(&column["description"]),
        priority: column["priority"].as_i64().unwrap_or(0),
        json_path: text(&column["jsonPath"]),
    });
    parsed.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(text).collect()
}
