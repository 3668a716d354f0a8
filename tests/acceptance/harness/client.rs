//! A client that knows paths and JSON, and nothing of the operator.

use std::fmt;
use std::path::Path;

use http::Method;
use http_body_util::BodyExt as _;
use kube_client::client::Body;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::objects::{self, EVENTS, Kind, SERVERS};
use super::wait::eventually;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// How a test calls itself in audit logs and managedFields: somebody else than the operator.
const STRANGER: &str = "stranger";

/// A connection to a cluster, as somebody with a keyboard has it.
#[derive(Clone)]
pub(crate) struct Client(kube_client::Client);

/// An answer that is not the one hoped for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: u16,
    pub(crate) body: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.body)
    }
}

impl Client {
    /// Connects as a kubeconfig says.
    pub(crate) async fn connect(kubeconfig: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube_client::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        Self(kube_client::Client::try_from(config).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.ask(Method::POST, path, Some((JSON, object))).await
    }

    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<Value, Refused> {
        self.ask(Method::DELETE, path, Some((JSON, options))).await
    }

    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        let path = format!("{path}?fieldManager={STRANGER}&force=true");
        self.ask(Method::PATCH, &path, Some((APPLY, object))).await
    }

    /// Creates an object; what it has become, and the warnings that came along.
    pub(crate) async fn create_and_hear(&self, path: &str, object: &Value) -> Result<(Value, Vec<String>), Refused> {
        self.exchange(Method::POST, path, Some((JSON, object))).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value, Refused> {
        self.exchange(method, path, body).await.map(|(object, _warnings)| object)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<(Value, Vec<String>), Refused> {
        let mut request = http::Request::builder().method(method).uri(path).header(http::header::USER_AGENT, STRANGER);
        let mut bytes = Vec::new();
        if let Some((media_type, value)) = body {
            request = request.header(http::header::CONTENT_TYPE, media_type);
            bytes = serde_json::to_vec(value).unwrap();
        }
        let unreachable = |error: &dyn fmt::Display| Refused { code: 0, body: error.to_string() };
        let answer =
            self.0.send(request.body(Body::from(bytes)).unwrap()).await.map_err(|error| unreachable(&error))?;
        let code = answer.status();
        let warnings = answer.headers().get_all(http::header::WARNING).iter();
        let warnings = warnings.map(|warning| warning.to_str().unwrap().to_owned()).collect();
        let body = answer.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        if !code.is_success() {
            return Err(Refused { code: code.as_u16(), body: String::from_utf8_lossy(&body).into_owned() });
        }
        Ok((serde_json::from_slice(&body).unwrap(), warnings))
    }
}

/// A namespace, and what can be done in it. Whatever should work and does not fails the test.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Place {
    /// The object, if there is one.
    pub(crate) async fn find(&self, kind: Kind, name: &str) -> Option<Value> {
        match self.client.get(&kind.path(&self.namespace, name)).await {
            Ok(object) => Some(object),
            Err(Refused { code: 404, .. }) => None,
            Err(refused) => panic!("get {name}: {refused}"),
        }
    }

    /// The object, which must be there.
    pub(crate) async fn get(&self, kind: Kind, name: &str) -> Value {
        self.find(kind, name).await.unwrap_or_else(|| panic!("there is no {name} among the {kind:?}"))
    }

    /// All objects.
    pub(crate) async fn list(&self, kind: Kind) -> Vec<Value> {
        let mut list = self.client.get(&kind.collection(&self.namespace)).await.unwrap();
        std::mem::take(list["items"].as_array_mut().expect("a list has items"))
    }

    /// All objects that a server's selector selects.
    pub(crate) async fn list_of(&self, kind: Kind, server: &str) -> Vec<Value> {
        let mut all = self.list(kind).await;
        all.retain(|object| object["metadata"]["labels"]["app.kubernetes.io/instance"] == server);
        all
    }

    pub(crate) async fn create(&self, kind: Kind, object: &Value) -> Value {
        self.client.create(&kind.collection(&self.namespace), object).await.unwrap()
    }

    /// Creates an MCPServer of this spec; the image may be left out.
    pub(crate) async fn create_server(&self, name: &str, spec: Value) -> Value {
        self.create(SERVERS, &objects::server(name, spec)).await
    }

    /// A JSON merge patch, `path` being the object's name or `name/scale`.
    pub(crate) async fn merge(&self, kind: Kind, path: &str, change: &Value) -> Value {
        self.patch(kind, path, MERGE, change).await
    }

    /// A strategic merge patch, as kubectl sends it.
    pub(crate) async fn edit(&self, kind: Kind, path: &str, change: &Value) -> Value {
        self.patch(kind, path, STRATEGIC, change).await
    }

    /// A JSON merge patch of an object without a namespace, or in another one.
    pub(crate) async fn merge_at(&self, path: &str, change: &Value) -> Result<Value, Refused> {
        self.client.ask(Method::PATCH, &format!("{path}?fieldManager={STRANGER}"), Some((MERGE, change))).await
    }

    async fn patch(&self, kind: Kind, path: &str, media_type: &str, change: &Value) -> Value {
        let path = format!("{}?fieldManager={STRANGER}", kind.path(&self.namespace, path));
        self.client.ask(Method::PATCH, &path, Some((media_type, change))).await.unwrap()
    }

    pub(crate) async fn delete(&self, kind: Kind, name: &str) {
        self.delete_with(kind, name, &json!({"propagationPolicy": "Background"})).await;
    }

    pub(crate) async fn delete_with(&self, kind: Kind, name: &str, options: &Value) {
        self.client.delete(&kind.path(&self.namespace, name), options).await.unwrap();
    }

    /// How often Events of this reason were published about objects of this name.
    pub(crate) async fn events(&self, reason: &str, about: &str) -> usize {
        let of = |event: &&Value| event["reason"] == reason && event["regarding"]["name"] == about;
        self.list(EVENTS).await.iter().filter(of).count()
    }

    /// Waits until an Event of this reason was published about the object of this name.
    pub(crate) async fn told(&self, reason: &str, about: &str) {
        eventually(&format!("an Event {reason} about {about}"), async || match self.events(reason, about).await {
            0 => Err(format!(
                "{:#?}",
                self.list(EVENTS).await.iter().map(|event| event["reason"].clone()).collect::<Vec<_>>()
            )),
            _ => Ok(()),
        })
        .await;
    }

    /// Waits until the object is there and `fact` holds of it; gives it then.
    pub(crate) async fn until(&self, what: &str, kind: Kind, name: &str, fact: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || match self.find(kind, name).await {
            Some(object) if fact(&object) => Ok(object),
            Some(object) => Err(format!("{} is {:#}", name, without_managed_fields(object))),
            None => Err(format!("there is no {name}")),
        })
        .await
    }

    /// Waits until the server's newest generation is Ready; gives it then.
    pub(crate) async fn until_ready(&self, name: &str) -> Value {
        let ready = |server: &Value| {
            let condition = objects::condition(server, "Ready");
            condition["status"] == "True" && condition["observedGeneration"] == server["metadata"]["generation"]
        };
        self.until(&format!("{name} is Ready"), SERVERS, name, ready).await
    }

    /// Waits until there is no such object (any more).
    pub(crate) async fn until_gone(&self, kind: Kind, name: &str) {
        eventually(&format!("{name} is gone"), async || match self.find(kind, name).await {
            None => Ok(()),
            Some(object) => Err(format!("there is {:#}", without_managed_fields(object))),
        })
        .await;
    }
}

fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}
