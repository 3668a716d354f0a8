//! One question to one pod: do you speak MCP?
//!
//! # The naive solution, and how it breaks
//!
//! `GET /mcp`, and 200 means healthy. But a correct server may answer GET with 405, and a web server in the wrong image
//! answers 200. The next idea is to send `initialize`: then servers of the revision 2026-07-28, which know no
//! `initialize`, are reported as broken. And a check that is written for servers that behave trusts what it checks: a
//! body without an end fills the operator's memory, a redirect leads it to somebody else's API, a server's *name* with a
//! line break in it forges a line of the log, and each check of a server with sessions leaves one behind until the
//! server has no room for its clients.
//!
//! # The mechanism
//!
//! ```text
//!                  supports 2026-07-28
//!  server/discover ───────────────────────────────────────────────► tools/list, page by page ──► Verified
//!     │  │ error -32022, or a result without 2026-07-28                    ▲
//!     │  └────────── lists an older version ────┐                          │ 2xx
//!     │ another error, 4xx, 5xx                 ▼   result                 │
//!     └────────────────────────────────► initialize ──────► notifications/initialized
//!                                               │
//!                                               │ 400, 404, 405              endpoint event
//!                                               └───────────────────► GET ──────────────────────► Verified
//!
//!  anywhere: 401 ──► AuthenticationRequired      no answer ──► Unreachable      anything else ──► NotMCP
//!  before any verdict, where a session was opened: DELETE
//! ```
//!
//! - The `conversation` decides: a value that takes an answer and returns the next request or the [`Verdict`]. It
//!   performs no I/O, and so do the requests, the reader of event streams and the digest of the tools.
//! - [`Prober::check`] acts: it connects through a [`Dialer`], sends, and hands over what it reads, within [`Limits`]:
//!   one deadline for everything, one number of bytes for all answers. A part of the time is kept back for the DELETE,
//!   so that a server that hangs in the middle doesn't also keep a session.
//! - Each request has a connection of its own. To reuse one would save three handshakes within a cluster, once a minute;
//!   but a server may close an idle connection at any moment, and then a healthy server looks broken. A check must not
//!   invent failures. An open event stream occupies its connection anyway.
//! - The [`Era`] that was found is returned and can be handed in again: the next check then begins with it. If the
//!   server refuses it, the same check starts over with `server/discover`.
//! - Nothing is sent that the protocol does not ask for, no redirect is followed, no `Origin` is sent, and only the
//!   one address is dialed: the `endpoint` of the deprecated transport is a proof, and not visited.
//! - What a server says of itself becomes a [`Claim`] before it is kept: short, and without control characters. It is
//!   shown, and never decided by.
//! - [`rehearse`] is the check without the network: a function plays the server.
//!
//! # What it does not promise
//!
//! That the server's tools work, or do what they say. That it is the same for every client: a server that shows
//! something else to those who log in shows this check the rest. TLS: a pod is asked in plain HTTP.
//!
//! # Equivalents
//!
//! None in client-go or kube-runtime. A kubelet's `httpGet` probe comes closest, and can't do it: it can't POST.
//!
//! # What to try
//!
//! In `make playground`, make servers of the images that the README lists under "speaks", and ask one of their pods as
//! the check does:
//!
//! ```sh
//! curl -i POD:8080/mcp -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
//!   -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: server/discover' -d '{"jsonrpc":"2.0","id":1,
//!   "method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
//!   "io.modelcontextprotocol/clientCapabilities":{}}}}'
//! ```

pub use check::{Limits, Prober};
pub use claim::Claim;
pub use dial::{Dialer, Stream};
pub use rehearsal::{Played, rehearse};
pub use target::{InvalidTarget, Target};
pub use verdict::{Era, Facts, Reason, SessionMode, ToolList, Verdict};

mod answer;
mod check;
mod claim;
mod conversation;
mod dial;
mod event_stream;
mod rehearsal;
mod request;
mod results;
mod target;
mod tools;
mod verdict;

/// The revision without sessions.
const MODERN: &str = "2026-07-28";

/// The revisions with `initialize`, newest first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The revision whose transport had a stream for all answers.
const DEPRECATED: &str = LEGACY[3];
