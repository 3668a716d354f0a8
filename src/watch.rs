//! From bytes to events: what a watch says, before anybody acts on it.
//!
//! A watch is one HTTP answer that never ends. Its body is JSON objects, one a line:
//!
//! ```text
//! {"type":"ADDED","object":{"kind":"Deployment","metadata":{"name":"a","resourceVersion":"412",...},...}}⏎
//! {"type":"MODIFIED","object":{...,"resourceVersion":"431",...}}⏎
//! {"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1024"}}}⏎
//! ```
//!
//! # The naive way, and how it breaks
//!
//! Read a chunk, split it at newlines, parse each piece, loop. It works on a laptop and fails in a cluster:
//!
//! - TCP cuts where it likes. A chunk ends in the middle of a line, of a number, of a UTF-8 character.
//! - Parsing the whole of every event into a tree of values costs ten times its size for a few milliseconds,
//!   ten thousand times after a restart.
//! - *One* object that does not fit the types — a field added by a newer version, a hand-edited status —
//!   ends the stream with an error. Reconnect, and the same object ends it again: one bad object
//!   stops the operator for all the good ones.
//! - A line without an end is an allocation without an end.
//!
//! # The mechanism
//!
//! Three layers, each a value that is fed and asked, none of which performs I/O:
//!
//! ```text
//! bytes ──► Lines ──► one line ──► Event::decode ──► Added(&RawValue) ──► Object::decode, by the informer
//!          (bounded)              (envelope only)      (still text)
//! ```
//!
//! [`Lines`] keeps the unfinished end of the last chunk and hands out whole lines without copying them again.
//! [`Event::decode`] reads the envelope and leaves the object as text that points into the line. Only the
//! informer, which knows the type, reads the object itself; and where that fails it can still read
//! the [`Identity`], so that it knows *whose* state it has just failed to learn.
//! [`ListSplitter`] does for the body of a LIST what `Lines` does for a watch: it cuts the one large JSON
//! object into its items, so that a list of ten thousand is never in memory as a whole.
//!
//! # What it does not promise
//!
//! That the events make sense together. Order, gaps and endings are the
//! [reflector's](crate::informer::reflector) business.
//!
//! In client-go this is `k8s.io/apimachinery/pkg/watch.StreamWatcher` over a JSON framer; kube-runtime leaves it
//! to `kube_client::Client::request_events`.
//!
//! # What to try
//!
//! `kubectl get --raw '/apis/apps/v1/deployments?watch=true'` against the playground shows the very bytes;
//! scale a server in another terminal and watch the lines come.

pub mod event;
pub mod lines;
pub mod list;

pub use event::{Event, Identity, Status, StatusCause, StatusDetails};
pub use lines::{LineTooLong, Lines};
pub use list::{ListMeta, ListSplitter};
