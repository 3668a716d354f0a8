//! OpenAPI, as far as kubectl reads it: which fields `explain` can explain, and whether PATCH takes fieldValidation.
//!
//! Custom resources are described by the schema of their definition, built-in kinds by Kubernetes' own types.

mod builtin;
mod gnostic;
mod second;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http::{Method, Response};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::negotiate::{Of, negotiate};
use super::{Answer, Body, Call, response};
use crate::resources::Resource;
use crate::status::Status;
use crate::types::{Id, Types};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `/openapi/v3`
pub(super) fn root(call: &Call<'_>) -> Response<Body> {
    let mut paths = Map::new();
    for ((group, version), resources) in by_version(call) {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let hash = hash(&resources);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    response::json(200, &json!({"paths": paths}))
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/{group}/{version}`
pub(super) fn document(call: &Call<'_>, group: &str, version: &str) -> Response<Body> {
    match by_version(call).get(&(group.to_owned(), version.to_owned())) {
        Some(resources) => response::json(200, &document_value(group, version, resources)),
        None => response::page_not_found(),
    }
}

/// `/openapi/v2`, as JSON or as protobuf.
pub(super) fn second(call: &Call<'_>) -> Answer {
    if !matches!(*call.method, Method::GET | Method::HEAD) {
        return Err(Status::method_not_allowed());
    }
    let Some(protobuf) = call.accept.split(',').find_map(readable) else {
        let both = format!("application/json, {}", gnostic::ASKED);
        let message = format!("only the following media types are accepted: {both}");
        return Err(Status::failure(406, "NotAcceptable", message));
    };
    let versions = by_version(call);
    let documents = versions.iter().map(|((group, version), resources)| document_value(group, version, resources));
    let document = second::document(documents);
    if protobuf {
        return Ok(response::whole(200, gnostic::SENT, gnostic::encode(&document).into()));
    }
    Ok(response::json(200, &document))
}

/// Whether an accepted media type is protobuf's; `None`, where it is neither that nor JSON.
fn readable(media: &str) -> Option<bool> {
    let name = media.split(';').next().unwrap_or_default().trim();
    if name == gnostic::ASKED || name == gnostic::SENT {
        return Some(true);
    }
    negotiate(media, Of::Object).is_ok().then_some(false)
}

type ByVersion = BTreeMap<(String, String), Vec<Arc<Resource>>>;

fn by_version(call: &Call<'_>) -> ByVersion {
    let mut versions = ByVersion::new();
    for resource in call.cluster.registry().all() {
        let key = (resource.group.clone(), resource.version.clone());
        versions.entry(key).or_default().push(Arc::clone(resource));
    }
    versions
}

/// Changes when the document does: Kubernetes' own types never do.
fn hash(resources: &[Arc<Resource>]) -> String {
    let mut digest = Sha256::new();
    for resource in resources {
        digest.update(&resource.kind);
        if let Some(custom) = resource.custom() {
            digest.update(custom.openapi.to_string());
        }
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn document_value(group: &str, version: &str, resources: &[Arc<Resource>]) -> Value {
    let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = Map::new();
    let types = resources.iter().filter_map(|resource| own_type(resource));
    let mut schemas = builtin::schemas(types.chain(Types::get().of_kind("meta/v1", "ObjectMeta")));
    for resource in resources {
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{base}{scope}/{}", resource.plural);
        paths.insert(collection.clone(), collection_operations(resource));
        if resource.namespaced {
            let list = collection_operations(resource)["get"].take();
            paths.insert(format!("{base}/{}", resource.plural), json!({"get": list}));
        }
        paths.insert(format!("{collection}/{{name}}"), object_operations(resource));
        schemas.insert(schema_name(resource), schema(resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes playground", "version": "v0.1.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// `dev.mcp.mcp.v1alpha1.MCPServer`: the group's labels in reverse, then version and kind.
fn schema_name(resource: &Resource) -> String {
    if let Some(id) = own_type(resource) {
        return builtin::name(Types::get().named(id));
    }
    let mut labels: Vec<&str> = resource.group.split('.').rev().collect();
    labels.extend([resource.version.as_str(), resource.kind.as_str()]);
    labels.join(".")
}

/// The type of a built-in kind; definitions, which describe others, are not described.
fn own_type(resource: &Resource) -> Option<Id> {
    Types::get().of_kind(&resource.api_version(), &resource.kind).filter(|_| resource.custom().is_none())
}

fn group_version_kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn schema(resource: &Resource) -> Value {
    let mut schema = match (resource.custom(), own_type(resource)) {
        (Some(custom), _) => custom.openapi.clone(),
        (None, Some(id)) => builtin::schema(Types::get().named(id)),
        (None, None) => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    let meta = json!({"description": "Standard object's metadata.",
        "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}]});
    let text = |description: &str| json!({"description": description, "type": "string"});
    for (name, member) in [
        ("apiVersion", text("APIVersion defines the versioned schema of this representation of an object.")),
        ("kind", text("Kind is a string value representing the REST resource this object represents.")),
        ("metadata", meta),
    ] {
        schema["properties"][name] = member;
    }
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(resource)]);
    schema
}

fn operation(resource: &Resource, action: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
        .collect();
    let reference = format!("#/components/schemas/{}", schema_name(resource));
    json!({
        "operationId": format!("{action}{}", resource.kind),
        "parameters": parameters,
        "responses": {"200": {"description": "OK",
            "content": {"application/json": {"schema": {"$ref": reference}}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(resource),
    })
}

const WRITE: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];

fn collection_operations(resource: &Resource) -> Value {
    let list = [
        "allowWatchBookmarks",
        "continue",
        "fieldSelector",
        "labelSelector",
        "limit",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "timeoutSeconds",
        "watch",
    ];
    json!({
        "get": operation(resource, "list", &list),
        "post": operation(resource, "post", &WRITE),
        "delete": operation(resource, "deletecollection", &["dryRun", "fieldSelector", "labelSelector"]),
    })
}

fn object_operations(resource: &Resource) -> Value {
    json!({
        "get": operation(resource, "get", &[]),
        "put": operation(resource, "put", &WRITE),
        "patch": operation(resource, "patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
        "delete": operation(resource, "delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
    })
}
