//! Smooth Operator.

pub mod api;
pub mod backoff;
pub mod client;
pub mod informer;
pub mod object;
pub mod telemetry;
pub mod watch;
pub mod workqueue;
