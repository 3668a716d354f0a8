//! The manifests of `config/samples`: read, applied, and waited for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use playground::Cluster;
use serde_json::Value;
use smooth_operator::api::MCPSERVERS;
use tokio::time::timeout;

/// Where a manifest says nothing else.
const NAMESPACE: &str = "default";

/// The objects to begin with.
#[derive(Debug)]
pub(crate) struct Samples(Vec<Value>);

impl Samples {
    /// Reads the `.yaml` files of a folder, in the order of their names.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let place = folder.display();
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("{place}: no samples; name a folder with --samples"))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        let mut objects = Vec::new();
        for file in &files {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let read: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())?;
            objects.extend(read);
        }
        if objects.is_empty() {
            bail!("{place} holds no .yaml file with an object; name another folder with --samples");
        }
        Ok(Self(objects))
    }

    /// Applies them all.
    pub(crate) fn apply(&self, cluster: &Cluster, manager: &str) -> anyhow::Result<()> {
        for object in &self.0 {
            let what = format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"));
            let resource =
                resource(cluster, object).with_context(|| format!("{what}: the playground has no such kind"))?;
            cluster.apply(&resource, namespace(object), None, object, manager, true).context(what)?;
        }
        Ok(())
    }

    /// Waits until each MCPServer among them is Ready.
    ///
    /// # Errors
    ///
    /// Names those that are not when the time is over, and why.
    pub(crate) async fn ready(&self, cluster: &Cluster, limit: Duration) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        let all_ready = async {
            let mut changes = cluster.watch(&MCPSERVERS.to_string(), cluster.revision())?;
            loop {
                waiting = self.waiting(cluster);
                if waiting.is_empty() {
                    return anyhow::Ok(());
                }
                if changes.next().await.is_err() {
                    // So much has happened meanwhile that the history begins later than where we stood.
                    changes = cluster.watch(&MCPSERVERS.to_string(), cluster.revision())?;
                }
            }
        };
        match timeout(limit, all_ready).await {
            Ok(ready) => ready,
            Err(_elapsed) => bail!("after {limit:?} there is no Ready for {}", waiting.join("; ")),
        }
    }

    /// The servers that are not Ready, each with what it says of that.
    fn waiting(&self, cluster: &Cluster) -> Vec<String> {
        let servers = self.0.iter().filter(|object| text(object, "/kind") == MCPSERVERS.kind);
        let waiting = servers.filter_map(|object| {
            let name = text(object, "/metadata/name");
            let found = cluster.get(&MCPSERVERS.to_string(), namespace(object), name);
            let why = found.map_or_else(|| Some("gone".to_owned()), |found| not_ready(&found));
            why.map(|why| format!("mcp/{name}: {why}"))
        });
        waiting.collect()
    }
}

/// Why a server is not Ready; `None` where it is.
pub(crate) fn not_ready(server: &Value) -> Option<String> {
    let conditions = server.pointer("/status/conditions").and_then(Value::as_array);
    let Some(ready) = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == "Ready")) else {
        return Some("nothing is said of it yet".to_owned());
    };
    let (reason, message) = (text(ready, "/reason"), text(ready, "/message"));
    (ready["status"] != "True")
        .then(|| if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") })
}

/// The resource that serves an object's kind, as the cluster calls it.
fn resource(cluster: &Cluster, object: &Value) -> Option<String> {
    let registry = cluster.registry();
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let mut served = registry.all();
    served
        .find(|resource| resource.kind == kind && resource.api_version() == version)
        .map(|found| found.group_resource())
}

fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(NAMESPACE)
}

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
