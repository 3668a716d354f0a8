//! The acceptance cases: what people are promised, each promise a test, told and checked through the API alone.
//!
//! An operator runs in the test's own process (or, where the process itself is the matter, as one), against a playground
//! in the same process. With `SMOOTH_E2E` in the environment the same tests run against the cluster that `KUBECONFIG`
//! names, each in a namespace of its own; those that need the playground's own levers say so and pass over.

mod cluster;
mod definition;
mod doctor;
mod drift;
mod election;
mod faults;
mod fields;
mod harness;
mod invalid;
mod lifecycle;
mod namespaced;
mod namespaces;
mod old;
mod ownership;
mod pods;
mod policies;
mod refusals;
mod rights;
mod secrets;
mod secure_metrics;
mod settled;
mod shutdown;
mod trouble;
mod verified;
mod watches;
mod webhook;
