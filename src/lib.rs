//! Smooth Operator.
