//! From bytes to events: what a watch says, before anybody acts on it.
//!
//! A watch is one HTTP response that never ends. Its body is a series of JSON objects, one per line:
//!
//! ```text
//! {"type":"ADDED","object":{"kind":"Deployment","metadata":{"name":"a","resourceVersion":"412",...},...}}⏎
//! {"type":"MODIFIED","object":{...,"resourceVersion":"431",...}}⏎
//! {"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1024"}}}⏎
//! ```
//!
//! # The naive solution, and how it breaks
//!
//! Read a chunk, split it at newlines, parse each piece, repeat. That works on a laptop and fails in a cluster:
//!
//! - TCP can split the stream anywhere. A chunk may end in the middle of a line, a number, or a UTF-8 character.
//! - Parsing every event into a tree of values takes ten times the event's size for a few milliseconds, and that
//!   happens ten thousand times after a restart.
//! - *One* object that does not fit the types (a newer version added a field, somebody edited a status by hand) ends
//!   the stream with an error. After reconnecting, the same object ends it again: one bad object stops the operator for
//!   all the good ones.
//! - A line that never ends is an allocation that never stops growing.
//!
//! # The mechanism
//!
//! Three layers. Each is a plain value that takes input and gives output, and none of them performs I/O:
//!
//! ```text
//! bytes ──► Lines ──► one line ──► Event::decode ──► Added(&RawValue) ──► Object::decode, by the informer
//!          (bounded)              (envelope only)      (still text)
//! ```
//!
//! [`Lines`] keeps the unfinished end of the last chunk and hands out whole lines without copying them again.
//! [`Event::decode`] reads the envelope and leaves the object as text that points into the line. Only the
//! informer, which knows the type, reads the object itself. Where that fails, it can still read the [`Identity`], so it
//! knows *which* object it could not read.
//! [`ListSplitter`] does for the body of a LIST what `Lines` does for a watch: it cuts the one large JSON
//! object into its items, so that a list of ten thousand is never in memory as a whole.
//!
//! # What it does not promise
//!
//! That the events make sense together. Order, gaps and endings are the
//! [reflector's](crate::informer::reflector) responsibility.
//!
//! # Equivalents
//!
//! client-go: `k8s.io/apimachinery/pkg/watch.StreamWatcher` over a JSON framer. kube-runtime leaves this to
//! `kube_client::Client::request_events`.
//!
//! # What to try
//!
//! In `make playground`, `kubectl get --raw '/apis/apps/v1/deployments?watch=true'` prints exactly these bytes. Scale a
//! server in another terminal and see the lines arrive.

pub mod event;
pub mod lines;
pub mod list;

pub use event::{Event, Identity, Status, StatusCause, StatusDetails};
pub use lines::{LineTooLong, Lines};
pub use list::{ListMeta, ListSplitter};
