//! A webhook for tests: an HTTPS server that remembers what it was asked, and answers as the test has it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;

/// The names that its certificate bears, beside the address.
const NAMES: [&str; 2] = ["127.0.0.1", "hook.default.svc"];

/// What it answers: a code and a body.
pub(crate) type Said = (u16, String);
type Answer = Arc<dyn Fn(&Value) -> Said + Send + Sync>;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) review: Value,
}

/// A running webhook.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    /// As a configuration bears it.
    pub(crate) ca_bundle: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// An answer to this question, in proper form.
pub(crate) fn said(review: &Value, mut response: Value) -> Said {
    response["uid"] = review["request"]["uid"].clone();
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    (200, body.to_string())
}

impl Hook {
    pub(crate) async fn start(answer: impl Fn(&Value) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (acceptor, ca_bundle) = certified();
        let (seen, stop) = (Arc::default(), CancellationToken::new());
        let served = serve(listener, acceptor, Arc::new(answer), Arc::clone(&seen));
        let address = served.0;
        let stopped = stop.clone();
        let task = tokio::spawn(async move { stopped.run_until_cancelled_owned(served.1).await.unwrap_or_default() });
        Self { address, ca_bundle, seen, stop, task }
    }

    /// What it was asked, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn certified() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let bundle = STANDARD.encode(params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(NAMES.map(str::to_owned)).unwrap().signed_by(&key, &issuer).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    (TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap())), bundle)
}

fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: Answer,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> (SocketAddr, impl Future<Output = ()>) {
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer, seen) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&seen));
            connections.spawn(async move {
                // Who does not trust it goes away in the middle of the handshake.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| respond(request, &answer, &seen));
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    };
    (address, serving)
}

async fn respond(
    request: Request<Incoming>,
    answer: &Answer,
    seen: &Mutex<Vec<Seen>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let review: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let path = parts.uri.path_and_query().unwrap().to_string();
    seen.lock().unwrap().push(Seen { path, headers: parts.headers, review: review.clone() });
    let (code, body) = answer(&review);
    let response = Response::builder().status(code).header("content-type", "text/plain");
    Ok(response.body(Full::from(body)).unwrap())
}
