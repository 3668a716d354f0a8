//! The cluster: the one state behind every door.
//!
//! HTTP requests, the built-in controllers and tests all act through a [`Cluster`]; there is no second way to write.
//!
//! ```text
//!  HTTP ----+                +--> admit (pure): defaults, validation, managedFields, generation
//!  tests ---+--> Cluster ----+
//!  ctrl  ---+                +--> Store (one mutex, short): commit if unchanged since it was read, else again
//!                            +--> watchers are told after the lock is released
//! ```
//!
//! Writes are optimistic, as the API server's on etcd: read, decide without the lock, commit only if nobody else wrote.
//! So the expensive part (validation, field ownership) runs in parallel and the critical section stays short.

mod admit;
mod apply;
mod attempt;
mod commit;
mod decode;
mod definitions;
mod delete;
mod identity;
mod metadata;
mod namespaces;
mod pods;
mod quota;
mod requests;
mod restore;
mod roles;
mod seats;
mod signal;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::watch as told;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use attempt::{Attempt, Operation, Settled, Write};
pub use delete::{DeleteOptions, Deleted, Propagation};
pub use requests::{RequestCount, RequestRecord};
use signal::{Listener, Signal};
pub use watch::{WatchCursor, WatchEvent};
pub(crate) use write::patch_error;
pub use write::{FieldValidation, PatchKind, Target, WriteOptions, Written};

use crate::auth;
use crate::builtin::ClusterIps;
use crate::faults::{Break, Faults, Matcher};
use crate::mcp::Servers;
use crate::resources::{Registry, Resource};
use crate::status::Status;
use crate::storage::{Key, Revision, Store};

/// A handle on the cluster's state; cloning it is cheap and gives the same cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Mutex<Store>,
    /// What is served. Whoever waits for a change of it is told.
    registry: told::Sender<Arc<Registry>>,
    /// By table: tells watchers that the table has news. Sent after the store's lock is released.
    news: Mutex<BTreeMap<String, Signal>>,
    /// See [`Cluster::stream_lists`].
    streams_lists: AtomicBool,
    faults: Faults,
    servers: Servers,
    requests: Mutex<requests::Log>,
    auth: auth::Tokens,
    random: Mutex<StdRng>,
    ips: Mutex<ClusterIps>,
    /// Held from the counting to the storing of what a quota counts.
    quota: Mutex<()>,
    /// Whose signature the server's certificate bears, in PEM; empty until it is told, and for good without HTTPS.
    authority: OnceLock<String>,
    /// Wall time is data here: it is read once, and moves with tokio's clock from then on, paused or not.
    started: (Timestamp, Instant),
    bookmark_interval: Duration,
    seats: seats::Seats,
    /// The revision of the newest write, for those who wait for one.
    latest: Signal,
    stop: CancellationToken,
}

impl Cluster {
    /// An empty cluster: the standard namespaces and roles, and the built-in resources. Equal seeds make equal uids and names.
    pub fn new(seed: u64, bookmark_interval: Duration) -> Self {
        Self::with_auth(seed, bookmark_interval, auth::Options::default())
    }

    /// The same, telling people apart.
    pub fn with_auth(seed: u64, bookmark_interval: Duration, auth: auth::Options) -> Self {
        Self::started_at(Timestamp::now(), seed, bookmark_interval, auth)
    }

    /// The same, at another time of day than now: with it, everything that the cluster does follows from the seed.
    pub fn started_at(started: Timestamp, seed: u64, bookmark_interval: Duration, auth: auth::Options) -> Self {
        let inner = Inner {
            store: Mutex::default(),
            registry: told::Sender::default(),
            news: Mutex::default(),
            streams_lists: AtomicBool::new(true),
            faults: Faults::new(seed),
            servers: Servers::default(),
            requests: Mutex::default(),
            auth: auth::Tokens::new(auth),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            ips: Mutex::default(),
            quota: Mutex::default(),
            authority: OnceLock::new(),
            started: (started, Instant::now()),
            bookmark_interval,
            seats: seats::Seats::default(),
            latest: Signal::default(),
            stop: CancellationToken::new(),
        };
        let cluster = Self { inner: Arc::new(inner) };
        cluster.create_standard_namespaces();
        cluster.create_standard_roles();
        cluster
    }

    /// The newest state of an object, without its managedFields. `resource` is `deployments.apps`, `pods` ...
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let table = self.registry().by_name(resource)?.table();
        let object = self.store().get(&table, &Key::new(namespace, name))?;
        Some(object.value())
    }

    /// The newest state of a resource, or of its part in one namespace, without managedFields, ordered by name.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(resource) = self.registry().by_name(resource) else { return Vec::new() };
        let snapshot = self.store().list(&resource.table(), namespace);
        snapshot.objects.iter().map(|object| object.value()).collect()
    }

    /// Creates an object.
    pub fn create(&self, resource: &str, namespace: &str, object: Value, manager: &str) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, "")?;
        self.write_create(&target, object, &WriteOptions::by(manager)).map(|written| written.object.value())
    }

    /// Replaces an object (PUT). A resourceVersion in it must be the newest.
    pub fn update(&self, resource: &str, namespace: &str, object: Value, manager: &str) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, object["metadata"]["name"].as_str().unwrap_or_default())?;
        self.write_update(&target, None, object, &WriteOptions::by(manager)).map(|written| written.object.value())
    }

    /// Replaces an object's status.
    pub fn update_status(
        &self,
        resource: &str,
        namespace: &str,
        object: Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, object["metadata"]["name"].as_str().unwrap_or_default())?;
        let options = WriteOptions::by(manager);
        self.write_update(&target, Some("status"), object, &options).map(|written| written.object.value())
    }

    /// Applies a JSON merge patch, to the object or to its `status` subresource.
    pub fn patch_merge(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        patch: &Value,
        manager: &str,
    ) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, name)?;
        let written = self.write_patch(&target, subresource, PatchKind::Merge, patch, &WriteOptions::by(manager))?;
        Ok(written.object.value())
    }

    /// Server-side apply, to the object or to its `status` subresource.
    pub fn apply(
        &self,
        resource: &str,
        namespace: &str,
        subresource: Option<&str>,
        config: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Arc<Value>, Status> {
        let target = self.target(resource, namespace, config["metadata"]["name"].as_str().unwrap_or_default())?;
        let options = WriteOptions { force, ..WriteOptions::by(manager) };
        let written = self.write_patch(&target, subresource, PatchKind::Apply, config, &options)?;
        Ok(written.object.value())
    }

    /// Deletes an object. `Some` is what still stands, with its deletionTimestamp, where finalizers or grace hold it.
    pub fn delete(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Option<Arc<Value>>, Status> {
        let target = self.target(resource, namespace, name)?;
        self.write_delete(&target, options).map(|outcome| outcome.standing().map(|object| object.value()))
    }

    /// Follows a resource's changes after a revision.
    pub fn watch(&self, resource: &str, from: Revision) -> Result<WatchCursor, Status> {
        let target = self.target(resource, "", "")?;
        Ok(WatchCursor::new(self.clone(), target.resource.table(), from))
    }

    /// What goes wrong, and when, for those who come by [`exchange`](Self::exchange).
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The MCP servers that listen for pods, where they do ([`crate::mcp`]).
    pub fn servers(&self) -> &Servers {
        &self.inner.servers
    }

    /// Ends all open watch streams of HTTP clients as a broken connection would: in the middle, without a clean end.
    pub fn cut_watches(&self) {
        self.faults().strike_watches(&Matcher::default(), Break::Cut);
    }

    /// Whether a watch may begin with the whole state (`sendInitialEvents`). An API server whose etcd is too old can't do
    /// it: it says so in the stream, and its clients list.
    pub fn stream_lists(&self, can: bool) {
        self.inner.streams_lists.store(can, Ordering::Relaxed);
    }

    pub(crate) fn streams_lists(&self) -> bool {
        self.inner.streams_lists.load(Ordering::Relaxed)
    }

    /// Forgets all history: watches and continue tokens from before now get 410.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// The number of the newest write.
    pub fn revision(&self) -> Revision {
        self.store().revision()
    }

    /// The HTTP requests since the start or the last [`clear_requests`](Self::clear_requests); bounded, the oldest go.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.request_log().records()
    }

    /// The HTTP requests counted by user agent, verb, resource and subresource; not bounded.
    pub fn request_counts(&self) -> Vec<RequestCount> {
        self.request_log().counts()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.request_log().clear();
    }

    /// The wall time: that of the start, moved on by tokio's clock.
    pub fn now(&self) -> Timestamp {
        let (wall, instant) = self.inner.started;
        let elapsed = jiff::SignedDuration::try_from(instant.elapsed()).unwrap_or_default();
        wall.saturating_add(elapsed).unwrap_or(wall)
    }

    /// What is served right now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.inner.registry.borrow())
    }

    /// Waits until a resource is not served any more as it was when it was found. Built-in ones always are.
    pub(crate) async fn replaced(&self, resource: &Arc<Resource>) {
        let mut registry = self.inner.registry.subscribe();
        let replaced = registry.wait_for(|registry| !registry.serves(resource)).await.is_ok();
        if !replaced {
            std::future::pending::<()>().await;
        }
    }

    /// Names one object (or, without a name, a collection) for the `write_*` methods.
    pub fn target(&self, resource: &str, namespace: &str, name: &str) -> Result<Target, Status> {
        let found = self.registry().by_name(resource);
        let resource = found.ok_or_else(|| Status::failure(404, "NotFound", format!("no resource {resource}")))?;
        Ok(self.target_of(resource, namespace, name))
    }

    /// As [`target`](Self::target), for a resource that was found already, in any of its versions.
    pub fn target_of(&self, resource: Arc<Resource>, namespace: &str, name: &str) -> Target {
        let stored = self.registry().by_name(&resource.table()).unwrap_or_else(|| Arc::clone(&resource));
        Target { resource, stored, key: Key::new(namespace, name) }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn request_log(&self) -> MutexGuard<'_, requests::Log> {
        self.inner.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn auth(&self) -> &auth::Tokens {
        &self.inner.auth
    }

    /// Tells whose signature the server's certificate bears, in PEM, for all namespaces to know.
    pub(crate) fn set_authority(&self, pem: &str) {
        self.inner.authority.get_or_init(|| pem.to_owned());
    }

    pub(crate) fn authority(&self) -> Option<&str> {
        self.inner.authority.get().map(String::as_str)
    }

    pub(crate) fn bookmark_interval(&self) -> Duration {
        self.inner.bookmark_interval
    }

    /// A receiver that learns of every write to a table.
    pub(crate) fn news(&self, table: &str) -> Listener {
        let mut news = self.inner.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.entry(table.to_owned()).or_default().subscribe()
    }

    /// A receiver that learns of every write.
    pub(crate) fn latest(&self) -> Listener {
        self.inner.latest.subscribe()
    }

    /// Cancelled when the server ends: open watches then end cleanly.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    fn tell(&self, table: &str, revision: Revision) {
        self.inner.latest.tell_newer(revision);
        let news = self.inner.news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = news.get(table) {
            signal.tell(revision);
        }
    }

    fn set_registry(&self, change: impl FnOnce(&mut Registry)) {
        self.inner.registry.send_modify(|registry| change(Arc::make_mut(registry)));
    }

    /// The wall time as objects bear it: RFC 3339, whole seconds, UTC.
    pub(crate) fn timestamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn ips(&self) -> &Mutex<ClusterIps> {
        &self.inner.ips
    }
}
