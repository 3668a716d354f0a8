//! A Kubernetes API server small enough to embed.
pub mod builtin;
pub mod cluster;
pub mod controllers;
pub mod fields;
pub mod http;
pub mod patch;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod server;
pub mod status;
pub mod storage;

pub use cluster::Cluster;
pub use server::{Options, Playground};
