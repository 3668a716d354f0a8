//! Create, update, patch and scale.
//!
//! This file acts; what an object becomes is decided by the pure functions in `admit`.

use std::sync::Arc;

use serde_json::Value;

use super::attempt::{Attempt, Rival, Step, Write};
use super::commit::{Live, Next};
use super::{Cluster, admit, decode};
use crate::auth::User;
use crate::patch;
use crate::resources::{Resource, Trait};
use crate::status::Status;
use crate::storage::{Key, Object};
use crate::types;

/// A longer generateName is cut, to leave room for the suffix.
const LONGEST_PREFIX: usize = 58;

/// What a request is about.
#[derive(Debug, Clone)]
pub struct Target {
    /// The resource in the version that was asked for.
    pub resource: Arc<Resource>,
    /// The resource in the version that is stored. The same one, but for versions and Events.
    pub stored: Arc<Resource>,
    /// Namespace and name; the name is empty for a collection.
    pub key: Key,
}

/// The options of a write.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The field manager.
    pub manager: String,
    /// Server-side apply may take fields from other managers.
    pub force: bool,
    /// Do everything but write.
    pub dry_run: bool,
    /// What to do about unknown fields.
    pub validation: FieldValidation,
    /// Fields that the request's body gives more than once.
    pub given_twice: Vec<String>,
    /// On whose behalf. `None` is the cluster's own, and may do everything.
    pub author: Option<Arc<User>>,
}

impl WriteOptions {
    /// The usual options, for this field manager.
    pub fn by(manager: &str) -> Self {
        let validation = FieldValidation::Ignore;
        Self {
            manager: manager.into(),
            force: false,
            dry_run: false,
            validation,
            given_twice: Vec::new(),
            author: None,
        }
    }
}

/// `fieldValidation`: what happens to fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so in a `Warning` header.
    Warn,
    /// Refuse the request.
    Strict,
}

/// How a patch is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/merge-patch+json`
    Merge,
    /// `application/json-patch+json`
    Json,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

/// The outcome of a write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as it stands now (or would, in a dry run).
    pub object: Arc<Object>,
    /// It was made by this write.
    pub created: bool,
    /// Unknown fields that were dropped.
    pub warnings: Vec<String>,
}

impl Target {
    /// `metadata.name` of the request's object may be left out, but not differ from the path's.
    pub(super) fn check_identity(&self, object: &Value) -> Result<(), Status> {
        let metadata = &object["metadata"];
        if let Some(namespace) = metadata["namespace"].as_str().filter(|namespace| !namespace.is_empty())
            && namespace != self.key.namespace
        {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        match metadata["name"].as_str() {
            Some(name) if name != self.key.name => Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.key.name
            ))),
            _ => Ok(()),
        }
    }

    /// The same, of a body that must have a name.
    pub(crate) fn check_named(&self, object: &Value) -> Result<(), Status> {
        if object["metadata"]["name"].as_str().is_none_or(str::is_empty) {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.key.name
            )));
        }
        self.check_identity(object)
    }

    pub(super) fn to_stored(&self, object: &mut Value) {
        self.resource.to_stored(object, &self.stored.api_version());
    }
}

impl Cluster {
    /// POST.
    pub fn write_create(&self, target: &Target, object: Value, options: &WriteOptions) -> Result<Written, Status> {
        self.finish(self.plan_create(target, object, options)?).map(Written::from)
    }

    /// PUT, to the object (`subresource` is `None`) or its `status`.
    pub fn write_update(
        &self,
        target: &Target,
        subresource: Option<&str>,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.finish(self.plan_update(target, subresource, object, options)?).map(Written::from)
    }

    /// PATCH, to the object (`subresource` is `None`) or its `status`.
    pub fn write_patch(
        &self,
        target: &Target,
        subresource: Option<&str>,
        kind: PatchKind,
        patch: &Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.finish(self.plan_patch(target, subresource, kind, patch, options)?).map(Written::from)
    }

    /// PUT or PATCH of the scale subresource, which is but one field of the object. `change` makes the new number of
    /// replicas from the object as it stands.
    pub fn write_scale(
        &self,
        target: &Target,
        options: &WriteOptions,
        change: impl Fn(&Arc<Object>) -> Result<u64, Status> + Send,
    ) -> Result<Written, Status> {
        self.finish(self.plan_scale(target, options, change)?).map(Written::from)
    }

    /// See [`write_create`](Self::write_create).
    pub(crate) fn plan_create<'a>(
        &'a self,
        target: &Target,
        object: Value,
        options: &'a WriteOptions,
    ) -> Result<Write<'a>, Status> {
        let mut object = decode::decoded(&target.resource, object)?;
        let mut target = target.clone();
        target.key.name = self.settle_name(&mut object);
        target.check_identity(&object)?;
        target.to_stored(&mut object);
        let attempt = move || {
            self.check_namespace(&target, &object)?;
            let mut object = object.clone();
            self.admit_pod(&target, &mut object)?;
            let context = self.context(&target, None, options);
            let (next, warnings) = admit::create(&context, object)?;
            self.check_permission(&target, None, &next.value, options.author.as_deref())?;
            let step = Step::Make { object: next, rival: Rival::AlreadyExists };
            Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings })
        };
        Ok(Write { subresource: None, attempt: Box::new(attempt) })
    }

    /// See [`write_update`](Self::write_update).
    pub(crate) fn plan_update<'a>(
        &'a self,
        target: &'a Target,
        subresource: Option<&'a str>,
        object: Value,
        options: &'a WriteOptions,
    ) -> Result<Write<'a>, Status> {
        let mut object = decode::decoded(&target.resource, object)?;
        target.check_named(&object)?;
        target.to_stored(&mut object);
        let absent = self.store().get(&target.stored.table(), &target.key).is_none();
        if absent
            && target.resource.has(Trait::CreateOnUpdate)
            && subresource.is_none()
            && object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty)
        {
            self.check_may_create(target, options.author.as_deref())?;
            return self.plan_create(target, object, options);
        }
        if subresource == Some("status")
            && options.validation == FieldValidation::Ignore
            && let Some(members) = object.as_object_mut()
        {
            // Nothing else counts, and where nobody wants to be told of unknown fields, nothing else is looked at.
            members.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        }
        let context = self.context(target, subresource, options);
        let attempt = move || {
            let found = self.live(target)?;
            let live = Live::today(&found, &target.stored);
            admit::check_put_preconditions(&context, &live.value, &object)?;
            let (next, warnings) = admit::update(&context, &live, object.clone())?;
            self.change(target, options, &live, next, warnings)
        };
        Ok(Write { subresource, attempt: Box::new(attempt) })
    }

    /// See [`write_patch`](Self::write_patch).
    pub(crate) fn plan_patch<'a>(
        &'a self,
        target: &'a Target,
        subresource: Option<&'a str>,
        kind: PatchKind,
        patch: &'a Value,
        options: &'a WriteOptions,
    ) -> Result<Write<'a>, Status> {
        if kind == PatchKind::Apply {
            return self.plan_apply(target, subresource, patch, options);
        }
        let context = admit::Context { patch: true, ..self.context(target, subresource, options) };
        let attempt = move || {
            let found = self.live(target)?;
            let live = Live::today(&found, &target.stored);
            let mut patched = patched(&target.resource, &live, kind, patch)?;
            if patched["kind"].as_str().is_none_or(str::is_empty) {
                let text = patched.to_string();
                return Err(Status::unfit_patch(&text, &format!("Object 'Kind' is missing in '{text}'")));
            }
            target.check_named(&patched)?;
            decode::check_type(&target.resource, &patched)?;
            target.to_stored(&mut patched);
            admit::check_version(&context, &live.value, &patched)?;
            let (next, warnings) = admit::update(&context, &live, patched)?;
            self.change(target, options, &live, next, warnings)
        };
        Ok(Write { subresource, attempt: Box::new(attempt) })
    }

    /// See [`write_scale`](Self::write_scale).
    pub(crate) fn plan_scale<'a, R: Into<Value>>(
        &'a self,
        target: &'a Target,
        options: &'a WriteOptions,
        change: impl Fn(&Arc<Object>) -> Result<R, Status> + Send + 'a,
    ) -> Result<Write<'a>, Status> {
        let Some(scale) = &target.stored.scale else {
            return Err(Status::not_found(&target.resource, &target.key.name));
        };
        let context = self.context(target, Some("scale"), options);
        let attempt = move || {
            let found = self.live(target)?;
            let live = Live::today(&found, &target.stored);
            let replicas = change(live.object)?;
            let mut object = (*live.value).clone();
            let field = scale.spec_replicas.iter().fold(&mut object, |value, part| &mut value[part]);
            *field = replicas.into();
            let (next, _) = admit::update(&context, &live, object)?;
            let decision = admit::decide(&live, next);
            let step = Step::Change { live: found, decision };
            Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings: Vec::new() })
        };
        Ok(Write { subresource: Some("scale"), attempt: Box::new(attempt) })
    }

    /// The attempt to make `next` of what was found, if its author may.
    pub(super) fn change(
        &self,
        target: &Target,
        options: &WriteOptions,
        live: &Live<'_>,
        next: Next,
        warnings: Vec<String>,
    ) -> Result<Attempt, Status> {
        self.check_permission(target, Some(&live.value), &next.value, options.author.as_deref())?;
        let step = Step::Change { live: Arc::clone(live.object), decision: admit::decide(live, next) };
        Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings })
    }

    pub(super) fn context<'a>(
        &'a self,
        target: &'a Target,
        subresource: Option<&'a str>,
        options: &'a WriteOptions,
    ) -> admit::Context<'a> {
        admit::Context {
            resource: &target.resource,
            stored: &target.stored,
            key: &target.key,
            subresource,
            options,
            now: self.timestamp(),
            uid: self.new_uid(),
            ips: self.ips(),
            patch: false,
        }
    }

    fn settle_name(&self, object: &mut Value) -> String {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        if !name.is_empty() {
            return name.to_owned();
        }
        let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) else {
            return String::new();
        };
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        let name = format!("{prefix}{}", self.name_suffix());
        object["metadata"]["name"] = name.as_str().into();
        name
    }
}

fn patched(resource: &Resource, live: &Live<'_>, kind: PatchKind, patch: &Value) -> Result<Value, Status> {
    let mut served = if reaches_managed_fields(kind, patch) { live.object.full() } else { (*live.value).clone() };
    resource.to_served(&mut served);
    match kind {
        PatchKind::Merge if patch.is_object() => {
            patch::merge(&mut served, patch);
            Ok(served)
        }
        PatchKind::Merge | PatchKind::Apply if patch.is_null() => Err(Status::bad_request("Invalid JSON Patch")),
        PatchKind::Merge | PatchKind::Apply => Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            types::json_kind(patch)
        ))),
        PatchKind::Json => patch::json_patch(&served, patch).map_err(|error| patch_error(&error)),
        PatchKind::Strategic => patch::strategic(&served, patch, &resource.schema).map_err(|error| patch_error(&error)),
    }
}

/// Whether a patch may see or change the managedFields. The others, which are all but a few, do without them.
fn reaches_managed_fields(kind: PatchKind, patch: &Value) -> bool {
    let no_name = |name: &String| name == "managedFields" || name.starts_with('$');
    let pointer = |operation: &Value, name: &str| {
        let pointer = operation[name].as_str().unwrap_or_default();
        matches!(pointer, "" | "/metadata") || pointer.starts_with("/metadata/managedFields")
    };
    match (kind, patch) {
        (PatchKind::Json, Value::Array(operations)) => operations.iter().any(|operation| {
            pointer(operation, "path") || (operation.get("from").is_some() && pointer(operation, "from"))
        }),
        (_, Value::Object(members)) => match members.get("metadata") {
            _ if members.keys().any(no_name) => true,
            None => false,
            Some(Value::Object(metadata)) => metadata.keys().any(no_name),
            Some(_) => true,
        },
        _ => true,
    }
}

/// The words for a failed patch.
pub(crate) fn patch_error(error: &patch::Error) -> Status {
    let (code, reason) = error.status();
    let mut status = Status::failure(code, reason, error.to_string());
    if *error == patch::Error::Rejected {
        // There are details, and nothing in them.
        status.details = Some(Box::default());
    }
    status
}
