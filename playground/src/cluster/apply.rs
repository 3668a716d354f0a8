//! Server-side apply: onto an object, or onto nothing.
//!
//! A uid in the configuration is a precondition: without an object of that uid nothing is made. A resourceVersion is one
//! only where there is an object; where there is none, it does not keep the apply from making one.

use serde_json::Value;

use super::admit::{self, Context};
use super::attempt::{Attempt, Rival, Step, Write};
use super::commit::{Live, Next};
use super::write::{Target, WriteOptions};
use super::{Cluster, decode};
use crate::fields;
use crate::resources::Resource;
use crate::schema::Cause;
use crate::status::Status;
use crate::types;

impl Cluster {
    pub(super) fn plan_apply<'a>(
        &'a self,
        target: &'a Target,
        subresource: Option<&'a str>,
        config: &Value,
        options: &'a WriteOptions,
    ) -> Result<Write<'a>, Status> {
        check_applied_type(&target.resource, config)?;
        let mut config = decode::decoded(&target.resource, config.clone())?;
        target.check_named(&config)?;
        target.to_stored(&mut config);
        let context = self.context(target, subresource, options);
        let attempt = move || {
            let Some(found) = self.store().get(&target.stored.table(), &target.key) else {
                let (object, warnings) = self.applied_to_nothing(target, &context, &config)?;
                let step = Step::Make { object, rival: Rival::Again };
                return Ok(Attempt { target: target.clone(), dry_run: options.dry_run, step, warnings });
            };
            let live = Live::today(&found, &target.stored);
            admit::check_version(&context, &live.value, &config)?;
            let (next, warnings) = admit::apply(&context, Some(&live), &config)?;
            self.change(target, options, &live, next, warnings)
        };
        Ok(Write { subresource, attempt: Box::new(attempt) })
    }

    fn applied_to_nothing(
        &self,
        target: &Target,
        context: &Context<'_>,
        config: &Value,
    ) -> Result<(Next, Vec<String>), Status> {
        if context.subresource.is_some() {
            return Err(Status::not_found(&target.resource, &target.key.name));
        }
        self.check_namespace(target, config)?;
        if let Some(uid) = config["metadata"]["uid"].as_str() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(&target.resource, &target.key.name, &why));
        }
        let author = context.options.author.as_deref();
        self.check_may_create(target, author)?;
        self.admit_pod(target, &mut config.clone())?;
        let (next, warnings) = admit::apply(context, None, config)?;
        self.check_permission(target, None, &next.value, author)?;
        Ok((next, warnings))
    }
}

/// What is applied says what it is; nothing is assumed from the path.
fn check_applied_type(resource: &Resource, config: &Value) -> Result<(), Status> {
    if !config.is_object() && !config.is_null() {
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value \
             of type map[string]interface {{}}",
            types::json_kind(config)
        )));
    }
    let text = |name: &str| config[name].as_str().unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    if kind == resource.kind && api_version == resource.api_version() {
        return Ok(());
    }
    // A version that is none is printed as a group that is none, too.
    let shown = if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
    Err(Status::bad_request(format!("invalid object type: {shown}, Kind={kind}")))
}

/// The words for a failed apply of what was sent.
pub(super) fn apply_error(context: &admit::Context<'_>, sent: &Value, error: &fields::ApplyError) -> Status {
    let message = error.to_string();
    let Context { key, resource, .. } = context;
    match error {
        fields::ApplyError::Conflicts(conflicts) => {
            let causes = conflicts.iter().map(|conflict| Cause {
                reason: "FieldManagerConflict".into(),
                field: conflict.field.clone(),
                message: conflict.cause(),
            });
            Status::apply_conflict(message, causes.collect())
        }
        fields::ApplyError::ManagedFields => Status::bad_request(message),
        fields::ApplyError::Untyped(faults) => Status::failure(
            500,
            "",
            format!(
                "failed to create typed patch object ({}/{}; {}, Kind={}): {}",
                sent["metadata"]["namespace"].as_str().unwrap_or_default(),
                key.name,
                resource.api_version(),
                resource.kind,
                listed(faults)
            ),
        ),
        fields::ApplyError::Live => Status::failure(500, "", message),
    }
}

/// One fault, or several with a heading, as structured-merge-diff prints them.
fn listed(faults: &[String]) -> String {
    match faults {
        [one] => one.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    }
}
