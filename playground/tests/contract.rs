//! The contract: what a real API server answered, the playground answers too.
//!
//! Each test is a story: recorded requests in the order in which they were recorded, replayed against a cluster of its
//! own, every answer compared with the recorded one. Controllers don't run here; what they wrote in between is written
//! as recorded. What is not held against the playground stands in [`NOT_REPRODUCED`], with the reason.

#[path = "contract/hook.rs"]
mod hook;
#[path = "contract/replay.rs"]
mod replay;
#[path = "contract/rollout.rs"]
mod rollout;
#[path = "contract/webhook.rs"]
mod webhook;

use std::collections::BTreeSet;

use http_body_util::BodyExt;
use playground::auth::{StaticToken, User};
use playground::cluster::{DeleteOptions, WriteOptions};
use replay::{Replay, fixtures, recorded, recorded_events};
use serde_json::{Value, json};
use tokio::time::Duration;

/// Recordings that are not replayed, and why.
const NOT_REPRODUCED: &[(&str, &str)] = &[
    ("discovery/openapi-v3-mcp", "compared in its schema alone: descriptions and responses are shortened"),
    ("discovery/openapi-v3-root", "hashes, and groups that are not served"),
    ("discovery/version", "the playground says what it is"),
    ("mcpservers/list-empty", "a server that is starting"),
];

/// What each story replays; together with [`NOT_REPRODUCED`] it is all there is.
const DEFINITION: &[&str] = &[
    "mcpservers/list-before-crd",
    "crd/create",
    "crd/get-established",
    "crd/invalid-cel",
    "crd/invalid-ref",
    "crd/apply-noop",
];
const CUSTOM_RESOURCE: &[&str] = &[
    "mcpservers/create-minimal",
    "mcpservers/create-full",
    "mcpservers/get",
    "mcpservers/get-not-found",
    "mcpservers/create-duplicate",
    "mcpservers/create-bad-name",
    "mcpservers/create-bad-port",
    "mcpservers/create-cel",
    "mcpservers/create-malformed-json",
    "mcpservers/create-missing-namespace",
    "mcpservers/create-negative-replicas",
    "mcpservers/create-no-image",
    "mcpservers/create-unknown-field-strict",
    "mcpservers/create-unknown-field-warn",
    "mcpservers/create-wrong-namespace",
    "mcpservers/create-wrong-type",
    "mcpservers/patch-spec-merge",
    "mcpservers/patch-noop",
    "mcpservers/patch-labels",
    "mcpservers/patch-conflict",
    "mcpservers/update-conflict",
    "mcpservers/status-apply",
    "mcpservers/status-apply-noop",
    "mcpservers/status-in-main-is-ignored",
    "mcpservers/status-invalid",
    "mcpservers/status-merge-patch",
    "mcpservers/scale-get",
    "mcpservers/scale-patch",
    "mcpservers/list-two",
    "errors/method-not-allowed",
    "errors/not-acceptable",
    "errors/strategic-merge-on-custom-resource",
    "errors/unknown-resource",
    "errors/unknown-version",
    "errors/unsupported-media-type",
];
const LISTS: &[&str] = &[
    "mcpservers/list-page-1",
    "mcpservers/list-page-2",
    "mcpservers/list-page-3",
    "mcpservers/list-rv0",
    "mcpservers/list-label-selector",
    "mcpservers/list-field-selector",
    "mcpservers/list-metadata-only",
    "mcpservers/list-continue-with-rv",
    "kubectl/table",
    "watch/rv-malformed",
    "watch/streaming-list-forbidden",
];
const DELETES: &[&str] = &[
    "mcpservers/delete-uid-mismatch",
    "mcpservers/delete-background",
    "mcpservers/delete-foreground",
    "mcpservers/delete-owner-background",
];
/// What anybody gets; [`BY_NOBODY`] was asked with the token of a ServiceAccount that has no rights.
const REFUSED: &[&str] = &["auth/anonymous"];
const BY_NOBODY: &[&str] = &["auth/forbidden-list", "auth/forbidden-patch"];
const REVIEWED: &[&str] = &["auth/subjectaccessreview", "auth/tokenreview"];
/// The token itself was not recorded.
const BAD_TOKEN: &[&str] = &["auth/bad-token"];
/// By a server whose etcd is too old.
const NO_STREAMING: &[&str] = &["watch/streaming-list-unsupported"];
/// Their messages name revisions, so the test says what it expects itself.
const EXPIRED: &[&str] = &["mcpservers/list-continue-expired", "mcpservers/list-exact-expired"];
const NAME_RULE: &[&str] =
    &["crd/apply-with-name-rule", "mcpservers/create-name-rule", "mcpservers/create-name-ok", "hpa/create"];
const DEPLOYMENT: &[&str] = &[
    "deployments/apply-missing-namespace",
    "deployments/apply-create",
    "deployments/get-waiting-for-secret",
    "deployments/get-available",
    "deployments/apply-noop",
    "deployments/apply-scale",
    "deployments/apply-uid-mismatch",
    "deployments/apply-invalid",
    "deployments/apply-conflict",
    "deployments/stranger-annotation",
    "deployments/apply-keeps-stranger",
    "deployments/stranger-replicas",
    "deployments/apply-takes-back",
    "deployments/apply-bad-image",
    "deployments/apply-good-image",
    "deployments/apply-drop-field",
    "deployments/two-controllers",
    "deployments/list",
    "kubectl/table-deployments",
];
const PRECONDITIONS: &[&str] = &[
    "deployments/apply-uid-absent",
    "deployments/apply-rv-absent",
    "deployments/apply-uid-match",
    "deployments/apply-stale-rv",
    "deployments/apply-dry-run",
    "deployments/delete-uid-precondition",
    "deployments/get-collected",
];
const SERVICE: &[&str] = &["services/apply-create", "services/apply-noop", "services/apply-port"];
const SECRET: &[&str] = &[
    "secrets/create",
    "secrets/get",
    "secrets/list",
    "secrets/patch-data",
    "secrets/patch-label",
    "secrets/list-metadata-only",
    "secrets/delete",
];
const LEASE: &[&str] = &[
    "leases/get-not-found",
    "leases/create",
    "leases/create-exists",
    "leases/bad-time",
    "leases/renew",
    "leases/update-conflict",
    "leases/release",
    "leases/take-over",
    "leases/invalid",
    "leases/delete",
];
const EVENT: &[&str] = &["events/create", "events/patch-series", "events/create-invalid"];
const DISCOVERY: &[&str] = &[
    "discovery/readyz",
    "discovery/api-versions",
    "discovery/group-resources",
    "discovery/aggregated-api",
    "discovery/aggregated-apis",
];
const WATCHES: &[&str] = &[
    "services/list",
    "watch/clean-end",
    "watch/from-zero",
    "watch/gone",
    "watch/list-rv-too-large",
    "watch/mcpservers-lifecycle",
    "watch/metadata-only",
    "watch/rv-too-large",
    "watch/streaming-list",
];

/// What a server says that has too much to do.
const LIMITS: &[&str] = &["errors/too-many-requests"];
/// What the controllers did, told in `contract/rollout.rs`.
const CONTROLLERS: &[&str] = &["deployments/get-stuck-rollout", "hpa/get", "rollout/deployments", "rollout/pods"];

/// Who was asked before a write, told in `contract/webhook.rs`.
const WEBHOOK: &[&str] = &[
    "webhook/create-allowed-with-warning",
    "webhook/create-denied",
    "webhook/create-unreachable",
    "webhook/review-create",
    "webhook/review-create-denied",
    "webhook/review-delete",
    "webhook/review-scale",
    "webhook/review-update",
];

#[test]
fn every_recording_is_replayed_or_says_why_not() {
    let stories = [
        DEFINITION,
        CUSTOM_RESOURCE,
        LISTS,
        DELETES,
        EXPIRED,
        NAME_RULE,
        DEPLOYMENT,
        PRECONDITIONS,
        SERVICE,
        SECRET,
        LEASE,
        EVENT,
        DISCOVERY,
        WATCHES,
        LIMITS,
        CONTROLLERS,
        REFUSED,
        BY_NOBODY,
        REVIEWED,
        BAD_TOKEN,
        NO_STREAMING,
        WEBHOOK,
    ];
    let excused = NOT_REPRODUCED.iter().map(|(name, _)| *name);
    let told: BTreeSet<String> = stories.concat().into_iter().chain(excused).map(str::to_owned).collect();
    let mut there = BTreeSet::new();
    for folder in std::fs::read_dir(fixtures()).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            if let Some(name) = file.strip_suffix(".json") {
                there.insert(format!("{}/{name}", folder.file_name().into_string().unwrap()));
            }
        }
    }
    assert_eq!(told, there);
}

async fn tell(replay: &mut Replay, story: &[&str]) {
    for name in story {
        replay.step(name).await;
    }
}

async fn with_definition() -> Replay {
    let mut replay = Replay::new();
    tell(&mut replay, DEFINITION).await;
    replay
}

/// The objects that were made for the lists, but whose making was not recorded.
async fn with_pages() -> Replay {
    let mut replay = with_definition().await;
    tell(&mut replay, CUSTOM_RESOURCE).await;
    for at in 0..5 {
        let object = json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer",
            "metadata": {"name": format!("page-{at}")}, "spec": {"image": "img"}});
        replay.cluster.create("mcpservers.mcp.mcp.dev", "default", object, "unknown").unwrap();
    }
    replay
}

#[tokio::test(start_paused = true)]
async fn a_definition_comes_into_force() {
    with_definition().await;
}

/// A cluster where roles decide, and the token of a ServiceAccount that has none.
fn with_nobody() -> (Replay, String) {
    let replay = Replay::with_authorization();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}});
    replay.cluster.create("serviceaccounts", "default", account, "test").unwrap();
    let token = replay.cluster.issue_token("default", "nobody", jiff::SignedDuration::from_hours(1)).unwrap();
    (replay, token)
}

#[tokio::test(start_paused = true)]
async fn who_has_no_rights_is_refused_as_recorded() {
    let (mut replay, token) = with_nobody();
    tell(&mut replay, REFUSED).await;
    for name in BY_NOBODY {
        replay.step_with_token(name, &token).await;
    }
    for name in BAD_TOKEN {
        replay.step_with_token(name, "wrong").await;
    }
}

/// Where a review names the token.
const CREDENTIAL: &str = "/status/user/extra/authentication.kubernetes.io~1credential-id/0";

#[tokio::test(start_paused = true)]
async fn reviews_answer_as_recorded() {
    let (mut replay, token) = with_nobody();
    replay.cluster.accept_token(StaticToken { token: "admin".into(), user: User::admin() });
    for name in REVIEWED {
        let mut exchange = recorded(name);
        // What was left out of the recording.
        if exchange["request"]["body"].is_null() {
            let spec = json!({"token": token});
            exchange["request"]["body"] =
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
            exchange["response"]["body"]["spec"] = spec;
        }
        exchange["request"]["headers"] = json!({"authorization": "Bearer admin", "content-type": "application/json"});
        let mut answer = replay.ask(&exchange).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.body);
        let expected = &exchange["response"]["body"];
        if let (Some(ours), Some(theirs)) = (answer.body.pointer_mut(CREDENTIAL), expected.pointer(CREDENTIAL)) {
            assert_eq!(ours.as_str().map(str::len), theirs.as_str().map(str::len));
            *ours = theirs.clone();
        }
        let differences = replay.differences(expected, &answer.body);
        assert!(differences.is_empty(), "{name}: {differences:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_stream_lists_says_so_as_recorded() {
    let replay = with_definition().await;
    replay.cluster.stream_lists(false);
    for name in NO_STREAMING {
        let answer = replay.ask(&recorded(name)).await;
        assert_eq!((answer.status, &answer.body), (200, &recorded_events(name)[0]));
    }
}

/// On the real clock: the webhook is behind a socket.
#[tokio::test]
async fn a_webhook_is_asked_as_recorded_and_its_answers_are_told_as_recorded() {
    let mut replay = with_definition().await;
    webhook::tell(&mut replay).await;
}

#[tokio::test(start_paused = true)]
async fn a_custom_resource_lives_as_recorded() {
    let mut replay = with_definition().await;
    tell(&mut replay, CUSTOM_RESOURCE).await;
}

#[tokio::test(start_paused = true)]
async fn lists_show_pages_selections_and_tables_as_recorded() {
    let mut replay = with_pages().await;
    tell(&mut replay, LISTS).await;
}

#[tokio::test(start_paused = true)]
async fn deletes_answer_as_recorded() {
    let mut replay = with_pages().await;
    // Learns the uids of what is deleted.
    tell(&mut replay, &LISTS[..3]).await;
    tell(&mut replay, DELETES).await;
}

#[tokio::test(start_paused = true)]
async fn lists_of_a_forgotten_past_expire_as_recorded() {
    let mut replay = with_pages().await;
    replay.cluster.compact();
    for name in EXPIRED {
        let exchange = recorded(name);
        let answer = replay.ask(&exchange).await;
        assert_eq!(answer.status, 410);
        let differences = replay.differences(&exchange["response"]["body"], &answer.body);
        assert!(differences.is_empty(), "{name}: {differences:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_the_name_is_obeyed() {
    let mut replay = Replay::new();
    // The definition had been made by `kubectl apply` before.
    let exchange = recorded("crd/apply-with-name-rule");
    let annotations = &exchange["response"]["body"]["metadata"]["annotations"];
    let applied = annotations["kubectl.kubernetes.io/last-applied-configuration"].as_str().unwrap();
    let mut definition: Value = serde_json::from_str(applied).unwrap();
    definition["metadata"]["annotations"] = annotations.clone();
    let resource = "customresourcedefinitions.apiextensions.k8s.io";
    replay.cluster.create(resource, "", definition, "kubectl-client-side-apply").unwrap();
    tell(&mut replay, NAME_RULE).await;
}

/// Writes what the recorded controllers had written before the exchange.
fn write_as_controllers(replay: &mut Replay, recorded: &Value) {
    let answer = &recorded["response"]["body"];
    let body = match answer["kind"].as_str() {
        Some("Deployment") => answer,
        Some("DeploymentList") => &answer["items"][0],
        _ => return,
    };
    let by_controller = |entry: &Value| entry["manager"] == "kube-controller-manager";
    if !body["metadata"]["managedFields"].as_array().unwrap().iter().any(by_controller) {
        return;
    }
    let name = body["metadata"]["name"].as_str().unwrap();
    let mut object = (*replay.cluster.get("deployments.apps", "default", name).unwrap()).clone();
    object["status"] = body["status"].clone();
    for (key, value) in body["metadata"]["annotations"].as_object().unwrap() {
        if key.starts_with("deployment.kubernetes.io/") {
            object["metadata"]["annotations"][key] = value.clone();
        }
    }
    replay.cluster.update_status("deployments.apps", "default", object, "kube-controller-manager").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_applied_as_recorded() {
    let mut replay = Replay::new();
    for name in DEPLOYMENT {
        if *name == "kubectl/table-deployments" {
            tokio::time::advance(Duration::from_secs(48)).await;
        }
        write_as_controllers(&mut replay, &recorded(name));
        replay.step(name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn preconditions_hold_as_recorded() {
    let mut replay = Replay::new();
    tell(&mut replay, PRECONDITIONS).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_is_applied_as_recorded() {
    let mut replay = Replay::new();
    tell(&mut replay, SERVICE).await;
    // The recorded list also holds the API server's own Service, which the playground has not got.
    let exchange = recorded("services/list");
    let answer = replay.ask(&exchange).await;
    let mut body = exchange["response"]["body"].clone();
    body["items"].as_array_mut().unwrap().retain(|item| item["metadata"]["name"] != "kubernetes");
    assert_eq!(replay.differences(&body, &answer.body), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_secret_lives_as_recorded() {
    let mut replay = Replay::new();
    for name in SECRET {
        if *name == "secrets/list" {
            let seen =
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seen"}, "stringData": {"k": "v"}});
            replay.cluster.create("secrets", "default", seen, "unknown").unwrap();
        }
        replay.step(name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_limit_is_asked_to_come_again() {
    let mut replay = with_definition().await;
    replay.cluster.set_max_in_flight(0);
    replay.step(LIMITS[0]).await;
    replay.cluster.set_max_in_flight(1);
    assert_eq!(replay.ask(&recorded(LIMITS[0])).await.status, 200);
    assert_eq!(replay.ask(&recorded(LIMITS[0])).await.status, 200, "the first one's seat is free again");
}

#[tokio::test(start_paused = true)]
async fn a_lease_lives_as_recorded() {
    let mut replay = Replay::new();
    tell(&mut replay, LEASE).await;
}

#[tokio::test(start_paused = true)]
async fn events_are_kept_as_recorded() {
    let mut replay = Replay::new();
    tell(&mut replay, EVENT).await;
}

/// Removes what can't be compared: the server's address, and a hash that only Kubernetes can make.
fn without_accidents(mut body: Value) -> Value {
    let Some(map) = body.as_object_mut() else { return body };
    map.remove("serverAddressByClientCIDRs");
    for resource in body["resources"].as_array_mut().into_iter().flatten() {
        resource.as_object_mut().unwrap().remove("storageVersionHash");
    }
    body
}

#[tokio::test(start_paused = true)]
async fn discovery_tells_what_is_served_as_recorded() {
    let mut replay = with_definition().await;
    for name in &DISCOVERY[..3] {
        let exchange = recorded(name);
        let answer = replay.ask(&exchange).await;
        let body = without_accidents(exchange["response"]["body"].clone());
        assert_eq!(replay.differences(&body, &without_accidents(answer.body)), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn aggregated_discovery_describes_each_resource_as_recorded() {
    let replay = with_definition().await;
    for name in &DISCOVERY[3..] {
        let exchange = recorded(name);
        let answer = replay.ask(&exchange).await;
        assert_eq!(answer.headers["content-type"], exchange["response"]["headers"]["content-type"].as_str().unwrap());
        let theirs = resources(&exchange["response"]["body"]);
        for (key, ours) in resources(&answer.body) {
            let (_, theirs) = theirs.iter().find(|(other, _)| *other == key).unwrap_or_else(|| panic!("{key:?}"));
            let served = |entry: &Value| {
                let mut entry = entry.clone();
                entry.as_object_mut().unwrap().remove("subresources");
                entry
            };
            assert_eq!(served(&ours), served(theirs), "{key:?}");
        }
    }
}

/// (group, version, resource) and the entry.
fn resources(document: &Value) -> Vec<([String; 3], Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for group in list(&document["items"]) {
        for version in list(&group["versions"]) {
            for resource in list(&version["resources"]) {
                let key = [text(&group["metadata"]["name"]), text(&version["version"]), text(&resource["resource"])];
                found.push((key, resource));
            }
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn openapi_carries_the_schema_of_the_definition() {
    let replay = with_definition().await;
    let exchange = recorded("discovery/openapi-v3-mcp");
    let answer = replay.ask(&exchange).await;
    let schema = |body: &Value| {
        let schema = &body["components"]["schemas"]["dev.mcp.mcp.v1alpha1.MCPServer"];
        (schema["properties"]["spec"].clone(), schema["properties"]["status"].clone(), schema["required"].clone())
    };
    assert_eq!(schema(&answer.body), schema(&exchange["response"]["body"]));
}

/// The events of a watch, as far as they come before it ends.
async fn watched(replay: &Replay, path: &str, accept: &str) -> Vec<Value> {
    let headers = json!({"Accept": accept});
    let answer = replay.send("GET", path, headers.as_object().unwrap(), String::new()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    match answer.body {
        Value::String(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        one => vec![one],
    }
}

const SERVERS: &str = "/apis/mcp.mcp.dev/v1alpha1/mcpservers";

#[tokio::test(start_paused = true)]
async fn a_watch_tells_the_life_of_custom_resources_as_recorded() {
    let mut replay = with_definition().await;
    let start = replay.cluster.revision();
    tell(&mut replay, CUSTOM_RESOURCE).await;
    let pages = recorded_events("watch/mcpservers-lifecycle");
    for event in pages.iter().filter(|event| event["type"] == "ADDED").skip(2) {
        let mut object = event["object"].clone();
        object["metadata"] = json!({"name": object["metadata"]["name"]});
        replay.cluster.create("mcpservers.mcp.mcp.dev", "default", object, "unknown").unwrap();
    }
    tell(&mut replay, &LISTS[..3]).await;
    tell(&mut replay, &DELETES[..3]).await;
    let path = format!("{SERVERS}?watch=true&resourceVersion={start}&timeoutSeconds=5");
    let ours = watched(&replay, &path, "application/json").await;
    for (at, event) in pages.iter().enumerate().take(ours.len()) {
        assert_eq!(replay.differences(event, &ours[at]), Vec::<String>::new(), "event {at}");
    }
    assert!(ours.len() >= 13, "{}", ours.len());
}

#[tokio::test(start_paused = true)]
async fn a_watch_at_the_newest_revision_ends_cleanly_and_empty() {
    let replay = with_definition().await;
    let path = format!(
        "{SERVERS}?watch=true&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=5",
        replay.cluster.revision()
    );
    assert!(recorded_events("watch/clean-end").is_empty());
    assert_eq!(watched(&replay, &path, "application/json").await, vec![json!("")][..0].to_vec());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_future_waits_and_ends_empty() {
    let replay = with_definition().await;
    assert!(recorded_events("watch/rv-too-large").is_empty());
    let exchange = recorded("watch/rv-too-large");
    assert_eq!(replay.ask(&exchange).await.body, json!(""));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_the_future_times_out() {
    let mut replay = with_definition().await;
    let exchange = recorded("watch/list-rv-too-large");
    let answer = replay.ask(&exchange).await;
    let mut body = exchange["response"]["body"].clone();
    let current = format!("current: {}", replay.cluster.revision());
    body["message"] = body["message"].as_str().unwrap().replace("current: 421", &current).into();
    assert_eq!(answer.status, 504);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(replay.differences(&body, &answer.body), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_forgotten_past_is_told_so() {
    let mut replay = with_definition().await;
    replay.cluster.compact();
    let ours = replay.ask(&recorded("watch/gone")).await.body;
    let mut event = recorded_events("watch/gone").remove(0);
    let message = format!("too old resource version: 1 ({})", replay.cluster.revision());
    event["object"]["message"] = message.into();
    assert_eq!(replay.differences(&event, &ours), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_zero_starts_with_what_is_there() {
    let replay = with_pages().await;
    let events = watched(&replay, &format!("{SERVERS}?watch=true&resourceVersion=0&timeoutSeconds=3"), "").await;
    let recorded = recorded_events("watch/from-zero");
    assert!(recorded.iter().chain(&events).all(|event| event["type"] == "ADDED"));
    assert_eq!(events.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_metadata_shows_nothing_else() {
    let mut replay = Replay::new();
    let seen = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seen"}, "data": {"k": "dg=="}});
    replay.cluster.create("secrets", "default", seen, "unknown").unwrap();
    let answer = replay.ask(&recorded("watch/metadata-only")).await;
    let event = recorded_events("watch/metadata-only").remove(0);
    assert_eq!(replay.differences(&event, &answer.body), Vec::<String>::new());
}

/// Recorded: three objects, the bookmark, then a change and a delete on the same stream.
#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_in_its_bookmark_and_goes_on_live() {
    let mut replay = with_definition().await;
    let server = |name: &str| json!({"apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "metadata": {"name": name}, "spec": {"image": "img"}});
    for name in ["s-0", "s-1", "s-2"] {
        replay.cluster.create("mcpservers.mcp.mcp.dev", "default", server(name), "unknown").unwrap();
    }
    let request = http::Request::get(recorded("watch/streaming-list")["request"]["path"].as_str().unwrap());
    let response = replay.cluster.call(request.body(bytes::Bytes::new()).unwrap()).await;
    let mut body = response.into_body();
    let mut text = String::new();
    for _ in 0..2 {
        text.push_str(std::str::from_utf8(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap());
    }
    let target = replay.cluster.target("mcpservers.mcp.mcp.dev", "default", "s-0").unwrap();
    let kind = playground::cluster::PatchKind::Merge;
    let more = json!({"spec": {"replicas": 2}});
    replay.cluster.write_patch(&target, None, kind, &more, &WriteOptions::by("unknown")).unwrap();
    replay.cluster.delete("mcpservers.mcp.mcp.dev", "default", "s-1", &DeleteOptions::default()).unwrap();
    text.push_str(std::str::from_utf8(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap());
    let ours: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The recorded stream begins with an object of another story.
    let theirs = &recorded_events("watch/streaming-list")[1..];
    assert_eq!(ours.len(), theirs.len(), "{text}");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(replay.differences(theirs, ours), Vec::<String>::new(), "{ours:#}");
    }
}
