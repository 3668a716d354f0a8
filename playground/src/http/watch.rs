//! WATCH: a stream of changes, one JSON line each.
//!
//! ```text
//!            no synthetic events
//!  start ------------------------------------> Live --+--> Ended  timeoutSeconds, stop, another definition: clean end
//!    |                                          ^     |           history gone: an ERROR event, then a clean end
//!    +--> Initial (ADDED...) --> Marker --------+
//!                    (bookmark "initial-events-end", streaming lists only)
//! ```
//!
//! A watcher costs no task and no buffer: the body is pulled by the connection, and what it has not pulled yet stays in
//! the store's ring, shared with all others. Where many changes are ready they leave in one chunk.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::negotiate::{Form, negotiate_stream};
use super::read::{encoded, metadata_only, selector, wait_for};
use super::route::Place;
use super::{Answer, Call, response, table};
use crate::cluster::{Cluster, WatchCursor};
use crate::resources::{self, Resource};
use crate::selector::Selector;
use crate::status::Status;
use crate::storage::{Event, EventKind, Expired, Object, Revision, Snapshot};

/// A chunk is closed once it is this long.
const CHUNK: usize = 64 << 10;
/// Without timeoutSeconds a watch lasts as long as the API server's shortest.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// What ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

const NO_STREAMING: &str = "a watch stream was requested by the client but the required storage feature \
    RequestWatchProgress is disabled";

/// Opens a watch.
pub(super) async fn watch(call: &Call<'_>, place: &Place) -> Answer {
    let form = negotiate_stream(call.accept)?;
    let selector = selector(call, &place.resource)?;
    let start = call.query.watch_start()?;
    let streaming = call.query.send_initial_events;
    if streaming.is_some() && !call.cluster.streams_lists() {
        let event = json!({"type": "ERROR", "object": Status::failure(500, "InternalError", NO_STREAMING).to_value()});
        return Ok(response::bytes(200, format!("{event}\n")));
    }
    if let (Some(true), Some(revision)) = (streaming, start)
        && let Err(status) = wait_for(call.cluster, revision).await
    {
        // The stream has begun by then: its one event is the error.
        let event = json!({"type": "ERROR", "object": status.to_value()});
        return Ok(response::bytes(200, format!("{event}\n")));
    }
    let with_state = streaming.unwrap_or(matches!(start, None | Some(0)));
    let table = place.resource.table();
    let (phase, from) = if with_state {
        let snapshot = initial_state(call, place);
        // Who asks for the state without saying so is told where it ends, too, if only bookmarks are welcome.
        let marker = call.query.allow_bookmarks;
        (Phase::Initial { objects: snapshot.objects.into(), marker }, snapshot.revision)
    } else {
        (Phase::Live, start.filter(|start| *start > 0).unwrap_or_else(|| call.cluster.revision()))
    };
    let interval = call.cluster.bookmark_interval();
    let mut bookmarks = interval_at(Instant::now() + interval, interval);
    bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let view = View {
        resource: Arc::clone(&place.resource),
        namespace: place.namespace.clone(),
        selector,
        form,
        include_object: call.query.include_object.clone(),
        cluster: call.cluster.clone(),
        columns_told: AtomicBool::new(false),
    };
    let watcher = Watcher {
        cursor: WatchCursor::new(call.cluster.clone(), table, from),
        start: from,
        view,
        phase,
        bookmarks: call.query.allow_bookmarks.then_some(bookmarks),
        deadline: Instant::now() + call.query.timeout.unwrap_or(DEFAULT_TIMEOUT),
    };
    Ok(response::stream(StreamBody::Idle(Box::new(watcher)).boxed_unsync()))
}

/// The newest state, unless the watch is to begin with an older one that is still known.
fn initial_state(call: &Call<'_>, place: &Place) -> Snapshot {
    let (table, namespace) = (place.resource.table(), place.namespace.as_deref());
    let store = call.cluster.store();
    let old = call.as_of.and_then(|revision| store.list_at(&table, namespace, revision).ok());
    old.unwrap_or_else(|| store.list(&table, namespace))
}

/// Where a watch stands.
enum Phase {
    /// The state at the start is being sent as ADDED events; `marker`: a bookmark follows them.
    Initial { objects: VecDeque<Arc<Object>>, marker: bool },
    /// Changes are being sent as they come.
    Live,
    /// Nothing more is sent.
    Ended,
}

/// One open watch.
struct Watcher {
    cursor: WatchCursor,
    /// The revision of the initial state.
    start: Revision,
    view: View,
    phase: Phase,
    bookmarks: Option<Interval>,
    deadline: Instant,
}

/// What woke a live watch.
enum Wake {
    Change(Result<Arc<Event>, Expired>),
    Bookmark,
    End,
}

impl Watcher {
    /// The next chunk; `None` at a clean end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match &mut self.phase {
            Phase::Initial { objects, marker } if !objects.is_empty() || *marker => {
                let chunk = self.view.initial(objects);
                if !chunk.is_empty() {
                    return Some(Ok(chunk));
                }
                let marked = *marker;
                self.phase = Phase::Live;
                if marked { Some(Ok(self.view.bookmark(self.start, true))) } else { self.live().await }
            }
            Phase::Initial { .. } => {
                self.phase = Phase::Live;
                self.live().await
            }
            Phase::Live => self.live().await,
            Phase::Ended => None,
        }
    }

    async fn live(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let stop = self.view.cluster.stop_token();
            let wake = tokio::select! {
                biased;
                () = sleep_until(self.deadline) => Wake::End,
                () = stop.cancelled() => Wake::End,
                event = self.cursor.next_event() => Wake::Change(event),
                // After the events: who watches a kind that goes sees its objects go first.
                () = self.view.cluster.replaced(&self.view.resource) => Wake::End,
                () = tick(self.bookmarks.as_mut()) => Wake::Bookmark,
            };
            match wake {
                Wake::End => {
                    self.phase = Phase::Ended;
                    return None;
                }
                // From a version that is yet to come: an API server says nothing at all until it has come.
                Wake::Bookmark if self.cursor.position() > self.view.cluster.revision() => {}
                Wake::Bookmark => return Some(Ok(self.view.bookmark(self.cursor.position(), false))),
                Wake::Change(Err(expired)) => return Some(Ok(self.expire(expired))),
                Wake::Change(Ok(event)) => {
                    let chunk = self.changes(&event);
                    if !chunk.is_empty() {
                        return Some(Ok(chunk));
                    }
                }
            }
        }
    }

    /// This change and those that are ready behind it.
    fn changes(&mut self, first: &Arc<Event>) -> Bytes {
        let first = self.view.line(first);
        let Ok(Some(second)) = self.cursor.poll_event() else { return first.unwrap_or_default() };
        let mut chunk: Vec<u8> = first.unwrap_or_default().into();
        chunk.extend(self.view.line(&second).unwrap_or_default());
        while chunk.len() < CHUNK
            && let Ok(Some(event)) = self.cursor.poll_event()
        {
            chunk.extend(self.view.line(&event).unwrap_or_default());
        }
        chunk.into()
    }

    fn expire(&mut self, expired: Expired) -> Bytes {
        self.phase = Phase::Ended;
        let message = format!("too old resource version: {} ({})", self.cursor.position(), expired.floor);
        event_line("ERROR", &Status::expired(message).to_value())
    }
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// What of the changes a watcher sees, and how.
struct View {
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    include_object: String,
    cluster: Cluster,
    /// Of the tables of a stream the first alone says what its columns are.
    columns_told: AtomicBool,
}

impl View {
    fn initial(&self, objects: &mut VecDeque<Arc<Object>>) -> Bytes {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK
            && let Some(object) = objects.pop_front()
        {
            if self.selector.matches(&object) {
                chunk.extend(self.object_line(EventKind::Added, &object));
            }
        }
        chunk.into()
    }

    /// A change as this watcher sees it: an object that comes to match is added, one that ceases to match is deleted.
    fn line(&self, event: &Arc<Event>) -> Option<Bytes> {
        if self.namespace.as_ref().is_some_and(|namespace| *namespace != event.object.key.namespace) {
            return None;
        }
        let was = event.previous.as_ref().is_some_and(|previous| self.selector.matches(previous));
        let is = event.kind != EventKind::Deleted && self.selector.matches(&event.object);
        match (was, is) {
            (false, false) => None,
            (false, true) => Some(self.event_line(EventKind::Added, event)),
            (true, true) => Some(self.event_line(EventKind::Modified, event)),
            (true, false) if event.kind == EventKind::Deleted => Some(self.event_line(EventKind::Deleted, event)),
            (true, false) => {
                let mut last = event.previous.as_ref()?.full();
                last["metadata"]["resourceVersion"] = event.revision.to_string().into();
                Some(self.value_line(EventKind::Deleted, last))
            }
        }
    }

    fn event_line(&self, kind: EventKind, event: &Event) -> Bytes {
        let as_stored = self.form == Form::Full && self.resource.form == resources::Form::Stored;
        if as_stored && kind == event.kind { event.line() } else { self.object_line(kind, &event.object) }
    }

    fn object_line(&self, kind: EventKind, object: &Object) -> Bytes {
        match self.form {
            Form::Full => raw_line(kind, &encoded(&self.resource, object)),
            Form::Metadata => raw_line(kind, &metadata_only(object)),
            Form::Table => self.value_line(kind, object.full()),
        }
    }

    fn value_line(&self, kind: EventKind, mut object: Value) -> Bytes {
        self.resource.to_served(&mut object);
        let value = match self.form {
            Form::Full => object,
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
            Form::Table => {
                let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
                let table = table::Table::new(&self.resource, self.cluster.now(), &self.include_object);
                let mut table = table.of(&[object], version);
                if self.columns_told.swap(true, Ordering::Relaxed) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
        };
        event_line(kind.as_str(), &value)
    }

    /// An object that is nothing but a resourceVersion; built-in kinds show their zero values beside it.
    fn bookmark(&self, revision: Revision, end_of_initial: bool) -> Bytes {
        let mut object = match self.form {
            Form::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}),
            Form::Full | Form::Table => json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version()}),
        };
        object["metadata"] = json!({"resourceVersion": revision.to_string()});
        if end_of_initial {
            object["metadata"]["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        if self.form == Form::Full && self.resource.custom().is_none() {
            zero_values(&mut object);
        }
        event_line("BOOKMARK", &object)
    }
}

/// What Go prints for an object of a built-in kind with nothing set.
fn zero_values(object: &mut Value) {
    let template = json!({"metadata": {}, "spec": {"containers": null}});
    let (spec, status) = match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => {
            (Some(json!({"replicas": 0, "selector": null, "template": template, "strategy": {}})), Some(json!({})))
        }
        "ReplicaSet" => {
            (Some(json!({"replicas": 0, "selector": null, "template": template})), Some(json!({"replicas": 0})))
        }
        "Pod" => (Some(json!({"containers": null})), Some(json!({}))),
        "Service" => (Some(json!({})), Some(json!({"loadBalancer": {}}))),
        "Namespace" => (Some(json!({})), Some(json!({}))),
        "Lease" => (Some(json!({})), None),
        _ => (None, None),
    };
    for (name, value) in [("spec", spec), ("status", status)] {
        if let Some(value) = value {
            object[name] = value;
        }
    }
}

fn event_line(kind: &str, object: &Value) -> Bytes {
    let mut line = format!(r#"{{"type":"{kind}","object":{object}}}"#);
    line.push('\n');
    line.into()
}

fn raw_line(kind: EventKind, object: &[u8]) -> Bytes {
    crate::storage::line(kind, object)
}

type Pulled = (Option<io::Result<Bytes>>, Box<Watcher>);

/// A watcher as a body: pulled, one chunk at a time.
enum StreamBody {
    Idle(Box<Watcher>),
    Waiting(Pin<Box<dyn Future<Output = Pulled> + Send>>),
    Done,
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            match std::mem::replace(&mut *self, Self::Done) {
                Self::Done => return Poll::Ready(None),
                Self::Idle(mut watcher) => {
                    *self = Self::Waiting(Box::pin(async move { (watcher.next().await, watcher) }));
                }
                Self::Waiting(mut pull) => match pull.as_mut().poll(context) {
                    Poll::Pending => {
                        *self = Self::Waiting(pull);
                        return Poll::Pending;
                    }
                    Poll::Ready((Some(Ok(chunk)), watcher)) => {
                        *self = Self::Idle(watcher);
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                    Poll::Ready((Some(Err(error)), _)) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready((None, _)) => return Poll::Ready(None),
                },
            }
        }
    }
}
