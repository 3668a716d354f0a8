//! Writes of one kind after the other, each seen by one watcher.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{APPLY, Connection, JSON, MERGE};
use crate::objects::{self, CORE, DEFINITION, DEPLOYMENTS, MCP_SERVERS};
use crate::process::Process;
use crate::{Error, settled};

/// How many write at a time.
pub(crate) const CONNECTIONS: usize = 8;

/// What a kind of write costs.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) what: &'static str,
    /// Until the watcher had seen them all.
    pub(crate) per_second: f64,
    /// CPU time of the server for one write and what follows from it.
    pub(crate) cpu: Duration,
}

/// A request: method, path, media type, body.
type Request = (&'static str, String, &'static str, String);

/// Makes the definition of MCPServer.
pub(crate) async fn define(connection: &mut Connection) -> Result<(), Error> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mcpservers.mcp.mcp.dev?fieldManager=bench";
    connection.send("PATCH", path, APPLY, DEFINITION).await.map(drop)
}

/// Measures all kinds of writes.
pub(crate) async fn writes(process: &Process, address: &str, count: usize) -> Result<Vec<Measured>, Error> {
    let mut first = Connection::open(address).await?;
    define(&mut first).await?;
    let server = format!("{MCP_SERVERS}/namespaces/default/mcpservers");
    first.send("POST", &server, JSON, &objects::mcp_server("one").to_string()).await?;

    let make_config_map = |number: usize| -> Request {
        let object = objects::config_map(&format!("config-{number}"));
        ("POST", format!("{CORE}/namespaces/default/configmaps"), JSON, object.to_string())
    };
    let patch_config_map = |number: usize| -> Request {
        let path = format!("{CORE}/namespaces/default/configmaps/config-{number}");
        ("PATCH", path, MERGE, json!({"data": {"key": format!("value {number}")}}).to_string())
    };
    let apply_deployment = |number: usize| -> Request {
        let name = format!("deployment-{number}");
        let path = format!("{DEPLOYMENTS}/namespaces/default/deployments/{name}?fieldManager=bench&force=true");
        ("PATCH", path, APPLY, objects::deployment(&name, None, 0).to_string())
    };
    let patch_status = move |number: usize| -> Request {
        let path = format!("{server}/one/status");
        ("PATCH", path, MERGE, objects::status(number.is_multiple_of(2), number).to_string())
    };
    let (config_maps, deployments) = (format!("{CORE}/configmaps"), format!("{DEPLOYMENTS}/deployments"));
    let servers = format!("{MCP_SERVERS}/mcpservers");
    // One at a time for the one status: writers of the same object would only get into each other's way.
    Ok(vec![
        run(process, address, "create a ConfigMap", &config_maps, CONNECTIONS, count, make_config_map).await?,
        run(process, address, "merge-patch a ConfigMap", &config_maps, CONNECTIONS, count, patch_config_map).await?,
        run(
            process,
            address,
            "apply a Deployment of 0 replicas",
            &deployments,
            CONNECTIONS,
            count / 5,
            apply_deployment,
        )
        .await?,
        run(process, address, "patch a status, one connection", &servers, 1, count, patch_status).await?,
    ])
}

async fn run(
    process: &Process,
    address: &str,
    what: &'static str,
    watched: &str,
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Request,
) -> Result<Measured, Error> {
    settled(process).await?;
    let version = {
        let list = Connection::open(address).await?.send("GET", &format!("{watched}?limit=1"), "", "").await?;
        let list: serde_json::Value = serde_json::from_slice(&list)?;
        list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    };
    let watch = format!("{watched}?watch=true&resourceVersion={version}");
    let mut watch = Connection::open(address).await?.watch(&watch).await?;
    // Made beforehand: what they cost is not the server's.
    let mut shares: Vec<Vec<Request>> = (0..connections).map(|_| Vec::new()).collect();
    (0..count).for_each(|number| shares[number % connections].push(request(number)));

    let (before, begun) = (process.usage()?.cpu, Instant::now());
    let mut writers = JoinSet::new();
    for share in shares {
        let mut connection = Connection::open(address).await?;
        writers.spawn(async move {
            for (method, path, kind, body) in share {
                connection.send(method, &path, kind, &body).await?;
            }
            Ok::<(), Error>(())
        });
    }
    for _ in 0..count {
        watch.next().await?;
    }
    let took = begun.elapsed();
    while let Some(written) = writers.join_next().await {
        written??;
    }
    settled(process).await?;
    let cpu = process.usage()?.cpu.saturating_sub(before);
    let times = u32::try_from(count.max(1))?;
    Ok(Measured { what, per_second: f64::from(times) / took.as_secs_f64(), cpu: cpu / times })
}
