//! The only way to the API server.
//!
//! # The naive solution, and how it breaks
//!
//! A client with a method for everything, called from everywhere. Three things go wrong. A test has to
//! start a server to see what *would* be sent. A request that hangs blocks its caller for as long as TCP waits.
//! And when leadership is lost, every one of those calls is a place that should have checked.
//!
//! # The mechanism
//!
//! ```text
//! Request (a value) ──► Client::send ──► fence ──► timeout ──► kube_client (TLS, credentials) ──► answer | Error
//! ```
//!
//! - [`Request`] describes what to ask and does nothing, so it can be inspected.
//! - [`Client`] is the only type in this crate that talks to the API server. It can [`send`](Client::send) one request
//!   for one answer, [`list`](Client::list) the items of a page, and open a [`watch`](Client::watch).
//! - Every write passes the [`Fence`], and its timeout ends no later than the fence closes: a write that
//!   could not be sent before leadership ran out is dropped, wherever it waits.
//! - Every wait is bounded in time, every answer in size.
//! - An [`Error`] names the operation, and how to fix the problem where that is known: the RBAC rule to add, the
//!   credentials to renew.
//!
//! # What it does not promise
//!
//! That a write which failed was not done. A timeout or a broken connection leaves that open; whoever writes has
//! to be able to write again. The client itself never repeats a request: when to try again is decided by the
//! [work queue](crate::workqueue) and the [reflector](crate::informer::reflector), which know what the request was for.
//!
//! # Equivalents
//!
//! client-go: `rest.Request` and `rest.RESTClient`. kube: `kube_core::Request` and `kube_client::Client`; this client
//! uses the connection of the latter.
//!
//! # What to try
//!
//! `make playground ARGS="--plain --log-level smooth_operator::client=debug"`, then scale a server: every request is one
//! log line, with the status code of the answer and the duration. When everything has settled, the lines stop.

pub mod connect;
pub mod error;
pub mod fence;
pub mod request;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Limited};
use kube_client::client::Body;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

pub use connect::{ConnectError, Connection, Target, connect};
pub use error::{Error, StreamError, rule_to_add};
pub use fence::Fence;
pub use request::{FIELD_MANAGER, ListParams, Operation, Request, Verb, WatchParams};

use crate::telemetry::ClientMetrics;
use crate::watch::list::ListError;
use crate::watch::{Lines, ListMeta, ListSplitter, Status};

/// How this program appears in the API server's audit log.
const USER_AGENT: &str = concat!("smooth-operator/", env!("CARGO_PKG_VERSION"));
/// Why a body could not be read.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to the API server, with the fence that its writes pass. Clones share both.
#[derive(Clone)]
pub struct Client {
    transport: kube_client::Client,
    fence: Fence,
    metrics: Option<ClientMetrics>,
    timeout: Duration,
}

impl Client {
    /// The longest time that one request may take. The length of a list is unbounded, so for a list this is the longest
    /// time without new bytes.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The largest answer that is read, and the largest item of a list or a watch, in bytes.
    pub const MAX_OBJECT: usize = Lines::DEFAULT_LIMIT;

    /// A client over an existing connection, with a fence that is always open.
    pub fn new(transport: kube_client::Client) -> Self {
        Self { transport, fence: Fence::always_open(), metrics: None, timeout: Self::TIMEOUT }
    }

    /// The same connection, with its requests counted.
    #[must_use]
    pub fn measured_by(&self, metrics: ClientMetrics) -> Self {
        Self { metrics: Some(metrics), ..self.clone() }
    }

    /// The same connection behind another fence.
    #[must_use]
    pub fn behind(&self, fence: Fence) -> Self {
        Self { fence, ..self.clone() }
    }

    /// The same connection with another limit than [`TIMEOUT`](Self::TIMEOUT), for a caller that has less time. Tests
    /// have: they use real sockets, and so real time.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Sends a request and reads the answer as `T`.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn send<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let operation = request.operation.clone();
        let body = self.bounded(request, self.timeout).await?;
        serde_json::from_slice(&body)
            .map_err(|source| Error::Answer { operation: Box::new(operation), source: source.into() })
    }

    /// Reads one page of a list and passes each item to `each` as its bytes arrive.
    ///
    /// The timeout bounds each wait for more bytes, not the whole page: over a slow line, the objects of a large cluster
    /// take longer than any fixed time, and a second attempt would take just as long.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Some items may have been passed on before it occurs.
    pub async fn list(&self, request: Request, mut each: impl FnMut(&[u8])) -> Result<ListMeta, Error> {
        let operation = request.operation.clone();
        let silent = || timed_out(&operation, self.timeout);
        let mut body = timeout(self.timeout, self.open(request)).await.unwrap_or_else(|_| Err(silent()))?;
        let mut splitter = ListSplitter::new(Self::MAX_OBJECT);
        loop {
            let chunk = timeout(self.timeout, next_chunk(&mut body)).await.map_err(|_| silent())?;
            let Some(chunk) = chunk.map_err(|source| broken(&operation, source))? else { break };
            splitter.push(&chunk, &mut each).map_err(|error| unreadable(&operation, error))?;
        }
        splitter.finish().map_err(|error| unreadable(&operation, error))
    }

    /// Opens a watch. The wait for the response is bounded; how long the stream may then be silent is for the caller to
    /// decide.
    ///
    /// # Errors
    ///
    /// See [`Error`]: the watch could not be opened.
    pub async fn watch(&self, request: Request) -> Result<WatchStream, Error> {
        let operation = request.operation.clone();
        let opened = timeout(self.timeout, self.open(request)).await;
        let body = opened.unwrap_or_else(|_| Err(timed_out(&operation, self.timeout)))?;
        Ok(WatchStream { body, lines: Lines::new(Self::MAX_OBJECT) })
    }

    /// Passes the fence, sends the request and collects the answer, all within `limit`.
    async fn bounded(&self, request: Request, limit: Duration) -> Result<Bytes, Error> {
        let operation = request.operation.clone();
        let limit = if operation.verb.writes() {
            let Some(remaining) = self.fence.remaining(Instant::now()) else {
                return Err(Error::Fenced { operation: Box::new(operation) });
            };
            limit.min(remaining)
        } else {
            limit
        };
        let writes = operation.verb.writes();
        let exchange = async {
            let body = self.open(request).await?;
            let collected = Limited::new(body, Self::MAX_OBJECT).collect().await;
            collected.map(Collected::to_bytes).map_err(|source| broken(&operation, source))
        };
        let mut exchange = pin!(exchange);
        // At every poll and not only at the first: a process that was stopped for a minute continues with its request
        // still waiting for a connection, and may get that connection before any timer has noticed how late it is.
        let in_time = poll_fn(|context| {
            if writes && self.fence.remaining(Instant::now()).is_none() {
                return Poll::Ready(Err(timed_out(&operation, limit)));
            }
            exchange.as_mut().poll(context)
        });
        timeout(limit, in_time).await.unwrap_or_else(|_| Err(timed_out(&operation, limit)))
    }

    /// Sends a request and returns the body of a successful answer, or the refusal as an error.
    async fn open(&self, request: Request) -> Result<Body, Error> {
        let Request { operation, method, uri, content_type, body } = request;
        let started = Instant::now();
        let mut http =
            http::Request::builder().method(method.clone()).uri(uri).header(http::header::USER_AGENT, USER_AGENT);
        http = http.header(http::header::ACCEPT, "application/json");
        if let Some(content_type) = content_type {
            http = http.header(http::header::CONTENT_TYPE, content_type);
        }
        let http = http.body(Body::from(body)).map_err(|error| broken(&operation, error.into()))?;
        let mut counted = self.metrics.as_ref().map(|metrics| Counted { metrics, method, started, code: None });
        let answer = self.transport.send(http).await;
        if let (Some(counted), Ok(answer)) = (&mut counted, &answer) {
            counted.code = Some(answer.status().as_u16());
        }
        drop(counted);
        let elapsed = started.elapsed();
        let answer = answer
            .map_err(|error| broken(&operation, error.into()))
            .inspect_err(|error| tracing::debug!(%error, ?elapsed, "no answer from the API server"))?;
        let code = answer.status();
        tracing::debug!(%operation, code = code.as_u16(), ?elapsed, "asked the API server");
        if code.is_success() { Ok(answer.into_body()) } else { Err(refusal(operation, answer).await) }
    }
}

/// Counts a request once, however it ends: answered, failed, or dropped by the caller.
struct Counted<'a> {
    metrics: &'a ClientMetrics,
    method: http::Method,
    started: Instant,
    code: Option<u16>,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let (method, elapsed) = (self.method.as_str(), self.started.elapsed());
        match self.code {
            Some(code) => self.metrics.answered(method, code, elapsed),
            None => self.metrics.failed(method, elapsed),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("fence", &self.fence).finish_non_exhaustive()
    }
}

/// An open watch: whole lines, one after the other.
#[derive(Debug)]
pub struct WatchStream {
    body: Body,
    lines: Lines,
}

impl WatchStream {
    /// The next line, or `None` after the server has ended the stream. A line that was cut off by the end is dropped:
    /// nobody has acted on it, and the next watch sends it again.
    ///
    /// Cancel-safe: received bytes stay in the stream.
    ///
    /// # Errors
    ///
    /// The connection broke, or a line is longer than any object can be.
    pub async fn next_line(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            if let Some(line) = self.lines.next_line()? {
                return Ok(Some(line));
            }
            match next_chunk(&mut self.body).await.map_err(StreamError::Broken)? {
                Some(chunk) => self.lines.push(&chunk),
                None => return Ok(None),
            }
        }
    }
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        // Trailers carry nothing that is used here.
        if let Ok(data) = frame.map_err(BodyError::from)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads a refusal: a Status from the API server itself, plain text from a proxy or for an unknown path.
async fn refusal(operation: Operation, answer: http::Response<Body>) -> Error {
    let code = answer.status().as_u16();
    let header = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = first_part(answer.into_body()).await;
    let mut status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_not_a_status| Status {
        message: String::from_utf8_lossy(&body).trim().chars().take(256).collect(),
        ..Status::default()
    });
    status.code = code;
    let seconds = header.or_else(|| status.details.as_ref()?.retry_after_seconds);
    Error::Api {
        operation: Box::new(operation),
        status: Box::new(status),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// The first part of a refusal's text. The status code has already said that the request was refused; a proxy's endless
/// error page must not turn that into a timeout, which leaves open whether a write was done.
async fn first_part(mut body: Body) -> Vec<u8> {
    const ENOUGH: usize = 64 * 1024;
    let mut text = Vec::new();
    while text.len() < ENOUGH {
        let Ok(Some(chunk)) = next_chunk(&mut body).await else { break };
        text.extend_from_slice(&chunk);
    }
    text
}

fn broken(operation: &Operation, source: BodyError) -> Error {
    Error::Transport { operation: Box::new(operation.clone()), source }
}

fn unreadable(operation: &Operation, source: ListError) -> Error {
    Error::Answer { operation: Box::new(operation.clone()), source: source.into() }
}

fn timed_out(operation: &Operation, after: Duration) -> Error {
    Error::Timeout { operation: Box::new(operation.clone()), after }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::{Value, json};
    use tokio::sync::Notify;

    use super::*;
    use crate::object::{LEASES, ObjectKey};

    /// The connection becomes free in the moment in which a stopped process continues, an hour too late: which is
    /// polled first, the request or the timer? It used to be the request.
    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_for_a_connection_while_the_process_is_stopped_is_not_sent_when_it_continues() {
        let (free, sent) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let transport = {
            let (free, sent) = (Arc::clone(&free), Arc::clone(&sent));
            tower::service_fn(move |_: http::Request<Body>| {
                let (free, sent) = (Arc::clone(&free), Arc::clone(&sent));
                async move {
                    free.notified().await;
                    sent.store(true, Ordering::Relaxed);
                    Ok::<_, Infallible>(http::Response::new(Body::from(b"{}".to_vec())))
                }
            })
        };
        let fence = Fence::closed();
        fence.open_until(Instant::now() + Duration::from_secs(13));
        let client = Client::new(kube_client::Client::new(transport, "default")).behind(fence);
        let write = Request::create(&LEASES, &ObjectKey::new("n", "a"), &json!({}));
        let writing = tokio::spawn(async move { client.send::<Value>(write).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        free.notify_one();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(matches!(writing.await.unwrap(), Err(Error::Timeout { .. })));
        assert!(!sent.load(Ordering::Relaxed));
    }
}
