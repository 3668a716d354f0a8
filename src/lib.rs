//! Smooth Operator.

pub mod object;
pub mod watch;
