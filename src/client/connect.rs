//! From a kubeconfig, or the service account of the pod, to a connection.
//!
//! `kube_client` reads the configuration, speaks TLS and refreshes credentials. Its ready-made client does two
//! things more that this operator must not have, so the tower stack is put together here, without them:
//!
//! - it repeats requests by itself on 429, 503 and 504, behind the back of the [fence](super::Fence) and of the queue's
//!   backoff;
//! - its sockets wait for as long as the kernel lets them. A node that vanishes without a word then holds a watch
//!   open for a quarter of an hour, in which nothing happens and nothing seems wrong.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube_client::client::{Body, ClientBuilder, ConfigExt};
use kube_client::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube_client::Config;
use tower::util::{option_layer, MapErrLayer};

use super::error::root_cause;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After so much silence the kernel asks the peer whether it is there, and so often again.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Sent bytes that nobody acknowledges for so long break the connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Connections kept for the next request.
const IDLE_CONNECTIONS: usize = 8;

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The kubeconfig; otherwise `$KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; otherwise the current one.
    pub context: Option<String>,
}

/// A connection and what the configuration says about it.
#[derive(Debug)]
pub struct Connection {
    /// The connection.
    pub client: super::Client,
    /// The server's URL, for messages.
    pub server: String,
    /// The namespace of the context or of the pod.
    pub namespace: String,
}

/// There is no usable configuration. Each message ends with the mend.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says where the cluster is.
    #[error(
        "no cluster: there is no kubeconfig at ~/.kube/config, KUBECONFIG is not set, and this is not a pod; \
         name one with --kubeconfig, or start one with `make kind-up` (or try `make playground`, which needs none)"
    )]
    NoCluster,
    /// The kubeconfig is there and can't be used.
    #[error("the kubeconfig{}: {}; mend the file, or name another with --kubeconfig or --context", place(.file.as_ref()), root_cause(.source))]
    Kubeconfig {
        /// The file, where one was named.
        file: Option<PathBuf>,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The service account of the pod can't be used.
    #[error("the pod's service account: {}; is automountServiceAccountToken on?", root_cause(.0))]
    InCluster(kube_client::config::InClusterError),
    /// Certificates, keys or tokens in the configuration can't be used.
    #[error("the credentials for {server}: {}; check the certificates and tokens of this context", root_cause(.source))]
    Credentials {
        /// The server.
        server: String,
        /// What is wrong with them.
        source: kube_client::Error,
    },
}

fn place(file: Option<&PathBuf>) -> String {
    file.map_or_else(String::new, |file| format!(" {}", file.display()))
}

/// Makes a client for the cluster that `target` names. Sends nothing yet.
///
/// # Errors
///
/// [`ConnectError`], one line that names what, where and the mend.
pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
    let config = load(target).await?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let transport = build(config).map_err(|source| ConnectError::Credentials { server: server.clone(), source })?;
    Ok(Connection { client: super::Client::new(transport), server, namespace })
}

/// A kubeconfig that was named or found is used or refused; only where there is none does the pod's service account
/// count. Falling back from a broken one would report the missing service account instead of the mistake.
async fn load(target: &Target) -> Result<Config, ConnectError> {
    let Target { kubeconfig, context } = target;
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let failed = |source| ConnectError::Kubeconfig { file: kubeconfig.clone(), source };
    if let Some(file) = kubeconfig {
        let parsed = Kubeconfig::read_from(file).map_err(failed)?;
        return Config::from_custom_kubeconfig(parsed, &options).await.map_err(failed);
    }
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
            if std::env::var_os("KUBECONFIG").is_none() && context.is_none() =>
        {
            if in_pod { Config::incluster().map_err(ConnectError::InCluster) } else { Err(ConnectError::NoCluster) }
        }
        Err(source) => Err(failed(source)),
    }
}

fn build(mut config: Config) -> Result<kube_client::Client, kube_client::Error> {
    if config.proxy_url.is_some() {
        config.default_retry = false;
        config.read_timeout = None;
        return Ok(ClientBuilder::try_from(config)?.build());
    }
    let connector = config.rustls_https_connector_with_connector(tcp())?;
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector);
    // Each layer wraps those before it: a request passes them from the last to the first.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let target = Target { kubeconfig: Some("/does/not/exist.yaml".into()), context: None };
        let message = connect(&target).await.unwrap_err().to_string();
        assert!(message.starts_with("the kubeconfig /does/not/exist.yaml: No such file"), "{message}");
        assert!(message.contains("--kubeconfig"), "{message}");
    }
}
