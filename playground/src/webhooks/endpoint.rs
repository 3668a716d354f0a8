//! Where a webhook is called: the address behind a URL or a Service, and who is trusted there.
//!
//! A Service is resolved through its EndpointSlices to an address that is ready. Kubernetes takes one by chance; here
//! it is the first, and one without a pod goes before one with: in a pod of the playground nothing listens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::hook::{ClientConfig, ServiceReference};
use crate::cluster::Cluster;

const SLICES: &str = "endpointslices.discovery.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HTTPS: u16 = 443;

/// How a webhook is reached.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The whole URL, as errors name it.
    pub(super) url: String,
    /// Host and port, as the `Host` header names them.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    /// The name that the certificate must bear.
    pub(super) server_name: String,
    pub(super) reached: Reached,
    pub(super) roots: RootCertStore,
}

/// Where to connect.
#[derive(Debug)]
pub(super) enum Reached {
    /// At a host name or address.
    At(String, u16),
    /// Nowhere, for this reason.
    Not(String),
}

/// Finds the way to a webhook. The error is Kubernetes' for a configuration that leads nowhere at all.
pub(super) fn resolve(cluster: &Cluster, config: &ClientConfig, timeout: Option<u64>) -> Result<Endpoint, String> {
    let without_client = |why: String| format!("could not get REST client: {why}");
    let ClientConfig { url, service, ca_bundle } = config;
    let roots = roots(ca_bundle).map_err(without_client)?;
    let query = format!("?timeout={}s", timeout.unwrap_or(10));
    let (authority, server_name, path, reached) = match (service, url) {
        (Some(service), _) => {
            let ServiceReference { namespace, name, path, port } = service;
            let (host, port) = (format!("{name}.{namespace}.svc"), port.unwrap_or(HTTPS));
            (format!("{host}:{port}"), host, path.as_str(), of_service(cluster, namespace, name, port))
        }
        (None, Some(url)) => {
            let uri: Uri = url.parse().map_err(|error| without_client(format!("{error}")))?;
            let authority = uri.authority().ok_or_else(|| without_client("unable to find webhook host".into()))?;
            let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            let reached = Reached::At(host.clone(), authority.port_u16().unwrap_or(HTTPS));
            return Ok(Endpoint::new(authority.to_string(), host, uri.path(), &query, reached, roots));
        }
        (None, None) => {
            return Err(without_client("webhook configuration must have either service or URL".into()));
        }
    };
    Ok(Endpoint::new(authority, server_name, path, &query, reached, roots))
}

impl Endpoint {
    fn new(
        authority: String,
        server_name: String,
        path: &str,
        query: &str,
        reached: Reached,
        roots: RootCertStore,
    ) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let path = format!("/{}{query}", parts.join("/"));
        Self { url: format!("https://{authority}{path}"), authority, path, server_name, reached, roots }
    }
}

fn roots(bundle: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if bundle.is_empty() {
        return Ok(roots);
    }
    let unreadable = || "unable to load root certificates: unable to parse bytes as PEM block".to_owned();
    let pem = STANDARD.decode(bundle).map_err(|_| unreadable())?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
    }
    if roots.is_empty() { Err(unreadable()) } else { Ok(roots) }
}

/// As `k8s.io/apiserver/pkg/util/proxy` resolves a Service to an endpoint.
fn of_service(cluster: &Cluster, namespace: &str, name: &str, port: u16) -> Reached {
    let Some(service) = cluster.get("services", namespace, name) else {
        return Reached::Not(format!("service {name:?} not found"));
    };
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(service_port) = ports.into_iter().find(|found| found["port"] == port) else {
        return Reached::Not(format!("no service port {port} found for service {name:?}"));
    };
    if service["spec"]["type"] == "ExternalName" {
        return Reached::Not("unsupported service type \"ExternalName\"".to_owned());
    }
    let port_name = service_port["name"].as_str().unwrap_or_default();
    let slices = cluster.list(SLICES, Some(namespace));
    let slices = slices.iter().filter(|slice| slice["metadata"]["labels"][SERVICE_NAME] == name);
    let mut ready: Vec<Ready> = slices.flat_map(|slice| ready(slice, port_name)).collect();
    ready.sort_by_key(|endpoint| endpoint.is_pod);
    match ready.into_iter().next() {
        None => Reached::Not(format!("no endpoints available for service {name:?}")),
        Some(Ready { is_pod: true, address, port }) => {
            Reached::Not(format!("dial tcp {address}:{port}: connect: connection refused"))
        }
        Some(Ready { is_pod: false, address, port }) => Reached::At(address, port),
    }
}

struct Ready {
    is_pod: bool,
    address: String,
    port: u16,
}

fn ready(slice: &Value, port_name: &str) -> Vec<Ready> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |port: &Value| port["name"].as_str().unwrap_or_default() == port_name;
    let port = list(&slice["ports"]).iter().find(|port| named(port)).and_then(|port| port["port"].as_u64());
    let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return Vec::new() };
    let endpoints = list(&slice["endpoints"]);
    let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let found = ready.filter_map(|endpoint| {
        let address = endpoint["addresses"][0].as_str()?.to_owned();
        Some(Ready { is_pod: endpoint["targetRef"]["kind"] == "Pod", address, port })
    });
    found.collect()
}
