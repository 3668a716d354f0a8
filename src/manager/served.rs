//! Which namespaces are served: those of which every cache is complete.
//!
//! A worker that takes "not in my cache" for "does not exist" makes the object a second time. So nothing is decided about
//! a namespace before *all* kinds of it are known. The simple way is to wait until everything is known everywhere. Then
//! one namespace in which the operator has no Role (yet) stops all the others, for ever. But what a reconcile reads is in
//! one namespace: the server, its children and its Secret. So each namespace waits for itself alone:
//!
//! ```text
//!  mcpservers  {a, b} ─┐
//!  deployments {a, b} ─┼─► a is served: its keys are worked on
//!  secrets     {a   } ─┘   b is not: its keys are dropped, and queued again when it is complete
//! ```
//!
//! Where all namespaces are served, there is only one scope, and this is the simple way.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::controller::{Action, Error, Reconcile};
use crate::informer::{Scope, Synced};
use crate::object::ObjectKey;

/// A namespace that is not served after this time is told once, with what to do. Usually all are within a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Knows which namespaces are served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    /// For each resource, which namespaces its informer does not know yet.
    informers: Vec<(&'static str, Synced)>,
    scopes: Vec<Scope>,
}

impl Served {
    pub(super) fn new(informers: Vec<(&'static str, Synced)>, scopes: Vec<Scope>) -> Self {
        Self { informers, scopes }
    }

    /// Whether everything in this namespace is known.
    pub(super) fn covers(&self, namespace: &str) -> bool {
        self.informers.iter().all(|(_resource, synced)| synced.covers(namespace))
    }

    /// Whether nothing is served yet.
    fn is_idle(&self) -> bool {
        self.unserved().len() == self.scopes.len()
    }

    /// The scopes that are not served.
    fn unserved(&self) -> BTreeSet<Scope> {
        self.informers.iter().flat_map(|(_resource, synced)| synced.waiting()).collect()
    }

    /// The resources of this scope that are not known yet.
    fn missing(&self, scope: &Scope) -> Vec<&'static str> {
        let waits = |(_resource, synced): &&(&'static str, Synced)| synced.waiting().contains(scope);
        self.informers.iter().filter(waits).map(|(resource, _synced)| *resource).collect()
    }

    /// Ready means that something is served. A follower is ready, too: it waits only for the Lease.
    ///
    /// # Errors
    ///
    /// Nothing is served; the reason why.
    pub(super) fn ready(&self) -> Result<(), String> {
        if !self.is_idle() {
            return Ok(());
        }
        let waits = |(_resource, synced): &&(&'static str, Synced)| !synced.now();
        let waiting: Vec<&str> = self.informers.iter().filter(waits).map(|(resource, _synced)| *resource).collect();
        Err(format!("waiting for {}", waiting.join(", ")))
    }

    /// Which namespaces are not served, if some are.
    pub(super) fn shortfall(&self) -> Option<String> {
        let unserved = self.unserved();
        let named =
            |scope: &Scope| Some(format!("{} (waiting for {})", scope.as_deref()?, self.missing(scope).join(", ")));
        let named: Vec<String> = unserved.iter().filter_map(named).collect();
        if named.is_empty() || self.is_idle() { None } else { Some(format!("not served: {}", named.join("; "))) }
    }

    /// Waits until something is served.
    pub(super) async fn anything(&mut self) {
        while self.is_idle() {
            self.changed().await;
        }
    }

    /// Calls `now_served` for each scope that is served from now on and is not yet, and tells people about those that
    /// have to be waited for. Never ends.
    pub(super) async fn follow(&mut self, now_served: impl Fn(&Scope)) -> Infallible {
        let (mut unserved, told_at) = (self.unserved(), Instant::now() + PATIENCE);
        // What became known between the start of the workers and this line would be forgotten otherwise.
        self.scopes.iter().filter(|scope| !unserved.contains(*scope)).for_each(&now_served);
        let mut told = false;
        while !unserved.is_empty() {
            if told {
                self.changed().await;
            } else if timeout_at(told_at, self.changed()).await.is_err() {
                told = true;
                unserved.iter().for_each(|scope| self.tell(scope));
                continue;
            }
            let left = self.unserved();
            for scope in unserved.difference(&left) {
                tracing::info!(namespace = scope.as_deref(), "this namespace is served now");
                now_served(scope);
            }
            unserved = left;
        }
        pending().await
    }

    fn tell(&self, scope: &Scope) {
        let Some(namespace) = scope.as_deref() else { return };
        let missing = self.missing(scope).join(", ");
        tracing::warn!(
            "namespace {namespace} is not served, the others are: its {missing} can't be read; give the operator a Role \
             and a RoleBinding there (config/namespaced/namespace), or take the namespace out of --namespaces"
        );
    }

    /// Waits until any informer knows more.
    async fn changed(&mut self) {
        let informers = self.informers.iter_mut();
        let mut changes: Vec<_> = informers.map(|(_resource, synced)| Box::pin(synced.changed())).collect();
        poll_fn(|context| {
            let any = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Reconciles what is served. Other keys are dropped: they are queued again when their namespace is complete.
#[derive(Debug)]
pub(super) struct OnlyServed<R> {
    pub(super) served: Served,
    pub(super) reconciler: R,
}

impl<R: Reconcile<ObjectKey>> Reconcile<ObjectKey> for OnlyServed<R> {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        if self.served.covers(key.namespace()) { self.reconciler.reconcile(key).await } else { Ok(Action::Done) }
    }
}
