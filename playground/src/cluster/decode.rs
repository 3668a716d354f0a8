//! Whether what was sent is an object of the kind that the path names.
//!
//! A built-in kind is told apart while it is decoded, so a wrong one is a bad request; a custom resource is decoded
//! whatever it says it is, and a wrong kind is one of the faults of an object that can be read.

use serde_json::{Map, Value};

use super::admit::Context;
use crate::resources::Resource;
use crate::schema::Cause;
use crate::status::Status;
use crate::types;

/// Checks that a body is an object of the resource's kind and version.
pub(super) fn decoded(resource: &Resource, mut object: Value) -> Result<Value, Status> {
    let Some(map) = object.as_object_mut() else {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): expected a JSON object",
            resource.kind
        )));
    };
    let given = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (given("kind"), given("apiVersion"));
    if kind.is_empty() && api_version.is_empty() && resource.custom().is_none() {
        map.insert("kind".into(), resource.kind.as_str().into());
        map.insert("apiVersion".into(), resource.api_version().into());
    } else if kind.is_empty() {
        return Err(Status::bad_request("Object 'Kind' is missing in the body of the request"));
    } else if kind != resource.kind && api_version == resource.api_version() && resource.custom().is_some() {
        return check_type(resource, &object).map(|()| object);
    } else if kind != resource.kind || api_version != resource.api_version() {
        let message = if kind == resource.kind {
            format!(
                "the API version in the data ({api_version}) does not match the expected API version ({})",
                resource.api_version()
            )
        } else {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            format!(
                "{kind} in version \"{version}\" cannot be handled as a {}: kind {kind} of group \"{group}\" was sent",
                resource.kind
            )
        };
        return Err(Status::bad_request(message));
    }
    if let Some(other) = map.get("metadata").filter(|metadata| !metadata.is_object() && !metadata.is_null()) {
        let why = format!("json: cannot unmarshal {} into Go value of type v1.ObjectMeta", types::json_kind(other));
        return Err(undecodable(resource, &why));
    }
    if !map.get("metadata").is_some_and(Value::is_object) {
        map.insert("metadata".into(), Value::Object(Map::new()));
    }
    Ok(object)
}

/// A custom resource's kind and version are part of what is validated.
pub(super) fn check_type(resource: &Resource, object: &Value) -> Result<(), Status> {
    if resource.custom().is_none() {
        return Ok(());
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let wanted = [("kind", resource.kind.clone()), ("apiVersion", resource.api_version())];
    let differing = wanted.iter().filter(|(field, wanted)| object[*field] != wanted.as_str());
    let causes: Vec<_> = differing
        .map(|(field, wanted)| Cause::invalid(*field, &object[*field], &format!("must be {wanted}")))
        .collect();
    if causes.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid_type(&resource.group, kind, name, causes))
}

/// A body that is JSON, and no object of this kind.
pub(super) fn undecodable(resource: &Resource, why: &str) -> Status {
    let (kind, version) = (&resource.kind, &resource.version);
    Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

/// An object that can't be read: the body's fault, or that of the patch which made it.
pub(super) fn unreadable(context: &Context<'_>, object: &Value, why: &str) -> Status {
    if context.patch { Status::unfit_patch(&object.to_string(), why) } else { undecodable(context.resource, why) }
}
