//! Connections: accepted, perhaps after a handshake, and served until they end or are to end.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::http::{Body, MAX_BODY, Peer};
use crate::tls::Authority;

/// How long a connection may take to finish once the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What is at the other end of a connection.
#[derive(Clone)]
pub(super) struct House {
    pub(super) cluster: Cluster,
    /// Where HTTPS is served: how hands are shaken, and who knows whose certificate it is.
    pub(super) tls: Option<(TlsAcceptor, Arc<Authority>)>,
}

/// Lets connections in until the server stops, or until `shut`, which breaks them all.
pub(super) async fn accept(listener: TcpListener, house: House, shut: CancellationToken) {
    let stop = house.cluster.stop_token();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = shut.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(open(stream, house.clone(), stop.clone()));
                }
                // Out of file descriptors, or a client that left in the handshake: neither is the end.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    if shut.is_cancelled() {
        connections.shutdown().await;
        return;
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Shakes hands, where hands are to be shaken, and serves.
async fn open(stream: TcpStream, house: House, stop: CancellationToken) {
    // Watch events are small and should not wait for company.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let House { cluster, tls } = house;
    let Some((acceptor, authority)) = tls else { return serve(stream, cluster, None, stop).await };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = shown.and_then(|certificate| authority.owner(certificate)).map(Peer);
            serve(stream, cluster, peer, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn serve<S>(stream: S, cluster: Cluster, peer: Option<Peer>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let cluster = cluster.clone();
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        async move { answer(&cluster, request).await }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke");
    }
}

/// Reads the body, within the limit, and calls the cluster. An error breaks the connection.
async fn answer(cluster: &Cluster, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let bytes = match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(crate::http::too_large()),
        Err(error) => {
            tracing::debug!(%error, "a request's body broke off");
            Bytes::new()
        }
    };
    cluster.exchange(Request::from_parts(parts, bytes)).await
}
