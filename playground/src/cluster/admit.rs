//! What an object becomes on its way into the store. Pure: values in, values out.
//!
//! ```text
//! decoded -> unknown fields -> server-owned metadata -> defaults -> validation -> managedFields -> generation
//! ```
//!
//! The order is that of the API server: defaults are set before the fields' owners are noted (so whoever creates an
//! object owns its defaults), except in server-side apply, which owns what was sent and nothing else.

use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::apply::apply_error;
use super::commit::{Decision, Live, Next};
use super::decode::{undecodable, unreadable};
use super::definitions;
use super::metadata;
use super::write::{FieldValidation, WriteOptions};
use crate::builtin::{self, ClusterIps, Refusal};
use crate::fields;
use crate::resources::{Custom, Form, Resource, Trait};
use crate::schema::Cause;
use crate::status::Status;
use crate::storage::Key;
use crate::types;

/// All that a write's decision depends on, beyond the objects.
pub(super) struct Context<'a> {
    pub(super) resource: &'a Resource,
    pub(super) stored: &'a Resource,
    pub(super) key: &'a Key,
    /// `None` for the object itself.
    pub(super) subresource: Option<&'a str>,
    pub(super) options: &'a WriteOptions,
    /// Wall time, RFC 3339.
    pub(super) now: String,
    /// For an object that is made.
    pub(super) uid: String,
    /// Where Services get their addresses.
    pub(super) ips: &'a Mutex<ClusterIps>,
    /// What is written is the outcome of a patch, not the body of the request.
    pub(super) patch: bool,
}

/// POST.
pub(super) fn create(context: &Context<'_>, mut object: Value) -> Result<(Next, Vec<String>), Status> {
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Status::failure(500, "", "resourceVersion should not be set on objects to be created"));
    }
    drop(take_managed_fields(&mut object));
    drop_nulls(context, &mut object);
    let warnings = prepare_new(context, &mut object)?;
    let managed = track(context, None, &object, None);
    Ok((Next { value: object, managed }, warnings))
}

/// PUT and all patches but apply. `object` is the whole new object, or holds the new status.
pub(super) fn update(context: &Context<'_>, live: &Live<'_>, mut object: Value) -> Result<(Next, Vec<String>), Status> {
    drop_nulls(context, &mut object);
    let warnings = prepare_change(context, &live.value, &mut object)?;
    let sent = take_managed_fields(&mut object);
    let managed = track(context, Some(live), &object, sent.as_ref());
    Ok((finish(context, live, object, managed), warnings))
}

/// The end of every change: a generation, and managedFields that are the old ones where nothing else differs.
fn finish(context: &Context<'_>, live: &Live<'_>, mut value: Value, managed: Bytes) -> Next {
    count_generation(context, &live.value, &mut value);
    let managed = if value == *live.value { fields::keep_times(&live.managed, managed) } else { managed };
    Next { value, managed }
}

/// Server-side apply, onto an object or onto nothing.
///
/// What is merged field by field must be known field by field: an unknown one is refused, whatever `fieldValidation`
/// says.
pub(super) fn apply(
    context: &Context<'_>,
    live: Option<&Live<'_>>,
    config: &Value,
) -> Result<(Next, Vec<String>), Status> {
    let sent = config;
    let mut config = sent.clone();
    let faults = untyped(context, sent, &mut config);
    if !faults.is_empty() {
        return Err(apply_error(context, sent, &fields::ApplyError::Untyped(faults)));
    }
    if let Some(metadata) = config["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let by = fields::Applier {
        manager: &context.options.manager,
        force: context.options.force,
        api_version: &context.stored.api_version(),
        subresource: context.subresource,
        now: &context.now,
    };
    let merged = fields::apply(live.map(Live::state), &config, by, &context.stored.schema);
    let (mut object, managed) = merged.map_err(|error| apply_error(context, sent, &error))?;
    match live {
        None => {
            let warnings = prepare_new(context, &mut object)?;
            Ok((Next { value: object, managed }, warnings))
        }
        Some(live) => {
            let warnings = prepare_change(context, &live.value, &mut object)?;
            Ok((finish(context, live, object, managed), warnings))
        }
    }
}

/// What keeps a configuration from being merged field by field; what no schema knows is dropped from it.
fn untyped(context: &Context<'_>, sent: &Value, config: &mut Value) -> Vec<String> {
    let mistyped = context.stored.custom().map(|custom| custom.structural.mistyped(sent)).unwrap_or_default();
    let undeclared = unknown(context, config);
    // A value of the wrong type is not looked into.
    let within = |path: &str, outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']));
    let undeclared = undeclared.iter().filter(|path| !mistyped.iter().any(|(outer, _)| within(path, outer)));
    let undeclared = undeclared.map(|path| (path.as_str(), "field not declared in schema"));
    let faults = mistyped.iter().map(|(path, why)| (path.as_str(), why.as_str())).chain(undeclared);
    faults.map(|(path, why)| format!("{}: {why}", context.stored.schema.place(sent, path))).collect()
}

/// Nothing, where nothing differs; removal, where the last finalizer of a deleted object went.
pub(super) fn decide(live: &Live<'_>, next: Next) -> Decision {
    let metadata = &next.value["metadata"];
    let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
        || metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) > 0;
    if metadata["deletionTimestamp"].is_string() && !held {
        return Decision::Finish(next);
    }
    if live.is(&next) { Decision::Keep } else { Decision::Put(next) }
}

/// A patch may carry a resourceVersion: then it is a precondition.
pub(super) fn check_version(context: &Context<'_>, live: &Value, object: &Value) -> Result<(), Status> {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !matches!(version, "" | "0") && live["metadata"]["resourceVersion"] != version {
        if version.parse::<u64>().is_err() {
            let message = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
            return Err(Status::failure(500, "", message));
        }
        return Err(Status::modified(context.resource, &context.key.name));
    }
    Ok(())
}

/// A PUT's uid and resourceVersion are preconditions; some kinds insist on the latter.
pub(super) fn check_put_preconditions(context: &Context<'_>, live: &Value, object: &Value) -> Result<(), Status> {
    let name = &context.key.name;
    let (uid, live_uid) = (&object["metadata"]["uid"], &live["metadata"]["uid"]);
    if let Some(uid) = uid.as_str().filter(|uid| !uid.is_empty() && live_uid != uid) {
        let live_uid = live_uid.as_str().unwrap_or_default();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {live_uid}",
            storage_key(context)
        );
        return Err(Status::conflict(context.resource, name, &why));
    }
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if matches!(version, "" | "0") && context.resource.has(Trait::NeedsVersion) {
        let field = "metadata.resourceVersion";
        let cause = Cause::invalid(field, 0, "must be specified for an update");
        return Err(Status::invalid_resource(context.resource, name, vec![cause]));
    }
    check_version(context, live, object)
}

/// Where an API server keeps the object, as its errors show it.
fn storage_key(context: &Context<'_>) -> String {
    let Context { stored, key, .. } = context;
    let group = if stored.custom().is_some() { format!("{}/", stored.group) } else { String::new() };
    let namespace = if stored.namespaced { format!("{}/", key.namespace) } else { String::new() };
    format!("/registry/{group}{}/{namespace}{}", stored.plural, key.name)
}

fn prepare_new(context: &Context<'_>, object: &mut Value) -> Result<Vec<String>, Status> {
    check_metadata(context, object)?;
    let mut warnings = drop_unknown(context, object)?;
    metadata::begin(context, object);
    if context.stored.has(Trait::Status)
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    let mut causes = default_and_validate(context, object, None)?;
    causes.splice(0..0, metadata::validate(context, object, None));
    refuse(context, causes)?;
    warnings.extend(odd(context, object, None));
    Ok(warnings)
}

fn prepare_change(context: &Context<'_>, live: &Value, object: &mut Value) -> Result<Vec<String>, Status> {
    check_metadata(context, object)?;
    let mut warnings = drop_unknown(context, object)?;
    let marks = metadata::mark_causes(live, object);
    refuse(context, marks)?;
    metadata::carry_on(live, object);
    restrict_to_subresource(context, live, object);
    let mut causes = metadata::validate(context, object, Some(live));
    if causes.is_empty() {
        causes = default_and_validate(context, object, Some(live))?;
    }
    refuse(context, causes)?;
    warnings.extend(odd(context, object, Some(live)));
    Ok(warnings)
}

/// What is allowed, and hardly meant; of a change only what it is about.
fn odd(context: &Context<'_>, object: &Value, live: Option<&Value>) -> Vec<String> {
    if context.stored.custom().is_some() {
        return metadata::warnings(object, live);
    }
    if context.subresource.is_some() || live.is_some_and(|live| live["spec"] == object["spec"]) {
        return Vec::new();
    }
    builtin::warnings(&context.stored.group_resource(), object, live)
}

fn default_and_validate(context: &Context<'_>, object: &mut Value, live: Option<&Value>) -> Result<Vec<Cause>, Status> {
    if let Some(custom) = context.stored.custom() {
        custom.structural.default(object);
        return Ok(match (context.subresource, live) {
            (Some("status"), Some(live)) => custom.structural.validate_status(object, live),
            _ => custom.structural.validate(object, live),
        });
    }
    if context.stored.kind == "CustomResourceDefinition" {
        return Ok(definitions::prepare(object, live));
    }
    // An Event of the core group is taken as it comes, one of events.k8s.io has rules.
    let resource = match context.resource.form {
        Form::CoreEvent => context.resource.group_resource(),
        Form::Stored | Form::Renamed | Form::Autoscaler => context.stored.group_resource(),
    };
    match builtin::prepare(&resource, object, live, context.ips) {
        Ok(()) => Ok(Vec::new()),
        Err(Refusal::Invalid(causes)) => Ok(causes),
        Err(Refusal::Malformed(why)) => Err(undecodable(context.resource, &why)),
    }
}

fn refuse(context: &Context<'_>, causes: Vec<Cause>) -> Result<(), Status> {
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(context.resource, &context.key.name, causes)) }
}

/// The metadata of a custom resource has Kubernetes' own type, which its schema does not speak of.
fn check_metadata(context: &Context<'_>, object: &mut Value) -> Result<(), Status> {
    if context.stored.custom().is_none() {
        return Ok(());
    }
    types::check_metadata(&object["metadata"]).map_err(|why| unreadable(context, object, &why))?;
    types::null_is_empty_text(&mut object["metadata"]);
    Ok(())
}

fn drop_nulls(context: &Context<'_>, object: &mut Value) {
    if let Some(custom) = context.stored.custom() {
        custom.structural.drop_nulls(object);
    }
}

/// Drops what the schema of a custom resource or Kubernetes' own types don't know, and says what the client asked to be
/// told; so it does of fields that were given twice.
fn drop_unknown(context: &Context<'_>, object: &mut Value) -> Result<Vec<String>, Status> {
    let strict = context.options.validation == FieldValidation::Strict;
    let whole = (strict && context.patch).then(|| object.clone());
    let unknown = unknown(context, object);
    let twice = context.options.given_twice.iter().map(|path| format!("duplicate field \"{path}\""));
    let faults: Vec<String> = twice.chain(unknown.iter().map(|path| format!("unknown field \"{path}\""))).collect();
    match context.options.validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(faults),
        FieldValidation::Strict if faults.is_empty() => Ok(faults),
        FieldValidation::Strict => {
            let why = format!("strict decoding error: {}", faults.join(", "));
            Err(unreadable(context, whole.as_ref().unwrap_or(object), &why))
        }
    }
}

fn unknown(context: &Context<'_>, object: &mut Value) -> Vec<String> {
    match context.stored.custom() {
        Some(Custom { structural, .. }) => structural.prune(object),
        None => types::Types::get().of(object).map_or_else(Vec::new, |id| types::drop_unknown(id, object)),
    }
}

/// A write to the object leaves the status alone; one to the status leaves all else alone.
fn restrict_to_subresource(context: &Context<'_>, live: &Value, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let from_live = |map: &mut Map<String, Value>, name: &str| match live.get(name) {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
    match context.subresource {
        Some("status") => {
            let status = map.remove("status");
            let annotations = map["metadata"].get("annotations").cloned();
            *map = live.as_object().cloned().unwrap_or_default();
            map.remove("status");
            map.extend(status.map(|status| ("status".to_owned(), status)));
            // With a built-in kind's status travel its annotations: a rollout's revision is one.
            if context.stored.custom().is_none()
                && let (Some(annotations), Some(metadata)) = (annotations, map["metadata"].as_object_mut())
            {
                metadata.insert("annotations".into(), annotations);
            }
        }
        _ if context.stored.has(Trait::Status) => {
            from_live(map, "status");
        }
        _ => {}
    }
}

fn track(context: &Context<'_>, live: Option<&Live<'_>>, object: &Value, sent: Option<&Value>) -> Bytes {
    let by = fields::Updater {
        manager: &context.options.manager,
        api_version: &context.stored.api_version(),
        subresource: context.subresource,
        now: &context.now,
    };
    match (context.subresource, &context.stored.scale, live) {
        (Some("scale"), Some(scale), Some(live)) => {
            let path: Vec<&str> = scale.spec_replicas.iter().map(String::as_str).collect();
            fields::track_scale(live.state(), object, &path, by)
        }
        _ => fields::track_update(live.map(Live::state), object, sent, by, &context.stored.schema),
    }
}

fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object["metadata"].as_object_mut()?.remove("managedFields")
}

/// The generation counts what the object asks for: everything but metadata and status.
fn count_generation(context: &Context<'_>, live: &Value, object: &mut Value) {
    if !context.stored.has(Trait::Generation) {
        return;
    }
    let asks = |name: &str| {
        let aside = matches!(name, "apiVersion" | "kind" | "metadata");
        !aside && (name != "status" || !context.stored.has(Trait::Status))
    };
    let members = |value: &Value| value.as_object().into_iter().flatten().filter(|(name, _)| asks(name)).count();
    let mut asked = object.as_object().into_iter().flatten().filter(|(name, _)| asks(name));
    if asked.any(|(name, value)| live.get(name) != Some(value)) || members(live) != members(object) {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = generation.into();
    }
}
