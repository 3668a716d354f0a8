//! The operator's own HTTP servers: liveness, readiness, metrics and the webhook.
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
//!   accept --> a free slot? --> TLS?  --> hyper, HTTP/1 --> Gate? --> a method of the site? --> Site --> close
//!              (64 of them)    handshake  head <= 16 KiB   401, 403   else 405                 else 404
//!                              within 5 s within 5 s                  body <= 4 MiB, else 413
//!              '------------------------- the whole connection within 10 s -------------------------'
//! ```
//!
//! * A [`Site`] is a function from a path, and perhaps a body, to an answer. It does no I/O, so it needs no timeout of
//!   its own.
//! * With [TLS](Server::over_tls), the certificate is read from a [`Slot`](crate::tls::Slot) in each handshake, so it can
//!   be replaced at any time. A client that begins a handshake and falls silent is a client that sends no head.
//! * With a [`Gate`], each request needs a bearer token, and the API server decides who may pass.
//! * One request per connection. Probes and scrapes come every few seconds; with keep-alive, idle connections would
//!   occupy slots.
//! * When all slots are taken, connections wait in the kernel's backlog. The time limits free the slots.
//! * A failing `accept` (no file descriptors left) is retried after a pause, not in a busy loop.
//! * At the stop: no new connections, open ones end, everything is joined.
//!
//! # What it does not promise
//!
//! Encryption or authentication by default: health and metrics are plain HTTP for the Pod's own network, and contain
//! nothing secret.
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
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::access::{Gate, Refusal};

pub use address::{AddressError, BindAddress, BindError};
pub use health::Health;

mod address;
mod health;
mod metrics;
mod webhook;

/// What a server serves: paths and their answers. A site is either read or written to.
pub trait Site: Send + Sync + 'static {
    /// The methods that it knows, for the `Allow` header.
    fn methods(&self) -> &'static str {
        READ
    }

    /// The answer for `path`, or `None` if there is nothing at this path. `query` is the part after the `?`.
    fn answer(&self, path: &str, query: Option<&str>) -> Option<Answer>;

    /// The answer to a POST of `body` to `path`, or `None` if there is nothing at this path.
    fn receive(&self, path: &str, body: &[u8]) -> Option<Answer> {
        _ = (path, body);
        None
    }
}

/// The methods of a site that is read.
const READ: &str = "GET, HEAD";
/// The methods of a site that is written to.
const WRITE: &str = "POST";

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
    /// For the TLS handshake, and then for the request's head.
    head_time: Duration,
    head_bytes: usize,
    body_bytes: usize,
    /// From accepting the connection to its end.
    connection_time: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head_time: Duration::from_secs(5),
    head_bytes: 16 * 1024,
    body_bytes: crate::admission::MAX_REVIEW,
    connection_time: Duration::from_secs(10),
};

/// The pause after a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening server, which serves once it [runs](Server::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    desk: Desk,
}

/// Who answers requests, one at a time or many.
struct Desk {
    site: Box<dyn Site>,
    gate: Option<Gate>,
    body_bytes: usize,
}

impl Server {
    /// Listens on `address`; `None` if that is disabled. `flag` is the name of the command line flag, for the error
    /// message.
    pub async fn bind(address: &BindAddress, flag: &'static str, site: impl Site) -> Result<Option<Self>, BindError> {
        let Some((listener, address)) = address.bind(flag).await? else { return Ok(None) };
        let desk = Desk { site: Box::new(site), gate: None, body_bytes: LIMITS.body_bytes };
        Ok(Some(Self { listener, address, limits: LIMITS, tls: None, desk }))
    }

    /// The same over TLS.
    #[must_use]
    pub fn over_tls(self, acceptor: TlsAcceptor) -> Self {
        Self { tls: Some(acceptor), ..self }
    }

    /// The same for those whom `gate` admits.
    #[must_use]
    pub fn behind(self, gate: Gate) -> Self {
        Self { desk: Desk { gate: Some(gate), ..self.desk }, ..self }
    }

    /// With fewer connections at the same time, for a site whose requests need memory.
    #[must_use]
    pub fn with_connections(self, connections: usize) -> Self {
        Self { limits: Limits { connections, ..self.limits }, ..self }
    }

    /// The address; for port 0, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends the open connections and returns.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, address, limits, tls, desk } = self;
        info!(%address, tls = tls.is_some(), "listening");
        let (slots, desk) = (Arc::new(Semaphore::new(limits.connections)), Arc::new(desk));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => {}
                (stream, slot) = accept(&listener, &slots) => {
                    connections.spawn(serve(stream, slot, tls.clone(), Arc::clone(&desk), limits, stop.clone()));
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
    tls: Option<TlsAcceptor>,
    desk: Arc<Desk>,
    limits: Limits,
    stop: CancellationToken,
) {
    let served = timeout(limits.connection_time, async {
        let Some(acceptor) = tls else { return talk(stream, desk, limits, &stop).await };
        let shaken = stop.run_until_cancelled(timeout(limits.head_time, acceptor.accept(stream))).await;
        match shaken {
            Some(Ok(Ok(stream))) => talk(stream, desk, limits, &stop).await,
            Some(Ok(Err(error))) => debug!(%error, "a TLS handshake failed"),
            Some(Err(_elapsed)) => debug!("a TLS handshake took too long"),
            None => {}
        }
    });
    if served.await.is_err() {
        debug!("a connection took too long");
    }
}

/// Answers the request of one connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    desk: Arc<Desk>,
    limits: Limits,
    stop: &CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.respond(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    if let Err(error) = ended.await {
        debug!(%error, "a connection ended badly");
    }
}

impl Desk {
    async fn respond<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Err(refusal) = self.admit(&request).await {
            return refused(&refusal);
        }
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let answer = match (parts.method, self.site.methods()) {
            (Method::GET | Method::HEAD, READ) => self.site.answer(path, query),
            (Method::POST, WRITE) => match Limited::new(body, self.body_bytes).collect().await {
                Ok(body) => self.site.receive(path, &body.to_bytes()),
                Err(error) => Some(unread(&*error)),
            },
            (_, methods) => {
                let mut refusal = response(Answer::text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n")));
                refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
                return refusal;
            }
        };
        response(answer.unwrap_or_else(|| Answer::text(StatusCode::NOT_FOUND, "not found\n")))
    }

    async fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let authorization = request.headers().get(header::AUTHORIZATION);
        gate.admit(authorization.and_then(|value| value.to_str().ok())).await
    }
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Answer {
    if error.is::<LengthLimitError>() {
        Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n")
    } else {
        Answer::text(StatusCode::BAD_REQUEST, "the body can't be read\n")
    }
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let status = match refusal {
        Refusal::NoToken | Refusal::Unknown => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = response(Answer::text(status, format!("{refusal}\n")));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
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
