//! The operator's own HTTP servers: liveness, readiness and metrics.
//!
//! # The naive solution, and how it breaks
//!
//! A web framework, a router, a `tokio::spawn` per connection. That is more code than the operator itself, and
//! still: anybody who can reach the port opens ten thousand connections and sends one byte a minute on each. The
//! operator runs out of file descriptors and loses its watches, and the kubelet's probe, which all this is for, waits
//! behind the ten thousand. And if the port is in use, the error is "Address already in use (os error 98)", without the
//! address or how to fix it.
//!
//! # The mechanism
//!
//! ```text
//!   accept --> a free slot? --> hyper, HTTP/1 --> GET or HEAD? --> Site::answer(path) --> close
//!              (64 of them)     head <= 16 KiB    else 405         else 404
//!                               within 5 s
//!              '--------------- the whole connection within 10 s ---------------'
//! ```
//!
//! * A [`Site`] is a function from a path to an answer. It does no I/O, so it needs no timeout of its own.
//! * One request per connection. Probes and scrapes come every few seconds; with keep-alive, idle connections would
//!   occupy slots.
//! * When all slots are taken, connections wait in the kernel's backlog. The time limits free the slots.
//! * A failing `accept` (no file descriptors left) is retried after a pause, not in a busy loop.
//! * At the stop: no new connections, open ones end, everything is joined.
//!
//! # What it does not promise
//!
//! Encryption or authentication: this is plain HTTP for the Pod's own network. Nothing secret is served.
//!
//! # Equivalents
//!
//! controller-runtime: `pkg/healthz` and `pkg/metrics/server`; the answers of `/readyz` look like the API server's
//! (`k8s.io/apiserver/pkg/server/healthz`). client-go and kube-runtime leave this to the user.
//!
//! # What to try
//!
//! Start an API server without the CRD, and an operator:
//!
//! ```sh
//! cargo run -p playground -- --listen 127.0.0.1:7001 --kubeconfig /tmp/playground.kubeconfig &
//! export KUBECONFIG=/tmp/playground.kubeconfig
//! cargo run -- run
//! ```
//!
//! In another terminal, with the same `KUBECONFIG`:
//!
//! ```sh
//! curl -s 'localhost:8081/readyz?verbose'     # failed: waiting for mcpservers
//! make install
//! curl -s 'localhost:8081/readyz?verbose'     # passed, within a few seconds
//! nc localhost 8081                           # type nothing: the server hangs up after five seconds
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use address::{AddressError, BindAddress, BindError};
pub use health::Health;

mod address;
mod health;
mod metrics;

/// What a server serves: paths and their answers.
pub trait Site: Send + Sync + 'static {
    /// The answer for `path`, or `None` if there is nothing at this path. `query` is the part after the `?`.
    fn answer(&self, path: &str, query: Option<&str>) -> Option<Answer>;
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of `body`.
    pub content_type: &'static str,
    /// The body, which is not sent in answer to a HEAD request.
    pub body: String,
}

impl Answer {
    /// An answer in plain text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// What clients may use.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    /// From accepting the connection to the end of the request's head.
    head_time: Duration,
    head_bytes: usize,
    /// From accepting the connection to its end.
    connection_time: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head_time: Duration::from_secs(5),
    head_bytes: 16 * 1024,
    connection_time: Duration::from_secs(10),
};

/// The pause after a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening server, which serves once it [runs](Server::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<dyn Site>,
    limits: Limits,
}

impl Server {
    /// Listens on `address`; `None` if that is disabled. `flag` is the name of the command line flag, for the error
    /// message.
    pub async fn bind(address: &BindAddress, flag: &'static str, site: impl Site) -> Result<Option<Self>, BindError> {
        let Some((listener, address)) = address.bind(flag).await? else { return Ok(None) };
        Ok(Some(Self { listener, address, site: Arc::new(site), limits: LIMITS }))
    }

    /// The address; for port 0, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends the open connections and returns.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, address, site, limits } = self;
        info!(%address, "listening");
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => {}
                (stream, slot) = accept(&listener, &slots) => {
                    connections.spawn(serve(stream, slot, Arc::clone(&site), limits, stop.clone()));
                }
            }
        }
        // Closed before the wait, so that the next process can listen.
        drop(listener);
        while connections.join_next().await.is_some() {}
        debug!(%address, "closed");
    }
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // `None` would mean that the semaphore was closed, which never happens.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return (stream, slot),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. The slot is free again when this returns.
async fn serve(
    stream: TcpStream,
    _slot: Option<OwnedSemaphorePermit>,
    site: Arc<dyn Site>,
    limits: Limits,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&*site, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = timeout(limits.connection_time, async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection ended badly"),
        Err(_elapsed) => debug!("a connection took too long"),
    }
}

fn respond<B>(site: &dyn Site, request: &Request<B>) -> Response<Full<Bytes>> {
    match *request.method() {
        Method::GET | Method::HEAD => {
            let (path, query) = (request.uri().path(), request.uri().query());
            let nothing = || Answer::text(StatusCode::NOT_FOUND, "not found\n");
            response(site.answer(path, query).unwrap_or_else(nothing))
        }
        _ => {
            let mut refusal = response(Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let Answer { status, content_type, body } = answer;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
