//! Server-side apply: onto an object, or onto nothing.
//!
//! A uid in the configuration is a precondition: without an object of that uid nothing is made. A resourceVersion is one
//! only where there is an object; where there is none, it does not keep the apply from making one.

use serde_json::Value;

use super::Cluster;
use super::admit::{self, Context};
use super::commit::Live;
use super::write::{Target, WriteOptions, Written};
use crate::fields;
use crate::schema::Cause;
use crate::status::Status;

impl Cluster {
    pub(super) fn write_apply(
        &self,
        target: &Target,
        subresource: Option<&str>,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let mut config = admit::decoded(&target.resource, config.clone())?;
        target.check_identity(&config)?;
        target.to_stored(&mut config);
        let context = self.context(target, subresource, options);
        loop {
            let table = target.stored.table();
            let Some(found) = self.store().get(&table, &target.key) else {
                match self.apply_to_nothing(target, &context, &config, options)? {
                    Some(written) => return Ok(written),
                    None => continue,
                }
            };
            let live = Live::of(&found);
            admit::check_version(&context, &live.value, &config)?;
            let next = admit::apply(&context, Some(&live), &config)?;
            self.check_permission(target, Some(&live.value), &next.value, options.author.as_deref())?;
            let decision = admit::decide(&live, next);
            if let Ok(object) = self.commit(target, &found, decision, options.dry_run) {
                return Ok(Written { object, created: false, warnings: Vec::new() });
            }
        }
    }

    /// `None`: somebody made the object meanwhile.
    fn apply_to_nothing(
        &self,
        target: &Target,
        context: &admit::Context<'_>,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<Option<Written>, Status> {
        if context.subresource.is_some() {
            return Err(Status::not_found(&target.resource, &target.key.name));
        }
        self.check_namespace(target, config)?;
        if let Some(uid) = config["metadata"]["uid"].as_str() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(&target.resource, &target.key.name, &why));
        }
        self.check_may_create(target, options.author.as_deref())?;
        let next = admit::apply(context, None, config)?;
        self.check_permission(target, None, &next.value, options.author.as_deref())?;
        let put = self.put(target, None, next, options.dry_run);
        Ok(put.ok().map(|object| Written { object, created: true, warnings: Vec::new() }))
    }
}

/// The words for a failed apply.
pub(super) fn apply_error(context: &admit::Context<'_>, error: &fields::ApplyError) -> Status {
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
                key.namespace,
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
