//! Leader election: of several instances, at most one writes.
//!
//! # The naive solution, and how it breaks
//!
//! Put a name and a time into an object that all instances can read. The holder updates the time
//! every few seconds; when the time is older than 15 seconds, the holder is considered dead and another instance takes
//! over. Four things are wrong with that, and each of them leads to *two leaders*:
//!
//! - **Clocks.** "Older than 15 seconds" compares the clock of one machine with another's. If they are an hour apart,
//!   every leader is dead from the first second on. So no instance compares a timestamp in the Lease with its own
//!   clock: a follower measures, on its own clock, how long the *record* has not changed.
//! - **The slow answer.** The leader renews, the answer takes eight seconds, and the leader counts its 15 seconds
//!   from the answer. The others count from the write, which was done eight seconds earlier.
//! - **The lost answer.** A renewal fails with a timeout. Was it done? A leader that assumes so leads for too long;
//!   a leader that blindly sends it again overwrites a successor.
//! - **The stopped process.** The leader checks that it leads, is stopped for a minute, continues, and writes.
//!
//! # The mechanism
//!
//! One `coordination.k8s.io/v1` Lease, which is replaced only in exactly the state that was read (`resourceVersion`),
//! and one inequality:
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
//! leader's right to write ends before the follower's begins. Neither needs to know the other's time.
//!
//! - [`decision`] contains the rules, pure: what was seen, what was written, and an [`Instant`] in; what to do out.
//! - [`record`] reads the Lease, and builds what to write into it.
//! - [`elector`] carries out the decisions: it asks the API server, sleeps, and operates the
//!   [`Fence`](crate::client::Fence) that every other write of this process passes.
//! - [`config`] contains the three durations and the rule between them; [`api`] the three requests.
//!
//! The fence catches the stopped process. It is not a task that would have to run in order to stop other tasks:
//! it is an instant, and each write compares it with the clock at the moment it is sent.
//!
//! An *absent* Lease proves nothing: somebody may have deleted it a second ago while its holder was leading. So an
//! instance that creates the Lease leads only after the Lease has existed for a lease duration. The first instance of a
//! new installation therefore starts its work 15 seconds late, once. A Lease that its holder released
//! (`holderIdentity: ""`) is free at once, since its holder had stopped writing before.
//!
//! # How to use it, in which order
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
//! The types enforce the order: [`Elector`] → [`Leader`] → [`Retired`], and only a [`Retired`] can release the Lease.
//!
//! # What it does not promise
//!
//! - That a write which was *sent* in time also *arrives* in time. The margin gives it some room, and a later one still
//!   has to match the uid and the resourceVersion that it names. A true fence would need the API server to check a
//!   token.
//! - Safety across a suspended machine, if the monotonic clock stops during suspend (on Linux it does). A stopped
//!   *process* is caught.
//! - Safety with clocks whose *rates* differ by more than the margin, a tenth of the lease duration.
//! - Safety if somebody edits the Lease: emptying `holderIdentity` while its holder leads releases a Lease that is in
//!   use. (Deleting the Lease is safe, however often.)
//! - That there *is* a leader. Without an API server there is none, and nothing could be written anyway.
//!
//! # Equivalents
//!
//! client-go: `tools/leaderelection` with `resourcelock.LeaseLock`. kube-runtime has none.
//!
//! # What to try
//!
//! For a first look, press `k` in `make playground`: it kills the leader of two operators in the same process.
//!
//! As processes of their own, start an API server, and two operators in two more terminals:
//!
//! ```sh
//! cargo run -p playground -- --listen 127.0.0.1:7001 --kubeconfig /tmp/playground.kubeconfig
//! export KUBECONFIG=/tmp/playground.kubeconfig; make install        # in each of the other terminals
//! cargo run -- run --leader-elect --metrics-bind-address=0 --health-bind-address=0
//! ```
//!
//! In a fourth terminal, `kubectl get lease smooth-operator -o yaml -w` shows the Lease. After 15 seconds the first one
//! leads. Then:
//!
//! - `kill` the leader: the other operator takes over within a retry period.
//! - `kill -9` it: the other one takes over within the lease duration plus a retry period.
//! - `kill -STOP` it for 20 seconds, then `kill -CONT`: it continues, writes nothing, and exits.
//! - `kubectl delete lease smooth-operator`: the leader creates it again.
//!
//! In the source, let [`Election::wrote`](decision::Election::wrote) count from the answer, and see which tests fail.
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
