//! The validating webhook's opinion: what to warn about, and what to refuse.
//!
//! # The naive solution, and how it breaks
//!
//! Put every check into the webhook and refuse whatever looks wrong. Then the operator is down for a minute, and nobody
//! in the cluster can change an MCPServer; or it can't decode one that a newer version has written, and nobody can
//! delete that one, because even the removal of a finalizer is a change that the webhook sees. A webhook is a door that
//! others have to pass, so it has to let through what it does not understand.
//!
//! # The mechanism
//!
//! What a schema can say is in the [CRD](crate::api::crd): the API server enforces it by itself, whether the operator
//! runs or not. The webhook adds only what a schema can't know:
//!
//! ```text
//!  AdmissionReview ──► review: is it about ──► rules: one after the other ──► AdmissionReview
//!  (JSON, bounded)     a new or changed        Warning: told to the person    allowed, warnings,
//!                      MCPServer?              Denial:  refused, with why     or why not
//!                         │ no: allowed
//! ```
//!
//! All of it is pure: bytes in, text out. The rules are a [list](rules::RULES); a further one is a function and a line.
//!
//! | what arrives | answer |
//! |---|---|
//! | not an `admission.k8s.io/v1` AdmissionReview | HTTP 400 with the reason; the failure policy decides |
//! | DELETE, another kind or version, a subresource, an object without a readable spec | allowed |
//! | a new or changed MCPServer | what the rules say |
//!
//! # What it does not promise
//!
//! Security, as long as `failurePolicy` is `Ignore` (see `config/webhook`): while the operator is down, everything is
//! allowed. And a policy is not retroactive: an MCPServer that exists already may keep its images.
//!
//! # Equivalents
//!
//! controller-runtime: `webhook/admission` with a `CustomValidator`. kube: `kube_core::admission`.
//!
//! # What to try
//!
//! `cargo test --lib admission`: the reviews in `fixtures/kubernetes-1.36/webhook` were recorded from a real API server.
//! Add a rule against images from `docker.io`, and see which tests have an opinion about it.

pub mod image;
pub mod policy;
pub mod review;
pub mod rules;

pub use policy::{AllowedRegistries, PolicyError, Registry};
pub use review::Malformed;

use crate::object::ObjectKey;

/// The path that the API server calls, in kubebuilder's notation.
pub const PATH: &str = "/validate-mcp-mcp-dev-v1alpha1-mcpserver";

/// The largest review that is read, in bytes. The API server stores no object above 1.5 MiB, and a review of an update
/// contains two.
pub const MAX_REVIEW: usize = 4 * 1024 * 1024;

/// Whether a Secret exists; `None` if that is not known.
pub type SecretLookup = dyn Fn(&ObjectKey) -> Option<bool> + Send + Sync;

/// Answers reviews.
pub struct Reviewer {
    allowed_registries: Option<AllowedRegistries>,
    secret_exists: Box<SecretLookup>,
}

impl Reviewer {
    /// A reviewer with this policy (`None` allows all registries), which asks `secret_exists` about Secrets. That must
    /// not block.
    pub fn new(
        allowed_registries: Option<AllowedRegistries>,
        secret_exists: impl Fn(&ObjectKey) -> Option<bool> + Send + Sync + 'static,
    ) -> Self {
        Self { allowed_registries, secret_exists: Box::new(secret_exists) }
    }

    /// The AdmissionReview that answers the one in `body`.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: `body` is not an AdmissionReview that can be answered.
    pub fn review(&self, body: &[u8]) -> Result<String, Malformed> {
        let request = review::read(body)?;
        let findings = request.change().map(|change| rules::apply(&change, self)).unwrap_or_default();
        Ok(review::write(&request, findings))
    }
}

#[cfg(test)]
mod tests;
