//! Recorded exchanges: read from `fixtures/`, asked again through the operator's own requests, answered by wiremock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::Value;
use smooth_operator::api::MCPSERVERS;
use smooth_operator::client::{Client, ListParams, Request, Target, connect};
use smooth_operator::object::{DEPLOYMENTS, EVENTS, LEASES, ObjectKey, Resource, SECRETS, SERVICES};
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The kinds that the operator talks about.
const RESOURCES: [Resource; 6] = [MCPSERVERS, DEPLOYMENTS, SERVICES, SECRETS, LEASES, EVENTS];

/// One request and what the API server said to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) request: Asked,
    pub(crate) response: Answered,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Value,
    body_file: Option<PathBuf>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes-1.36")
}

/// The recorded exchange `group/name`.
pub(crate) fn recorded(name: &str) -> Exchange {
    let text = std::fs::read_to_string(root().join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every recorded exchange in which somebody asks an API server: the admission reviews are the other way round.
pub(crate) fn all_recorded() -> Vec<Exchange> {
    let mut names = Vec::new();
    for group in std::fs::read_dir(root()).unwrap() {
        let group = group.unwrap().file_name().into_string().unwrap();
        for file in std::fs::read_dir(root().join(&group)).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            let Some(name) = file.strip_suffix(".json") else { continue };
            if !name.starts_with("review-") {
                names.push(format!("{group}/{name}"));
            }
        }
    }
    names.sort();
    names.iter().map(|name| recorded(name)).collect()
}

impl Exchange {
    /// The body of the answer as it came over the wire.
    pub(crate) fn body(&self) -> String {
        match (&self.response.body_file, &self.response.body) {
            (Some(file), _) => std::fs::read_to_string(root().join(file)).unwrap(),
            (None, Value::String(text)) => text.clone(),
            (None, json) => json.to_string(),
        }
    }

    /// What was sent. A server-side apply was recorded as the text that it is.
    pub(crate) fn sent(&self) -> Value {
        match &self.request.body {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            json => json.clone(),
        }
    }

    /// The request in the operator's own words; `None` where it would never say such a thing.
    pub(crate) fn request(&self) -> Option<Request> {
        let (path, query) = self.request.path.split_once('?').unwrap_or((&self.request.path, ""));
        let (resource, namespace, name, subresource) = locate(path)?;
        let key = |name: &str| ObjectKey::new(namespace.unwrap_or_default(), name);
        let content_type = self.request.headers.get("Content-Type").map(String::as_str);
        let ours = query == "fieldManager=smooth-operator&force=true";
        let plain = self.request.headers.get("Accept").is_none_or(|accept| accept == "application/json");
        match (self.request.method.as_str(), name, subresource, content_type) {
            ("GET", None, "", _) if plain && !query.contains("watch=") => {
                Some(Request::list(&resource, namespace, None, &ListParams::default()))
            }
            ("GET", Some(name), "", _) => Some(Request::get(&resource, &key(name))),
            ("POST", None, "", _) if query.is_empty() => {
                let name = self.sent()["metadata"]["name"].as_str()?.to_owned();
                Some(Request::create(&resource, &key(&name), &self.sent()))
            }
            ("PUT", Some(name), "", _) => Some(Request::replace(&resource, &key(name), &self.sent())),
            ("PATCH", Some(name), "", Some("application/merge-patch+json")) if query.is_empty() => {
                Some(Request::merge_patch(&resource, &key(name), &self.sent()))
            }
            ("PATCH", Some(name), "", Some("application/apply-patch+yaml")) if ours => {
                Some(Request::apply(&resource, &key(name), &self.sent()))
            }
            ("PATCH", Some(name), "status", Some("application/apply-patch+yaml")) if ours => {
                Some(Request::apply_status(&resource, &key(name), &self.sent()))
            }
            _ => None,
        }
    }

    /// Answers this request, and only this one, from now on.
    pub(crate) async fn answered_by(&self, server: &MockServer) {
        let (path_only, query) = self.request.path.split_once('?').unwrap_or((&self.request.path, ""));
        let mut mock = Mock::given(method(self.request.method.as_str())).and(path(path_only));
        if self.request.method != "GET" {
            mock = mock.and(body_json(self.sent()));
            mock = mock.and(header("content-type", self.request.headers["Content-Type"].as_str()));
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').unwrap();
                mock = mock.and(query_param(name, value));
            }
        }
        let mut answer = ResponseTemplate::new(self.response.status);
        for (name, value) in self.response.headers.iter().filter(|(name, _)| *name != "transfer-encoding") {
            answer = answer.append_header(name.as_str(), value.as_str());
        }
        mock.respond_with(answer.set_body_raw(self.body(), "application/json")).mount(server).await;
    }

    /// A server that answers this, and a client of it.
    pub(crate) async fn served(&self) -> (MockServer, Client) {
        let server = MockServer::start().await;
        self.answered_by(&server).await;
        let client = client_of(&server.uri()).await;
        (server, client)
    }
}

/// `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE`, where it is one of ours.
fn locate(path: &str) -> Option<(Resource, Option<&str>, Option<&str>, &str)> {
    RESOURCES.into_iter().find_map(|resource| {
        let root = resource.collection(None);
        let (root, plural) = root.rsplit_once('/').unwrap();
        let rest = path.strip_prefix(root)?.strip_prefix('/')?;
        let (namespace, rest) = match rest.strip_prefix("namespaces/") {
            Some(rest) => rest.split_once('/').map(|(namespace, rest)| (Some(namespace), rest))?,
            None => (None, rest),
        };
        let rest = rest.strip_prefix(plural)?;
        let mut rest = rest.split('/').skip(1);
        Some((resource, namespace, rest.next(), rest.next().unwrap_or_default()))
    })
}

/// A client of the server at `url`, made the way the operator makes it: from a kubeconfig.
pub(crate) async fn client_of(url: &str) -> Client {
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
    });
    let file = written(&config.to_string());
    let connection = connect(&Target { kubeconfig: Some(file.clone()), context: None }).await.unwrap();
    std::fs::remove_file(file).unwrap();
    connection.client
}

/// A file of its own with this text.
pub(crate) fn written(text: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("wire-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    file
}
