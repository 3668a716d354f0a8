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
use crate::cluster::{PatchKind, Target, Write, Written, patch_error};
use crate::patch;
use crate::resources::{Resource, scale_of};
use crate::schema::Cause;
use crate::status::Status;
use crate::storage::Object;
use crate::types::json_kind;

const UNREADABLE: &str = "no kind is registered for the type v1.Scale in scheme \
    \"k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go:781\"";
const NO_APPLY: &str = "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, \
    Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1";

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
            let wanted = sent(call, place)?;
            let options = options(call, "UpdateOptions")?;
            target.check_named(&wanted)?;
            let write = call.cluster.plan_scale(&target, &options, |live| {
                check_version(place, &wanted, live)?;
                replicas(&target, &wanted)
            })?;
            written(call, write).await?
        }
        Method::PATCH => {
            let kind = patch_kind(call, place.resource.custom().is_none())?;
            let options = patch_options(call, kind)?;
            let change = patch_body(call, kind)?;
            let write = call.cluster.plan_scale(&target, &options, |live| {
                let wanted = patched(view(&live.value()), kind, &change, &target.stored)?;
                if let Some(why) = unfit(&wanted) {
                    return Err(Status::unfit_patch(&wanted.to_string(), &why));
                }
                target.check_named(&wanted)?;
                check_version(place, &wanted, live)?;
                replicas(&target, &wanted)
            })?;
            written(call, write).await?
        }
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(shown(call, form, &view(&object.value())))
}

/// A Scale in the form that was asked for.
fn shown(call: &Call<'_>, form: Form, scale: &Value) -> Response<Body> {
    let body = match form {
        Form::Full => return response::json(200, scale),
        Form::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": scale["metadata"]}),
        Form::Table => {
            let table = Table::of_scales(call.cluster.now(), &call.query.include_object);
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

/// The Scale in the body of a PUT. Of a custom resource's that can't be read the API server says something strange, for
/// the scheme that it would name knows Scales under another version.
fn sent(call: &Call<'_>, place: &Place) -> Result<Value, Status> {
    let custom = place.resource.custom().is_some();
    match body(call, "Scale") {
        Ok(scale) if scale.is_null() => Ok(json!({})),
        Ok(scale) if custom && !scale.is_object() => Err(Status::bad_request(UNREADABLE)),
        Ok(scale) if unfit(&scale).is_some() => Err(Status::bad_request(UNREADABLE)),
        Ok(scale) => Ok(scale),
        Err(status) if custom && status.code == 400 => Err(Status::bad_request(UNREADABLE)),
        Err(status) => Err(status),
    }
}

fn check_version(place: &Place, wanted: &Value, live: &Object) -> Result<(), Status> {
    let version = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let same = version.is_empty() || version == live.revision.to_string();
    if same { Ok(()) } else { Err(Status::modified(&place.resource, &live.key.name)) }
}

/// Why this is no Scale, in the words of Go's decoder; what is not there is no fault.
fn unfit(scale: &Value) -> Option<String> {
    let text = |name: &str| scale[name].as_str().unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if !matches!((kind, version), ("" | "Scale", "" | "autoscaling/v1")) {
        let scheme = "k8s.io/client-go/scale/util.go:146";
        return Some(format!("no kind {kind:?} is registered for version {version:?} in scheme {scheme:?}"));
    }
    let cannot = |value: &Value, field: &str, wanted: &str| {
        let shown = if value.is_number() { format!("number {value}") } else { json_kind(value).to_owned() };
        Some(format!("json: cannot unmarshal {shown} into Go struct field {field} of type {wanted}"))
    };
    for (part, wanted) in [("metadata", "v1.ObjectMeta"), ("spec", "v1.ScaleSpec")] {
        if !scale[part].is_object() && !scale[part].is_null() {
            return cannot(&scale[part], &format!("Scale.{part}"), wanted);
        }
    }
    let replicas = &scale["spec"]["replicas"];
    let fits = replicas.is_null() || replicas.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    if fits { None } else { cannot(replicas, "ScaleSpec.spec.replicas", "int32") }
}

fn patched(mut scale: Value, kind: PatchKind, change: &Value, resource: &Resource) -> Result<Value, Status> {
    match kind {
        PatchKind::Merge | PatchKind::Strategic => {
            patch::merge(&mut scale, change);
            Ok(scale)
        }
        PatchKind::Json => patch::json_patch(&scale, change).map_err(|error| patch_error(&error)),
        PatchKind::Apply if resource.custom().is_some() => Err(Status::failure(500, "", NO_APPLY)),
        PatchKind::Apply => Err(Status::not_implemented(&format!("apply to {}/scale", resource.group_resource()))),
    }
}

/// How many are wanted; zero is what an absent number means in a Scale. Of a custom resource its own validation says what
/// is wrong with the number.
fn replicas(target: &Target, scale: &Value) -> Result<i64, Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas >= 0 || target.resource.custom().is_some() {
        return Ok(replicas);
    }
    let why = "must be greater than or equal to 0";
    Err(Status::invalid_scale(&target.key.name, vec![Cause::invalid("spec.replicas", replicas, why)]))
}
