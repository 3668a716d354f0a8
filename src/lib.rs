//! Smooth Operator.

pub mod api;
pub mod backoff;
pub mod cli;
pub mod client;
pub mod controller;
pub mod events;
pub mod http;
pub mod informer;
pub mod leader_election;
pub mod manager;
pub mod mcpserver;
pub mod object;
pub mod telemetry;
pub mod watch;
pub mod workqueue;
