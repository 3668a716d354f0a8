//! Smooth Operator.

pub mod backoff;
pub mod controller;
pub mod object;
pub mod telemetry;
pub mod watch;
pub mod workqueue;
