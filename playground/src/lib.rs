//! A Kubernetes API server small enough to embed.
//!
//! Tests of an operator need a cluster that starts in milliseconds, runs in the test's own process, can be broken on
//! purpose, and answers as a real one does, down to the words of its errors. This is that cluster, with controllers for
//! Deployments, ReplicaSets and pods, and with no containers: a pod is its status, and, where asked for, a listener at an
//! address of its own that speaks MCP as its image's name says ([`mcp`]).
//!
//! ```text
//!    kubectl, operators                     tests in the process
//!          | HTTP                                   |
//!       server --faults--> http (Cluster::call) <---+
//!                       |                           |
//!                    cluster  <---- controllers     |
//!                    /  |   \_______________________|
//!     fields, patch,   resources     storage
//!     schema, builtin  (what is      (objects, history)
//!     (what becomes    served)
//!      of an object)
//! ```
//!
//! Reading order: [`storage`] (objects, history, watches), [`resources`] (what is served), [`cluster`] (how a write is
//! decided and done), [`http`] (the door), [`auth`] (who may come in), then the rules: [`fields`] (who owns what),
//! [`patch`], [`schema`] (custom resources), [`builtin`] (Kubernetes' own kinds), [`controllers`] (what makes things
//! happen), [`mcp`] (what the pods answer), and [`faults`] (what goes wrong).
//!
//! # What it is
//!
//! Held against recorded exchanges of Kubernetes 1.36 (`tests/contract.rs`): CRUD with optimistic concurrency,
//! generations, finalizers, preconditions and dry runs; the four kinds of patch; server-side apply with managedFields;
//! lists with selectors, pages and resourceVersion semantics; watches with history, bookmarks and streaming lists;
//! tables, metadata-only forms and discovery for kubectl; CustomResourceDefinitions with defaults, pruning, validation
//! and CEL; the status and scale subresources; rollouts, crash loops, bad images and garbage collection. Where asked for,
//! roles and bindings decide who may do what ([`auth`]): tokens, client certificates, impersonation, reviews; and HTTPS.
//! Validating webhooks are asked over TLS before a write that came by HTTP, and quotas of object counts are kept.
//!
//! And what no real cluster offers: [`Cluster::requests`], and bad days on demand ([`faults`]): requests that are delayed,
//! lost, answered with errors, quotas and policies; watches that break in every way ([`Faults::strike_watches`]); history that
//! is forgotten ([`Cluster::compact`]), stale lists and watches, no streamed
//! lists ([`Cluster::stream_lists`]), a restore from a backup ([`Cluster::restore`]), and a server that goes
//! away ([`Playground::go_away`]). Over HTTP: `/playground/requests`, `/playground/faults`, `/playground/watches/cut`,
//! `/playground/history/compact`, `/playground/servers`.
//!
//! [`Faults::strike_watches`]: faults::Faults::strike_watches
//!
//! # What it is not
//!
//! Nothing is stored on disk, no container runs: what needs one (`exec`, `logs`, `attach`, `port-forward`, evictions) is
//! refused with 501 and a word that says so. An autoscaler holds its bounds and has no metrics; limits, budgets, network
//! policies, priorities and quotas of anything but counts are stored and not enforced. Mutating webhooks are not called, which a `Warning` says
//! where one would have been; validating ones are not asked about what the playground's own controllers write.
//! Protobuf is read for every kind that is served and never written. Built-in kinds are checked for the rules that
//! operators run into, not for all. Of the versions of Kubernetes' own kinds one is served, but for Events and autoscalers,
//! which have two. There are no nodes, Jobs, StatefulSets, Ingresses or Endpoints of old, and no CRD conversion by webhook.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use playground::{Options, Playground};
//! use serde_json::json;
//!
//! let playground = Playground::start(Options::default()).await?;
//! println!("KUBECONFIG for kubectl:\n{}", playground.kubeconfig());
//!
//! let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}});
//! let made = playground.cluster().create("configmaps", "default", config, "me").expect("a valid ConfigMap");
//! assert_eq!(made["metadata"]["namespace"], "default");
//! playground.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod builtin;
pub mod cluster;
pub mod controllers;
pub mod faults;
pub mod fields;
pub mod http;
pub mod mcp;
pub mod patch;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod server;
pub mod status;
pub mod storage;
mod syntax;
mod tls;
mod types;
mod webhooks;

pub use cluster::Cluster;
pub use server::{Options, Playground};
