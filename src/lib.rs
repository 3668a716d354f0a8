//! Smooth Operator.

pub mod client;
pub mod object;
pub mod watch;
