//! Smooth Operator.

pub mod api;
pub mod backoff;
pub mod client;
pub mod events;
pub mod informer;
pub mod leader_election;
pub mod object;
pub mod telemetry;
pub mod watch;
pub mod workqueue;
