//! Smooth Operator runs Model Context Protocol servers on Kubernetes: it turns each [`MCPServer`](api::MCPServer) into a
//! Deployment and a Service, and keeps them so. It is also a book about how such a program works.
//!
//! An operator looks simple from outside: *watch some objects, make others*. Most of them are forty lines on top of a library, and
//! the library is where the difficult part is: how to know what the cluster looks like without asking all day, how to
//! work on ten thousand objects with ten workers and never on one with two, how to be sure that only one of three
//! instances acts, what to do when the connection breaks in the middle of a word. This crate does without such a library.
//! Everything between the bytes of a watch and the Deployment that comes of them stands here, in plain Rust, small enough
//! to be read in an evening.
//!
//! # The way of an event
//!
//! Somebody changes an `MCPServer`. This is what happens then:
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
//! 2. The [`informer`] puts the object into its [store](informer::store), *then* tells what changed.
//! 3. What goes on from there is a **key**, `namespace/name`, and no object: whoever works on it later reads the newest state, whatever
//!    happened meanwhile. The [triggers](mcpserver::triggers) know whose key that is: a Deployment's change concerns its owner, a
//!    Secret's all who name it.
//! 4. The [`workqueue`] swallows duplicates, delays what failed, and gives each key to one worker at a time.
//! 5. A worker of the [`controller`] takes the key and calls the [reconcile](mcpserver): what is wanted, what is there, what is the difference?
//! 6. If there is one, it is written through the [`client`], whose [fence](client::fence) stops every write of an instance that
//!    has lost the [election](leader_election). If there is none, nothing is written. On a settled cluster nothing ever is.
//!
//! # How to read it
//!
//! From the bottom up, a chapter a module. Each opens with what would break without it, then shows the mechanism, then says
//! what it does *not* promise; and each ends with something to try in `make playground`, which needs no cluster.
//!
//! | | chapter | the question it answers |
//! |---|---|---|
//! | 1 | [`object`] | What makes two objects the same object? |
//! | 2 | [`api`] | What do people ask for, and what are they told? |
//! | 3 | [`watch`] | How do bytes become events, if they may be cut anywhere? |
//! | 4 | [`client`] | How is anything asked of a server that may never answer? |
//! | 5 | [`informer`] | How does one know what is there, and above all what is *no longer* there? |
//! | 6 | [`workqueue`] | How is every change worked on, and none twice at once? |
//! | 7 | [`controller`] | What becomes of a failure, a panic, a stop? |
//! | 8 | [`mcpserver`] | What is wanted, what is there, what is the difference? |
//! | 9 | [`events`] | How are people told, without telling them a thousand times? |
//! | 10 | [`leader_election`] | How can of many instances only one act, if nobody's clock can be trusted? |
//! | 11 | [`manager`] | In which order does all this start, and stop? |
//!
//! Beside the way lie [`backoff`] (how long to wait before asking again), [`telemetry`] (logs and metrics), [`http`] (health and
//! metrics over HTTP) and [`cli`] (the command line). Who is in a hurry reads 5, 6 and 8.
//!
//! # Rules that hold everywhere
//!
//! - **Decide purely, act thinly.** What is difficult takes values and returns values: the reflector's
//!   [machine](informer::reflector::Machine), the queue's state, the election's decision, the [report](mcpserver::report).
//!   What touches the network is a few lines around it.
//! - **A module imports only from below.** The order of the table is the order of the layers; a test holds it.
//! - **Only tokio's clock decides.** The time of day is shown to people and never acted on: clocks of two machines may be hours
//!   apart. It also means that tests can stop the time.
//! - **Chance comes from one seed**, handed down, so that what happened once can be made to happen again.
//! - **Every task has an owner, a stop signal and a join.** Nothing runs that nobody waits for.

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
