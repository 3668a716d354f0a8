//! Inputs for the tests of the pure steps: small objects, as the API server would send them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::build::Children;
use super::children::{
    CONTAINER, Deployment, INSTANCE, MANAGED_BY, MCPSERVER, NAME, PORT, SECRET_HASH, SMOOTH_OPERATOR, SecretHash,
    Service,
};
use super::kind::ChildKind;
use super::observe::{Observed, SecretState};
use super::ours::OwnFields;
use super::validate::{Verdict, Wanted, validate};
use crate::api::{MCPServer, MCPServerStatus};
use crate::object::Object;

/// The uid of the server under test.
pub(super) const UID: &str = "server-uid";

/// A server of this spec, in its third generation.
pub(super) fn server(spec: &Value, status: Option<&MCPServerStatus>) -> MCPServer {
    let object = json!({
        "metadata": {"namespace": "prod", "name": "web", "uid": UID, "resourceVersion": "10", "generation": 3},
        "spec": spec,
        "status": status,
    });
    MCPServer::decode(&object.to_string()).unwrap()
}

/// The observations about a server with this spec that has no children yet.
pub(super) fn observed(spec: &Value) -> Observed {
    let server = Arc::new(server(spec, None));
    Observed {
        server,
        deployment: None,
        service: None,
        extras: BTreeMap::new(),
        pods: Vec::new(),
        unreadable: BTreeMap::new(),
        secret: SecretState::NotRequired,
        children: 0,
    }
}

/// The `Wanted` that `validate` returns; panics if it returns anything else.
pub(super) fn wanted(observed: &Observed) -> Wanted<'_> {
    match validate(observed) {
        Verdict::Wanted(wanted) => wanted,
        other @ (Verdict::Suspended(_) | Verdict::HandsOff(_)) => panic!("{other:?}"),
    }
}

/// An owner reference to the server under test, or to another uid.
pub(super) fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true}])
}

/// A Deployment of the server's name, with these owners, our labels and this status, as if nobody had applied it.
pub(super) fn deployment(owners: &Value, status: &Value) -> Deployment {
    let labels = json!({MANAGED_BY: SMOOTH_OPERATOR, NAME: MCPSERVER, INSTANCE: "web"});
    let object = json!({
        "metadata": {
            "namespace": "prod", "name": "web", "uid": "deployment-uid", "resourceVersion": "11", "generation": 1,
            "labels": labels, "ownerReferences": owners,
        },
        "spec": {"replicas": 1, "template": {
            "metadata": {"annotations": {SECRET_HASH: "old"}},
            "spec": {"containers": [{"name": CONTAINER, "envFrom": [{"secretRef": {"name": "s"}}]}]},
        }},
        "status": status,
    });
    Deployment::decode(&object.to_string()).unwrap()
}

/// A Service of the server's own name, with this port.
pub(super) fn service(port: i32) -> Service {
    let object = json!({
        "metadata": {
            "namespace": "prod", "name": "web", "uid": "service-uid", "resourceVersion": "12",
            "ownerReferences": owner("MCPServer", "web", UID),
        },
        "spec": {"ports": [{"name": PORT, "port": port}]},
    });
    Service::decode(&object.to_string()).unwrap()
}

/// The children in their desired state, as the store would have them right after they were applied.
pub(super) fn as_wanted(children: &Children) -> (Deployment, Service) {
    let mut deployment = deployment(&owner("MCPServer", "web", UID), &json!({}));
    let mut service = service(8080);
    let managed = r#"[{"manager":"smooth-operator","operation":"Apply","fieldsV1":{"f:metadata":{},"f:spec":{}}}]"#;
    let fields = OwnFields::among(&serde_json::from_str::<Vec<_>>(managed).unwrap()).unwrap();
    let desired = |kind| &children[&kind];
    let (of_deployment, of_service) = (desired(ChildKind::Deployment), desired(ChildKind::Service));
    for (child, desired) in [(&mut deployment.child, of_deployment), (&mut service.child, of_service)] {
        child.fields = fields.clone();
        child.applied = Some(desired.hash.clone());
    }
    (deployment, service)
}

/// An existing Secret with one key of this value.
pub(super) fn secret(value: &str) -> SecretState {
    let hash: SecretHash = serde_json::from_value(json!({"TOKEN": value})).unwrap();
    SecretState::Resolved(hash)
}
