//! Reviews as a real API server sends them, and what is made of them.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The body of a recorded review.
fn recorded(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes-1.36/webhook").join(name);
    let exchange: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    exchange["request"]["body"].clone()
}

/// Knows one Secret, `default/known`, and nothing about other namespaces.
fn reviewer(allowed: Option<&str>) -> Reviewer {
    let known = ObjectKey::new("default", "known");
    Reviewer::new(allowed.map(|text| text.parse().unwrap()), move |key| {
        (key.namespace() == known.namespace()).then(|| *key == known)
    })
}

fn answer(review: &Value, allowed: Option<&str>) -> Value {
    serde_json::from_str(&reviewer(allowed).review(review.to_string().as_bytes()).unwrap()).unwrap()
}

fn response(review: &Value, allowed: Option<&str>) -> Value {
    answer(review, allowed)["response"].clone()
}

/// The recorded review of a new server, with this spec.
fn create(spec: &Value) -> Value {
    let mut review = recorded("review-create.json");
    review["request"]["object"]["spec"] = spec.clone();
    review
}

/// The recorded review of a change, from one spec to another.
fn update(old: &Value, new: &Value) -> Value {
    let mut review = recorded("review-update.json");
    review["request"]["oldObject"]["spec"] = old.clone();
    review["request"]["object"]["spec"] = new.clone();
    review
}

fn warnings(review: &Value) -> Vec<String> {
    let response = response(review, None);
    assert_eq!(response["allowed"], true, "{response}");
    serde_json::from_value(response["warnings"].clone()).unwrap_or_default()
}

#[test]
fn the_answer_has_the_form_and_the_uid_that_the_api_server_requires() {
    let expected = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "dd4c9da5-f956-4880-b926-b4fb04bd6b93", "allowed": true},
    });
    assert_eq!(answer(&create(&json!({"image": "x:1"})), None), expected);
}

#[test]
fn an_image_without_a_fixed_version_is_warned_about() {
    let digest = "x@sha256:0123456789abcdef0123456789abcdef";
    for (image, expected) in [
        ("x", Some("without a tag or digest")),
        ("host:5000/x", Some("without a tag or digest")),
        ("x:latest", Some("with the tag latest")),
        ("X y", Some("not a valid image reference")),
        ("x:1", None),
        ("host:5000/x:1", None),
        (digest, None),
        ("x:latest@sha256:0123456789abcdef0123456789abcdef", None),
    ] {
        let found = warnings(&create(&json!({"image": image})));
        match expected {
            Some(expected) => assert!(found.len() == 1 && found[0].contains(expected), "{image}: {found:?}"),
            None => assert_eq!(found, Vec::<String>::new(), "{image}"),
        }
    }
}

#[test]
fn a_secret_that_does_not_exist_is_warned_about_where_that_is_known() {
    let spec = |secret: &str| json!({"image": "x:1", "secretName": secret});
    let found = warnings(&create(&spec("missing")));
    assert!(found.len() == 1 && found[0].contains("Secret missing does not exist yet"), "{found:?}");
    assert!(warnings(&create(&spec("known"))).is_empty());
    let mut elsewhere = create(&spec("missing"));
    elsewhere["request"]["namespace"] = "other".into();
    assert!(warnings(&elsewhere).is_empty(), "the cache does not cover this namespace, or has not synced");
}

#[test]
fn several_pods_of_a_server_with_sessions_need_affinity() {
    let spec = |replicas: i32, affinity: &str| json!({"image": "x:1", "replicas": replicas, "service": {"sessionAffinity": affinity}});
    for (mode, replicas, affinity, warned) in [
        ("Stateful", 2, "None", true),
        ("Stateful", 2, "ClientIP", false),
        ("Stateful", 1, "None", false),
        ("Stateless", 2, "None", false),
        ("Unknown", 2, "None", false),
    ] {
        let mut review = update(&spec(1, affinity), &spec(replicas, affinity));
        review["request"]["oldObject"]["status"] = json!({"phase": "OfTheFuture", "server": {"sessionMode": mode}});
        let found = warnings(&review);
        assert_eq!(
            found.iter().any(|warning| warning.contains("sessionAffinity to ClientIP")),
            warned,
            "{mode} {replicas} {affinity}"
        );
    }
    assert!(warnings(&create(&spec(2, "None"))).is_empty(), "nobody has asked a new server yet");
}

/// Found by a review: one pod in the spec and nine from the autoscaler were not warned about.
#[test]
fn sessions_are_warned_about_as_many_pods_as_the_autoscaler_may_make() {
    let spec =
        |replicas: i32, most: i32| json!({"image": "x:1", "replicas": replicas, "autoscaling": {"maxReplicas": most}});
    let warned = |replicas, most| {
        let mut review = update(&spec(1, 1), &spec(replicas, most));
        review["request"]["oldObject"]["status"] = json!({"server": {"sessionMode": "Stateful"}});
        warnings(&review)
    };
    let found = warned(1, 9);
    assert!(found.len() == 1 && found[0].starts_with("spec.autoscaling.maxReplicas: "), "{found:?}");
    assert_eq!(warned(9, 1), [""; 0], "nobody looks at spec.replicas");
}

#[test]
fn an_image_from_elsewhere_is_denied_with_its_registry_and_what_is_allowed() {
    let denied = response(&create(&json!({"image": "nginx:1"})), Some("ghcr.io,quay.io/team"));
    let message =
        "spec.image: \"nginx:1\" comes from docker.io, but this cluster allows only images from: ghcr.io, quay.io/team";
    let status = json!({"code": 403, "reason": "Forbidden", "message": message});
    assert_eq!((&denied["allowed"], &denied["status"]), (&json!(false), &status));
    let denied = response(&create(&json!({"image": "ghcr.io/ x"})), Some("ghcr.io"));
    assert!(denied["status"]["message"].as_str().unwrap().contains("not a valid image reference"), "{denied}");
    for image in ["ghcr.io/a:1", "quay.io/team/app:1"] {
        assert_eq!(response(&create(&json!({"image": image})), Some("ghcr.io,quay.io/team"))["allowed"], true);
    }
}

/// The policy may be newer than the object. A refusal would block scaling it down, and even deleting it.
#[test]
fn a_change_that_keeps_the_image_is_not_denied() {
    let (one, two) = (json!({"image": "nginx:1", "replicas": 1}), json!({"image": "nginx:1", "replicas": 0}));
    assert_eq!(response(&update(&one, &two), Some("ghcr.io"))["allowed"], true);
    assert_eq!(response(&update(&one, &json!({"image": "nginx:2"})), Some("ghcr.io"))["allowed"], false);
    assert_eq!(
        response(&update(&json!({"image": 7}), &two), Some("ghcr.io"))["allowed"],
        false,
        "the old one is unknown"
    );
}

/// An image that is mounted is content from a registry, too.
#[test]
fn a_volume_of_an_image_from_elsewhere_is_denied_unless_it_was_there_before() {
    let volume = |image: Value| json!({"name": "v", "image": image});
    let spec = |images: &[&str]| {
        let volumes: Vec<Value> = images.iter().map(|image| volume(json!({"reference": image}))).collect();
        json!({"image": "ghcr.io/a:1", "volumes": volumes})
    };
    let allowed = |review: &Value| response(review, Some("ghcr.io"))["allowed"] == true;
    let denied = response(&create(&spec(&["ghcr.io/b:1", "nginx:1"])), Some("ghcr.io"));
    let message = "spec.volumes[1].image.reference: \"nginx:1\" comes from docker.io, but this cluster allows only images \
                   from: ghcr.io";
    assert_eq!((&denied["allowed"], &denied["status"]["message"]), (&json!(false), &json!(message)));
    assert!(allowed(&create(&spec(&["ghcr.io/b:1"]))) && !allowed(&create(&spec(&["ghcr.io/ b"]))));
    assert!(response(&create(&spec(&["nginx:1"])), None)["allowed"] == true, "without a policy");
    assert!(allowed(&update(&spec(&["nginx:1"]), &spec(&["ghcr.io/b:1", "nginx:1"]))), "it is kept, at another place");
    assert!(!allowed(&update(&spec(&["nginx:1"]), &spec(&["nginx:2"]))));
    for none in [json!({}), json!({"reference": ""}), Value::Null] {
        let spec = json!({"image": "ghcr.io/a:1", "volumes": [volume(none), {"name": "w", "emptyDir": {}}]});
        assert!(allowed(&create(&spec)), "{spec}");
    }
}

#[test]
fn what_can_not_be_read_or_is_not_ours_is_allowed() {
    let denies = Some("ghcr.io");
    let bad = || create(&json!({"image": "nginx"}));
    assert_eq!(response(&bad(), denies)["allowed"], false, "else this test says nothing");
    let mut other_kind = bad();
    other_kind["request"]["resource"]["resource"] = "deployments".into();
    let mut other_version = bad();
    other_version["request"]["resource"]["version"] = "v9".into();
    let mut status = bad();
    status["request"]["subResource"] = "status".into();
    let mut connect = bad();
    connect["request"]["operation"] = "CONNECT".into();
    let mut missing = bad();
    missing["request"]["object"] = Value::Null;
    let mut absent = bad();
    absent["request"].as_object_mut().unwrap().remove("object");
    for (what, review) in [
        ("delete", recorded("review-delete.json")),
        ("scale", recorded("review-scale.json")),
        ("another kind", other_kind),
        ("another version", other_version),
        ("the status", status),
        ("another operation", connect),
        ("null", missing),
        ("no object", absent),
        ("no spec", create(&Value::Null)),
        ("a bad spec", create(&json!({"image": 7}))),
        ("a spec of the future", create(&json!({"picture": "nginx"}))),
    ] {
        let response = response(&review, denies);
        assert_eq!(response, json!({"uid": review["request"]["uid"], "allowed": true}), "{what}");
    }
}

#[test]
fn what_is_no_review_is_malformed_and_says_why() {
    let answer = |body: &str| reviewer(None).review(body.as_bytes()).unwrap_err().to_string();
    let mut old = recorded("review-create.json");
    old["apiVersion"] = "admission.k8s.io/v1beta1".into();
    assert!(answer(&old.to_string()).contains("\"admission.k8s.io/v1beta1\" was sent"));
    let mut no_uid = recorded("review-create.json");
    no_uid["request"].as_object_mut().unwrap().remove("uid");
    assert!(answer(&no_uid.to_string()).contains("missing field `uid`"));
    assert!(answer(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#).contains("no request"));
    assert!(
        answer(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#)
            .contains("no request")
    );
    assert!(answer(r#"{"apiVersion":"v1","kind":"Pod"}"#).contains("\"Pod\" of \"v1\""));
    for garbage in ["", "null", "[]", "7", "{", "\u{0}", "{\"kind\":7}"] {
        assert!(answer(garbage).contains("AdmissionReview"), "{garbage:?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(answer(&deep).starts_with("not an AdmissionReview"));
}

#[test]
fn a_warning_is_no_longer_than_the_api_server_shows() {
    let secret = "s".repeat(253);
    let found = warnings(&create(&json!({"image": "x:1", "secretName": secret})));
    assert_eq!(found[0].chars().count(), 256);
}

proptest! {
    /// Whatever stands in a recorded review instead of one of its values: an answer or a reason, never a panic.
    #[test]
    fn a_review_with_anything_in_it_is_answered(at in 0_usize..40, text in "\\PC{0,12}", number in any::<i64>()) {
        for name in ["review-create.json", "review-update.json", "review-delete.json", "review-scale.json"] {
            for value in [json!(text), json!(number), json!([text]), json!({text.clone(): number}), Value::Null] {
                let mut review = recorded(name);
                let mut left = at;
                replace(&mut review, &mut left, &value);
                drop(reviewer(Some("ghcr.io")).review(review.to_string().as_bytes()));
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(reviewer(None).review(&bytes).is_err());
    }
}

/// Replaces the value that comes after `left` others; whether there was one.
fn replace(at: &mut Value, left: &mut usize, by: &Value) -> bool {
    if *left == 0 {
        *at = by.clone();
        return true;
    }
    *left -= 1;
    match at {
        Value::Object(fields) => fields.values_mut().any(|value| replace(value, left, by)),
        Value::Array(items) => items.iter_mut().any(|value| replace(value, left, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
