//! What is said of each kind of object. Pure: an object in, words out, or nothing where nothing is to be said yet.
#![expect(clippy::unnecessary_wraps, reason = "all words have one signature, and some always have something to say")]

use serde_json::Value;

use crate::narrator::plain_name;
use crate::samples::{not_ready, text};

/// How a kind is spoken of.
pub(crate) struct Words {
    /// As the API server calls it.
    pub(crate) resource: &'static str,
    /// As kubectl and people call it: what stands before its name.
    pub(crate) short: &'static str,
    /// The name of the object that is spoken of.
    pub(crate) name: fn(&Value) -> String,
    /// The aspects of it; each is told when it changes.
    pub(crate) say: &'static [fn(&Value) -> Option<String>],
    /// What is said when it is deleted.
    pub(crate) gone: Option<&'static str>,
}

const DELETED: Option<&str> = Some("deleted");

/// All kinds that are spoken of.
pub(crate) const KINDS: [Words; 6] = [
    Words {
        resource: "mcpservers.mcp.mcp.dev",
        short: "mcp/",
        name: plain_name,
        say: &[server_spec, server_status],
        gone: DELETED,
    },
    Words {
        resource: "deployments.apps",
        short: "deployment/",
        name: plain_name,
        say: &[deployment_spec, deployment_status],
        gone: DELETED,
    },
    Words { resource: "services", short: "service/", name: plain_name, say: &[service], gone: DELETED },
    Words { resource: "pods", short: "pod/", name: plain_name, say: &[pod], gone: Some("gone") },
    Words { resource: "secrets", short: "secret/", name: plain_name, say: &[secret], gone: DELETED },
    Words { resource: "events.events.k8s.io", short: "event of ", name: event_name, say: &[event], gone: None },
];

fn server_spec(server: &Value) -> Option<String> {
    let wish = format!("asks for {} of {}", pods(number(server, "/spec/replicas")), short(text(server, "/spec/image")));
    Some(match text(server, "/spec/secretName") {
        "" => wish,
        secret => format!("{wish}, with the Secret {secret}"),
    })
}

fn server_status(server: &Value) -> Option<String> {
    let phase = server.pointer("/status/phase")?.as_str()?;
    if deleting(server) {
        return Some(format!("{phase}: being deleted"));
    }
    Some(match (not_ready(server), text(server, "/status/url")) {
        (Some(why), _) => format!("{phase}: {why}"),
        (None, "") => format!("{phase}, Ready"),
        (None, url) => format!("{phase}, Ready at {url}"),
    })
}

fn deployment_spec(deployment: &Value) -> Option<String> {
    let image = text(deployment, "/spec/template/spec/containers/0/image");
    let restarted = text(deployment, "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt");
    let wish = format!("asks for {} of {}", pods(number(deployment, "/spec/replicas")), short(image));
    Some(if restarted.is_empty() { wish } else { format!("{wish}, restarted by kubectl at {restarted}") })
}

/// Counts that speak of an older spec would only confuse.
fn deployment_status(deployment: &Value) -> Option<String> {
    let wanted = number(deployment, "/spec/replicas");
    let current = number(deployment, "/status/observedGeneration") == number(deployment, "/metadata/generation");
    if !current || wanted == 0 {
        return None;
    }
    let (ready, updated) = (number(deployment, "/status/readyReplicas"), number(deployment, "/status/updatedReplicas"));
    let all = number(deployment, "/status/replicas");
    let old = all - updated;
    Some(if old > 0 {
        format!("{ready} of {wanted} pods ready, {old} still of before")
    } else {
        format!("{ready} of {wanted} pods ready")
    })
}

fn service(service: &Value) -> Option<String> {
    let port = |pointer| service.pointer(pointer).map(ToString::to_string);
    Some(format!("port {} of the pods, as port {}", target(service), port("/spec/ports/0/port")?))
}

fn target(service: &Value) -> String {
    service
        .pointer("/spec/ports/0/targetPort")
        .map_or_else(String::new, |port| port.as_str().map_or_else(|| port.to_string(), str::to_owned))
}

fn pod(pod: &Value) -> Option<String> {
    if deleting(pod) {
        return Some("is being stopped".to_owned());
    }
    let container = pod.pointer("/status/containerStatuses/0");
    let waiting = container.and_then(|container| container.pointer("/state/waiting"));
    let restarts = container.map_or(0, |container| number(container, "/restartCount"));
    let again = if restarts > 0 { format!(" (restarts: {restarts})") } else { String::new() };
    Some(match (waiting, container) {
        (Some(waiting), _) => match text(waiting, "/message") {
            "" => format!("{}{again}", text(waiting, "/reason")),
            message => format!("{}{again}: {message}", text(waiting, "/reason")),
        },
        (None, Some(container)) if container["ready"] == true => format!("ready{again}"),
        (None, Some(container)) if container.pointer("/state/terminated").is_some() => {
            format!("ended with exit code {}{again}", number(container, "/state/terminated/exitCode"))
        }
        (None, Some(_)) => format!("running, not ready{again}"),
        (None, None) => return unscheduled(pod),
    })
}

fn unscheduled(pod: &Value) -> Option<String> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let refused =
        conditions.iter().find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")?;
    Some(format!("{}: {}", text(refused, "/reason"), text(refused, "/message")))
}

/// Its keys, never its values.
fn secret(secret: &Value) -> Option<String> {
    let data = secret.get("data").and_then(Value::as_object);
    let keys: Vec<&str> = data.map(|data| data.keys().map(String::as_str).collect()).unwrap_or_default();
    // The resourceVersion makes each change a new line: the values, which alone may have changed, are not shown.
    Some(format!("holds {} (version {})", keys.join(", "), text(secret, "/metadata/resourceVersion")))
}

fn event_name(event: &Value) -> String {
    let kind = match text(event, "/regarding/kind") {
        "MCPServer" => "mcp".to_owned(),
        kind => kind.to_lowercase(),
    };
    format!("{kind}/{}", text(event, "/regarding/name"))
}

fn event(event: &Value) -> Option<String> {
    let kind = if text(event, "/type") == "Warning" { "Warning " } else { "" };
    let what = format!("{kind}{}: {}", text(event, "/reason"), text(event, "/note"));
    Some(match number(event, "/series/count") {
        0 => what,
        count => format!("{what} ({count} times)"),
    })
}

fn deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// An image without its registry, which would take a line of its own.
fn short(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}

fn pods(count: i64) -> String {
    match count {
        0 => "no pods".to_owned(),
        1 => "1 pod".to_owned(),
        count => format!("{count} pods"),
    }
}
