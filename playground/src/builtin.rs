//! What the API server knows about its own kinds: defaults and validation.
//!
//! A client that reads back what it wrote must see what Kubernetes would show it:
//! the defaults filled in, Go's zero values gone, quantities in their canonical
//! form. An operator that compares "what I want" with "what is there" lives or dies
//! by these details, so they follow the recorded exchanges of a real server.
//!
//! ```text
//! types::check (400) -> prune zero values -> default -> validate (422) -> allocate
//! ```
//!
//! The order matters: validation sees defaulted objects, and an address is only
//! allocated for an object that will be accepted.
//!
//! Not here: `metadata`, whose rules are the same for custom resources and stand with the writes; the one exception is
//! a Service's name, which becomes a host name. Not promised: every rule of Kubernetes. A kind without a module of its
//! own is stored as it comes, but for its zero values. Unknown fields are gone before an object gets here: which fields
//! there are is known to the module `types`.

mod amounts;
mod autoscaling;
mod container;
mod endpoints;
mod environment;
mod event;
mod field;
mod labels;
mod lease;
mod limits;
mod mount;
pub(crate) mod names;
mod namespace;
mod network;
mod placement;
mod pod;
mod policies;
mod probe;
pub(crate) mod quantity;
mod quotas;
mod rbac;
mod secret;
mod security;
pub mod selector;
mod service;
mod volume;
mod warnings;
mod webhook;
mod workload;
mod zero;

#[cfg(test)]
mod fixtures_test;
#[cfg(test)]
mod rules_test;

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

pub use service::ClusterIps;
pub(crate) use warnings::warnings;

use crate::schema::Cause;
use crate::types;
use field::Causes;

/// Why an object can't be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are JSON, but not this kind: HTTP 400, reason `BadRequest`.
    ///
    /// The text is what follows `X in version "v1" cannot be handled as a X: `.
    Malformed(String),
    /// The object is of its kind and breaks its rules: HTTP 422, reason `Invalid`.
    ///
    /// Never empty. Kubernetes repeats a cause as often as it found it, and the
    /// `message` of its Status names each only once.
    Invalid(Vec<Cause>),
}

/// Fills in `new` what Kubernetes would fill in, and refuses what it would refuse.
///
/// `resource` is the plural with its group (`deployments.apps`, `services`), `old`
/// the stored object that `new` replaces (`None` when it is made). Metadata that the
/// storage owns (uid, resourceVersion, generation, times) is not touched.
///
/// A Service gets its address from `ips`, where it is booked for the Service's name: to
/// prepare the same Service again (a retry, a dry run before) gives the same address.
pub fn prepare(resource: &str, new: &mut Value, old: Option<&Value>, ips: &Mutex<ClusterIps>) -> Result<(), Refusal> {
    types::check(new).map_err(Refusal::Malformed)?;
    zero::prune(resource, new);
    default(resource, new, old);
    let mut causes = Causes::default();
    validate(resource, new, old, &mut causes);
    if resource == "services" && causes.is_empty() {
        let mut ips = ips.lock().unwrap_or_else(PoisonError::into_inner);
        service::allocate(new, old, &mut ips, &mut causes);
    }
    causes.into_result().map_err(Refusal::Invalid)
}

fn default(resource: &str, new: &mut Value, old: Option<&Value>) {
    match resource {
        "deployments.apps" => workload::default_deployment(new),
        "replicasets.apps" => workload::default_replica_set(new),
        "pods" => pod::default_pod(new),
        "services" => service::default(new, old),
        "secrets" => secret::default(new),
        "namespaces" => namespace::default(new),
        "events.events.k8s.io" | "events" => event::default(resource, new),
        "endpointslices.discovery.k8s.io" => endpoints::default(new),
        "horizontalpodautoscalers.autoscaling" => autoscaling::default(new),
        "limitranges" => limits::default(new),
        "networkpolicies.networking.k8s.io" => network::default(new),
        "poddisruptionbudgets.policy" => policies::default_budget(new),
        "priorityclasses.scheduling.k8s.io" => policies::default_priority(new),
        "resourcequotas" => quotas::default(new),
        "validatingwebhookconfigurations.admissionregistration.k8s.io" => webhook::default(new),
        _ if resource.ends_with(".rbac.authorization.k8s.io") => rbac::default(resource, new),
        _ => {}
    }
}

fn validate(resource: &str, new: &Value, old: Option<&Value>, causes: &mut Causes) {
    match resource {
        "deployments.apps" => workload::validate_deployment(new, old, causes),
        "replicasets.apps" => workload::validate_replica_set(new, old, causes),
        "pods" => pod::validate_pod(new, old, causes),
        "services" => service::validate(new, causes),
        "secrets" | "configmaps" => secret::validate(resource, new, old, causes),
        "leases.coordination.k8s.io" => lease::validate(new, causes),
        "endpointslices.discovery.k8s.io" => endpoints::validate(new, old, causes),
        "events.events.k8s.io" => event::validate(new, old, causes),
        "horizontalpodautoscalers.autoscaling" => autoscaling::validate(new, causes),
        "limitranges" => limits::validate(new, causes),
        "networkpolicies.networking.k8s.io" => network::validate(new, old, causes),
        "poddisruptionbudgets.policy" => {
            policies::validate_budget(new, causes);
            policies::validate_budgeted(new, causes);
        }
        "priorityclasses.scheduling.k8s.io" => policies::validate_priority(new, old, causes),
        "resourcequotas" => quotas::validate(new, old, causes),
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => policies::validate_webhooks(new, causes),
        _ if resource.ends_with(".rbac.authorization.k8s.io") => rbac::validate(resource, new, old, causes),
        _ => {}
    }
}
