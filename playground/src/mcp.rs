//! The MCP servers that containers pretend to be: real HTTP at the pod's address, and no process behind it.
//!
//! An operator that asks its servers whether they really speak MCP needs servers that do, in each of the protocol's eras,
//! and others that do everything else. So a container that runs listens, and its image's name says how it behaves
//! ([`behaviour`]).
//!
//! ```text
//!   kubelet --a container runs--> listener --request--> Server: its sessions, what it was asked
//!                                    ^                     |
//!                                    |                  answer (pure): modern, legacy, old, broken
//!                                    +------ Reply --------+
//! ```
//!
//! Answers are decided by pure functions, of a request, the sessions and the tools of the moment; the listener only
//! carries them, within bounds: of connections, of bytes, of time.
//!
//! The rules are those of the Model Context Protocol, revisions 2025-03-26 to 2025-11-25 (`basic/transports`,
//! `basic/lifecycle`) and 2026-07-28 (`basic/transports/streamable-http`, `basic/versioning`, `server/discover`).
//!
//! Not here: prompts, resources, tasks, subscriptions, TLS, and any tool that is worth calling.

mod answer;
pub mod behaviour;
mod broken;
mod legacy;
pub(crate) mod listener;
mod modern;
mod old;
mod reply;
mod rpc;
mod server;
mod servers;
mod sessions;
mod tools;

pub use behaviour::Behaviour;
pub use listener::affordable_listeners;
pub(crate) use server::{About, Server, answer_to_get};
pub use server::{Exchange, Report};
pub(crate) use servers::InnerDoor;
pub use servers::Servers;
