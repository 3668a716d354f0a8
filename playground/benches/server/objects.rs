//! The objects that are written: an MCPServer and what an operator makes of it.

use serde_json::{Value, json};

/// Paths of the resources.
pub(crate) const MCP_SERVERS: &str = "/apis/mcp.mcp.dev/v1alpha1";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1";
pub(crate) const CORE: &str = "/api/v1";

/// The definition of MCPServer, as it is installed.
pub(crate) const DEFINITION: &str = include_str!("../../../config/crd/mcp.mcp.dev_mcpservers.yaml");

pub(crate) fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"key": "value", "other": "another value"},
    })
}

pub(crate) fn mcp_server(name: &str) -> Value {
    json!({
        "apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer",
        "metadata": {"name": name},
        "spec": {"image": "registry.example/server:1"},
    })
}

/// A status as an operator patches it.
pub(crate) fn status(ready: bool, number: usize) -> Value {
    let (status, reason) = if ready { ("True", "Available") } else { ("False", "Progressing") };
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z", "message": format!("message {number}"),
        })
    };
    json!({"status": {"observedGeneration": 1, "conditions": [condition("Ready"), condition("Available")]}})
}

fn labels(name: &str) -> Value {
    json!({
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "bench",
        "app.kubernetes.io/name": "mcpserver",
    })
}

fn owners(name: &str, uid: Option<&str>) -> Value {
    let owner = |uid: &str| {
        json!({
            "apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "name": name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        })
    };
    uid.into_iter().map(owner).collect()
}

pub(crate) fn deployment(name: &str, uid: Option<&str>, replicas: u32) -> Value {
    let probe = |threshold: u32, period: u32| json!({"failureThreshold": threshold, "periodSeconds": period, "tcpSocket": {"port": "mcp"}});
    let container = json!({
        "name": "mcp-server",
        "image": "registry.example/server:1",
        "ports": [{"containerPort": 8080, "name": "mcp", "protocol": "TCP"}],
        "livenessProbe": probe(3, 20),
        "readinessProbe": probe(3, 10),
        "startupProbe": probe(150, 2),
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name,
            "labels": labels(name),
            "annotations": {"mcp.mcp.dev/applied-hash": "e6086d6e5f5657018c59578b659a8c5e"},
            "ownerReferences": owners(name, uid),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {
                "app.kubernetes.io/instance": name,
                "app.kubernetes.io/name": "mcpserver",
            }},
            "template": {
                "metadata": {"labels": labels(name)},
                "spec": {
                    "automountServiceAccountToken": false,
                    "containers": [container],
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                },
            },
        },
    })
}

pub(crate) fn service(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name,
            "labels": labels(name),
            "annotations": {"mcp.mcp.dev/applied-hash": "0a78f01c01c8640e7643c9fd2e0b108f"},
            "ownerReferences": owners(name, Some(uid)),
        },
        "spec": {
            "ports": [{"appProtocol": "http", "name": "mcp", "port": 8080, "protocol": "TCP", "targetPort": "mcp"}],
            "selector": {"app.kubernetes.io/instance": name, "app.kubernetes.io/name": "mcpserver"},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    })
}
