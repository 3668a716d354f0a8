//! An MCPServer, from JSON to its children.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use smooth_operator::api::MCPServer;
use smooth_operator::mcpserver::build::{Children, Desired, build};
use smooth_operator::mcpserver::children::{Deployment, SecretHash, Service};
use smooth_operator::mcpserver::kind::ChildKind;
use smooth_operator::mcpserver::observe::{Observed, SecretState};
use smooth_operator::mcpserver::validate::{Slot, Verdict, validate};
use smooth_operator::mcpserver::verify;
use smooth_operator::object::Object;

use super::json::turned;
use super::recordings;

/// Whatever can be decoded can be built; the children are what the spec calls for, and are recognized as such; and the
/// order of keys says nothing.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(server) = MCPServer::decode(text) else { return };
    let children = children(&server);
    if let Some(children) = &children {
        check(&server, children);
        passed_on(text, children);
    }
    if let Some(turned) = turned(text) {
        let other = MCPServer::decode(&turned).expect("it says the same");
        assert_eq!(other.meta, server.meta);
        assert_eq!(self::children(&other), children);
    }
}

/// The children of a server that has none yet; `None` where none are wanted.
fn children(server: &MCPServer) -> Option<Children> {
    let secret = match server.spec.as_ref().ok().and_then(|spec| spec.secret_name.as_ref()) {
        Some(_) => SecretState::Resolved(SecretHash::default()),
        None => SecretState::NotRequired,
    };
    let observed = Observed {
        server: Arc::new(server.clone()),
        deployment: None,
        service: None,
        extras: BTreeMap::new(),
        unreadable: BTreeMap::new(),
        secret,
        pods: Vec::new(),
        children: 0,
    };
    let _asked = verify::desired(&observed);
    let verdict = validate(&observed);
    match &verdict {
        Verdict::Wanted(wanted) | Verdict::Suspended(Ok(wanted)) => {
            for kind in ChildKind::ALL {
                assert_eq!(matches!(wanted.slots.get(kind), Slot::Empty), kind.is_in(wanted.spec), "{kind:?}");
            }
            Some(build(server, wanted).expect("what can be decoded can be built"))
        }
        Verdict::Suspended(Err(conflict)) => panic!("with nobody: {conflict}"),
        Verdict::HandsOff(_) => None,
    }
}

fn check(server: &MCPServer, children: &Children) {
    let key = &server.meta.key;
    for (kind, Desired { object, hash }) in children {
        let metadata = &object["metadata"];
        assert_eq!((&object["kind"], hash.len()), (&json!(kind.as_str()), 32));
        assert_eq!((&metadata["name"], &metadata["namespace"]), (&json!(key.name()), &json!(key.namespace())));
        assert_eq!(metadata["ownerReferences"][0]["uid"], server.meta.uid.as_str());
        assert!(object["status"].is_null(), "{kind:?} has a status");
    }
    let deployment = &children[&ChildKind::Deployment].object["spec"];
    let labels = &deployment["template"]["metadata"]["labels"];
    for (label, value) in deployment["selector"]["matchLabels"].as_object().expect("a selector") {
        assert_eq!(labels[label], *value, "a Deployment finds its own pods");
    }
    assert_eq!(labels["app.kubernetes.io/managed-by"], "smooth-operator");
    assert_eq!(deployment["template"]["spec"]["containers"].as_array().map(Vec::len), Some(1));
    let read = Deployment::decode(&stored(&children[&ChildKind::Deployment])).expect("we read our own Deployment");
    assert_eq!(read.child.applied.as_ref(), Some(&children[&ChildKind::Deployment].hash));
    assert!(read.child.labelled && read.child.meta.is_controlled_by(&server.meta.uid));
    assert_eq!(
        read.secret.map(|secret| secret.name),
        server.spec.as_ref().ok().and_then(|spec| spec.secret_name.clone())
    );
    let service = Service::decode(&stored(&children[&ChildKind::Service])).expect("we read our own Service");
    assert!(service.child.labelled && service.port.is_some());
}

/// An object as the API server would send it that has stored it.
fn stored(child: &Desired) -> String {
    let mut object = child.object.clone();
    object["metadata"]["uid"] = json!("a-child");
    object["metadata"]["resourceVersion"] = json!("2");
    object.to_string()
}

/// What a pod's fields say in the spec, they say in the pod; but for lists of nothing, which say nothing.
fn passed_on(text: &str, children: &Children) {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        spec: &'a RawValue,
    }
    let Wire { spec } = serde_json::from_str(text).expect("it was decoded");
    // serde takes a list for a struct, too; the API server does not.
    let Ok(spec) = serde_json::from_str::<BTreeMap<String, &RawValue>>(spec.get()) else { return };
    let said = |field: &str| -> Value {
        let value = spec.get(field).map(|value| serde_json::from_str(value.get()));
        something(value.transpose().expect("what is passed on can be read").unwrap_or_default())
    };
    let pod = &children[&ChildKind::Deployment].object["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for field in ["affinity", "imagePullSecrets", "tolerations", "topologySpreadConstraints", "volumes"] {
        assert_eq!(pod[field], said(field), "{field}");
    }
    for field in ["env", "resources", "volumeMounts"] {
        assert_eq!(container[field], said(field), "{field}");
    }
}

/// A value without the lists in it that have no items.
fn something(value: Value) -> Value {
    let is_nothing = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    match value {
        value if is_nothing(&value) => Value::Null,
        Value::Array(items) => {
            items.into_iter().map(|item| if is_nothing(&item) { item } else { something(item) }).collect()
        }
        Value::Object(members) => {
            let said = members.into_iter().filter(|(_, member)| !is_nothing(member));
            Value::Object(said.map(|(name, member)| (name, something(member))).collect())
        }
        value => value,
    }
}

/// The recorded servers, and the samples.
pub fn recorded() -> Vec<Vec<u8>> {
    recordings::servers().iter().map(|server| server.to_string().into_bytes()).collect()
}
