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
//!   accept --> Crowd --> TLS?  --> hyper, HTTP/1 --> Gate? --> a method of the site? --> Site --> close
//!              of 64   handshake   head <= 16 KiB   401, 403   else 405                 else 404
//!                      within 3 s  within 3 s                  body? --> Crowd of 8
//!                                                                        <= 4 MiB, else 413, within 3 s
//!              '------------------------- the whole connection within 10 s --------------------------'
//! ```
//!
//! * A [`Site`] is a function from a path, and perhaps a body, to an answer. It does no I/O, so it needs no timeout of
//!   its own.
//! * With [TLS](Server::over_tls), the certificate is read from a [`Slot`](crate::tls::Slot) in each handshake, so it can
//!   be replaced at any time. A client that begins a handshake and falls silent is a client that sends no head.
//! * With a [`Gate`], each request needs a bearer token, and the API server decides who may pass.
//! * One request per connection. Probes and scrapes come every few seconds; with keep-alive, idle connections would
//!   take the room of others.
//! * When there is no room, connections wait in the kernel's backlog, for a quarter of a second at most. Then the oldest
//!   one has to go. A proper client is done within milliseconds, so the oldest one is the slowest: silent connections
//!   can't keep anybody out.
//! * A body takes memory, so fewer of them may be read at the same time, by the same rule.
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
//! nc localhost 8081                           # type nothing: the server hangs up after three seconds
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::access::{Gate, Refusal};

pub use address::{AddressError, BindAddress, BindError};
pub use health::Health;

use crowd::{Crowd, Member};

mod address;
mod crowd;
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
    /// What a connection, or a body, has before it may have to make room for another one.
    patience: Duration,
    /// For the TLS handshake, and then for the request's head.
    head_time: Duration,
    head_bytes: usize,
    /// How many bodies may be read at the same time.
    bodies: usize,
    /// For a body.
    body_time: Duration,
    body_bytes: usize,
    /// From accepting the connection to its end.
    connection_time: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    patience: Duration::from_millis(250),
    head_time: Duration::from_secs(3),
    head_bytes: 16 * 1024,
    bodies: 8,
    body_time: Duration::from_secs(3),
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

/// Who answers requests.
struct Desk {
    site: Box<dyn Site>,
    gate: Option<Gate>,
}

impl Server {
    /// Listens on `address`; `None` if that is disabled. `flag` is the name of the command line flag, for the error
    /// message.
    pub async fn bind(address: &BindAddress, flag: &'static str, site: impl Site) -> Result<Option<Self>, BindError> {
        let Some((listener, address)) = address.bind(flag).await? else { return Ok(None) };
        let desk = Desk { site: Box::new(site), gate: None };
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

    /// The address; for port 0, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends the open connections and returns.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, address, limits, tls, desk } = self;
        info!(%address, tls = tls.is_some(), "listening");
        let (crowd, bodies) =
            (Crowd::of(limits.connections, limits.patience), Crowd::of(limits.bodies, limits.patience));
        let hall = Arc::new(Hall { desk, bodies, limits, tls, stop: stop.clone() });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => {}
                stream = accept(&listener) => {
                    let member = crowd.enter().await;
                    connections.spawn(Arc::clone(&hall).serve(stream, member));
                }
            }
        }
        // Closed before the wait, so that the next process can listen.
        drop(listener);
        while connections.join_next().await.is_some() {}
        debug!(%address, "closed");
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What all connections share.
struct Hall {
    desk: Desk,
    bodies: Crowd,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
}

impl Hall {
    /// Serves one connection to its end, or until its room is needed for another one.
    async fn serve(self: Arc<Self>, stream: TcpStream, member: Member) {
        let served = timeout(self.limits.connection_time, Arc::clone(&self).shake_hands(stream));
        match member.unless_sent_away(served).await {
            Some(Ok(())) => {}
            Some(Err(_elapsed)) => debug!("a connection took too long"),
            None => debug!("a connection was closed to make room for another one"),
        }
    }

    async fn shake_hands(self: Arc<Self>, stream: TcpStream) {
        let Some(acceptor) = &self.tls else { return Arc::clone(&self).talk(stream).await };
        let shaken = self.stop.run_until_cancelled(timeout(self.limits.head_time, acceptor.accept(stream))).await;
        match shaken {
            Some(Ok(Ok(stream))) => Arc::clone(&self).talk(stream).await,
            Some(Ok(Err(error))) => debug!(%error, "a TLS handshake failed"),
            Some(Err(_elapsed)) => debug!("a TLS handshake took too long"),
            None => {}
        }
    }

    /// Answers the request of one connection.
    async fn talk(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let hall = Arc::clone(&self);
        let service = service_fn(move |request: Request<Incoming>| {
            let hall = Arc::clone(&hall);
            async move { Ok::<_, Infallible>(hall.respond(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_time)
            .max_header_size(self.limits.head_bytes)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = async {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        if let Err(error) = ended.await {
            debug!(%error, "a connection ended badly");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Err(refusal) = self.desk.admit(&request).await {
            return refused(&refusal);
        }
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let site = &self.desk.site;
        let answer = match (parts.method, site.methods()) {
            (Method::GET | Method::HEAD, READ) => site.answer(path, query),
            (Method::POST, WRITE) => match self.read(body).await {
                Ok(body) => site.receive(path, &body),
                Err(answer) => Some(answer),
            },
            (_, methods) => {
                let mut refusal = response(Answer::text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n")));
                refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
                return refusal;
            }
        };
        response(answer.unwrap_or_else(|| Answer::text(StatusCode::NOT_FOUND, "not found\n")))
    }

    /// The whole body, or what to answer instead.
    async fn read(&self, body: Incoming) -> Result<Bytes, Answer> {
        let member = self.bodies.enter().await;
        let whole = timeout(self.limits.body_time, Limited::new(body, self.limits.body_bytes).collect());
        match member.unless_sent_away(whole).await {
            Some(Ok(Ok(body))) => Ok(body.to_bytes()),
            Some(Ok(Err(error))) if error.is::<LengthLimitError>() => {
                Err(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"))
            }
            Some(Ok(Err(_broken))) => Err(Answer::text(StatusCode::BAD_REQUEST, "the body can't be read\n")),
            Some(Err(_elapsed)) => Err(Answer::text(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
            None => Err(Answer::text(StatusCode::SERVICE_UNAVAILABLE, "too slow: others are waiting\n")),
        }
    }
}

impl Desk {
    async fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let authorization = request.headers().get(header::AUTHORIZATION);
        gate.admit(authorization.and_then(|value| value.to_str().ok())).await
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
