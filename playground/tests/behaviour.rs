//! What the recordings don't show: rules told by Kubernetes' documentation and source, and the playground's own powers.

#[path = "things/definition.rs"]
mod things;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use playground::Cluster;
use playground::cluster::{DeleteOptions, Propagation};
use playground::http::Body;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

fn cluster() -> Cluster {
    Cluster::new(7, Duration::from_secs(60))
}

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Things: a spec of anything, a status subresource.
fn definition() -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": anything, "status": anything}});
    things::definition(&schema, &json!({"status": {}}))
}

/// A cluster with the definition of Things.
fn with_things() -> Cluster {
    let cluster = cluster();
    cluster.create(DEFINITIONS, "", definition(), "test").unwrap();
    cluster
}

fn thing(name: &str) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"n": 1}})
}

fn config_map(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "b"}})
}

const THINGS: &str = "/apis/test.dev/v1/namespaces/default/things";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn raw(cluster: &Cluster, method: &str, path: &str, media: &str, body: impl Into<Bytes>) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    cluster.exchange(request.body(body.into()).unwrap()).await.unwrap()
}

/// Status code and JSON body.
async fn ask(cluster: &Cluster, method: &str, path: &str, body: Value) -> (u16, Value) {
    ask_as(cluster, method, path, "application/json", body).await
}

async fn ask_as(cluster: &Cluster, method: &str, path: &str, media: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = raw(cluster, method, path, media, body).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
}

#[tokio::test]
async fn openapi_v2_tells_in_one_document_what_v3_tells_in_many() {
    let cluster = with_things();
    let (code, document) = ask(&cluster, "GET", "/openapi/v2", Value::Null).await;
    assert_eq!((code, &document["swagger"]), (200, &json!("2.0")));
    let definitions = &document["definitions"];
    let spec = &definitions["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"];
    assert_eq!(spec["$ref"], "#/definitions/io.k8s.api.apps.v1.DeploymentSpec");
    assert!(definitions["dev.test.v1.Thing"].is_object());
    let patch = &document["paths"]["/apis/test.dev/v1/namespaces/{namespace}/things/{name}"]["patch"];
    assert_eq!(patch["responses"]["200"]["schema"], json!({"$ref": "#/definitions/dev.test.v1.Thing"}));
    assert_eq!(patch["parameters"][0]["type"], "string");
    let text = document.to_string();
    for third in ["#/components", "oneOf", "nullable"] {
        assert!(!text.contains(third), "{third}");
    }
}

#[tokio::test]
async fn openapi_v2_is_there_as_protobuf_and_in_no_other_form() {
    let media = |asked: &'static str| async move {
        let request = Request::get("/openapi/v2").header("accept", asked).body(Bytes::new()).unwrap();
        let response = cluster().call(request).await;
        let sent = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (sent, body)
    };
    let (sent, body) = media("application/com.github.proto-openapi.spec.v2@v1.0+protobuf").await;
    assert_eq!(sent, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert!(body.starts_with(b"\x0a\x032.0"), "the first field says which version of the format it is");
    let (_, body) = media("application/xml").await;
    let status: Value = serde_json::from_slice(&body).unwrap();
    let known = "application/json, application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(status["message"], format!("only the following media types are accepted: {known}"));
}

/// The next chunk of a watch as its events; `None` where the stream has ended.
async fn chunk(body: &mut Body) -> Option<Result<Vec<Value>, std::io::Error>> {
    let frame = match body.frame().await? {
        Ok(frame) => frame,
        Err(error) => return Some(Err(error)),
    };
    let bytes = frame.into_data().unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(Ok(lines.map(|line| serde_json::from_slice(line).unwrap()).collect()))
}

async fn watch(cluster: &Cluster, path: &str) -> Body {
    let response = raw(cluster, "GET", path, "", "").await;
    assert_eq!(response.status(), 200);
    response.into_body()
}

fn summary(events: &[Value]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| {
            (event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_object_enters_and_leaves_a_selection_as_added_and_deleted() {
    let cluster = cluster();
    let start = cluster.revision();
    let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={start}&labelSelector=app%3Dweb&timeoutSeconds=1");
    let make =
        |name: &str, labels: &Value| cluster.create("configmaps", "default", config_map(name, labels), "t").unwrap();
    make("x", &json!({"app": "api"}));
    let relabel = |labels: &Value| {
        let change = json!({"metadata": {"labels": labels}});
        cluster.patch_merge("configmaps", "default", "x", None, &change, "t").unwrap()
    };
    relabel(&json!({"app": "web"}));
    relabel(&json!({"more": "y"}));
    let left = relabel(&json!({"app": "api"}));
    cluster.delete("configmaps", "default", "x", &DeleteOptions::default()).unwrap();
    let mut body = watch(&cluster, &path).await;
    let events = chunk(&mut body).await.unwrap().unwrap();
    assert_eq!(summary(&events), [("ADDED", "x"), ("MODIFIED", "x"), ("DELETED", "x")]);
    let last = &events[2]["object"]["metadata"];
    assert_eq!(
        last["resourceVersion"], left["metadata"]["resourceVersion"],
        "deleted at the revision that took it away"
    );
    assert_eq!(last["labels"]["app"], "web", "shown as it was while it matched");
    assert!(chunk(&mut body).await.is_none(), "a clean end after timeoutSeconds");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_in_time_and_tell_how_far_the_watch_is() {
    let cluster = cluster();
    let path = format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&resourceVersion={}", cluster.revision());
    let mut body = watch(&cluster, &path).await;
    // Another resource moves the revision on.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    cluster.create("secrets", "default", secret, "t").unwrap();
    let events = chunk(&mut body).await.unwrap().unwrap();
    assert_eq!(events[0]["type"], "BOOKMARK");
    assert_eq!(events[0]["object"]["metadata"]["resourceVersion"], cluster.revision().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_cut_watch_breaks_off_and_a_stopped_one_ends() {
    let cluster = cluster();
    let mut body = watch(&cluster, &format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", cluster.revision())).await;
    cluster.cut_watches();
    let error = chunk(&mut body).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(chunk(&mut body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_behind_compaction_ends_in_an_error_event() {
    let cluster = cluster();
    let old = cluster.revision();
    let mut body = watch(&cluster, &format!("{CONFIG_MAPS}?watch=true&resourceVersion={old}")).await;
    cluster.create("configmaps", "default", config_map("x", &json!({})), "t").unwrap();
    cluster.compact();
    let events = chunk(&mut body).await.unwrap().unwrap();
    assert_eq!((events[0]["type"].as_str(), &events[0]["object"]["code"]), (Some("ERROR"), &json!(410)));
    assert!(chunk(&mut body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_an_object_until_it_is_removed() {
    let cluster = with_things();
    let mut object = thing("x");
    object["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    cluster.create("things.test.dev", "default", object, "t").unwrap();
    let (status, marked) = ask(&cluster, "DELETE", &format!("{THINGS}/x"), Value::Null).await;
    assert_eq!(status, 200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["generation"], 2);
    let revision = cluster.revision();
    let (_, again) = ask(&cluster, "DELETE", &format!("{THINGS}/x"), Value::Null).await;
    assert_eq!((again, cluster.revision()), (marked, revision), "a second delete changes nothing");

    let add = json!({"metadata": {"finalizers": ["test.dev/hold", "test.dev/late"]}});
    let refused = cluster.patch_merge("things.test.dev", "default", "x", None, &add, "t").unwrap_err();
    assert_eq!(refused.code, 422);
    let release = json!({"metadata": {"finalizers": null}});
    cluster.patch_merge("things.test.dev", "default", "x", None, &release, "t").unwrap();
    assert!(cluster.get("things.test.dev", "default", "x").is_none());
}

#[tokio::test(start_paused = true)]
async fn propagation_becomes_finalizers_for_the_garbage_collector() {
    let cluster = with_things();
    for (name, propagation, finalizer) in
        [("a", Propagation::Orphan, "orphan"), ("b", Propagation::Foreground, "foregroundDeletion")]
    {
        cluster.create("things.test.dev", "default", thing(name), "t").unwrap();
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        let standing = cluster.delete("things.test.dev", "default", name, &options).unwrap().unwrap();
        assert_eq!(standing["metadata"]["finalizers"], json!([finalizer]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_the_spec_alone() {
    let cluster = with_things();
    cluster.create("things.test.dev", "default", thing("x"), "t").unwrap();
    let generation = |subresource: Option<&str>, patch: Value| {
        let object = cluster.patch_merge("things.test.dev", "default", "x", subresource, &patch, "t").unwrap();
        object["metadata"]["generation"].as_i64().unwrap()
    };
    assert_eq!(generation(None, json!({"metadata": {"labels": {"a": "b"}}})), 1);
    assert_eq!(generation(Some("status"), json!({"status": {"seen": 1}})), 1);
    assert_eq!(generation(None, json!({"spec": {"n": 2}})), 2);
    assert_eq!(generation(None, json!({"status": {"seen": 9}})), 2);
    let object = cluster.get("things.test.dev", "default", "x").unwrap();
    assert_eq!(object["status"]["seen"], 1, "a status sent to the object itself is dropped");
}

#[tokio::test(start_paused = true)]
async fn put_replaces_only_what_it_has_seen() {
    let cluster = with_things();
    cluster.create("things.test.dev", "default", thing("x"), "t").unwrap();
    let path = format!("{THINGS}/x");
    let (status, answer) = ask(&cluster, "PUT", &path, thing("x")).await;
    assert_eq!((status, answer["details"]["causes"][0]["field"].as_str()), (422, Some("metadata.resourceVersion")));
    let mut object = ask(&cluster, "GET", &path, Value::Null).await.1;
    object["spec"]["n"] = 2.into();
    assert_eq!(ask(&cluster, "PUT", &path, object.clone()).await.0, 200);
    assert_eq!(ask(&cluster, "PUT", &path, object.clone()).await.0, 409);
    object["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    let (status, answer) = ask(&cluster, "PUT", &path, object).await;
    assert_eq!(status, 409);
    assert!(answer["message"].as_str().unwrap().contains("Precondition failed: UID in precondition"), "{answer}");
    assert_eq!(ask(&cluster, "PUT", &format!("{THINGS}/other"), thing("x")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn put_creates_the_kinds_that_allow_it() {
    let cluster = with_things();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}});
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    assert_eq!(ask(&cluster, "PUT", path, lease).await.0, 201);
    assert_eq!(ask(&cluster, "PUT", &format!("{THINGS}/x"), thing("x")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_and_leaves_no_trace() {
    let cluster = with_things();
    let revision = cluster.revision();
    let (status, answer) = ask(&cluster, "POST", &format!("{THINGS}?dryRun=All"), thing("x")).await;
    assert_eq!((status, answer["metadata"]["name"].as_str()), (201, Some("x")));
    assert!(cluster.get("things.test.dev", "default", "x").is_none());
    cluster.create("configmaps", "default", config_map("x", &json!({})), "t").unwrap();
    let path = format!("{CONFIG_MAPS}/x?dryRun=All");
    assert_eq!(ask(&cluster, "DELETE", &path, Value::Null).await.0, 200);
    assert_eq!(cluster.revision(), revision + 1);
    assert_eq!(ask(&cluster, "POST", &format!("{THINGS}?dryRun=Some"), thing("x")).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_made_from_its_prefix() {
    let cluster = cluster();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}});
    let names: Vec<String> = (0..2)
        .map(|_| cluster.create("configmaps", "default", object.clone(), "t").unwrap())
        .map(|made| made["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.iter().all(|name| name.starts_with("x-") && name.len() == 7), "{names:?}");
    assert_ne!(names[0], names[1]);
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    assert_eq!(cluster.create("configmaps", "default", nameless, "t").unwrap_err().code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_objects_with_it() {
    let cluster = with_things();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
    cluster.create("namespaces", "", namespace, "t").unwrap();
    let mut held = thing("held");
    held["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    cluster.create("things.test.dev", "a", held, "t").unwrap();
    cluster.create("configmaps", "a", config_map("x", &json!({})), "t").unwrap();

    let (status, marked) = ask(&cluster, "DELETE", "/api/v1/namespaces/a", Value::Null).await;
    assert_eq!((status, marked["status"]["phase"].as_str()), (200, Some("Terminating")));
    assert!(cluster.get("configmaps", "a", "x").is_none());
    let refused = cluster.create("configmaps", "a", config_map("y", &json!({})), "t").unwrap_err();
    assert_eq!((refused.code, &*refused.reason), (403, "Forbidden"));
    assert!(cluster.get("namespaces", "", "a").is_some(), "something in it is held yet");

    let release = json!({"metadata": {"finalizers": null}});
    cluster.patch_merge("things.test.dev", "a", "held", None, &release, "t").unwrap();
    assert!(cluster.get("namespaces", "", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_definition_takes_its_objects_with_it() {
    let cluster = with_things();
    cluster.create("things.test.dev", "default", thing("x"), "t").unwrap();
    let start = cluster.revision();
    let now = Instant::now();
    let mut body = watch(&cluster, &format!("{THINGS}?watch=true&resourceVersion={start}")).await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.test.dev";
    assert_eq!(ask(&cluster, "DELETE", path, Value::Null).await.0, 200);
    assert_eq!(summary(&chunk(&mut body).await.unwrap().unwrap()), [("DELETED", "x")]);
    assert!(chunk(&mut body).await.is_none(), "nobody serves the watch any more");
    for way in [THINGS, &format!("{THINGS}/x"), &format!("{THINGS}?watch=true")] {
        assert_eq!(ask(&cluster, "GET", way, Value::Null).await, (404, json!("404 page not found\n")), "{way}");
    }
    assert_eq!(ask(&cluster, "GET", path, Value::Null).await.0, 404);

    cluster.create(DEFINITIONS, "", definition(), "test").unwrap();
    let mut body = watch(&cluster, &format!("{THINGS}?watch=true")).await;
    assert_eq!(ask(&cluster, "POST", THINGS, thing("x")).await.0, 201);
    assert_eq!(summary(&chunk(&mut body).await.unwrap().unwrap()), [("ADDED", "x")]);
    assert_eq!(now.elapsed(), Duration::ZERO, "nobody waited for a timeout");
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_asks_for_something_else_ends_the_watches_that_were_opened_before() {
    let cluster = with_things();
    let now = Instant::now();
    let mut body = watch(&cluster, &format!("{THINGS}?watch=true")).await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.test.dev";
    let media = "application/merge-patch+json";
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(ask_as(&cluster, "PATCH", path, media, labels).await.0, 200);
    assert_eq!(ask(&cluster, "POST", THINGS, thing("x")).await.0, 201);
    assert_eq!(summary(&chunk(&mut body).await.unwrap().unwrap()), [("ADDED", "x")], "a label changes nothing");
    let names = json!({"spec": {"names": {"shortNames": ["th"]}}});
    assert_eq!(ask_as(&cluster, "PATCH", path, media, names).await.0, 200);
    assert!(chunk(&mut body).await.is_none());
    assert_eq!(now.elapsed(), Duration::ZERO, "nobody waited for a timeout");
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_as_far_as_it_is_selected() {
    let cluster = cluster();
    for (name, app) in [("a", "web"), ("b", "web"), ("c", "api")] {
        cluster.create("configmaps", "default", config_map(name, &json!({"app": app})), "t").unwrap();
    }
    let (status, list) = ask(&cluster, "DELETE", &format!("{CONFIG_MAPS}?labelSelector=app%3Dweb"), Value::Null).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 2));
    let left = cluster.list("configmaps", None);
    assert_eq!(left.iter().map(|object| &object["metadata"]["name"]).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn json_patches_apply_as_a_whole_or_not_at_all() {
    let cluster = with_things();
    cluster.create("things.test.dev", "default", thing("x"), "t").unwrap();
    let path = format!("{THINGS}/x");
    let media = "application/json-patch+json";
    let good = json!([{"op": "test", "path": "/spec/n", "value": 1}, {"op": "replace", "path": "/spec/n", "value": 5}]);
    assert_eq!(ask_as(&cluster, "PATCH", &path, media, good.clone()).await.1["spec"]["n"], 5);
    assert_eq!(ask_as(&cluster, "PATCH", &path, media, good).await.0, 422);
    assert_eq!(cluster.get("things.test.dev", "default", "x").unwrap()["spec"]["n"], 5);
}

#[tokio::test(start_paused = true)]
async fn an_apply_needs_a_manager_and_nothing_else_may_force() {
    let cluster = with_things();
    let path = format!("{THINGS}/x");
    let (status, answer) = ask_as(&cluster, "PATCH", &path, "application/apply-patch+yaml", thing("x")).await;
    assert_eq!((status, answer["details"]["causes"][0]["field"].as_str()), (422, Some("fieldManager")));
    let forced = format!("{path}?force=true");
    let (status, answer) = ask_as(&cluster, "PATCH", &forced, "application/merge-patch+json", json!({})).await;
    assert_eq!((status, answer["details"]["causes"][0]["field"].as_str()), (422, Some("force")));
    let managed = format!("{path}?fieldManager=m");
    let yaml = "apiVersion: test.dev/v1\nkind: Thing\nmetadata:\n  name: x\nspec:\n  n: 3\n";
    let response = raw(&cluster, "PATCH", &managed, "application/apply-patch+yaml", yaml).await;
    assert_eq!(response.status(), 201);
    assert_eq!(cluster.get("things.test.dev", "default", "x").unwrap()["spec"]["n"], 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_shows_both_its_faces() {
    let cluster = cluster();
    let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R", "message": "m",
        "type": "Normal", "count": 1});
    let events = "/api/v1/namespaces/default/events";
    assert_eq!(ask(&cluster, "POST", events, core).await.0, 201);
    let modern = ask(&cluster, "GET", "/apis/events.k8s.io/v1/namespaces/default/events/e", Value::Null).await.1;
    assert_eq!((&modern["note"], &modern["regarding"]["name"]), (&json!("m"), &json!("p")));
    let path = format!("{events}?fieldSelector=involvedObject.name%3Dp,reason%3DR");
    let list = ask(&cluster, "GET", &path, Value::Null).await.1;
    assert_eq!((&list["kind"], &list["items"][0]["message"]), (&json!("EventList"), &json!("m")));
    let (status, answer) = ask(&cluster, "GET", &format!("{events}?fieldSelector=spec.x%3D1"), Value::Null).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_named_and_never_invented() {
    let cluster = with_things();
    for (method, path, media, expected) in [
        ("POST", "/apis/apps/v1/namespaces/default/deployments/x", "application/json", 405),
        ("GET", "/api/v1/namespaces/default/pods/x/log", "", 404),
        ("GET", "/api/v1/nodes", "", 404),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", "", 405),
        ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", "application/json", 404),
        ("POST", CONFIG_MAPS, "application/cbor", 415),
        ("DELETE", "/api/v1/namespaces", "", 405),
        ("PATCH", "/apis/apps/v1/namespaces/default/deployments/x/scale", "application/apply-patch+yaml", 422),
        ("PATCH", "/apis/apps/v1/namespaces/default/deployments/x/scale", "application/merge-patch+json", 404),
    ] {
        let (status, answer) = ask_as(&cluster, method, path, media, json!({})).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    let long = vec![b' '; playground::http::MAX_BODY + 1];
    assert_eq!(raw(&cluster, "POST", CONFIG_MAPS, "application/json", long).await.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_who_asked_for_what() {
    let cluster = cluster();
    for _ in 0..3 {
        let request = Request::get(CONFIG_MAPS).header("user-agent", "me/1");
        cluster.call(request.body(Bytes::new()).unwrap()).await;
    }
    let (_, counts) = ask(&cluster, "GET", "/playground/requests", Value::Null).await;
    let expected =
        json!([{"userAgent": "me/1", "verb": "list", "resource": "configmaps", "subresource": "", "count": 3}]);
    assert_eq!(counts, expected);
    let last = cluster.requests().pop().unwrap();
    assert_eq!((last.namespace.as_str(), last.status), ("default", 200));
    ask(&cluster, "DELETE", "/playground/requests", Value::Null).await;
    assert!(cluster.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_sees_every_change_in_order() {
    let cluster = cluster();
    let mut cursor = cluster.watch("configmaps", cluster.revision()).unwrap();
    for at in 0..3 {
        cluster.create("configmaps", "default", config_map(&format!("x{at}"), &json!({})), "t").unwrap();
    }
    for at in 0..3 {
        let event = cursor.next().await.unwrap();
        assert_eq!(event.object["metadata"]["name"], format!("x{at}"));
        assert!(event.object["metadata"].get("managedFields").is_none());
    }
    cluster.compact();
    cluster.create("configmaps", "default", config_map("y", &json!({})), "t").unwrap();
    cluster.compact();
    assert!(cursor.next().await.is_err(), "its place is gone");
}

/// The layer needs no socket, and its delays are tokio's time.
#[tokio::test(start_paused = true)]
async fn faults_strike_without_a_socket_on_paused_time_too() {
    use playground::faults::{Fault, Rule, Verb};
    let cluster = cluster();
    let (least, most) = (Duration::from_secs(30), Duration::from_secs(60));
    cluster.faults().add(Rule::new(Fault::Delay { least, most }).verb(Verb::List));
    let started = tokio::time::Instant::now();
    let (code, _) = ask(&cluster, "GET", CONFIG_MAPS, Value::Null).await;
    assert_eq!(code, 200);
    assert!((least..=most).contains(&started.elapsed()), "{:?}", started.elapsed());
    cluster.faults().replace([Rule::new(Fault::LoseAnswer)]);
    let lost = Request::builder().uri(CONFIG_MAPS).body(Bytes::new()).unwrap();
    assert_eq!(cluster.exchange(lost).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// After a restore a client asks for what follows a version that is yet to come. An API server does not tell it so.
#[tokio::test(start_paused = true)]
async fn a_watch_from_the_future_is_silent_until_its_time_has_come() {
    let cluster = cluster();
    let ahead = cluster.revision() + 1;
    let path = format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&resourceVersion={ahead}");
    let mut body = watch(&cluster, &path).await;
    assert!(tokio::time::timeout(Duration::from_secs(600), chunk(&mut body)).await.is_err(), "not even a bookmark");
    cluster.create("configmaps", "default", config_map("unseen", &json!({})), "t").unwrap();
    cluster.create("configmaps", "default", config_map("seen", &json!({})), "t").unwrap();
    let events = chunk(&mut body).await.unwrap().unwrap();
    assert_eq!(events[0]["object"]["metadata"]["name"], "seen");
}

fn deployment(name: &str) -> Value {
    let template =
        json!({"metadata": {"labels": {"a": name}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"a": name}}, "template": template}})
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// The warnings of an answer, and its status.
async fn warnings(cluster: &Cluster, method: &str, path: &str, media: &str, body: &Value) -> (u16, Vec<String>) {
    let response = raw(cluster, method, path, media, body.to_string()).await;
    let texts = response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    (response.status().as_u16(), texts)
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_of_built_in_kinds_are_told_as_the_client_asked() {
    let cluster = cluster();
    let mut odd = deployment("odd");
    odd["spec"]["replica"] = 2.into();
    let json_media = "application/json";
    let strict = format!("{DEPLOYMENTS}?fieldValidation=Strict");
    let (status, refused) = ask(&cluster, "POST", &strict, odd.clone()).await;
    let why = "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \
               \"spec.replica\"";
    assert_eq!((status, refused["message"].as_str()), (400, Some(why)));
    let warned = warnings(&cluster, "POST", DEPLOYMENTS, json_media, &odd).await;
    assert_eq!(warned, (201, vec!["299 - \"unknown field \\\"spec.replica\\\"\"".to_owned()]));
    let stored = cluster.get("deployments.apps", "default", "odd").unwrap();
    assert!(stored["spec"].get("replica").is_none(), "{stored}");
    let patch = json!({"spec": {"paused": false, "pause": true}});
    let place = format!("{DEPLOYMENTS}/odd");
    for media in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
        let ignored = warnings(&cluster, "PATCH", &format!("{place}?fieldValidation=Ignore"), media, &patch).await;
        assert_eq!(ignored, (200, Vec::new()), "{media}");
        let strict = warnings(&cluster, "PATCH", &format!("{place}?fieldValidation=Strict"), media, &patch).await;
        assert_eq!(strict.0, 422, "{media}");
    }
    odd["spec"]["replicas"] = "two".into();
    let (status, refused) = ask(&cluster, "PUT", &place, odd).await;
    assert_eq!(status, 400);
    assert!(refused["message"].as_str().unwrap().contains("DeploymentSpec.spec.replicas of type int32"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_an_unknown_field_is_refused_whatever_was_asked() {
    let cluster = cluster();
    let mut odd = deployment("odd");
    odd["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    let path = format!("{DEPLOYMENTS}/odd?fieldManager=me&fieldValidation=Ignore");
    let (status, refused) = ask_as(&cluster, "PATCH", &path, "application/apply-patch+yaml", odd).await;
    let why = "failed to create typed patch object (/odd; apps/v1, Kind=Deployment): \
               .spec.template.spec.containers[name=\"c\"].imag: field not declared in schema";
    assert_eq!((status, refused["message"].as_str()), (500, Some(why)));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_any_verb_leaves_no_trace() {
    let cluster = cluster();
    let made = cluster.create("deployments.apps", "default", deployment("d"), "t").unwrap();
    let before = cluster.revision();
    let place = format!("{DEPLOYMENTS}/d?dryRun=All");
    let patch = json!({"spec": {"replicas": 5}});
    let operations = json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]);
    let mut changed = (*made).clone();
    changed["spec"]["replicas"] = 5.into();
    let applied = format!("{place}&fieldManager=me&force=true");
    let scale = format!("{DEPLOYMENTS}/d/scale?dryRun=All");
    for (method, place, media, body) in [
        ("POST", &format!("{DEPLOYMENTS}?dryRun=All"), "application/json", deployment("new")),
        ("PUT", &place, "application/json", changed.clone()),
        ("PATCH", &place, "application/merge-patch+json", patch.clone()),
        ("PATCH", &place, "application/strategic-merge-patch+json", patch.clone()),
        ("PATCH", &place, "application/json-patch+json", operations),
        ("PATCH", &applied, "application/apply-patch+yaml", deployment("d")),
        ("PATCH", &scale, "application/merge-patch+json", patch),
        ("DELETE", &place, "application/json", Value::Null),
        ("DELETE", &format!("{DEPLOYMENTS}?dryRun=All"), "application/json", Value::Null),
    ] {
        let (status, answer) = ask_as(&cluster, method, place, media, body).await;
        assert!(status < 300, "{method} {place} {media}: {answer}");
        assert_eq!(cluster.revision(), before, "{method} {place} {media}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_container_is_named_and_not_pretended() {
    let cluster = cluster();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    cluster.create("pods", "default", pod, "t").unwrap();
    let pods = "/api/v1/namespaces/default/pods";
    for (path, expected) in [("p/log", 501), ("p/exec", 501), ("q/log", 404), ("p/nothing", 404)] {
        let (status, answer) = ask(&cluster, "GET", &format!("{pods}/{path}"), Value::Null).await;
        assert_eq!(status, expected, "{path}: {answer}");
    }
    let (status, _) = ask(&cluster, "POST", &format!("{pods}/p/eviction"), json!({})).await;
    assert_eq!(status, 501);
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_shows_both_its_faces() {
    let cluster = cluster();
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let older = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": reference, "targetCPUUtilizationPercentage": 50}});
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let (status, answer) = ask(&cluster, "POST", &path("v1"), older).await;
    assert_eq!((status, &answer["apiVersion"]), (201, &json!("autoscaling/v1")), "{answer}");
    assert_eq!(answer["spec"]["targetCPUUtilizationPercentage"], 50);
    let (_, newer) = ask(&cluster, "GET", &format!("{}/h", path("v2")), Value::Null).await;
    assert_eq!(newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    assert!(newer["spec"].get("targetCPUUtilizationPercentage").is_none(), "{newer}");
}

#[tokio::test(start_paused = true)]
async fn a_service_has_its_pods_addresses_in_a_slice() {
    let cluster = cluster();
    let stop = tokio_util::sync::CancellationToken::new();
    let tasks = playground::controllers::start(&cluster, playground::controllers::Options::default(), &stop);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"a": "d"}, "ports": [{"port": 80}]}});
    cluster.create("services", "default", service, "t").unwrap();
    cluster.create("deployments.apps", "default", deployment("d"), "t").unwrap();
    let addresses = |ready: bool| {
        let slices = cluster.list("endpointslices.discovery.k8s.io", Some("default"));
        let endpoints: Vec<Value> =
            slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default()).collect();
        endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == ready).count()
    };
    let until = async |wanted: usize| {
        while addresses(true) != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until(1)).await.expect("the pod is in the slice");
    cluster.delete("deployments.apps", "default", "d", &DeleteOptions::default()).unwrap();
    tokio::time::timeout(Duration::from_secs(60), until(0)).await.expect("the pod has left the slice");
    cluster.delete("services", "default", "s", &DeleteOptions::default()).unwrap();
    let gone = async {
        while !cluster.list("endpointslices.discovery.k8s.io", None).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the slice goes with its Service");
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}
