//! The socket of a server: accepts, reads, writes, and decides nothing.
//!
//! Everything has a bound, so that no client can hold what others need: connections by server and in all, a body by its
//! size and its time, a connection by its life. Beyond a bound the connection is closed.

use std::convert::Infallible;
use std::future::{Future as _, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Duration, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::reply::{Content, Reply};
use super::server::{Answered, Shared};

/// Of one server.
const MAX_CONNECTIONS: usize = 64;
const MAX_BODY: usize = 1 << 20;
/// For a request's head, and between two requests.
const HEAD_TIME: Duration = Duration::from_secs(30);
const BODY_TIME: Duration = Duration::from_secs(10);
/// However busy it is.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// Between two bytes of a slow answer.
const PACE: Duration = Duration::from_secs(1);
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);
/// Where the process's limit can't be read.
const SMALL_LIMIT: usize = 1024;

/// How many listeners this process can afford: half of the files that it may open, so that the other half is left for
/// connections and for the API server.
pub fn affordable_listeners() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    open_files(&limits).unwrap_or(SMALL_LIMIT) / 2
}

/// The soft limit of open files, from the text of `/proc/self/limits`.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves until `stop`, which ends all connections at once, as a process that dies ends them. `seats` are all servers'
/// connections.
pub(crate) async fn serve(listener: TcpListener, server: Shared, seats: Arc<Semaphore>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let room = connections.len() < MAX_CONNECTIONS && server.behaviour() != Behaviour::HangsUp;
                    // Without a seat the connection is closed, here and now.
                    if let (true, Ok(seat)) = (room, Arc::clone(&seats).try_acquire_owned()) {
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "no TCP_NODELAY");
                        }
                        let connection = converse(stream, Arc::clone(&server));
                        connections.spawn(async move {
                            connection.await;
                            drop(seat);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection to a pod failed");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Turns a bound socket into one that tokio polls.
pub(crate) fn adopt(listener: std::net::TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Binds an address.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    adopt(std::net::TcpListener::bind(address)?)
}

/// Serves one connection for all its life.
pub(super) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, server: Shared) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(exchange(&server, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    match timeout(CONNECTION_LIFE, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to a pod broke"),
        Err(_) => tracing::debug!("a connection to a pod has lived long enough"),
    }
}

async fn exchange(server: &Shared, request: Request<Incoming>) -> Response<Flow> {
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return refused(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => return refused(StatusCode::BAD_REQUEST),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT),
    };
    let Answered { reply, more } = server.answer(&Request::from_parts(parts, body));
    let Reply { status, headers, content, push: _ } = reply;
    let flow = match content {
        Content::Whole(bytes) => Flow::Whole(Some(bytes)),
        Content::Slow(bytes) => Flow::Slow { rest: bytes, pause: Box::pin(sleep(Duration::ZERO)) },
        Content::Endless(bytes) => Flow::Endless(bytes),
        Content::Stream { first, session: _ } => Flow::Stream { first: Some(first), more },
        Content::Silence => pending().await,
    };
    let mut response = Response::new(flow);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn refused(status: StatusCode) -> Response<Flow> {
    let mut response = Response::new(Flow::Whole(None));
    *response.status_mut() = status;
    response
}

/// How a body flows.
enum Flow {
    Whole(Option<Bytes>),
    /// A byte whenever the pause is over.
    Slow {
        rest: Bytes,
        pause: Pin<Box<Sleep>>,
    },
    Endless(Bytes),
    /// Ends when nobody can push any more; without `more`, never.
    Stream {
        first: Option<Bytes>,
        more: Option<mpsc::Receiver<Bytes>>,
    },
}

impl Body for Flow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Slow { rest, pause: _ } if rest.is_empty() => None,
            Self::Slow { rest, pause } => {
                ready!(pause.as_mut().poll(context));
                *pause = Box::pin(sleep(PACE));
                Some(rest.split_to(1))
            }
            Self::Endless(bytes) => Some(bytes.clone()),
            Self::Stream { first: first @ Some(_), .. } => first.take(),
            Self::Stream { more: Some(more), .. } => ready!(more.poll_recv(context)),
            Self::Stream { more: None, .. } => return Poll::Pending,
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |all| all.len() as u64)),
            Self::Slow { .. } | Self::Endless(_) | Self::Stream { .. } => hyper::body::SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read_from_its_line() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             1                    2                    processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(open_files(""), None);
    }
}
