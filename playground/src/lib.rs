//! A Kubernetes API server small enough to embed.

pub mod fields;
pub mod patch;
pub mod schema;
