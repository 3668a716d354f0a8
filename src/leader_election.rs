//! Leader election: of several instances, at most one writes.
//!
//! # The naive way, and how it breaks
//!
//! Put a name and a time into an object that all instances can read. Whoever holds it writes the time anew
//! every few seconds; when the time is older than 15 seconds, the holder is dead and another takes over.
//! Four things are wrong with it, and each of them makes *two leaders*:
//!
//! - **Clocks.** "Older than 15 seconds" compares one machine's clock with another's. If they are an hour apart,
//!   every leader is dead from the first second on. So nobody here compares a time that he reads
//!   with a time that he measures: a follower watches the *record* stand still, on its own watch.
//! - **The slow answer.** The leader renews, the answer takes eight seconds, and the leader counts its 15 seconds
//!   from the answer. The others count from the write, which was done eight seconds earlier.
//! - **The lost answer.** A renewal fails with a timeout. Was it done? A leader that assumes so reigns too long;
//!   one that sends it again blindly overwrites a successor.
//! - **The sleeper.** The leader checks that it leads, is suspended for a minute, wakes up, and writes.
//!
//! # The mechanism
//!
//! One `coordination.k8s.io/v1` Lease, replaced only in the very state that was read (`resourceVersion`), and one
//! inequality:
//!
//! ```text
//!              sent      done       answered
//! leader A  ────●─────────┆────────────●────────────────┬────────────┐
//!               │         ┆     renew deadline, 10 s ───┘            │
//!               ├─────────┆─── the fence lets A write ───────────────┤ sent + 15 s − margin
//!               │         ┆                                          │
//! API server ─────────────●──────────────────────────────────────────────────────────────────►
//!                         ┆  resourceVersion 7, and nothing new after it
//! follower B ─────────────┆────────●──────────────────────────────────────────────●───────────►
//!                              first sight of 7                                   first sight + 15 s:
//!                                                                                 replaces 7 by its own
//! ```
//!
//! `sent` ≤ `done` ≤ `first sight`: both sides count the same 15 seconds, the leader from an instant *before*
//! the write and the follower from one *after* it. Whatever the network does to a request or its answer, the
//! leader's right to write ends before the follower's begins. Neither has to know the other's time for it.
//!
//! - [`decision`] is the rule, pure: what was seen, what was written, and an [`Instant`] in; what to do out.
//! - [`record`] is what the Lease says, and what to write into it.
//! - [`elector`] does it: asks the API server, sleeps, and keeps the [`Fence`](crate::client::Fence) that every
//!   other write of this process passes.
//! - [`config`] holds the three durations and the rule between them; [`api`] the three requests.
//!
//! The sleeper is caught by the fence. It is no task that would have to run in order to stop the others:
//! it is an instant, and each write compares it with the clock in the moment of being sent.
//!
//! A Lease that is *absent* proves nothing: somebody may have deleted it a second ago under its leader. Whoever
//! makes it leads only after it has stood for a lease duration, so the first instance of a new installation starts
//! its work 15 seconds late, once. A Lease that its holder gave back (`holderIdentity: ""`) is free at once,
//! since whoever gave it back had stopped writing.
//!
//! # Its use, and the order that it needs
//!
//! ```no_run
//! # use smooth_operator::leader_election::{Elector, LeaseApi, Term};
//! # use tokio_util::sync::CancellationToken;
//! # async fn workers(stop: CancellationToken) {}
//! # async fn run<A: LeaseApi>(elector: Elector<A>, asked_to_stop: CancellationToken) -> anyhow::Result<()> {
//! let Some(leader) = elector.acquire(&asked_to_stop).await else { return Ok(()) };
//! let give_up = CancellationToken::new();
//! let mut holding = tokio::spawn({
//!     let give_up = give_up.clone();
//!     async move { leader.hold(&give_up).await }          // renews, from the first moment to the last
//! });
//! let stop_workers = asked_to_stop.child_token();
//! let mut working = tokio::spawn(workers(stop_workers.clone()));
//!
//! tokio::select! {
//!     term = &mut holding => {                            // lost: stop, and exit non-zero
//!         stop_workers.cancel();
//!         working.await?;
//!         if let Term::Lost(reason) = term? { anyhow::bail!("leadership is lost: {reason}") }
//!     }
//!     _ = &mut working => {                               // asked to stop: the workers first, then the Lease
//!         give_up.cancel();
//!         if let Term::Completed(retired) = holding.await? { retired.release().await; }
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! The types hold the order: [`Elector`] → [`Leader`] → [`Retired`], and only a [`Retired`] can release.
//!
//! # What it does not promise
//!
//! - That a write which was *sent* in time also *arrives* in time. The margin gives it room; what comes later still
//!   meets the uid and the resourceVersion that it names. A true fence would need the API server to check a token.
//! - Anything across a suspended machine, if the monotonic clock stands still meanwhile (Linux: it does). A suspended
//!   *process* is caught.
//! - Anything about clocks whose *rates* differ by more than the margin, a tenth of the lease duration.
//! - Anything against hands in the Lease: who empties `holderIdentity` under a living leader has released what was
//!   not theirs. (Deleting the Lease is safe, however often.)
//! - That there *is* a leader. Without an API server there is none, and nothing could be written anyway.
//!
//! In client-go this is `tools/leaderelection` with `resourcelock.LeaseLock`; kube-runtime has none.
//!
//! # What to try
//!
//! Start the operator twice with `--leader-elect` and follow `kubectl get lease smooth-operator -o yaml -w`.
//! Then: `kill` the leader (the other one takes over within a retry period), `kill -9` it (within lease duration +
//! retry period), `kill -STOP` it for 20 seconds and `kill -CONT` it (it wakes up, writes nothing, and exits).
//! `kubectl delete lease smooth-operator` (the leader makes it again). In the source: let
//! [`Election::wrote`](decision::Election::wrote) count from the answer, and see which tests notice.
//!
//! [`Instant`]: tokio::time::Instant

pub mod api;
pub mod config;
pub mod decision;
pub mod elector;
pub mod record;

#[cfg(test)]
mod simulation;

pub use api::{ClientLease, LeaseApi};
pub use config::{Identity, Timing};
pub use decision::StepDown;
pub use elector::{Elector, Leader, Retired, Term};
