//! POST, PUT, PATCH and DELETE: bodies and options in, objects out. What they do is the [`Cluster`](crate::Cluster)'s.

use http::Response;
use serde_json::{Map, Value, json};

use super::negotiate::{Of, negotiate};
use super::protobuf::{self, PROTOBUF};
use super::query::{cause, dry_run_fault};
use super::response::{self, Body};
use super::route::Place;
use super::{Answer, Call, read};
use crate::cluster::{DeleteOptions, Deleted, PatchKind, Propagation, Target, WriteOptions, Written};
use crate::schema::Cause;
use crate::status::Status;
use crate::syntax;
use crate::types::json_kind;

/// Server-side apply's media type.
pub(super) const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The object (or collection) that a place names.
pub(super) fn target(call: &Call<'_>, place: &Place) -> Target {
    let namespace = place.namespace.as_deref().unwrap_or_default();
    let name = place.name.as_deref().unwrap_or_default();
    call.cluster.target_of(std::sync::Arc::clone(&place.resource), namespace, name)
}

/// POST.
pub(super) async fn create(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::Object)?;
    let options = WriteOptions { given_twice: given_twice(call), ..options(call, "CreateOptions")? };
    let object = object(call, place)?;
    let write = call.cluster.plan_create(&target(call, place), object, &options)?;
    let written = Written::from(call.reviewer(reviewed(call)).write(write).await?);
    Ok(written_response(call, place, form, &written))
}

/// PUT.
pub(super) async fn update(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::Object)?;
    let options = WriteOptions { given_twice: given_twice(call), ..options(call, "UpdateOptions")? };
    let object = object(call, place)?;
    let target = target(call, place);
    let write = call.cluster.plan_update(&target, place.subresource.as_deref(), object, &options)?;
    let written = Written::from(call.reviewer(reviewed(call)).write(write).await?);
    Ok(written_response(call, place, form, &written))
}

/// PATCH, in its four kinds.
pub(super) async fn patch(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate(call.accept, Of::Object)?;
    let kind = patch_kind(call, place.resource.custom().is_none())?;
    let mut options = patch_options(call, kind)?;
    if kind == PatchKind::Merge {
        options.given_twice = given_twice(call);
    }
    let patch = patch_body(call, kind)?;
    let target = target(call, place);
    let write = call.cluster.plan_patch(&target, place.subresource.as_deref(), kind, &patch, &options)?;
    let written = Written::from(call.reviewer(reviewed(call)).write(write).await?);
    Ok(written_response(call, place, form, &written))
}

/// DELETE of one object.
pub(super) async fn delete(call: &Call<'_>, place: &Place) -> Answer {
    let options = delete_options(call)?;
    let target = target(call, place);
    match call.reviewer(reviewed_delete(&options)).delete(&target, &options).await? {
        Deleted::Gone(object) => Ok(response::status(&Status::deleted(&place.resource, &object.key.name, &object.uid))),
        Deleted::Marked(object) => Ok(response::bytes(200, read::encoded(&place.resource, &object))),
    }
}

/// DELETE of all that a list would show; the answer is that list.
pub(super) async fn delete_collection(call: &Call<'_>, place: &Place) -> Answer {
    let options = delete_options(call)?;
    let selector = read::selector(call, &place.resource)?;
    let table = target(call, place).stored.table();
    let snapshot = call.cluster.store().list(&table, place.namespace.as_deref());
    let reviewer = call.reviewer(reviewed_delete(&options));
    let mut items = Vec::new();
    for object in snapshot.objects.iter().filter(|object| selector.matches(object)) {
        let resource = std::sync::Arc::clone(&place.resource);
        let target = call.cluster.target_of(resource, &object.key.namespace, &object.key.name);
        match reviewer.delete(&target, &options).await {
            Ok(Deleted::Gone(object) | Deleted::Marked(object)) => {
                let mut value = object.full();
                place.resource.to_served(&mut value);
                items.push(value);
            }
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(response::json(
        200,
        &json!({
            "kind": place.resource.list_kind,
            "apiVersion": place.resource.api_version(),
            "metadata": {"resourceVersion": call.cluster.revision().to_string()},
            "items": items,
        }),
    ))
}

fn written_response(call: &Call<'_>, place: &Place, form: super::negotiate::Form, written: &Written) -> Response<Body> {
    let code = if written.created { 201 } else { 200 };
    let mut response = read::one(call, &place.resource, &written.object, form, code);
    response::warn(&mut response, &written.warnings);
    response
}

/// The options that all writes share; `kind` names them in messages.
pub(super) fn options(call: &Call<'_>, kind: &str) -> Result<WriteOptions, Status> {
    checked_options(call, kind, call.query.write_faults())
}

/// The same of a patch: an apply needs a manager, and nothing else may use force.
pub(super) fn patch_options(call: &Call<'_>, kind: PatchKind) -> Result<WriteOptions, Status> {
    let named = call.query.field_manager.as_deref().is_some_and(|manager| !manager.is_empty());
    let fault = match kind {
        PatchKind::Apply if !named => {
            Some(cause("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"))
        }
        PatchKind::Merge | PatchKind::Json | PatchKind::Strategic if call.query.force.is_some() => {
            Some(cause("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"))
        }
        PatchKind::Apply | PatchKind::Merge | PatchKind::Json | PatchKind::Strategic => None,
    };
    let faults = fault.into_iter().chain(call.query.write_faults()).collect();
    checked_options(call, "PatchOptions", faults)
}

fn checked_options(call: &Call<'_>, kind: &str, faults: Vec<Cause>) -> Result<WriteOptions, Status> {
    if !faults.is_empty() {
        return Err(Status::invalid_options(kind, faults));
    }
    Ok(WriteOptions {
        manager: call.manager(),
        force: call.query.force.unwrap_or(false),
        dry_run: call.query.is_dry_run(),
        validation: call.query.field_validation(),
        given_twice: Vec::new(),
        author: Some(std::sync::Arc::clone(&call.user)),
    })
}

/// What a review is told of the options of a create, an update or a patch.
pub(super) fn reviewed(call: &Call<'_>) -> Map<String, Value> {
    let query = &call.query;
    let mut options = Map::new();
    if !query.dry_run.is_empty() {
        options.insert("dryRun".into(), query.dry_run.as_slice().into());
    }
    let manager = query.field_manager.as_deref().unwrap_or_default();
    for (name, text) in [("fieldManager", manager), ("fieldValidation", &query.field_validation)] {
        if !text.is_empty() {
            options.insert(name.into(), text.into());
        }
    }
    options
}

/// The same of a delete.
fn reviewed_delete(options: &DeleteOptions) -> Map<String, Value> {
    let DeleteOptions { uid, resource_version, propagation, grace_period_seconds, dry_run } = options;
    let mut shown = Map::new();
    let mut preconditions = Map::new();
    for (name, text) in [("uid", uid), ("resourceVersion", resource_version)] {
        preconditions.extend(text.as_ref().map(|text| (name.to_owned(), text.as_str().into())));
    }
    if !preconditions.is_empty() {
        shown.insert("preconditions".into(), preconditions.into());
    }
    let policy = propagation.map(|propagation| format!("{propagation:?}"));
    shown.extend(policy.map(|policy| ("propagationPolicy".to_owned(), policy.into())));
    shown.extend(grace_period_seconds.map(|seconds| ("gracePeriodSeconds".to_owned(), seconds.into())));
    if *dry_run {
        shown.insert("dryRun".into(), json!(["All"]));
    }
    shown
}

/// What kind of patch the media type says it is; custom resources know no strategic merge.
pub(super) fn patch_kind(call: &Call<'_>, strategic: bool) -> Result<PatchKind, Status> {
    match call.content_type {
        JSON_PATCH => Ok(PatchKind::Json),
        MERGE => Ok(PatchKind::Merge),
        STRATEGIC if strategic => Ok(PatchKind::Strategic),
        APPLY => Ok(PatchKind::Apply),
        _ if strategic => Err(Status::unsupported_media_type(&[JSON_PATCH, MERGE, STRATEGIC, APPLY])),
        _ => Err(Status::unsupported_media_type(&[JSON_PATCH, MERGE, APPLY])),
    }
}

pub(super) fn patch_body(call: &Call<'_>, kind: PatchKind) -> Result<Value, Status> {
    match kind {
        PatchKind::Apply => yaml(call.body)
            .map_err(|why| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}"))),
        PatchKind::Strategic => syntax::decode(call.body).map_err(Status::bad_request),
        PatchKind::Merge | PatchKind::Json => {
            syntax::decode(call.body).map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))
        }
    }
}

/// The object in the body of a POST or PUT; a custom resource says of what kind it is.
fn object(call: &Call<'_>, place: &Place) -> Result<Value, Status> {
    let kind = &place.resource.kind;
    let object = body(call, kind)?;
    let text = || String::from_utf8_lossy(call.body);
    let why = match (&object, object.get("kind")) {
        (Value::Object(_), Some(Value::String(named))) if !named.is_empty() => return Ok(object),
        (Value::Object(_), None | Some(Value::Null | Value::String(_))) if place.resource.custom().is_none() => {
            return Ok(object);
        }
        (Value::Object(_) | Value::Null, None | Some(Value::Null | Value::String(_))) => {
            format!("Object 'Kind' is missing in '{}'", text())
        }
        (Value::Object(_), Some(other)) => format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .kind of type \
             string",
            json_kind(other)
        ),
        (other, _) => format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ \
             APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            json_kind(other)
        ),
    };
    Err(unrecognized(kind, &why, call.body))
}

/// The fields that a JSON body gives more than once.
fn given_twice(call: &Call<'_>) -> Vec<String> {
    let json = matches!(call.content_type, "" | "application/json" | MERGE);
    if json { syntax::duplicates(call.body) } else { Vec::new() }
}

/// What the body of a POST or PUT says.
pub(super) fn body(call: &Call<'_>, kind: &str) -> Result<Value, Status> {
    match call.content_type {
        "" | "application/json" => syntax::decode(call.body).map_err(|error| {
            let why = format!("couldn't get version/kind; json parse error: {error}");
            match kind {
                // Options are decoded by themselves, without a word about the body.
                "DeleteOptions" => Status::bad_request(why),
                _ => unrecognized(kind, &why, call.body),
            }
        }),
        "application/yaml" => yaml(call.body).map_err(|why| unrecognized(kind, &why, call.body)),
        PROTOBUF => protobuf::decode(call.body),
        _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml"])),
    }
}

/// A body that is no object of any kind, with its beginning: as text where it is JSON, as numbers where it may be anything.
fn unrecognized(kind: &str, why: &str, body: &[u8]) -> Status {
    const SHOWN: usize = 30;
    let start = &body[..body.len().min(SHOWN)];
    let rest = if body.len() > SHOWN { " ..." } else { "" };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{rest}", String::from_utf8_lossy(start)),
        Some(_) => {
            let numbers: Vec<String> = start.iter().map(|byte| format!("{byte:02x}")).collect();
            numbers.concat() + rest
        }
    };
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({summary})"))
}

/// YAML, of which JSON is a part; JSON is tried first because it is what most clients send.
fn yaml(body: &[u8]) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| format!("yaml: {error}"))?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|error| format!("yaml: {error}"))
}

/// `DeleteOptions` may come in the body or in the query: a body is all that counts.
fn delete_options(call: &Call<'_>) -> Result<DeleteOptions, Status> {
    let body = if call.body.is_empty() { options_of_query(call)? } else { body(call, "DeleteOptions")? };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut faults = Vec::new();
    let policy = body["propagationPolicy"].as_str();
    if let (Some(policy), true) = (policy, body["orphanDependents"].is_boolean()) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        let message = format!("Invalid value: {policy:?}: {why}");
        faults.push(cause("FieldValueInvalid", "propagationPolicy", &message));
    }
    let propagation = match policy {
        None if body["orphanDependents"] == true => Some(Propagation::Orphan),
        None => None,
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some(other) => {
            let message = format!(
                "Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            faults.push(cause("FieldValueNotSupported", "propagationPolicy", &message));
            None
        }
    };
    let dry_run: Vec<String> = body["dryRun"].as_array().into_iter().flatten().filter_map(text).collect();
    faults.extend(dry_run_fault(&dry_run));
    if !faults.is_empty() {
        return Err(Status::invalid_options("DeleteOptions", faults));
    }
    Ok(DeleteOptions {
        uid: text(&body["preconditions"]["uid"]),
        resource_version: text(&body["preconditions"]["resourceVersion"]),
        propagation,
        grace_period_seconds: body["gracePeriodSeconds"].as_u64(),
        dry_run: !dry_run.is_empty(),
    })
}

fn options_of_query(call: &Call<'_>) -> Result<Value, Status> {
    call.query.check()?;
    Ok(json!({
        "propagationPolicy": call.query.propagation_policy,
        "gracePeriodSeconds": call.query.grace_period_seconds,
        "dryRun": call.query.dry_run,
    }))
}
