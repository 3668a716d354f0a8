//! Smooth Operator.

pub mod api;
pub mod client;
pub mod object;
pub mod watch;
