//! Smooth Operator.

pub mod backoff;
pub mod object;
pub mod watch;
