//! The socket around the [`Cluster`]: HTTP/1.1 and HTTP/2, in plain text on loopback by default, or inside of TLS.
//!
//! One task accepts, one task serves each connection. Stopping tells them all to finish: open watches end cleanly, what
//! is in flight is answered, and a connection that does neither within a bound is dropped.
//!
//! Going away is something else, and what a crash looks like from outside: all connections break at once, new ones are
//! refused, and the state waits for the server to come back at the same address.

mod connection;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Authorization, StaticToken, User};
use crate::cluster::Cluster;
use crate::controllers::{self, Listening};
use crate::faults;
use crate::tls::Authority;
use connection::{House, accept};

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
    /// Serve HTTPS, with an authority made for it. kubectl needs it where it is to be anybody: it sends neither token nor
    /// certificate over plain HTTP.
    pub tls: bool,
    /// What goes wrong from the start.
    pub faults: faults::Plan,
    /// On how many ports of pods is listened, at most: their containers then answer as MCP servers ([`crate::mcp`]). By
    /// default 0, which is none: a pod is its status. [`crate::mcp::affordable_listeners`] is what the process can afford.
    /// Linux only: elsewhere pods have no addresses of their own, and nothing listens.
    pub listeners: usize,
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
            tls: false,
            faults: faults::Plan::default(),
            listeners: 0,
        }
    }
}

/// A running API server with its controllers.
///
/// Dropping it without [`stop`](Self::stop) tells everything to end, and waits for nothing.
pub struct Playground {
    cluster: Cluster,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Where HTTPS is served.
    tls: Option<(TlsAcceptor, Arc<Authority>)>,
    /// The administrator in a kubeconfig, as YAML of the flow style.
    admin: String,
    /// None while it is away.
    door: Mutex<Option<Door>>,
}

impl fmt::Debug for Playground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a playground at {}", self.url())
    }
}

/// Who lets connections in.
#[derive(Debug)]
struct Door {
    /// Breaks all connections.
    shut: CancellationToken,
    task: JoinHandle<()>,
}

impl Door {
    fn open(listener: TcpListener, house: House) -> Self {
        let shut = CancellationToken::new();
        let task = tokio::spawn(accept(listener, house, shut.clone()));
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
            tls,
            faults,
            listeners,
        } = options;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let auth = auth::Options { authorization, tokens, enforce_owner_references };
        let cluster = Cluster::with_auth(seed, bookmark_interval, auth);
        let tls = if tls { Some(tls_at(address.ip())?) } else { None };
        if let Some((_, authority)) = &tls {
            cluster.set_authority(authority.pem());
        }
        let admin = match (&tls, authorization) {
            (Some((_, authority)), _) => authority.issue(&User::admin())?.user(),
            (None, Authorization::AlwaysAllow) => "{}".to_owned(),
            (None, Authorization::Rbac) => format!("{{token: {:?}}}", admin_token(&cluster)),
        };
        let stop = cluster.stop_token();
        let listening = if listeners > 0 { Listening::OnSockets(listeners) } else { Listening::Nowhere };
        let pace = controllers::Options { ready_delay, events, listening, ..controllers::Options::default() };
        let faults::Plan { rules, beats } = faults;
        cluster.faults().replace(rules);
        let mut tasks = controllers::start(&cluster, pace, &stop);
        tasks.push(tokio::spawn(faults::run(cluster.clone(), beats, stop.clone())));
        let house = House { cluster: cluster.clone(), tls: tls.clone() };
        let door = Mutex::new(Some(Door::open(listener, house)));
        Ok(Self { cluster, address, stop, tasks, tls, admin, door })
    }

    /// The base URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A kubeconfig that leads here as the administrator, as YAML.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_of(&self.admin)
    }

    /// A kubeconfig that leads here as this user, by a client certificate, as YAML. An error where no HTTPS is served.
    pub fn kubeconfig_with_certificate(&self, user: &User) -> io::Result<String> {
        let without_tls = || io::Error::other("a client certificate needs TLS, which is off");
        let (_, authority) = self.tls.as_ref().ok_or_else(without_tls)?;
        Ok(self.kubeconfig_of(&authority.issue(user)?.user()))
    }

    /// A kubeconfig that leads here with this bearer token, as YAML.
    pub fn kubeconfig_with_token(&self, token: &str) -> String {
        self.kubeconfig_of(&format!("{{token: {token:?}}}"))
    }

    /// `user` is YAML of the flow style.
    fn kubeconfig_of(&self, user: &str) -> String {
        let authority = self.tls.as_ref().map_or_else(String::new, |(_, authority)| {
            format!("    certificate-authority-data: {}\n", authority.data())
        });
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
        let house = House { cluster: self.cluster.clone(), tls: self.tls.clone() };
        self.door().get_or_insert_with(|| Door::open(listener, house));
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

fn tls_at(address: IpAddr) -> io::Result<(TlsAcceptor, Arc<Authority>)> {
    let authority = Authority::new()?;
    Ok((authority.acceptor(address)?, Arc::new(authority)))
}

fn admin_token(cluster: &Cluster) -> String {
    let token = cluster.new_token();
    cluster.accept_token(StaticToken { token: token.clone(), user: User::admin() });
    token
}
