//! The task that sends Events, one at a time.
//!
//! It tries each Event a few times and then drops it: when the API server has a bad minute, Events are not worth
//! keeping. Meanwhile the queue fills up to its limit; nothing worse can happen.
//!
//! A failure is logged once, not each time: with a missing permission every Event fails, and one line says so.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::events::v1::{Event as KubeEvent, EventSeries};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Occurrence;
use super::correlate::{Correlator, Verdict};
use crate::client::{Client, Error, Request};
use crate::object::{EVENTS, ObjectKey};

/// How often an Event is tried.
const ATTEMPTS: u32 = 3;
/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a stop waits for the queued Events.
const FLUSH: Duration = Duration::from_secs(5);

/// The requests to the API server.
pub trait EventApi: Send + Sync + 'static {
    /// Creates an Event. If it exists already, an earlier try has created it.
    fn create(&self, event: KubeEvent) -> impl Future<Output = Result<(), EventError>> + Send;

    /// Writes the count of a series into an existing Event.
    fn patch(&self, event: ObjectKey, series: EventSeries) -> impl Future<Output = Result<(), EventError>> + Send;
}

/// An Event could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The Event of the series no longer exists.
    #[error("the event is gone")]
    Gone,
    /// It was refused, and another try would not help.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// It failed, and another try may help.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl EventApi for Client {
    async fn create(&self, event: KubeEvent) -> Result<(), EventError> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let key = ObjectKey::new(namespace, event.metadata.name.as_deref().unwrap_or_default());
        let event = serde_json::to_value(&event).map_err(|error| EventError::Refused(error.into()))?;
        match self.send::<serde::de::IgnoredAny>(Request::create(&EVENTS, &key, &event)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is("AlreadyExists") => Ok(()),
            Err(error) => Err(judge(error)),
        }
    }

    async fn patch(&self, event: ObjectKey, series: EventSeries) -> Result<(), EventError> {
        let patch = json!({ "series": series });
        match self.send::<serde::de::IgnoredAny>(Request::merge_patch(&EVENTS, &event, &patch)).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == 404 => Err(EventError::Gone),
            Err(error) => Err(judge(error)),
        }
    }
}

/// Decides whether another try may help.
fn judge(error: Error) -> EventError {
    match &error {
        Error::Api { status, .. } if status.code == 429 || status.code >= 500 => EventError::Failed(error.into()),
        Error::Transport { .. } | Error::Timeout { .. } => EventError::Failed(error.into()),
        Error::Api { .. } | Error::Answer { .. } | Error::Fenced { .. } => EventError::Refused(error.into()),
    }
}

/// The owner of the task that sends. Dropping it aborts the task, and the queued Events are lost.
#[derive(Debug)]
pub struct Delivery {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Delivery {
    pub(super) fn start(
        api: impl EventApi,
        instance: &str,
        queued: mpsc::Receiver<Occurrence>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let stop = CancellationToken::new();
        let sender = Sender { api, correlator: Correlator::new(instance, Instant::now()), failing: false };
        let task = tokio::spawn(sender.run(queued, dropped, stop.clone()));
        Self { stop, task: AbortOnDropHandle::new(task) }
    }

    /// Accepts no more Events, sends the queued ones, and ends; after a few seconds it ends in any case.
    ///
    /// Call it after the last [`publish`](super::Recorder::publish), while the fence is still open.
    pub async fn flush(self) {
        self.stop.cancel();
        if timeout(FLUSH, self.task).await.is_err() {
            tracing::warn!("not all events were sent before the stop");
        }
    }
}

struct Sender<A> {
    api: A,
    correlator: Correlator,
    /// Whether the last Event failed; if so, the next failure is not logged as a warning.
    failing: bool,
}

impl<A: EventApi> Sender<A> {
    async fn run(mut self, mut queued: mpsc::Receiver<Occurrence>, dropped: Arc<AtomicU64>, stop: CancellationToken) {
        while let Some(Some(occurrence)) = stop.run_until_cancelled(queued.recv()).await {
            self.deliver(&occurrence).await;
            report_dropped(&dropped);
        }
        queued.close();
        while let Some(occurrence) = queued.recv().await {
            self.deliver(&occurrence).await;
        }
        report_dropped(&dropped);
    }

    /// Sends an occurrence, or drops it.
    async fn deliver(&mut self, occurrence: &Occurrence) {
        let sent = match self.correlator.correlate(occurrence, Instant::now()) {
            Verdict::Nothing => return,
            Verdict::Create(event) => self.create(occurrence, *event).await,
            Verdict::Patch(event, series) => match attempt(|| self.api.patch(event.clone(), series.clone())).await {
                Err(EventError::Gone) => {
                    let event = self.correlator.begin(occurrence, Instant::now());
                    self.create(occurrence, event).await
                }
                sent @ (Ok(()) | Err(EventError::Refused(_) | EventError::Failed(_))) => sent,
            },
        };
        match &sent {
            Ok(()) => {}
            Err(error) if self.failing => tracing::debug!(%error, "an event was not recorded"),
            Err(error) => tracing::warn!(%error, "an event was not recorded; the next ones may fail, too"),
        }
        self.failing = sent.is_err();
    }

    async fn create(&mut self, occurrence: &Occurrence, event: KubeEvent) -> Result<(), EventError> {
        let sent = attempt(|| self.api.create(event.clone())).await;
        if sent.is_err() {
            self.correlator.forget(occurrence);
        }
        sent
    }
}

/// Tries until it succeeds, is refused, or has been tried often enough.
async fn attempt<F: Future<Output = Result<(), EventError>>>(send: impl Fn() -> F) -> Result<(), EventError> {
    for _ in 1..ATTEMPTS {
        match once(&send).await {
            Err(EventError::Failed(_)) => sleep(PAUSE).await,
            decided @ (Ok(()) | Err(EventError::Gone | EventError::Refused(_))) => return decided,
        }
    }
    once(&send).await
}

async fn once<F: Future<Output = Result<(), EventError>>>(send: impl Fn() -> F) -> Result<(), EventError> {
    timeout(TIMEOUT, send())
        .await
        .unwrap_or_else(|_elapsed| Err(EventError::Failed(format!("no answer within {TIMEOUT:?}").into())))
}

fn report_dropped(dropped: &AtomicU64) {
    let events = dropped.swap(0, Ordering::Relaxed);
    if events > 0 {
        tracing::warn!(events, "the queue of events was full: events were dropped");
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use kube_client::client::Body;
    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::client::Fence;

    /// A client of an API server that gives this answer to every request, and the requests.
    fn answered(code: u16, reason: &'static str) -> (Client, UnboundedReceiver<(Method, String)>) {
        let (asked, asks) = mpsc::unbounded_channel();
        let answer = move |request: http::Request<Body>| {
            asked.send((request.method().clone(), request.uri().path().to_owned())).unwrap();
            let body = Body::from(json!({"kind": "Status", "reason": reason, "code": code}).to_string().into_bytes());
            let answer = http::Response::builder().status(code).body(body).unwrap();
            async move { Ok::<_, std::convert::Infallible>(answer) }
        };
        (Client::new(kube_client::Client::new(tower::service_fn(answer), "default")), asks)
    }

    fn event() -> KubeEvent {
        serde_json::from_value(json!({"metadata": {"namespace": "prod", "name": "web.1"}})).unwrap()
    }

    fn key() -> ObjectKey {
        ObjectKey::new("prod", "web.1")
    }

    fn series() -> EventSeries {
        serde_json::from_value(json!({"count": 2, "lastObservedTime": "2026-11-22T20:00:09.000000Z"})).unwrap()
    }

    #[tokio::test]
    async fn events_go_into_the_namespace_of_their_object() {
        let (client, mut asks) = answered(201, "");
        client.create(event()).await.unwrap();
        client.patch(key(), series()).await.unwrap();
        let events = "/apis/events.k8s.io/v1/namespaces/prod/events";
        assert_eq!(asks.recv().await.unwrap(), (Method::POST, events.to_owned()));
        assert_eq!(asks.recv().await.unwrap(), (Method::PATCH, format!("{events}/web.1")));
    }

    #[tokio::test]
    async fn an_event_that_exists_already_was_created_by_an_earlier_try() {
        answered(409, "AlreadyExists").0.create(event()).await.unwrap();
    }

    #[tokio::test]
    async fn only_failures_that_may_pass_by_themselves_are_tried_again() {
        assert!(matches!(answered(404, "NotFound").0.patch(key(), series()).await, Err(EventError::Gone)));
        for (code, reason) in [(403, "Forbidden"), (404, "NotFound"), (422, "Invalid")] {
            assert!(matches!(answered(code, reason).0.create(event()).await, Err(EventError::Refused(_))), "{code}");
        }
        for (code, reason) in [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")] {
            assert!(matches!(answered(code, reason).0.create(event()).await, Err(EventError::Failed(_))), "{code}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_does_not_lead_tells_nothing() {
        let (client, mut asks) = answered(201, "");
        let refused = client.behind(Fence::closed()).create(event()).await;
        assert!(matches!(refused, Err(EventError::Refused(_))));
        assert!(asks.try_recv().is_err());
    }
}
