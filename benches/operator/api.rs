//! What the benchmark says to the API server, under a name of its own so that its requests are not taken for the
//! operator's.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use http_body_util::BodyExt as _;
use kube_client::Config;
use kube_client::client::Body;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use smooth_operator::api::{MCPSERVERS, crd};
use smooth_operator::object::{DEPLOYMENTS, LEASES, ObjectKey, Resource};
use smooth_operator::watch::Lines;

const USER_AGENT: &str = "bench";
/// As the operator calls itself, before the version.
const OPERATOR: &str = "smooth-operator/";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";
const MAX_OBJECT: usize = Lines::DEFAULT_LIMIT;
/// A watch that is not to end by itself ends after so many seconds: thirty days.
const FOR_EVER: u32 = 30 * 24 * 60 * 60;

/// How often the operator wrote, by what it wrote: `deployments.apps`, `mcpservers.mcp.mcp.dev/status`.
pub(crate) type Writes = BTreeMap<String, u64>;

/// The API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube_client::Client,
}

/// A line of the playground's counters, by its own names.
#[allow(clippy::struct_field_names, reason = "the playground calls it that")]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    user_agent: String,
    verb: String,
    resource: String,
    subresource: String,
    count: u64,
}

impl Api {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let config = Config::new(url.parse().with_context(|| format!("{url} is no URL"))?);
        Ok(Self { client: config.try_into().context("a client")? })
    }

    /// Makes the definition of MCPServer, the namespaces, and a Lease as an operator leaves it that has stopped: where
    /// there is none, the first one waits a whole term for whom it might have been taken from.
    pub(crate) async fn prepare(&self, namespaces: &[String]) -> anyhow::Result<()> {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        self.send::<IgnoredAny>("POST", definitions, JSON, &crd::definition()).await?;
        for name in namespaces {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.send::<IgnoredAny>("POST", "/api/v1/namespaces", JSON, &namespace).await?;
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let lease = json!({
            "apiVersion": LEASES.api_version(),
            "kind": LEASES.kind,
            "metadata": {"name": "smooth-operator"},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now, "leaseTransitions": 1},
        });
        self.send::<IgnoredAny>("POST", &LEASES.collection(Some("default")), JSON, &lease).await?;
        Ok(())
    }

    /// Makes an MCPServer.
    pub(crate) async fn create(&self, key: &ObjectKey, image: &str) -> anyhow::Result<()> {
        let server = json!({
            "apiVersion": MCPSERVERS.api_version(),
            "kind": MCPSERVERS.kind,
            "metadata": {"namespace": key.namespace(), "name": key.name()},
            "spec": {"image": image},
        });
        self.send::<IgnoredAny>("POST", &MCPSERVERS.collection(Some(key.namespace())), JSON, &server).await?;
        Ok(())
    }

    /// Gives an MCPServer another image.
    pub(crate) async fn change_image(&self, key: &ObjectKey, image: &str) -> anyhow::Result<()> {
        let patch = json!({"spec": {"image": image}});
        self.send::<IgnoredAny>("PATCH", &MCPSERVERS.path(key), MERGE_PATCH, &patch).await?;
        Ok(())
    }

    /// How many MCPServers are Ready.
    pub(crate) async fn ready(&self) -> anyhow::Result<usize> {
        let (mut ready, mut token) = (0, String::new());
        loop {
            let path = format!("{}?limit=500{token}", MCPSERVERS.collection(None));
            let page: Value = self.send("GET", &path, JSON, &Value::Null).await?;
            let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
            let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
            let conditions = items.iter().filter_map(|item| item["status"]["conditions"].as_array());
            ready += conditions.filter(|conditions| conditions.iter().any(is_ready)).count();
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => token = format!("&continue={next}"),
                _ => return Ok(ready),
            }
        }
    }

    /// The operator's writes since the last [`forget`](Self::forget), refused ones too.
    pub(crate) async fn writes(&self) -> anyhow::Result<Writes> {
        let counts: Vec<Count> = self.send("GET", "/playground/requests", JSON, &Value::Null).await?;
        let mut writes = Writes::new();
        for Count { user_agent, verb, resource, subresource, count } in counts {
            if user_agent.starts_with(OPERATOR) && !matches!(verb.as_str(), "get" | "list" | "watch") {
                let slash = if subresource.is_empty() { "" } else { "/" };
                *writes.entry(format!("{resource}{slash}{subresource}")).or_default() += count;
            }
        }
        Ok(writes)
    }

    /// Sets the counters to zero.
    pub(crate) async fn forget(&self) -> anyhow::Result<()> {
        let answer = self.client.send(request("DELETE", "/playground/requests", JSON, &Value::Null)?).await?;
        answer.into_body().collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(())
    }

    /// Breaks all open watches of the operator; how many they were.
    pub(crate) async fn cut_watches(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        struct Struck {
            watches: u64,
        }
        let whose = json!({"userAgent": OPERATOR});
        let struck: Struck = self.send("POST", "/playground/watches/cut", JSON, &whose).await?;
        Ok(struck.watches)
    }

    /// Follows the Deployments from now on.
    pub(crate) async fn watch_deployments(&self) -> anyhow::Result<DeploymentWatch> {
        let list: Value = self.send("GET", &page_of(&DEPLOYMENTS), JSON, &Value::Null).await?;
        let version = list["metadata"]["resourceVersion"].as_str().context("a list without a resourceVersion")?;
        let path = DEPLOYMENTS.collection(None);
        let path = format!("{path}?watch=true&resourceVersion={version}&timeoutSeconds={FOR_EVER}");
        let answer = self.client.send(request("GET", &path, JSON, &Value::Null)?).await?;
        if !answer.status().is_success() {
            bail!("watching Deployments: {}", answer.status());
        }
        Ok(DeploymentWatch { body: answer.into_body(), lines: Lines::new(MAX_OBJECT) })
    }

    async fn send<T: DeserializeOwned>(&self, method: &str, path: &str, kind: &str, body: &Value) -> anyhow::Result<T> {
        let answer = self.client.send(request(method, path, kind, body)?).await.with_context(|| path.to_owned())?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| anyhow::anyhow!("{path}: {error}"))?.to_bytes();
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("the answer to {method} {path}"))
    }
}

/// A short list: its resourceVersion is that of the whole.
fn page_of(resource: &Resource) -> String {
    format!("{}?limit=1", resource.collection(None))
}

fn request(method: &str, path: &str, kind: &str, body: &Value) -> anyhow::Result<http::Request<Body>> {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
    let request = http::Request::builder().method(method).uri(path).header("user-agent", USER_AGENT);
    Ok(request.header("content-type", kind).body(Body::from(body))?)
}

/// What a change to a Deployment looks like from here.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Spec {
    template: Template,
}

#[derive(Debug, Deserialize)]
struct Template {
    spec: Pod,
}

#[derive(Debug, Deserialize)]
struct Pod {
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    image: String,
}

#[derive(Debug, Deserialize)]
struct Meta {
    namespace: String,
    name: String,
    generation: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: i64,
    updated_replicas: i64,
    available_replicas: i64,
}

impl Change {
    /// Whether it is this Deployment's.
    pub(crate) fn is_of(&self, key: &ObjectKey) -> bool {
        self.object.metadata.namespace == key.namespace() && self.object.metadata.name == key.name()
    }

    /// Which Deployment it is.
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.object.metadata.namespace.as_str(), self.object.metadata.name.as_str())
    }

    /// The image of its pods.
    pub(crate) fn image(&self) -> &str {
        self.object.spec.template.spec.containers.first().map_or("", |container| &container.image)
    }

    /// Whether its spec was written after it was made.
    pub(crate) fn is_written(&self, generation: i64) -> bool {
        self.object.metadata.generation >= generation
    }

    /// Whether what was written is rolled out.
    pub(crate) fn is_complete(&self) -> bool {
        let Status { observed_generation, replicas, updated_replicas, available_replicas } = self.object.status;
        observed_generation == self.object.metadata.generation
            && (replicas, updated_replicas, available_replicas) == (1, 1, 1)
    }
}

/// An open watch of Deployments.
pub(crate) struct DeploymentWatch {
    body: Body,
    lines: Lines,
}

impl DeploymentWatch {
    /// The next change.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Change> {
        loop {
            if let Some(line) = self.lines.next_line()? {
                return serde_json::from_slice(&line).context("a line of the watch");
            }
            let frame = self.body.frame().await.context("the watch has ended")?;
            let frame = frame.map_err(|error| anyhow::anyhow!("the watch broke: {error}"))?;
            if let Ok(data) = frame.into_data() {
                self.lines.push(&data);
            }
        }
    }
}
