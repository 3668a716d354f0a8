//! The socket around the [`Cluster`]: HTTP/1.1 and HTTP/2 in plain text, on loopback by default.
//!
//! One task accepts, one task serves each connection. Stopping tells them all to finish: open watches end cleanly, what
//! is in flight is answered, and a connection that does neither within a bound is dropped.
//!
//! Going away is something else, and what a crash looks like from outside: all connections break at once, new ones are
//! refused, and the state waits for the server to come back at the same address.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Authorization, StaticToken, User};
use crate::cluster::Cluster;
use crate::controllers;
use crate::faults;
use crate::http::{Body, MAX_BODY};

/// How long a connection may take to finish once the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// How a playground is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a pod takes from being made to being ready.
    pub ready_delay: Duration,
    /// How often a watch that allows bookmarks gets one.
    pub bookmark_interval: Duration,
    /// Whether the controllers write Events about what they do, as those of a real cluster: for people who look with
    /// `kubectl describe`. A test that reads Events mostly wants those of what it tests, so the default is no.
    pub events: bool,
    /// Where uids, name suffixes, tokens and all other chance come from.
    pub seed: u64,
    /// Who may do what. Unless asked for otherwise: everybody everything.
    pub authorization: Authorization,
    /// Tokens that are good from the start.
    pub tokens: Vec<StaticToken>,
    /// See [`auth::Options::enforce_owner_references`].
    pub enforce_owner_references: bool,
    /// What goes wrong from the start.
    pub faults: faults::Plan,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_delay: Duration::from_millis(300),
            bookmark_interval: Duration::from_secs(60),
            events: false,
            seed: 0,
            authorization: Authorization::AlwaysAllow,
            tokens: Vec::new(),
            enforce_owner_references: false,
            faults: faults::Plan::default(),
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
    /// The administrator's, where one is needed.
    token: Option<String>,
    /// None while it is away.
    door: Mutex<Option<Door>>,
}

/// Who lets connections in.
#[derive(Debug)]
struct Door {
    /// Breaks all connections.
    shut: CancellationToken,
    task: JoinHandle<()>,
}

impl Door {
    fn open(listener: TcpListener, cluster: &Cluster) -> Self {
        let shut = CancellationToken::new();
        let task = tokio::spawn(accept(listener, cluster.clone(), shut.clone()));
        Self { shut, task }
    }
}

impl Playground {
    /// Binds the address and starts to serve.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options {
            listen,
            ready_delay,
            bookmark_interval,
            events,
            seed,
            authorization,
            tokens,
            enforce_owner_references,
            faults,
        } = options;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let auth = auth::Options { authorization, tokens, enforce_owner_references };
        let cluster = Cluster::with_auth(seed, bookmark_interval, auth);
        let token = (authorization == Authorization::Rbac).then(|| admin_token(&cluster));
        let stop = cluster.stop_token();
        let pace = controllers::Options { ready_delay, events, ..controllers::Options::default() };
        let faults::Plan { rules, beats } = faults;
        cluster.faults().replace(rules);
        let mut tasks = controllers::start(&cluster, pace, &stop);
        tasks.push(tokio::spawn(faults::run(cluster.clone(), beats, stop.clone())));
        let door = Mutex::new(Some(Door::open(listener, &cluster)));
        Ok(Self { cluster, address, stop, tasks, token, door })
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig that leads here as the administrator, as YAML.
    pub fn kubeconfig(&self) -> String {
        let user = self.token.as_ref().map_or_else(|| "{}".to_owned(), |token| format!("{{token: {token:?}}}"));
        self.kubeconfig_of(&user)
    }

    /// A kubeconfig that leads here with this bearer token, as YAML.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        self.kubeconfig_of(&format!("{{token: {token:?}}}"))
    }

    /// `user` is YAML of the flow style.
    fn kubeconfig_of(&self, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: playground\n  cluster:\n    server: {}\ncontexts:\n\
             - name: playground\n  context:\n    cluster: playground\n    user: playground\n    namespace: default\n\
             current-context: playground\nusers:\n- name: playground\n  user: {user}\n",
            self.url()
        )
    }

    /// The state behind the server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Breaks all connections and refuses new ones, as when the server has crashed. The cluster stays as it is, and its
    /// controllers go on.
    pub async fn go_away(&self) {
        let door = self.door().take();
        if let Some(Door { shut, task }) = door {
            shut.cancel();
            ended(task).await;
        }
    }

    /// Serves again, at the same address.
    pub async fn come_back(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.door().get_or_insert_with(|| Door::open(listener, &self.cluster));
        Ok(())
    }

    fn door(&self) -> MutexGuard<'_, Option<Door>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everything to end; [`stop`](Self::stop) waits for it, too.
    pub fn stop_serving(&self) {
        self.stop.cancel();
    }

    /// Ends everything and waits for it.
    pub async fn stop(mut self) {
        self.stop_serving();
        let door = self.door().take();
        if let Some(Door { shut: _, task }) = door {
            ended(task).await;
        }
        for task in self.tasks.drain(..) {
            ended(task).await;
        }
    }
}

async fn ended(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::warn!(%error, "a task of the playground did not end well");
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

async fn accept(listener: TcpListener, cluster: Cluster, shut: CancellationToken) {
    let stop = cluster.stop_token();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = shut.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, cluster.clone(), stop.clone()));
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

async fn serve(stream: TcpStream, cluster: Cluster, stop: CancellationToken) {
    // Watch events are small and should not wait for company.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = hyper::service::service_fn(move |request| {
        let cluster = cluster.clone();
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
