//! Does what a key asked for, over HTTP, as kubectl would: the same requests, the same refusals.
//!
//! The cluster is in this process, and a call would do. But then the operator would be shown changes that nobody can make
//! from outside, and managedFields would name nobody: every request here says that it is [`MANAGER`]'s.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::keys::Deed;
use super::model::Key;
use super::server::{Image, Server};
use crate::OPERATOR;
use crate::samples::{self, Sample, name_of};

/// The field manager, and the `User-Agent`: faults are for the operators alone, and this is none.
const MANAGER: &str = "playground-view";

/// No answer takes longer, unless the server hangs.
const PATIENCE: Duration = Duration::from_secs(10);

const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

/// A client of the API server.
pub(crate) struct Hands {
    client: kube_client::Client,
    samples: Vec<Sample>,
}

/// What is done, to what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The name of the object.
    pub(crate) name: String,
    /// What is about to be done to it, or why it was not.
    pub(crate) text: String,
}

impl Hands {
    /// A client for the API server at this URL.
    pub(crate) fn new(url: &str, samples: Vec<Sample>) -> anyhow::Result<Self> {
        let config = kube_client::Config::new(url.parse().with_context(|| format!("{url} is no URL"))?);
        let client = config.try_into().with_context(|| format!("can't make a client for {url}"))?;
        Ok(Self { client, samples })
    }

    /// Does it. What is about to be done is said before, so that the story has it in front of what follows from it.
    pub(crate) async fn act(&self, deed: Deed, say: impl Fn(Said)) {
        let name = match &deed {
            Deed::Apply => "samples".to_owned(),
            Deed::CutWatches => "watches".to_owned(),
            Deed::Scale((_, name), _)
            | Deed::BreakOrMend((_, name))
            | Deed::Rotate((_, name))
            | Deed::Delete((_, name)) => name.clone(),
        };
        let text = match timeout(PATIENCE, self.attempt(deed, &say)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("refused: {error:#}"),
            Err(_elapsed) => "the API server does not answer".to_owned(),
        };
        say(Said { name, text });
    }

    async fn attempt(&self, deed: Deed, say: &impl Fn(Said)) -> anyhow::Result<()> {
        let will = |name: &str, text: String| say(Said { name: name.to_owned(), text });
        match deed {
            Deed::Apply => {
                let servers = self.send(Method::GET, &servers("default"), JSON, None).await?;
                let servers = servers["items"].as_array().map(Vec::as_slice).unwrap_or_default();
                for object in samples::next(&self.samples, |name| servers.iter().any(|server| name_of(server) == name))
                {
                    will(name_of(&object), "apply".to_owned());
                    self.apply(&object).await?;
                }
            }
            Deed::Scale(key, by) => {
                let path = format!("{}/scale", server(&key));
                let scale = self.send(Method::GET, &path, JSON, None).await?;
                let replicas = (scale["spec"]["replicas"].as_i64().unwrap_or(0) + by).max(0);
                will(&key.1, format!("scale to {replicas}"));
                self.patch(&path, &json!({"spec": {"replicas": replicas}})).await?;
            }
            Deed::BreakOrMend(key) => {
                let path = server(&key);
                let now = Server::read(&self.send(Method::GET, &path, JSON, None).await?);
                let (image, text) = match now.other_image() {
                    Image::Broken(image) => (image, "break its image"),
                    Image::Mended(image) => (image, "mend its image"),
                };
                will(&key.1, text.to_owned());
                self.patch(&path, &json!({"spec": {"image": image}})).await?;
            }
            Deed::Rotate(key) => {
                let now = Timestamp::now().to_string();
                will(&key.1, "rotate: another value for ROTATED_AT".to_owned());
                self.patch(&secret(&key), &json!({"stringData": {"ROTATED_AT": now}})).await?;
            }
            Deed::CutWatches => {
                will("watches", "cut all watches of the operators".to_owned());
                let theirs = json!({"userAgent": OPERATOR});
                self.send(Method::POST, "/playground/watches/cut", JSON, Some(&theirs)).await?;
            }
            Deed::Delete(key) => {
                will(&key.1, "delete".to_owned());
                self.send(Method::DELETE, &server(&key), JSON, None).await?;
            }
        }
        Ok(())
    }

    /// With `--force-conflicts`: what the file says counts, even if somebody else has changed it since.
    async fn apply(&self, object: &Value) -> anyhow::Result<Value> {
        let key = ("default".to_owned(), name_of(object).to_owned());
        let path = if object["kind"] == "Secret" { secret(&key) } else { server(&key) };
        self.send(Method::PATCH, &format!("{path}?fieldManager={MANAGER}&force=true"), APPLY, Some(object)).await
    }

    async fn patch(&self, path: &str, change: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, &format!("{path}?fieldManager={MANAGER}"), MERGE_PATCH, Some(change)).await
    }

    async fn send(&self, method: Method, path: &str, media: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let body = body.map(ToString::to_string).unwrap_or_default().into_bytes();
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, media);
        let request = request.header(USER_AGENT, MANAGER).body(body)?;
        match self.client.request(request).await {
            Ok(answer) => Ok(answer),
            // The words for people, without the debug form of the whole Status.
            Err(kube_client::Error::Api(status)) => bail!("{}", status.message),
            Err(error) => Err(error.into()),
        }
    }
}

fn servers(namespace: &str) -> String {
    format!("/apis/mcp.mcp.dev/v1alpha1/namespaces/{namespace}/mcpservers")
}

fn server((namespace, name): &Key) -> String {
    format!("{}/{name}", servers(namespace))
}

fn secret((namespace, name): &Key) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

#[cfg(test)]
mod tests;
