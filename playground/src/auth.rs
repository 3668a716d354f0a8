//! Who asks, and may they?
//!
//! ```text
//!  request --> authenticate --> impersonate --> authorize --> the handlers --> Permission (while writing)
//!              certificate,     may they be     RBAC, or       may they make this object, grant these rights,
//!              token, nobody    that user?      yes to all     own by blockOwnerDeletion?
//! ```
//!
//! What needs no request stands here and is pure but for reading the store: users, attributes, rules, and the rights that
//! bindings give. The door (`http::access`) turns requests into it and refusals into answers.
//!
//! Authorization is off unless asked for: then everybody may do everything, and who brings no credentials is the
//! administrator. Credentials that are brought must be good ones either way, as in Kubernetes.
//!
//! Not here: the Node authorizer, webhooks, audit, OIDC, bootstrap tokens and constrained impersonation. Tokens are random
//! texts that this server remembers, not JWTs: only it can tell what they are worth.

mod attributes;
mod bootstrap;
mod impersonation;
mod permission;
mod rbac;
mod rule;
mod tokens;
mod user;

pub use attributes::{About, Attributes, ResourceAttributes};
pub use rbac::Verdict;
pub use rule::Rule;
pub use tokens::StaticToken;
pub use user::User;

pub(crate) use bootstrap::{bindings, roles};
pub(crate) use impersonation::Impersonation;
pub(crate) use rbac::aggregated;
pub(crate) use tokens::{API_AUDIENCE, Tokens};

/// Who may do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Everybody everything; who brings no credentials is the administrator.
    #[default]
    AlwaysAllow,
    /// What roles and bindings say; who brings no credentials is `system:anonymous`.
    Rbac,
}

/// How a cluster tells people apart.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who may do what.
    pub authorization: Authorization,
    /// Tokens that are good from the start, and for ever.
    pub tokens: Vec<StaticToken>,
    /// The admission plugin OwnerReferencesPermissionEnforcement, which OpenShift has on and Kubernetes has not: to set
    /// `blockOwnerDeletion` one must be allowed to update the owner's `finalizers` subresource, and to change the
    /// owners of an object that is there one must be allowed to delete it.
    pub enforce_owner_references: bool,
}
