//! Where two threads meet in the queue: a lock, a flag and wake-ups, and nothing else.
//!
//! In the program these are the standard library's and tokio's. In the tests they are those, too, but before each
//! operation another thread may come in between, and `interleavings` decides which. So what is tried there is the queue
//! itself, not a model of it.
//!
//! Why not a `--cfg`, as loom and shuttle suggest? It would build everything a second time, for one test. Why not a type
//! parameter? It would be on every type that has a queue.

#[cfg(not(test))]
pub(super) use std::sync::{Mutex, atomic::AtomicBool};
#[cfg(not(test))]
pub(super) use tokio::sync::{Notify, futures::Notified};

#[cfg(test)]
pub(super) use interleaved::{AtomicBool, Mutex, Notified, Notify, another_may_run, interleave};

#[cfg(test)]
mod interleaved;
