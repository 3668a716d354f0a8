//! The scale subresource: an object seen as a number of replicas.
//!
//! `kubectl scale` and autoscalers speak it. Nothing is stored for it: it is computed from the object, and a write to it
//! is a write of one field of the object.

use std::sync::Arc;

use http::{Method, Response};
use serde_json::{Value, json};

use super::mutate::{self, body, options, patch_body, patch_kind, patch_options, reviewed};
use super::negotiate::{Form, Of, negotiate};
use super::response::{self, Body};
use super::route::Place;
use super::table::Table;
use super::{Answer, Call};
use crate::cluster::{PatchKind, Write, Written, patch_error};
use crate::patch;
use crate::resources::{Resource, scale_of};
use crate::schema::Cause;
use crate::status::Status;
use crate::storage::Object;

/// GET, PUT and PATCH of `.../scale`.
pub(super) async fn scale(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::Object)?;
    let target = mutate::target(call, place);
    let view = |object: &Value| scale_of(&target.stored, object);
    let object = match *call.method {
        Method::GET => {
            let found = call.cluster.store().get(&target.stored.table(), &target.key);
            found.ok_or_else(|| Status::not_found(&place.resource, &target.key.name))?
        }
        Method::PUT => {
            let wanted = body(call, "Scale")?;
            let options = options(call, "UpdateOptions")?;
            target.check_named(&wanted)?;
            let write = call.cluster.plan_scale(&target, &options, |live| {
                let version = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                if !version.is_empty() && version != live.revision.to_string() {
                    return Err(Status::modified(&place.resource, &target.key.name));
                }
                replicas(&target.key.name, &wanted)
            })?;
            written(call, write).await?
        }
        Method::PATCH => {
            let kind = patch_kind(call, place.resource.custom().is_none())?;
            let options = patch_options(call, kind)?;
            let change = patch_body(call, kind)?;
            let write = call.cluster.plan_scale(&target, &options, |live| {
                replicas(&target.key.name, &patched(view(&live.value()), kind, &change, &target.stored)?)
            })?;
            written(call, write).await?
        }
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(shown(call, place, form, &view(&object.value())))
}

/// A Scale in the form that was asked for.
fn shown(call: &Call<'_>, place: &Place, form: Form, scale: &Value) -> Response<Body> {
    let body = match form {
        Form::Full => return response::json(200, scale),
        Form::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": scale["metadata"]}),
        Form::Table => {
            let table = Table::of_scales(&place.resource, call.cluster.now(), &call.query.include_object);
            let mut table = table.of(std::slice::from_ref(scale), None);
            table["metadata"] = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
            table
        }
    };
    response::json(200, &body)
}

async fn written(call: &Call<'_>, write: Write<'_>) -> Result<Arc<Object>, Status> {
    Ok(Written::from(call.reviewer(reviewed(call)).write(write).await?).object)
}

fn patched(mut scale: Value, kind: PatchKind, change: &Value, resource: &Resource) -> Result<Value, Status> {
    match kind {
        PatchKind::Merge | PatchKind::Strategic => {
            patch::merge(&mut scale, change);
            Ok(scale)
        }
        PatchKind::Json => patch::json_patch(&scale, change).map_err(|error| patch_error(&error)),
        PatchKind::Apply => Err(Status::not_implemented(&format!("apply to {}/scale", resource.group_resource()))),
    }
}

fn replicas(name: &str, scale: &Value) -> Result<u64, Status> {
    let replicas = &scale["spec"]["replicas"];
    match (replicas.as_u64(), replicas) {
        (Some(replicas), _) => Ok(replicas),
        // Zero is what an absent number means in a Scale.
        (None, Value::Null) => Ok(0),
        (None, other) => {
            let cause = Cause {
                reason: "FieldValueInvalid".into(),
                field: "spec.replicas".into(),
                message: format!("Invalid value: {other}: must be greater than or equal to 0"),
            };
            Err(Status::invalid_scale(name, vec![cause]))
        }
    }
}
