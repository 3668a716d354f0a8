//! The socket around the [`Cluster`]: HTTP/1.1 and HTTP/2, in plain text on loopback by default, or inside of TLS.
//!
//! One task accepts, one task serves each connection. Stopping tells them all to finish: open watches end cleanly, what
//! is in flight is answered, and a connection that does neither within a bound is dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Authorization, StaticToken, User};
use crate::cluster::Cluster;
use crate::controllers;
use crate::http::{Body, MAX_BODY, Peer};
use crate::tls::Authority;

/// How long a connection may take to finish once the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How a playground is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a pod takes from being made to being ready.
    pub ready_delay: Duration,
    /// How often a watch that allows bookmarks gets one.
    pub bookmark_interval: Duration,
    /// Where uids, name suffixes, tokens and all other chance come from.
    pub seed: u64,
    /// Who may do what. Unless asked for otherwise: everybody everything.
    pub authorization: Authorization,
    /// Tokens that are good from the start.
    pub tokens: Vec<StaticToken>,
    /// See [`auth::Options::enforce_owner_references`].
    pub enforce_owner_references: bool,
    /// Serve HTTPS, with an authority made for it. kubectl needs it where it is to be anybody: it sends neither token nor
    /// certificate over plain HTTP.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_delay: Duration::from_millis(300),
            bookmark_interval: Duration::from_secs(60),
            seed: 0,
            authorization: Authorization::AlwaysAllow,
            tokens: Vec::new(),
            enforce_owner_references: false,
            tls: false,
        }
    }
}

/// A running API server with its controllers.
///
/// Dropping it without [`stop`](Self::stop) tells everything to end, and waits for nothing.
#[derive(Debug)]
pub struct Playground {
    cluster: Cluster,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Where HTTPS is served.
    authority: Option<Arc<Authority>>,
    /// The administrator in a kubeconfig, as YAML of the flow style.
    admin: String,
}

impl Playground {
    /// Binds the address and starts to serve.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options {
            listen,
            ready_delay,
            bookmark_interval,
            seed,
            authorization,
            tokens,
            enforce_owner_references,
            tls,
        } = options;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let auth = auth::Options { authorization, tokens, enforce_owner_references };
        let cluster = Cluster::with_auth(seed, bookmark_interval, auth);
        let authority = tls.then(Authority::new).transpose()?.map(Arc::new);
        let admin = match (&authority, authorization) {
            (Some(authority), _) => authority.issue(&User::admin())?.user(),
            (None, Authorization::AlwaysAllow) => "{}".to_owned(),
            (None, Authorization::Rbac) => format!("{{token: {:?}}}", admin_token(&cluster)),
        };
        let door = Door {
            cluster: cluster.clone(),
            tls: match &authority {
                Some(authority) => Some((authority.acceptor(address.ip())?, Arc::clone(authority))),
                None => None,
            },
            stop: cluster.stop_token(),
        };
        let stop = cluster.stop_token();
        let pace = controllers::Options { ready_delay, ..controllers::Options::default() };
        let mut tasks = controllers::start(&cluster, pace, &stop);
        tasks.push(tokio::spawn(accept(listener, door)));
        Ok(Self { cluster, address, stop, tasks, authority, admin })
    }

    /// The base URL.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A kubeconfig that leads here as the administrator, as YAML.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_of(&self.admin)
    }

    /// A kubeconfig that leads here as this user, by a client certificate, as YAML. An error where no HTTPS is served.
    pub fn kubeconfig_with_certificate(&self, user: &User) -> io::Result<String> {
        let authority = self.authority.as_ref();
        let authority = authority.ok_or_else(|| io::Error::other("a client certificate needs TLS, which is off"))?;
        Ok(self.kubeconfig_of(&authority.issue(user)?.user()))
    }

    /// A kubeconfig that leads here with this bearer token, as YAML.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        self.kubeconfig_of(&format!("{{token: {token:?}}}"))
    }

    /// `user` is YAML of the flow style.
    fn kubeconfig_of(&self, user: &str) -> String {
        let authority = self
            .authority
            .as_ref()
            .map_or_else(String::new, |authority| format!("    certificate-authority-data: {}\n", authority.data()));
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: playground\n  cluster:\n    server: {}\n{authority}contexts:\n\
             - name: playground\n  context:\n    cluster: playground\n    user: playground\n    namespace: default\n\
             current-context: playground\nusers:\n- name: playground\n  user: {user}\n",
            self.url()
        )
    }

    /// The state behind the server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Tells everything to end; [`stop`](Self::stop) waits for it, too.
    pub fn stop_serving(&self) {
        self.stop.cancel();
    }

    /// Ends everything and waits for it.
    pub async fn stop(mut self) {
        self.stop_serving();
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the playground did not end well");
            }
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn admin_token(cluster: &Cluster) -> String {
    let token = cluster.new_token();
    cluster.accept_token(StaticToken { token: token.clone(), user: User::admin() });
    token
}

/// What a connection needs to be served.
#[derive(Clone)]
struct Door {
    cluster: Cluster,
    tls: Option<(TlsAcceptor, Arc<Authority>)>,
    stop: CancellationToken,
}

async fn accept(listener: TcpListener, door: Door) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = door.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(open(stream, door.clone()));
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
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Shakes hands, where hands are to be shaken, and serves.
async fn open(stream: TcpStream, door: Door) {
    // Watch events are small and should not wait for company.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Door { cluster, tls, stop } = door;
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
        async move { Ok::<_, std::convert::Infallible>(answer(&cluster, request).await) }
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

/// Reads the body, within the limit, and calls the cluster.
async fn answer(cluster: &Cluster, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return crate::http::too_large(),
        Err(error) => {
            tracing::debug!(%error, "a request's body broke off");
            Bytes::new()
        }
    };
    cluster.call(Request::from_parts(parts, bytes)).await
}
