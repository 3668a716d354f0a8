//! Many MCPServers, each with its children: what an operator does, in the order in which it does it.
//!
//! ```text
//!  MCPServer made --> Deployment and Service applied --> status: progressing
//!                              |
//!                     controllers, pods ... available --> status: ready
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{APPLY, Connection, JSON, MERGE, Watch};
use crate::load::define;
use crate::objects::{self, CORE, DEPLOYMENTS, MCP_SERVERS};
use crate::process::Process;
use crate::{Error, settled};

/// How many MCPServers are being made at a time.
const MAKERS: usize = 8;
/// Some, as the servers of a real cluster are spread.
const NAMESPACES: usize = 10;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Story {
    /// Until all had a ready pod, and their status said so.
    pub(crate) took: Duration,
    /// The writes of everybody, controllers included.
    pub(crate) writes: u64,
}

/// The part of a watched Deployment that tells whether it is available.
#[derive(Debug, Deserialize)]
struct Change {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Meta {
    namespace: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    available_replicas: u32,
}

/// Makes so many, and waits until all are ready.
pub(crate) async fn story(process: &Process, address: &str, servers: usize) -> Result<Story, Error> {
    let mut first = Connection::open(address).await?;
    define(&mut first).await?;
    for number in 0..NAMESPACES {
        let name = format!("bench-{number}");
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        first.send("POST", "/api/v1/namespaces", JSON, &object.to_string()).await?;
    }
    let before = revision(&mut first).await?;
    let begun = Instant::now();
    let mut idle = JoinSet::new();
    for path in [format!("{MCP_SERVERS}/mcpservers"), format!("{CORE}/services")] {
        let watch = follow(address, &path).await?;
        idle.spawn(forget(watch));
    }
    let watch = follow(address, &format!("{DEPLOYMENTS}/deployments")).await?;
    let reporter = tokio::spawn(report(watch, Connection::open(address).await?, servers));
    let address: Arc<str> = address.into();
    let mut makers = JoinSet::new();
    for maker in 0..MAKERS {
        let address = Arc::clone(&address);
        makers.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            for number in (maker..servers).step_by(MAKERS) {
                make(&mut connection, number).await?;
            }
            Ok::<(), Error>(())
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    reporter.await??;
    let took = begun.elapsed();
    settled(process).await?;
    let writes = revision(&mut first).await? - before;
    Ok(Story { took, writes })
}

/// The number of the newest write.
async fn revision(connection: &mut Connection) -> Result<u64, Error> {
    let list = connection.send("GET", "/api/v1/namespaces?limit=1", "", "").await?;
    let list: Value = serde_json::from_slice(&list)?;
    Ok(list["metadata"]["resourceVersion"].as_str().unwrap_or_default().parse()?)
}

async fn follow(address: &str, path: &str) -> Result<Watch, Error> {
    Connection::open(address).await?.watch(&format!("{path}?watch=true")).await
}

async fn forget(mut watch: Watch) {
    while watch.next().await.is_ok() {}
}

async fn make(connection: &mut Connection, number: usize) -> Result<(), Error> {
    let (namespace, name) = (number % NAMESPACES, format!("server-{number}"));
    let within = |base: &str, plural: &str| format!("{base}/namespaces/bench-{namespace}/{plural}");
    let servers = within(MCP_SERVERS, "mcpservers");
    let made = connection.send("POST", &servers, JSON, &objects::mcp_server(&name).to_string()).await?;
    let made: Value = serde_json::from_slice(&made)?;
    let uid = made["metadata"]["uid"].as_str().ok_or("an object without a uid")?;
    let deployment = objects::deployment(&name, Some(uid), 1).to_string();
    let by = "fieldManager=bench&force=true";
    let path = format!("{}/{name}?{by}", within(DEPLOYMENTS, "deployments"));
    connection.send("PATCH", &path, APPLY, &deployment).await?;
    let path = format!("{}/{name}?{by}", within(CORE, "services"));
    connection.send("PATCH", &path, APPLY, &objects::service(&name, uid).to_string()).await?;
    let status = objects::status(false, 0).to_string();
    connection.send("PATCH", &format!("{servers}/{name}/status"), MERGE, &status).await?;
    Ok(())
}

/// Says of each MCPServer that it is ready, once its Deployment is available.
async fn report(mut watch: Watch, mut connection: Connection, servers: usize) -> Result<(), Error> {
    let mut ready = std::collections::BTreeSet::new();
    while ready.len() < servers {
        let Change { object: Object { metadata, status } } = serde_json::from_slice(watch.next().await?)?;
        let Meta { namespace, name } = metadata;
        if status.available_replicas == 0 || !ready.insert((namespace.clone(), name.clone())) {
            continue;
        }
        let path = format!("{MCP_SERVERS}/namespaces/{namespace}/mcpservers/{name}/status");
        connection.send("PATCH", &path, MERGE, &objects::status(true, 1).to_string()).await?;
    }
    Ok(())
}
