//! Smooth Operator.

pub mod backoff;
pub mod object;
pub mod telemetry;
pub mod watch;
pub mod workqueue;
