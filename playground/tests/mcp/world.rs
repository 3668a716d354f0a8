//! Pods that listen, and somebody who talks to them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use playground::mcp::Report;
use playground::{Cluster, Options, Playground};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const MODERN: &str = "2026-07-28";

pub(crate) struct World {
    pub(crate) playground: Playground,
}

impl World {
    pub(crate) async fn start(listeners: usize) -> Self {
        let ready_delay = Duration::from_millis(20);
        let options = Options { ready_delay, events: true, listeners, ..Options::default() };
        Self { playground: Playground::start(options).await.unwrap() }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.playground.cluster()
    }

    /// Makes a pod with one container, which has a port and a readiness probe for it.
    pub(crate) fn make(&self, name: &str, image: &str) {
        let ports = json!([{"name": "mcp", "containerPort": 8080}]);
        let probe = json!({"tcpSocket": {"port": "mcp"}});
        let container = json!({"name": "c", "image": image, "ports": ports, "readinessProbe": probe});
        let metadata = json!({"name": name, "labels": {"app": name}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}});
        self.cluster().create("pods", "default", pod, "test").unwrap();
    }

    /// Waits for a fact about the pods.
    pub(crate) async fn until<T>(&self, what: &str, fact: impl Fn(&Cluster) -> Option<T>) -> T {
        self.until_in("pods", what, fact).await
    }

    /// Waits for a fact about a resource.
    pub(crate) async fn until_in<T>(&self, resource: &str, what: &str, fact: impl Fn(&Cluster) -> Option<T>) -> T {
        let mut news = self.cluster().watch(resource, self.cluster().revision()).unwrap();
        let waiting = async {
            loop {
                if let Some(found) = fact(self.cluster()) {
                    return found;
                }
                news.next().await.unwrap();
            }
        };
        let standing = || self.cluster().list(resource, None);
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}; {:#?}", standing()))
    }

    /// Waits until a pod's container is in a state; returns the pod.
    pub(crate) async fn until_state(&self, name: &str, state: &str) -> Arc<Value> {
        self.until(&format!("{name} is {state}"), |cluster| {
            let pod = cluster.get("pods", "default", name)?;
            let status = &pod["status"]["containerStatuses"][0];
            let is = status["state"][state].is_object() || status["state"]["waiting"]["reason"] == state;
            is.then_some(pod)
        })
        .await
    }

    /// Waits until a pod is ready; returns where its container listens.
    pub(crate) async fn ready(&self, name: &str) -> SocketAddr {
        self.until(&format!("{name} is ready"), |cluster| {
            let pod = cluster.get("pods", "default", name)?;
            let address = pod["status"]["podIP"].as_str()?.parse().unwrap();
            (is_ready(&pod)).then(|| SocketAddr::new(address, 8080))
        })
        .await
    }

    /// Makes a pod and waits for it.
    pub(crate) async fn listening(&self, name: &str, image: &str) -> SocketAddr {
        self.make(name, image);
        self.ready(name).await
    }

    pub(crate) fn report(&self, address: SocketAddr) -> Option<Report> {
        self.cluster().servers().list().into_iter().find(|report| report.address == address)
    }

    /// What was said about a pod.
    pub(crate) fn said(&self, name: &str) -> Vec<String> {
        let events = self.cluster().list("events", Some("default"));
        let of_pod = events.iter().filter(|event| event["regarding"]["name"] == name);
        of_pod.map(|event| format!("{}: {}", event["reason"], event["note"]).replace('"', "")).collect()
    }
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> (u16, i64) {
        (self.status.as_u16(), self.json()["error"]["code"].as_i64().unwrap_or_default())
    }
}

/// Sends a request on a connection of its own, and returns the beginning of the answer.
pub(crate) async fn open(address: SocketAddr, request: Request<Bytes>) -> Result<http::Response<Incoming>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the response, or with the test's runtime.
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await.map_err(|error| error.to_string())?;
    Ok(answer)
}

pub(crate) async fn send(address: SocketAddr, request: Request<Bytes>) -> Result<Answer, String> {
    let (parts, body) = open(address, request).await?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// A request to the pod with these headers.
pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header("host", "pod");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

/// A message in the modern way.
pub(crate) fn modern(method: &str) -> Request<Bytes> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}}).to_string();
    let headers = [("mcp-protocol-version", MODERN), ("mcp-method", method)];
    request(Method::POST, "/mcp", &[&headers[..], &BOTH_FORMS].concat(), &body)
}

const BOTH_FORMS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

/// A message in the way before, within a session where there is one.
pub(crate) fn legacy(session: &str, body: &Value) -> Request<Bytes> {
    let session = [("mcp-session-id", session)];
    let named = if session[0].1.is_empty() { &session[..0] } else { &session[..] };
    request(Method::POST, "/mcp", &[&BOTH_FORMS[..], named].concat(), &body.to_string())
}

pub(crate) fn initialize() -> Value {
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}
