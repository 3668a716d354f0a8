//! Smooth Operator runs Model Context Protocol servers on Kubernetes: it turns each [`MCPServer`](api::MCPServer) into
//! a Deployment and a Service, and keeps them that way. It is also a book about how such a program works.
//!
//! From outside, an operator looks simple: *watch some objects, make others*. Most operators are forty lines on top of
//! a library, and the library contains the difficult parts: how to know the state of the cluster without asking all
//! day; how to work on ten thousand objects with ten workers, but never on one object with two; how to make sure that
//! only one of three instances acts; what to do when the connection breaks in the middle of a word. This crate does not
//! use such a library. Everything between the bytes of a watch and the resulting Deployment is here, in plain Rust,
//! with each chapter small enough to read in one sitting.
//!
//! # The path of an event
//!
//! Somebody changes an `MCPServer`. This is what happens next:
//!
//! ```text
//!                 bytes            lines            changes             keys
//!  API server ═══════════► watch ═══════► informer ═══════► triggers ═══════► workqueue
//!      ▲                                     │                                    │
//!      │                                     ▼                                    ▼
//!      │                                   store ◄─────────── reads ─────── controller
//!      │                                                                          │ one key, one worker
//!      └─────── client ◄── fence ◄──────── writes, if anything differs ◄──── mcpserver
//! ```
//!
//! 1. The API server sends a line of JSON. [`watch`] cuts it out of the stream and reads its envelope.
//! 2. The [`informer`] first puts the object into its [store](informer::store), *then* reports what changed.
//! 3. From there on only a **key** travels, `namespace/name`, never an object: whoever works on the key later reads the
//!    newest state. The [triggers](mcpserver::triggers) know which key a change concerns: a Deployment's change
//!    concerns its owner, a Secret's change concerns every server that names the Secret.
//! 4. The [`workqueue`] drops duplicates, delays what failed, and gives each key to one worker at a time.
//! 5. A worker of the [`controller`] takes the key and calls the [reconcile](mcpserver): what is wanted, what exists,
//!    what is the difference?
//! 6. If there is a difference, it is written through the [`client`]. The client's [fence](client::fence) stops every
//!    write of an instance that has lost the [election](leader_election). If there is no difference, nothing is
//!    written. On a settled cluster nothing is ever written.
//!
//! # How to read it
//!
//! Read from the bottom up; each module is a chapter. A chapter opens with the naive solution and how it breaks, shows
//! the mechanism, and says what the mechanism does *not* promise. It names the equivalents in client-go and
//! kube-runtime, and ends with something to try, without a cluster.
//!
//! | | chapter | the question it answers |
//! |---|---|---|
//! | 1 | [`object`] | What makes two objects the same object? |
//! | 2 | [`api`] | What do people ask for, and what are they told? |
//! | 3 | [`watch`] | How do bytes become events when a chunk may end anywhere? |
//! | 4 | [`client`] | How do you ask a server that may never answer? |
//! | 5 | [`informer`] | How do you know what exists, and above all what *no longer* exists? |
//! | 6 | [`workqueue`] | How is every change worked on, and no key twice at once? |
//! | 7 | [`events`] | How do you tell people what happened without telling them a thousand times? |
//! | 8 | [`leader_election`] | How does only one of many instances act when no clock can be trusted? |
//! | 9 | [`controller`] | What happens after a failure, a panic, a stop? |
//! | 10 | [`mcpserver`] | What is wanted, what exists, what is the difference? |
//! | 11 | [`mcp`] | How do you ask a server whether it speaks the protocol, if it may lie, hang or never end? |
//! | 12 | [`verification`] | How do you ask ten thousand servers again and again, and speak only when something is new? |
//! | 13 | [`manager`] | In which order does all this start, and stop? |
//!
//! Smaller modules support them: [`backoff`] (how long to wait before the next attempt), [`clock`] (the time of day), [`telemetry`] (logs and
//! metrics), [`http`] (health, metrics and the webhook over HTTP), [`admission`] (what the webhook says), [`tls`] (its
//! certificate), [`access`] (who may read the metrics) and [`cli`] (the command line). If you are in a hurry, read
//! chapters 5, 6 and 10.
//!
//! # Rules that hold everywhere
//!
//! - **Decide purely, act thinly.** The difficult parts take values and return values: the reflector's
//!   [machine](informer::reflector::Machine), the queue's state, the election's decision, the
//!   [report](mcpserver::report). The code that touches the network is a few lines around them.
//! - **A module imports only from layers below its own.** The layers are listed in `CONTRIBUTING.md`, and a test in
//!   `tests/project.rs` enforces them.
//! - **Only tokio's clock decides.** The time of day is shown to people and never acted on: the clocks of two machines
//!   may be hours apart. Tests can therefore stop time.
//! - **Randomness comes from one seed**, which is handed down, so that what happened once can be reproduced.
//! - **Every task has an owner, a stop signal and a join.** No task runs unless somebody waits for its end.

pub mod access;
pub mod admission;
pub mod api;
pub mod backoff;
pub mod cli;
pub mod client;
pub mod clock;
pub mod controller;
pub mod events;
pub mod http;
pub mod informer;
pub mod leader_election;
pub mod manager;
pub mod mcp;
pub mod mcpserver;
pub mod object;
pub mod telemetry;
pub mod tls;
pub mod verification;
pub mod watch;
pub mod workqueue;
