use serde_json::{Value, json};

use super::super::children::SECRET_HASH;
use super::super::testing::{observed, secret, wanted};
use super::*;

fn children(spec: &Value) -> Children {
    let world = observed(spec);
    build(&world.server, &wanted(&world)).unwrap()
}

#[test]
fn the_children_of_the_smallest_server_are_these() {
    let Children { deployment, service } = children(&json!({"image": "my-mcp-server:1"}));
    let built = json!({"deployment": deployment.object, "service": service.object});
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/minimal.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, format!("{built:#}\n")).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(built, golden, "if this is meant: UPDATE_GOLDEN=1 cargo test");
}

#[test]
fn every_field_of_the_spec_finds_its_place() {
    let mut world = observed(&json!({
        "image": "i", "replicas": 5, "port": 3001, "secretName": "s",
        "service": {"type": "NodePort", "port": 80, "annotations": {"a": "b"}, "sessionAffinity": "ClientIP"},
    }));
    world.secret = secret("eA==");
    let Children { deployment, service } = build(&world.server, &wanted(&world)).unwrap();
    let pod = &deployment.object["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(deployment.object["spec"]["replicas"], 5);
    assert_eq!((&container["image"], &container["ports"][0]["containerPort"]), (&json!("i"), &json!(3001)));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "s"}}]));
    assert_eq!(pod["metadata"]["annotations"][SECRET_HASH].as_str().map(str::len), Some(64));
    let spec = &service.object["spec"];
    assert_eq!((&spec["type"], &spec["sessionAffinity"]), (&json!("NodePort"), &json!("ClientIP")));
    assert_eq!((&spec["ports"][0]["port"], &spec["ports"][0]["targetPort"]), (&json!(80), &json!("mcp")));
    assert_eq!(service.object["metadata"]["annotations"]["a"], "b");
}

#[test]
fn the_same_wish_has_the_same_digest_and_another_one_another() {
    assert_eq!(children(&json!({"image": "x"})), children(&json!({"image": "x", "replicas": 1, "port": 8080})));
    let (one, two) = (children(&json!({"image": "x"})), children(&json!({"image": "x", "replicas": 2})));
    assert_ne!(one.deployment.hash, two.deployment.hash);
    assert_eq!(one.service.hash, two.service.hash);
}

#[test]
fn nothing_is_claimed_empty_for_that_would_claim_what_others_put_in() {
    fn no_empty(path: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                assert!(!members.is_empty(), "{path} is empty");
                for (name, member) in members {
                    no_empty(&format!("{path}.{name}"), member);
                }
            }
            Value::Array(items) => {
                assert!(!items.is_empty(), "{path} is empty");
                for item in items {
                    no_empty(&format!("{path}[]"), item);
                }
            }
            Value::Null => panic!("{path} is null"),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let Children { deployment, service } = children(&json!({"image": "x"}));
    no_empty("deployment", &deployment.object);
    no_empty("service", &service.object);
}

#[test]
fn the_selector_names_nothing_that_can_change() {
    let selector = |spec| children(spec).deployment.object["spec"]["selector"].clone();
    assert_eq!(
        selector(&json!({"image": "x"})),
        selector(&json!({"image": "y", "replicas": 4, "port": 1, "suspend": false}))
    );
}
