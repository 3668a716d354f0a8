//! TLS, bodies, and the gate in front of the metrics.

use std::sync::Mutex;

use jiff::Timestamp;
use kube_client::client::Body as KubeBody;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::access;
use crate::admission::{PATH, Reviewer};
use crate::client::Client;
use crate::tls::{Pair, Slot};

const NAMES: [&str; 1] = ["hook.ops.svc"];

/// A certificate in a slot, and who trusts its authority.
struct Identity {
    slot: Slot,
    connector: Mutex<TlsConnector>,
}

impl Identity {
    fn new() -> Self {
        let (slot, connector) = (Slot::default(), connector(&RootCertStore::empty()));
        let identity = Self { slot, connector: Mutex::new(connector) };
        identity.renew();
        identity
    }

    /// Another certificate by another authority, which alone is trusted from now on.
    fn renew(&self) {
        let lifetime = Duration::from_secs(3600);
        let (pair, authority) = Pair::make(&NAMES.map(str::to_owned), Timestamp::now(), lifetime).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        *self.connector.lock().unwrap() = connector(&roots);
        self.slot.put(&pair);
    }

    async fn connect(&self, server: &Running) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = self.connector.lock().unwrap().clone();
        connector.connect(ServerName::try_from(NAMES[0]).unwrap(), server.connect().await).await
    }

    async fn exchange(&self, server: &Running, request: &str) -> String {
        let mut stream = self.connect(server).await.unwrap();
        // The server may answer and close before it has read everything.
        _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = Vec::new();
        _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes the connection");
        String::from_utf8(bytes).unwrap()
    }
}

fn connector(roots: &RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots.clone());
    TlsConnector::from(Arc::new(config.with_no_client_auth()))
}

async fn start(site: impl Site, limits: Limits, change: impl FnOnce(Server) -> Server) -> Running {
    Running::start_changed(site, limits, change).await
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: operator\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap_or_default().1
}

fn reviewer() -> Reviewer {
    Reviewer::new(Some("ghcr.io".parse().unwrap()), |_| None)
}

fn review(image: &str) -> String {
    let resource = json!({"group": "mcp.mcp.dev", "version": "v1alpha1", "resource": "mcpservers"});
    let request =
        json!({"uid": "u", "resource": resource, "operation": "CREATE", "object": {"spec": {"image": image}}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

#[tokio::test]
async fn a_review_over_tls_is_answered() {
    let identity = Identity::new();
    let server = start(reviewer(), LIMITS, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let response = identity.exchange(&server, &post(&format!("{PATH}?timeout=3s"), &review("nginx:1"))).await;
    assert_eq!(status(&response), "HTTP/1.1 200 OK");
    assert!(response.contains("content-type: application/json\r\n"), "{response}");
    let answer: Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&json!("u"), &json!(false)));
}

/// The same with those who say what they want, and then not what it is about.
#[tokio::test]
async fn however_many_bodies_are_late_a_whole_review_is_answered() {
    let identity = Identity::new();
    let limits = Limits { connections: 32, bodies: 4, patience: SHORT, ..LOOSE };
    let server = start(reviewer(), limits, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let mut slow = Vec::new();
    for _ in 0..5 {
        for _ in 0..4 {
            let mut stream = identity.connect(&server).await.unwrap();
            stream.write_all(&post(PATH, &review("nginx:1")).as_bytes()[..150]).await.unwrap();
            slow.push(stream);
        }
        let response = identity.exchange(&server, &post(PATH, &review("nginx:1"))).await;
        assert_eq!(status(&response), "HTTP/1.1 200 OK");
    }
    let mut bytes = Vec::new();
    _ = timeout(PATIENCE, slow[0].read_to_end(&mut bytes)).await.expect("the server closes the connection");
    assert!(String::from_utf8_lossy(&bytes).starts_with("HTTP/1.1 503 "), "{bytes:?}");
}

#[tokio::test]
async fn who_sends_no_body_in_time_is_told_so() {
    let identity = Identity::new();
    let limits = Limits { body_time: Duration::from_millis(20), ..LOOSE };
    let server = start(reviewer(), limits, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let response = identity.exchange(&server, &post(PATH, &review("nginx:1"))[..150]).await;
    assert_eq!(status(&response), "HTTP/1.1 408 Request Timeout");
}

#[tokio::test]
async fn what_is_no_review_gets_an_error_of_one_line() {
    let identity = Identity::new();
    let limits = Limits { body_bytes: 1024, ..LIMITS };
    let server = start(reviewer(), limits, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let long = "x".repeat(2000);
    for (request, code) in [
        (post(PATH, "garbage"), "400 Bad Request"),
        (post(PATH, ""), "400 Bad Request"),
        (post(PATH, &long), "413 Payload Too Large"),
        (post("/", &review("x")), "404 Not Found"),
        (post("/metrics", &review("x")), "404 Not Found"),
        (request("GET", PATH), "405 Method Not Allowed"),
        (request("PUT", PATH), "405 Method Not Allowed"),
    ] {
        let response = identity.exchange(&server, &request).await;
        assert_eq!(status(&response), format!("HTTP/1.1 {code}"), "{}", &request[..60.min(request.len())]);
        assert_eq!(body(&response).lines().count(), 1, "{response}");
        assert!(!code.starts_with("405") || response.contains("allow: POST\r\n"), "{response}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_connection_on() {
    let identity = Identity::new();
    let server = start(Health::new(), LIMITS, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let mut earlier = identity.connect(&server).await.unwrap();
    identity.renew();
    assert!(identity.exchange(&server, &request("GET", "/healthz")).await.ends_with("ok"));
    earlier.write_all(request("GET", "/healthz").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    timeout(PATIENCE, earlier.read_to_end(&mut bytes)).await.expect("an answer").unwrap();
    assert!(String::from_utf8(bytes).unwrap().ends_with("ok"), "a connection keeps its certificate");
}

#[tokio::test]
async fn without_a_certificate_and_without_tls_there_is_no_answer() {
    let empty = Identity { slot: Slot::default(), ..Identity::new() };
    let server = start(Health::new(), LIMITS, |server| server.over_tls(empty.slot.acceptor().unwrap())).await;
    assert!(empty.connect(&server).await.is_err());
    let plain = server.connect().await;
    let mut plain = plain;
    plain.write_all(request("GET", "/healthz").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    _ = timeout(PATIENCE, plain.read_to_end(&mut bytes)).await.expect("the server closes the connection");
    assert!(!String::from_utf8_lossy(&bytes).contains("200"));
}

#[tokio::test]
async fn who_falls_silent_in_the_handshake_is_disconnected() {
    let identity = Identity::new();
    let limits = Limits { head_time: Duration::from_millis(20), ..LOOSE };
    let server = start(Health::new(), limits, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    for beginning in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = server.connect().await;
        stream.write_all(beginning).await.unwrap();
        let mut bytes = Vec::new();
        _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server hangs up");
    }
}

#[tokio::test]
async fn the_stop_does_not_wait_for_a_handshake() {
    let identity = Identity::new();
    let server = start(Health::new(), LOOSE, |server| server.over_tls(identity.slot.acceptor().unwrap())).await;
    let silent = server.connect().await;
    assert!(
        identity.exchange(&server, &request("GET", "/healthz")).await.ends_with("ok"),
        "the silent one was accepted"
    );
    server.stop.cancel();
    timeout(PATIENCE, server.task).await.expect("no waiting for its time to run out").unwrap();
    drop(silent);
}

/// An API server that knows `good` and `weak`, and lets `good` read the metrics.
fn api_server() -> Client {
    let answer = |request: http::Request<KubeBody>| async move {
        let path = request.uri().path().to_owned();
        let question = request.into_body().collect().await.unwrap().to_bytes();
        let question: Value = serde_json::from_slice(&question).unwrap();
        let status = if path.ends_with("/tokenreviews") {
            let token = &question["spec"]["token"];
            json!({"authenticated": token == "good" || token == "weak", "user": {"username": token}})
        } else {
            json!({"allowed": question["spec"]["user"] == "good"})
        };
        let body = KubeBody::from(json!({"status": status}).to_string().into_bytes());
        Ok::<_, Infallible>(http::Response::builder().status(201).body(body).unwrap())
    };
    Client::new(kube_client::Client::new(tower::service_fn(answer), "default"))
}

#[tokio::test]
async fn behind_a_gate_a_request_needs_the_token_of_somebody_who_may() {
    let identity = Identity::new();
    let change =
        |server: Server| server.over_tls(identity.slot.acceptor().unwrap()).behind(access::Gate::new(&api_server()));
    let server = start(Metrics::new(), LIMITS, change).await;
    let get = |path: &str, token: &str| {
        let token = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        format!("GET {path} HTTP/1.1\r\nhost: operator\r\n{token}\r\n")
    };
    for (path, token, code) in [
        ("/metrics", "", "401 Unauthorized"),
        ("/metrics", "wrong", "401 Unauthorized"),
        ("/metrics", "weak", "403 Forbidden"),
        ("/metrics", "good", "200 OK"),
        ("/", "", "401 Unauthorized"),
        ("/", "good", "404 Not Found"),
    ] {
        let response = identity.exchange(&server, &get(path, token)).await;
        assert_eq!(status(&response), format!("HTTP/1.1 {code}"), "{path} {token}");
        assert_eq!(response.contains("www-authenticate: Bearer\r\n"), code.starts_with("401"), "{response}");
        assert!(code == "200 OK" || body(&response).lines().count() == 1, "{response}");
        assert_eq!(response.contains("# EOF"), code == "200 OK");
    }
}
