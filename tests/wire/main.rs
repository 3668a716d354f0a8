//! The client and the informer on the wire: against what a real API server said, and against servers that misbehave.
//!
//! Two kinds of server stand in for the real one, because each can do what the other can't:
//!
//! - [`fixture`] serves recorded exchanges, byte for byte. They are the contract: what an operator reads in these tests is what
//!   it will read in a cluster.
//! - [`scripted`] is written by the test, request by request. It does what no recording holds: cuts chunks anywhere, falls
//!   silent, resets, contradicts itself.
//!
//! Sockets are real, so the clock is, too: paused time would jump to the next timer while the kernel still holds the
//! bytes. No test sleeps, though. Each waits for a fact — a request that arrives, a change that is told — and
//! gives up only after a time in which anything would have happened.

mod fixture;
mod logs;
mod scripted;
mod thing;
mod world;

mod answers;
mod children;
mod connecting;
mod fencing;
mod gaps;
mod operator;
mod own_writes;
mod patience;
mod recordings;
mod refreshing;
mod sharing;
mod starting;
mod streams;
mod triggers;
mod watching;
