//! Who owns which field of an object.
//!
//! Several programs write the same object: a person, an autoscaler, an operator. Kubernetes keeps for
//! each of them the set of fields that it has set (`metadata.managedFields`), so that an applier can
//! take back what it no longer wants without touching what others put there, and is told when two of
//! them want different things. This is that bookkeeping, after the reference implementation,
//! [structured-merge-diff](https://github.com/kubernetes-sigs/structured-merge-diff), and the chain of
//! field managers in k8s.io/apimachinery.
//!
//! ```text
//! apply  (config)   [apply]         merge, prune, find conflicts
//! everything else   [track_update]  compare old and new
//! PUT .../scale     [track_scale]   one field of another object
//! ```
//!
//! All of it is values in, values out. Not here: conversion between versions (an entry of another
//! version is held against the same schema), and kubectl's own upgrade from client-side apply.

mod apply;
mod builtin;
mod check;
mod compare;
mod managed;
mod merge;
mod openapi;
mod owned;
mod path;
mod scale;
mod schema;
mod set;
mod update;
#[cfg(test)]
mod whole;

pub use apply::{Applier, ApplyError, Conflict, apply};
pub use managed::{Operation, State};
pub use path::Step;
pub use scale::track_scale;
pub(crate) use schema::Node;
pub use schema::Schema;

pub use set::FieldSet;
pub use update::{Updater, keep_times, track_update};

#[cfg(test)]
mod tests;
