//! The acting half of the reflector: sends the requests that its [`Machine`] decides on, and puts the results into the
//! store.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::error::Category;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Handler;
use super::reflector::{Ask, Ending, Failure, Machine, Pause, StreamStats, WentBackwards};
use super::store::{Change, Entry, Invalid, Replacement, Scope, Store};
use crate::backoff::{Backoff, Policy};
use crate::client::{Client, Error, ListParams, Request, StreamError, WatchParams};
use crate::object::{Object, Resource, ResourceVersion};
use crate::telemetry::ReflectorMetrics;
use crate::watch::{Event, Identity};

/// The time limits of a reflector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// The server ends a watch after this many seconds. Each watch draws its own number, so that thousands of clients
    /// don't come back at the same time.
    pub watch_seconds: RangeInclusive<u64>,
    /// A watch that is silent for this long, without even a bookmark, is opened again.
    pub silence: Duration,
    /// A streaming list that is silent for this long before it is complete is replaced by a plain list.
    pub streaming_silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { watch_seconds: 300..=600, silence: Duration::from_secs(90), streaming_silence: Duration::from_secs(30) }
    }
}

/// One list-and-watch of one scope, kept running for ever.
pub(super) struct Reflector<K> {
    client: Client,
    scope: Scope,
    store: Arc<Store<K>>,
    handlers: Arc<[Handler<K>]>,
    metrics: ReflectorMetrics,
    timing: Timing,
    /// The scopes that have not synced yet.
    synced: Sender<BTreeSet<Scope>>,
    /// Cancelled when the state has to be read again.
    refresh: CancellationToken,
    /// Whether that was heard.
    refreshing: bool,
    machine: Machine,
    backoff: Backoff,
    random: StdRng,
    /// The complete state, while it is being read.
    replacement: Option<Replacement<K>>,
    /// The failure that was logged last, so that each is logged once and not every thirty seconds.
    failure: Option<String>,
}

/// The arguments of [`Reflector::new`].
pub(super) struct Parts<K> {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) store: Arc<Store<K>>,
    pub(super) handlers: Arc<[Handler<K>]>,
    pub(super) metrics: ReflectorMetrics,
    pub(super) timing: Timing,
    pub(super) synced: Sender<BTreeSet<Scope>>,
    pub(super) refresh: CancellationToken,
    pub(super) seed: u64,
}

impl<K: Object> Reflector<K> {
    pub(super) fn new(parts: Parts<K>) -> Self {
        let Parts { client, scope, store, handlers, metrics, timing, synced, refresh, seed } = parts;
        Self {
            client,
            scope,
            store,
            handlers,
            metrics,
            timing,
            synced,
            refresh,
            refreshing: false,
            machine: Machine::new(),
            backoff: Backoff::new(Policy::REFLECTOR, seed),
            random: StdRng::seed_from_u64(seed),
            replacement: None,
            failure: None,
        }
    }

    /// Lists and watches until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let refresh = self.refresh.clone();
        let forever = async {
            refresh.run_until_cancelled(self.follow_forever()).await;
            self.refreshing = true;
            self.replacement = None;
            self.machine.refresh();
            self.follow_forever().await;
        };
        stop.run_until_cancelled(forever).await;
    }

    /// May be dropped at any time: a state that was read in part is read again from its beginning.
    async fn follow_forever(&mut self) {
        loop {
            if let Pause::Backoff(at_least) = self.step().await {
                let backoff = self.backoff.next_delay(Instant::now());
                sleep(backoff.max(at_least.unwrap_or_default())).await;
            }
        }
    }

    /// Sends one request and handles everything that it returns.
    async fn step(&mut self) -> Pause {
        let timeout = Duration::from_secs(self.random.random_range(self.timing.watch_seconds.clone()));
        match self.machine.ask() {
            Ask::List(params) => self.list(params).await,
            Ask::Stream { since } => {
                self.begin(since.is_some());
                self.follow(WatchParams { resource_version: since, send_initial_events: true, timeout }).await
            }
            Ask::Watch { since } => {
                self.follow(WatchParams { resource_version: Some(since), send_initial_events: false, timeout }).await
            }
        }
    }

    /// Begins to read the complete state. `continues` says that its versions can be compared with those in the store.
    fn begin(&mut self, continues: bool) {
        self.replacement = Some(Replacement::new(self.scope.clone(), continues));
    }

    /// Reads one page.
    async fn list(&mut self, params: ListParams) -> Pause {
        if params.continue_token.is_none() {
            self.begin(params.resource_version.is_some());
        }
        let request = Request::list(&K::RESOURCE, self.scope.as_deref(), K::SELECTOR, &params);
        let (store, replacement) = (&self.store, &mut self.replacement);
        let read = self.client.list(request, |item| match decode(item) {
            Ok(entry) => {
                if let Some(replacement) = replacement {
                    store.note(replacement, entry);
                }
            }
            Err(error) => {
                let error = Unquoted(&error);
                tracing::error!(resource = %K::RESOURCE, %error, "skipping an item of the list that has no identity");
            }
        });
        match read.await {
            Ok(meta) => {
                self.report_recovery();
                match self.machine.page(meta) {
                    Ok(Some(version)) => self.commit(version),
                    Ok(None) => {}
                    Err(error) => return self.backwards(error),
                }
                Pause::None
            }
            Err(error) => self.refused(&error),
        }
    }

    /// Follows a stream to its end.
    async fn follow(&mut self, params: WatchParams) -> Pause {
        let request = Request::watch(&K::RESOURCE, self.scope.as_deref(), K::SELECTOR, &params);
        let mut stream = match self.client.watch(request).await {
            Ok(stream) => stream,
            Err(error) => return self.refused(&error),
        };
        let (opened, since, mut events) = (Instant::now(), self.machine.last().cloned(), 0);
        let ending = loop {
            let patience = if self.replacement.is_some() { self.timing.streaming_silence } else { self.timing.silence };
            match timeout(patience, stream.next_line()).await {
                Err(_elapsed) => break Ending::Stalled,
                Ok(Err(StreamError::Broken(_))) => break Ending::Broken,
                Ok(Err(error @ StreamError::TooLong(_))) => {
                    self.report_failure(&error.to_string());
                    break Ending::Unreadable;
                }
                Ok(Ok(None)) => break Ending::Clean,
                Ok(Ok(Some(line))) => match self.line(&line) {
                    LineOutcome::Event => {
                        self.report_recovery();
                        events += 1;
                    }
                    LineOutcome::Bookmark => self.report_recovery(),
                    LineOutcome::Pause(pause) => return pause,
                    LineOutcome::Unreadable => break Ending::Unreadable,
                },
            }
        };
        let stats = StreamStats { lasted: opened.elapsed(), moved: self.machine.last() != since.as_ref(), events };
        tracing::debug!(resource = %K::RESOURCE, ?ending, ?stats, "the watch ended");
        self.machine.ended(ending, stats)
    }

    fn line(&mut self, line: &[u8]) -> LineOutcome {
        let event = match Event::decode(line) {
            Ok(event) => event,
            Err(error) => return self.unreadable(&error),
        };
        match event {
            Event::Added(object) | Event::Modified(object) => match decode(object.get().as_bytes()) {
                Ok(entry) => self.upsert(entry),
                Err(error) => self.unreadable(&error),
            },
            Event::Deleted(object) => match decode(object.get().as_bytes()) {
                Ok(entry) => self.delete(entry),
                Err(error) => self.unreadable(&error),
            },
            Event::Bookmark { resource_version, initial_events_end } => {
                self.metrics.event("BOOKMARK");
                if self.replacement.is_none() {
                    if let Err(error) = self.machine.advance(&resource_version) {
                        return LineOutcome::Pause(self.backwards(error));
                    }
                    self.store.advance(&self.scope, resource_version);
                } else if initial_events_end {
                    if let Err(error) = self.machine.complete(resource_version.clone()) {
                        return LineOutcome::Pause(self.backwards(error));
                    }
                    self.commit(resource_version);
                }
                LineOutcome::Bookmark
            }
            Event::Error(status) => {
                self.metrics.event("ERROR");
                let pause = self.machine.error_event(&status);
                match pause {
                    Pause::None => tracing::debug!(resource = %K::RESOURCE, %status, "trying another request"),
                    Pause::Backoff(_) => {
                        self.report_failure(&format!("the API server ended the watch: {status}; trying again"));
                    }
                }
                LineOutcome::Pause(pause)
            }
        }
    }

    fn upsert(&mut self, entry: Entry<K>) -> LineOutcome {
        if let Some(replacement) = &mut self.replacement {
            self.store.note(replacement, entry);
            return LineOutcome::Event;
        }
        if let Err(error) = self.machine.advance(entry.resource_version()) {
            return LineOutcome::Pause(self.backwards(error));
        }
        let changes = self.store.upsert(&self.scope, entry);
        self.deliver(&changes);
        LineOutcome::Event
    }

    fn delete(&mut self, last: Entry<K>) -> LineOutcome {
        if let Some(replacement) = &mut self.replacement {
            replacement.forget(last.key());
            return LineOutcome::Event;
        }
        if let Err(error) = self.machine.advance(last.resource_version()) {
            return LineOutcome::Pause(self.backwards(error));
        }
        let change = self.store.remove(&self.scope, last);
        self.deliver(change.as_slice());
        LineOutcome::Event
    }

    /// The complete state has been read: put it into the store and deliver the differences. Only once the keys were
    /// passed on, this scope has synced.
    fn commit(&mut self, version: ResourceVersion) {
        let Some(replacement) = self.replacement.take() else { return };
        let changes = self.store.commit(replacement, version);
        let reason = self.machine.reason().as_str();
        self.metrics.relisted(reason);
        self.deliver(&changes);
        self.synced.send_if_modified(|waiting| {
            let outdated = self.refresh.is_cancelled() && !self.refreshing;
            !outdated && waiting.remove(&self.scope)
        });
        tracing::info!(resource = %K::RESOURCE, objects = self.store.len(), changes = changes.len(), reason, "listed the complete state");
    }

    fn deliver(&self, changes: &[Change<K>]) {
        for change in changes {
            self.metrics.event(match (&change.old, &change.new) {
                (None, _) => "ADDED",
                (Some(_), Some(_)) => "MODIFIED",
                (Some(_), None) => "DELETED",
            });
            if let Some(Entry::Invalid(invalid)) = &change.new {
                self.metrics.undecodable();
                let Invalid { identity, error } = invalid.as_ref();
                tracing::warn!(resource = %K::RESOURCE, key = %identity.key, %error, "an object can't be read; the others are not affected");
            }
            for handler in self.handlers.iter() {
                handler(change);
            }
        }
        self.metrics.objects(self.store.len());
    }

    fn unreadable(&mut self, error: &serde_json::Error) -> LineOutcome {
        self.report_failure(&format!("an event can't be read: {}", Unquoted(error)));
        LineOutcome::Unreadable
    }

    fn backwards(&mut self, error: WentBackwards) -> Pause {
        self.report_failure(&error.to_string());
        Pause::Backoff(None)
    }

    fn refused(&mut self, error: &Error) -> Pause {
        let failure = Failure::from(error);
        match failure {
            Failure::Unavailable | Failure::Trouble | Failure::Unreachable | Failure::Busy(_) => {
                self.report_failure(&explain(error, K::RESOURCE));
            }
            Failure::Gone | Failure::TooLarge | Failure::Unsupported | Failure::Refused => {
                tracing::debug!(resource = %K::RESOURCE, %error, "trying another request");
            }
        }
        self.machine.failed(failure)
    }

    /// Logs what is wrong, once.
    fn report_failure(&mut self, failure: &str) {
        if self.failure.as_deref() != Some(failure) {
            tracing::warn!(resource = %K::RESOURCE, "{failure}");
            self.failure = Some(failure.to_owned());
        }
    }

    /// Logs that the failure is over.
    fn report_recovery(&mut self) {
        if self.failure.take().is_some() {
            tracing::info!(resource = %K::RESOURCE, "the API server answers again");
        }
    }
}

/// What to do after a line.
enum LineOutcome {
    Event,
    Bookmark,
    Pause(Pause),
    Unreadable,
}

/// What is wrong with a line, and where, without quoting it: serde quotes what it can't read, and on the watch of
/// Secrets that may be a secret value.
struct Unquoted<'a>(&'a serde_json::Error);

impl fmt::Display for Unquoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let kind = match error.classify() {
            Category::Syntax => "it is not JSON",
            Category::Eof => "it ends too early",
            Category::Data | Category::Io => "it is not an event",
        };
        write!(f, "{kind} (column {})", error.column())
    }
}

/// Decodes an object, or at least its identity.
fn decode<K: Object>(json: &[u8]) -> Result<Entry<K>, serde_json::Error> {
    let text = std::str::from_utf8(json).map_err(serde::de::Error::custom)?;
    match K::decode(text) {
        Ok(object) => Ok(Entry::Valid(Arc::new(object))),
        Err(error) => {
            let identity = Identity::decode(text)?;
            Ok(Entry::Invalid(Arc::new(Invalid { identity, error: error.to_string() })))
        }
    }
}

/// What is wrong, and how to fix it.
fn explain(error: &Error, resource: Resource) -> String {
    match error.code() {
        404 => format!(
            "the API server does not serve {resource} (yet): install the CRD with \
             `smooth-operator crd | kubectl apply -f -` (or `make install`); waiting for it"
        ),
        _ => format!("{error}; trying again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_given_up_after_90_silent_seconds_and_a_streaming_list_after_30() {
        let Timing { watch_seconds, silence, streaming_silence } = Timing::default();
        assert_eq!((silence, streaming_silence), (Duration::from_secs(90), Duration::from_secs(30)));
        assert_eq!(watch_seconds, 300..=600);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_without_a_word_of_it() {
        let told = |line: &[u8]| Unquoted(&Event::decode(line).unwrap_err()).to_string();
        assert_eq!(told(b"\"c2VjcmV0\""), "it is not an event (column 10)");
        assert_eq!(told(b"<html>"), "it is not JSON (column 1)");
        assert_eq!(told(br#"{"type":"ADDED","object":{"#), "it ends too early (column 26)");
    }
}
