//! From a kubeconfig, or the pod's service account, to a connection.
//!
//! `kube_client` reads the configuration, handles TLS and refreshes credentials. Its ready-made client does two
//! more things that would harm this operator, so the tower stack is assembled here without them:
//!
//! - It repeats requests by itself on 429, 503 and 504, bypassing the [fence](super::Fence) and the queue's backoff.
//! - Its sockets wait for as long as the kernel allows. If the node at the other end disappears, a watch then stays
//!   open for a quarter of an hour in which nothing happens and nothing seems wrong.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection as Connected, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube_client::Config;
use kube_client::client::{AuthError, Body, ClientBuilder, ConfigExt};
use kube_client::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::Service;
use tower::util::{MapErrLayer, option_layer};

use super::error::root_cause;

/// How long it may take to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this much silence the kernel probes the peer, and again at this interval.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// If sent bytes are not acknowledged for this long, the connection is closed (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// The number of idle connections kept for later requests.
const IDLE_CONNECTIONS: usize = 8;
/// The most that is read from a connection at once, in bytes. hyper would use up to 400 KiB for each watch, and watches
/// don't need the throughput.
const READ_BUFFER: usize = 64 * 1024;

/// Which cluster to connect to, and as which user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The kubeconfig; otherwise `$KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; otherwise the current one.
    pub context: Option<String>,
}

/// A connection and what the configuration says about it.
#[derive(Debug)]
pub struct Connection {
    /// A client over the connection.
    pub client: super::Client,
    /// The URL of the API server, for messages.
    pub server: String,
    /// The namespace of the context or the pod.
    pub namespace: String,
}

/// There is no usable configuration. Each message ends with how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is neither a kubeconfig nor a service account.
    #[error(
        "no cluster: there is no kubeconfig at ~/.kube/config, KUBECONFIG is not set, and this is not a pod; \
         name a kubeconfig with --kubeconfig, or create a cluster with `make kind-up` (or try `make playground`, which needs none)"
    )]
    NoCluster,
    /// The kubeconfig exists but can't be used.
    #[error("the kubeconfig {}: {}; fix the file, or choose another with --kubeconfig or --context", .file.display(), unusable(.source))]
    Kubeconfig {
        /// The file: from the command line, from `$KUBECONFIG`, or in the home directory.
        file: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The pod's service account can't be used.
    #[error("the pod's service account: {}; is automountServiceAccountToken enabled?", root_cause(.0))]
    InCluster(kube_client::config::InClusterError),
    /// Certificates, keys or tokens in the configuration can't be used.
    #[error("the credentials for {server} in {origin}: {}; check the certificates and tokens of this context", rejected(plugin, .source))]
    Credentials {
        /// The URL of the API server.
        server: String,
        /// Where the credentials come from.
        origin: String,
        /// The program that fetches a token, if there is one.
        plugin: String,
        /// What is wrong with the credentials.
        source: Box<kube_client::Error>,
    },
}

/// The parser's first line says what is wrong and where. The following lines quote the file, which may contain a token.
fn first_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _named_already) => error.to_string(),
        other => first_line(other),
    }
}

/// A login plugin may have printed a token, so only its standard error is quoted.
fn rejected(plugin: &str, error: &kube_client::Error) -> String {
    match error {
        kube_client::Error::Auth(AuthError::AuthExecStart(error)) => {
            format!("the login plugin {plugin} can't be started: {error}")
        }
        kube_client::Error::Auth(AuthError::AuthExecRun { cmd: _, out }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            format!("the login plugin {plugin} failed with {}: {}", out.status, said.trim().replace('\n', ", "))
        }
        kube_client::Error::Auth(AuthError::AuthExecParse(_quotes_the_token)) => {
            format!("the login plugin {plugin} did not return a valid ExecCredential")
        }
        other => first_line(other),
    }
}

/// Makes a client for the cluster that `target` names. Sends nothing yet.
///
/// # Errors
///
/// [`ConnectError`]: one line that says what is wrong, where, and how to fix it.
pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
    let (config, origin) = load(target).await?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone()).unwrap_or_default();
    let refused =
        |source| ConnectError::Credentials { server: server.clone(), origin, plugin, source: Box::new(source) };
    let transport = build(&config).map_err(refused)?;
    Ok(Connection { client: super::Client::new(transport), server, namespace })
}

/// The configuration, and where it comes from. A kubeconfig that was named or found must be valid; the pod's service
/// account is used only where there is no kubeconfig. A fallback from a broken kubeconfig would report the missing
/// service account instead of the actual mistake.
async fn load(target: &Target) -> Result<(Config, String), ConnectError> {
    let Target { kubeconfig, context } = target;
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let environment = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    let file = kubeconfig.clone().or_else(|| environment.clone()).unwrap_or_else(|| "~/.kube/config".into());
    let origin = file.display().to_string();
    let loaded = match kubeconfig {
        Some(file) => match Kubeconfig::read_from(file) {
            Ok(parsed) => Config::from_custom_kubeconfig(parsed, &options).await,
            Err(error) => Err(error),
        },
        None => Config::from_kubeconfig(&options).await,
    };
    match loaded {
        Ok(config) => Ok((config, origin)),
        Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
            if kubeconfig.is_none() && environment.is_none() && context.is_none() =>
        {
            in_cluster()
        }
        Err(source) => Err(ConnectError::Kubeconfig { file, source }),
    }
}

fn in_cluster() -> Result<(Config, String), ConnectError> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(ConnectError::NoCluster);
    }
    let config = Config::incluster().map_err(ConnectError::InCluster)?;
    Ok((config, "the pod's service account".to_owned()))
}

fn build(config: &Config) -> Result<kube_client::Client, kube_client::Error> {
    match config.proxy_url.clone() {
        None => stack(config, tcp()),
        Some(proxy) if proxy.scheme() == Some(&Scheme::HTTP) => stack(config, tunnel(&proxy, tcp())),
        Some(proxy) if proxy.scheme() == Some(&Scheme::HTTPS) => {
            stack(config, tunnel(&proxy, config.rustls_https_connector_with_connector(tcp())?))
        }
        Some(proxy_url) => Err(kube_client::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy_url) }),
    }
}

/// A connector through a proxy, with the name and password from its URL, if there are any.
fn tunnel<C>(proxy: &Uri, to_the_proxy: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), to_the_proxy);
    let named = Matcher::builder().all(proxy.to_string()).build().intercept(proxy);
    match named.as_ref().and_then(Intercept::basic_auth) {
        Some(password) => tunnel.with_auth(password.clone()),
        None => tunnel,
    }
}

/// The layers from a request down to TLS, over the connections that `line` makes.
fn stack<C>(config: &Config, line: C) -> Result<kube_client::Client, kube_client::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connected + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<tower::BoxError> + Send + Sync + 'static,
{
    let connector = config.rustls_https_connector_with_connector(line)?;
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(READ_BUFFER)
        .build(connector);
    // Each layer wraps the ones before it: a request passes them from the last to the first.
    Ok(ClientBuilder::new(http, config.default_namespace.clone())
        .with_layer(&MapErrLayer::new(tower::BoxError::from))
        .with_layer(&config.extra_headers_layer()?)
        .with_layer(&option_layer(config.auth_layer()?))
        .with_layer(&config.base_uri_layer())
        .build())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(2));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use hyper_util::rt::TokioIo;
    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A node that vanishes without a word says nothing that could be tested here, so this asks the kernel what it would do.
    #[tokio::test]
    async fn a_peer_that_vanishes_is_noticed_by_the_kernel_within_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connection: TokioIo<TcpStream> = tcp().call(url.parse().unwrap()).await.unwrap();
        let socket = SockRef::from(connection.inner());
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
    }
}
