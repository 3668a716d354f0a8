//! Webhooks beyond the recording: who is asked, what becomes of the write, and what is said when nobody answers.

#[path = "contract/hook.rs"]
mod hook;

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hook::{Hook, Said, said};
use http::Request;
use http_body_util::BodyExt;
use playground::Cluster;
use playground::cluster::DeleteOptions;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Duration;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

fn cluster() -> Cluster {
    Cluster::new(7, Duration::from_secs(60))
}

fn allow(review: &Value) -> Said {
    said(review, json!({"allowed": true}))
}

fn deny(review: &Value) -> Said {
    said(review, json!({"allowed": false, "status": {"message": "no"}}))
}

/// Registers a webhook for all ConfigMaps. `change` makes something else of it.
fn register(cluster: &Cluster, hook: &Hook, change: impl FnOnce(&mut Value)) {
    let rule = json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]});
    let mut entry = json!({
        "name": "a.b.c",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": format!("https://{}/check", hook.address), "caBundle": hook.ca_bundle},
        "rules": [rule],
    });
    change(&mut entry);
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "c"}, "webhooks": [entry]});
    cluster.create(VALIDATING, "", configuration, "test").unwrap();
}

struct Answer {
    code: u16,
    warnings: Vec<String>,
    body: Value,
}

impl Answer {
    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

async fn ask(cluster: &Cluster, method: &str, path: &str, body: &Value) -> Answer {
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (parts, body) = cluster.call(request.body(Bytes::from(body)).unwrap()).await.into_parts();
    let warnings =
        parts.headers.get_all("warning").iter().map(|warning| warning.to_str().unwrap().to_owned()).collect();
    let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    Answer { code: parts.status.as_u16(), warnings, body }
}

fn config_map(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}})
}

async fn create(cluster: &Cluster, name: &str) -> Answer {
    ask(cluster, "POST", CONFIG_MAPS, &config_map(name, &Value::Null)).await
}

#[tokio::test]
async fn what_is_denied_is_not_done() {
    let (cluster, hook) = (cluster(), Hook::start(deny).await);
    cluster.create("configmaps", "default", config_map("old", &Value::Null), "test").unwrap();
    register(&cluster, &hook, |_| {});
    let denied = create(&cluster, "x").await;
    assert_eq!((denied.code, denied.message()), (400, "admission webhook \"a.b.c\" denied the request: no"));
    assert!(cluster.get("configmaps", "default", "x").is_none());
    let old = format!("{CONFIG_MAPS}/old");
    assert_eq!(ask(&cluster, "PATCH", &old, &json!({"data": {"a": "b"}})).await.code, 400);
    assert_eq!(ask(&cluster, "DELETE", &old, &Value::Null).await.code, 400);
    assert_eq!(ask(&cluster, "DELETE", CONFIG_MAPS, &Value::Null).await.code, 400);
    assert!(cluster.get("configmaps", "default", "old").unwrap()["data"].is_null());
    hook.stop().await;
}

/// The webhook itself is the somebody: it could not, if anything were locked while it is asked.
#[tokio::test]
async fn a_write_that_was_overtaken_is_asked_about_again() {
    let cluster = cluster();
    cluster.create("configmaps", "default", config_map("x", &Value::Null), "test").unwrap();
    let (rival, times) = (cluster.clone(), AtomicUsize::new(0));
    let hook = Hook::start(move |review| {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            rival.patch_merge("configmaps", "default", "x", None, &json!({"data": {"rival": "1"}}), "rival").unwrap();
        }
        allow(review)
    });
    let hook = hook.await;
    register(&cluster, &hook, |_| {});
    let done = ask(&cluster, "PATCH", &format!("{CONFIG_MAPS}/x"), &json!({"data": {"ours": "1"}})).await;
    assert_eq!((done.code, &done.body["data"]), (200, &json!({"ours": "1", "rival": "1"})));
    let reviews: Vec<Value> = hook.seen().into_iter().map(|seen| seen.review["request"].clone()).collect();
    assert_eq!(reviews.len(), 2);
    assert_eq!(reviews[1]["oldObject"]["data"], json!({"rival": "1"}));
    assert_eq!(reviews[1]["object"]["data"], json!({"ours": "1", "rival": "1"}));
    hook.stop().await;
}

#[tokio::test]
async fn two_who_make_the_same_object_are_told_apart_after_they_were_allowed() {
    let cluster = cluster();
    let rival = cluster.clone();
    let hook = Hook::start(move |review| {
        rival.create("configmaps", "default", config_map("x", &Value::Null), "rival").unwrap();
        allow(review)
    });
    let hook = hook.await;
    register(&cluster, &hook, |_| {});
    let late = create(&cluster, "x").await;
    assert_eq!((late.code, late.message()), (409, "configmaps \"x\" already exists"));
    hook.stop().await;
}

/// Who is asked about a ConfigMap of this namespace and these labels.
async fn is_asked(hook: &Hook, cluster: &Cluster, namespace: &str, body: &Value) -> bool {
    let before = hook.seen().len();
    let made = ask(cluster, "POST", &format!("/api/v1/namespaces/{namespace}/configmaps"), body).await;
    assert_eq!(made.code, 201, "{}", made.body);
    hook.seen().len() > before
}

#[tokio::test]
async fn selectors_and_conditions_narrow_what_is_asked_about() {
    let (cluster, hook) = (cluster(), Hook::start(allow).await);
    let watched =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "w", "labels": {"watch": "yes"}}});
    cluster.create("namespaces", "", watched, "test").unwrap();
    register(&cluster, &hook, |entry| {
        entry["namespaceSelector"] = json!({"matchLabels": {"watch": "yes"}});
        entry["objectSelector"] = json!({"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]});
        let condition = "request.operation != 'CREATE' || !object.metadata.name.startsWith('free-')";
        entry["matchConditions"] = json!([{"name": "c", "expression": condition}]);
    });
    assert!(is_asked(&hook, &cluster, "w", &config_map("a", &Value::Null)).await);
    assert!(!is_asked(&hook, &cluster, "default", &config_map("a", &Value::Null)).await);
    assert!(!is_asked(&hook, &cluster, "w", &config_map("b", &json!({"skip": "1"}))).await);
    assert!(!is_asked(&hook, &cluster, "w", &config_map("free-c", &Value::Null)).await);
    // The label that takes it out of the webhook's sight is itself seen.
    let before = hook.seen().len();
    let hide = json!({"metadata": {"labels": {"skip": "1"}}});
    ask(&cluster, "PATCH", "/api/v1/namespaces/w/configmaps/a", &hide).await;
    assert_eq!(hook.seen().len(), before + 1);
    hook.stop().await;
}

#[tokio::test]
async fn a_condition_that_fails_leaves_it_to_the_failure_policy() {
    for (policy, code) in [("Fail", 403), ("Ignore", 201)] {
        let (cluster, hook) = (cluster(), Hook::start(deny).await);
        register(&cluster, &hook, |entry| {
            entry["failurePolicy"] = policy.into();
            entry["matchConditions"] = json!([{"name": "c", "expression": "object.spec.gone == 1"}]);
        });
        let made = create(&cluster, "x").await;
        assert_eq!(made.code, code, "{}", made.body);
        if policy == "Fail" {
            let why = "configmaps \"x\" is forbidden: expression 'object.spec.gone == 1' resulted in error: no such key: \
                       spec";
            assert_eq!(made.message(), why);
        }
        assert!(hook.seen().is_empty());
        hook.stop().await;
    }
}

#[tokio::test]
async fn a_rule_for_another_version_sees_the_object_in_that_version() {
    for (policy, asked) in [("Exact", false), ("Equivalent", true)] {
        let (cluster, hook) = (cluster(), Hook::start(allow).await);
        register(&cluster, &hook, |entry| {
            entry["matchPolicy"] = policy.into();
            entry["rules"][0] = json!({"operations": ["CREATE"], "apiGroups": ["events.k8s.io"], "apiVersions": ["v1"],
                "resources": ["events"]});
        });
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "message": "hello"});
        assert_eq!(ask(&cluster, "POST", "/api/v1/namespaces/default/events", &event).await.code, 201);
        assert_eq!(hook.seen().len(), usize::from(asked), "{policy}");
        if let Some(seen) = hook.seen().first() {
            let request = &seen.review["request"];
            assert_eq!(request["resource"]["group"], "events.k8s.io");
            assert_eq!(request["requestResource"]["group"], "");
            assert_eq!(
                (&request["object"]["apiVersion"], &request["object"]["note"]),
                (&json!("events.k8s.io/v1"), &json!("hello"))
            );
        }
        hook.stop().await;
    }
}

#[tokio::test]
async fn a_dry_run_is_told_and_asked_about_and_not_done() {
    let (cluster, hook) = (cluster(), Hook::start(allow).await);
    register(&cluster, &hook, |_| {});
    let path = format!("{CONFIG_MAPS}?dryRun=All&fieldManager=me");
    assert_eq!(ask(&cluster, "POST", &path, &config_map("x", &Value::Null)).await.code, 201);
    let request = hook.seen()[0].review["request"].clone();
    assert_eq!(request["dryRun"], true);
    let options =
        json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"], "fieldManager": "me"});
    assert_eq!(request["options"], options);
    assert!(cluster.get("configmaps", "default", "x").is_none());
    hook.stop().await;
}

#[tokio::test]
async fn a_namespace_is_not_deleted_before_its_webhook_allows_it() {
    let (cluster, hook) = (cluster(), Hook::start(deny).await);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    cluster.create("namespaces", "", namespace, "test").unwrap();
    register(&cluster, &hook, |entry| {
        entry["rules"][0]["resources"] = json!(["namespaces"]);
        entry["rules"][0]["scope"] = "Cluster".into();
    });
    assert_eq!(ask(&cluster, "DELETE", "/api/v1/namespaces/n", &Value::Null).await.code, 400);
    assert!(cluster.get("namespaces", "", "n").unwrap()["metadata"]["deletionTimestamp"].is_null());
    let request = &hook.seen()[0].review["request"];
    assert_eq!((&request["name"], &request["namespace"], &request["object"]), (&json!("n"), &json!("n"), &Value::Null));
    hook.stop().await;
}

/// How a create fails with a webhook that is registered like this.
async fn failure(hook: &Hook, change: impl FnOnce(&mut Value)) -> String {
    let cluster = cluster();
    register(&cluster, hook, change);
    let failed = create(&cluster, "x").await;
    assert_eq!((failed.code, &failed.body["reason"]), (500, &json!("InternalError")), "{}", failed.body);
    assert!(cluster.get("configmaps", "default", "x").is_none());
    let message = failed.message().strip_prefix("Internal error occurred: failed calling webhook \"a.b.c\": ").unwrap();
    message.replace(&hook.address.to_string(), "ADDRESS")
}

#[tokio::test]
async fn who_gives_no_proper_answer_has_failed_and_kubernetes_says_how() {
    for (code, body, why) in [
        (404, "", "failed to call webhook: the server could not find the requested resource"),
        (
            500,
            "boom",
            "failed to call webhook: an error on the server (\"boom\") has prevented the request from succeeding",
        ),
        (200, "{}", "received invalid webhook response: webhook response was absent"),
    ] {
        let hook = Hook::start(move |_| (code, body.to_owned())).await;
        assert_eq!(failure(&hook, |_| {}).await, why);
        hook.stop().await;
    }
    let stranger = Hook::start(|_| said(&json!({"request": {"uid": "other"}}), json!({"allowed": true}))).await;
    let why = failure(&stranger, |_| {}).await;
    assert!(why.starts_with("received invalid webhook response: expected response.uid="), "{why}");
    stranger.stop().await;
    let endless = Hook::start(|_| (200, "x".repeat(4 << 20))).await;
    assert!(failure(&endless, |_| {}).await.ends_with("the answer is longer than 3145728 bytes"));
    endless.stop().await;
}

/// Who takes the connection and says nothing.
#[tokio::test]
async fn who_is_silent_is_waited_for_as_long_as_the_configuration_says() {
    let (hook, silent) = (Hook::start(allow).await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://{}/check", silent.local_addr().unwrap());
    let post = format!("failed to call webhook: Post \"{url}?timeout=1s\": context deadline exceeded");
    let why = failure(&hook, |entry| {
        entry["timeoutSeconds"] = 1.into();
        entry["clientConfig"]["url"] = url.into();
    });
    assert_eq!(why.await, post);
    hook.stop().await;
}

#[tokio::test]
async fn who_is_not_trusted_is_not_asked() {
    let (hook, other) = (Hook::start(allow).await, Hook::start(allow).await);
    let unknown = "failed to call webhook: Post \"https://ADDRESS/check?timeout=10s\": tls: failed to verify certificate: \
                   x509: certificate signed by unknown authority";
    let bundle = other.ca_bundle.clone();
    assert_eq!(failure(&hook, |entry| entry["clientConfig"]["caBundle"] = bundle.into()).await, unknown);
    let nobody = |entry: &mut Value| drop(entry["clientConfig"].as_object_mut().unwrap().remove("caBundle"));
    assert_eq!(failure(&hook, nobody).await, unknown);
    let url = format!("https://localhost:{}/check", hook.address.port());
    let why = failure(&hook, |entry| entry["clientConfig"]["url"] = url.into()).await;
    assert!(why.ends_with("x509: certificate is valid for hook.default.svc, not localhost"), "{why}");
    let junk = STANDARD.encode("junk");
    let why = failure(&hook, |entry| entry["clientConfig"]["caBundle"] = junk.into()).await;
    assert_eq!(why, "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block");
    assert!(hook.seen().is_empty());
    hook.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_failure_that_is_to_be_ignored_lets_the_write_through() {
    let (cluster, hook) = (cluster(), Hook::start(|_| (500, String::new())).await);
    register(&cluster, &hook, |entry| entry["failurePolicy"] = "Ignore".into());
    assert_eq!(create(&cluster, "x").await.code, 201);
    assert_eq!(hook.seen().len(), 1);
    hook.stop().await;
}

fn slice(hook: &Hook, ready: bool, pod: bool) -> Value {
    let mut endpoint = json!({"addresses": [hook.address.ip()], "conditions": {"ready": ready}});
    if pod {
        endpoint["targetRef"] = json!({"kind": "Pod", "name": "p", "namespace": "default"});
    }
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
        "ports": [{"name": "https", "port": hook.address.port()}], "endpoints": [endpoint]})
}

#[tokio::test]
async fn a_service_leads_to_an_endpoint_that_is_ready() {
    let hook = Hook::start(allow).await;
    let to_service = |entry: &mut Value| {
        let service = json!({"namespace": "default", "name": "hook", "path": "/check"});
        entry["clientConfig"] = json!({"service": service, "caBundle": entry["clientConfig"]["caBundle"]});
    };
    let post = "failed to call webhook: Post \"https://hook.default.svc:443/check?timeout=10s\"";
    assert_eq!(failure(&hook, to_service).await, format!("{post}: service \"hook\" not found"));

    let cluster = cluster();
    register(&cluster, &hook, to_service);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"ports": [{"name": "https", "port": 443}]}});
    cluster.create("services", "default", service, "test").unwrap();
    let slices = "endpointslices.discovery.k8s.io";
    let refused = format!("dial tcp {}: connect: connection refused", hook.address);
    for (ready, pod, why) in [
        (false, false, Some("no endpoints available for service \"hook\"")),
        (true, true, Some(refused.as_str())),
        (true, false, None),
    ] {
        cluster.create(slices, "default", slice(&hook, ready, pod), "test").unwrap();
        let made = create(&cluster, "x").await;
        match why {
            Some(why) => assert!(made.message().ends_with(&format!("{post}: {why}")), "{}", made.body),
            None => assert_eq!(made.code, 201, "{}", made.body),
        }
        cluster.delete(slices, "default", "hook", &DeleteOptions::default()).unwrap();
    }
    assert_eq!(hook.seen().len(), 1);
    let seen = &hook.seen()[0];
    assert_eq!(
        (seen.path.as_str(), &seen.headers["host"]),
        ("/check?timeout=10s", &"hook.default.svc:443".parse().unwrap())
    );
    hook.stop().await;
}

#[tokio::test]
async fn configurations_are_written_without_asking_anybody() {
    let (cluster, hook) = (cluster(), Hook::start(deny).await);
    register(&cluster, &hook, |entry| {
        entry["rules"][0] =
            json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "*"});
    });
    assert_eq!(create(&cluster, "x").await.code, 400);
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/c";
    assert_eq!(ask(&cluster, "DELETE", path, &Value::Null).await.code, 200);
    assert_eq!(create(&cluster, "x").await.code, 201);
    hook.stop().await;
}

#[tokio::test]
async fn a_mutating_webhook_is_not_called_and_the_answer_says_so() {
    let (cluster, hook) = (cluster(), Hook::start(allow).await);
    register(&cluster, &hook, |_| {});
    let mut configuration = (*cluster.get(VALIDATING, "", "c").unwrap()).clone();
    cluster.delete(VALIDATING, "", "c", &DeleteOptions::default()).unwrap();
    configuration["kind"] = "MutatingWebhookConfiguration".into();
    configuration["metadata"] = json!({"name": "m"});
    let mutating = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
    cluster.create(mutating, "", configuration, "test").unwrap();
    let made = create(&cluster, "x").await;
    assert_eq!(made.code, 201);
    let says = "299 - \"the playground calls no mutating webhooks: \\\"a.b.c\\\" has not seen this\"";
    assert_eq!(made.warnings, [says]);
    assert!(hook.seen().is_empty());
    hook.stop().await;
}

#[tokio::test]
async fn warnings_of_several_webhooks_come_in_the_order_of_their_names() {
    let cluster = cluster();
    let warn = |text: &'static str| move |review: &Value| said(review, json!({"allowed": true, "warnings": [text]}));
    let (first, second) = (Hook::start(warn("one")).await, Hook::start(warn("two")).await);
    register(&cluster, &first, |_| {});
    let mut other = (*cluster.get(VALIDATING, "", "c").unwrap()).clone();
    other["metadata"] = json!({"name": "b"});
    other["webhooks"][0]["clientConfig"] =
        json!({"url": format!("https://{}/", second.address), "caBundle": second.ca_bundle});
    cluster.create(VALIDATING, "", other, "test").unwrap();
    let made = create(&cluster, "x").await;
    assert_eq!(made.warnings, ["299 - \"two\"", "299 - \"one\""]);
    first.stop().await;
    second.stop().await;
}
