//! What apiextensions-apiserver 1.36 answers about custom resources, beyond the recordings: each row was asked of the
//! real server, and its answer is what stands here.

#[path = "things/definition.rs"]
mod things;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use playground::Cluster;
use playground::http::Body;
use serde_json::{Value, json};
use tokio::time::Duration;

const THINGS: &str = "/apis/test.dev/v1/namespaces/default/things";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A cluster with Things, which have replicas and an image, and one of them, `a`.
async fn cluster() -> Cluster {
    let cluster = Cluster::new(7, Duration::from_secs(60));
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"image": {"type": "string"}, "replicas": {"type": "integer", "format": "int32"}},
            },
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        },
    });
    let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    let definition = things::definition(&schema, &json!({"status": {}, "scale": scale}));
    cluster.create("customresourcedefinitions.apiextensions.k8s.io", "", definition, "test").unwrap();
    let (code, made) = ask(&cluster, "POST", THINGS, JSON, &thing("a").to_string()).await;
    assert_eq!(code, 201, "{made}");
    cluster
}

fn thing(name: &str) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"image": "x"}})
}

async fn raw(cluster: &Cluster, method: &str, path: &str, media: &str, body: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    cluster.exchange(request.body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn ask(cluster: &Cluster, method: &str, path: &str, media: &str, body: &str) -> (u16, Value) {
    let response = raw(cluster, method, path, media, body).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
}

/// Asks, and holds code and message against what is wanted.
async fn hold(cluster: &Cluster, method: &str, path: &str, media: &str, body: &str, wanted: (u16, &str)) {
    let (code, answer) = ask(cluster, method, path, media, body).await;
    assert_eq!((code, answer["message"].as_str()), (wanted.0, Some(wanted.1)), "{method} {path} {body}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_thing_is_refused_in_gos_words() {
    let cluster = cluster().await;
    let unread = "the object provided is unrecognized (must be of type Thing): ";
    for (body, wanted) in [
        (
            "hello",
            "couldn't get version/kind; json parse error: invalid character 'h' looking for beginning of value (68656c6c6f)",
        ),
        ("", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
        ("null", "Object 'Kind' is missing in 'null' (6e756c6c)"),
        (
            r#"{"kind":5}"#,
            "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({\"kind\":5})",
        ),
        (
            r#"{"apiVersion":"test.dev/v1","metadata":{}}"#,
            "Object 'Kind' is missing in '{\"apiVersion\":\"test.dev/v1\",\"metadata\":{}}' ({\"apiVersion\":\"test.dev/v1\",\"m ...)",
        ),
    ] {
        hold(&cluster, "POST", THINGS, JSON, body, (400, &format!("{unread}{wanted}"))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_have_a_type_that_no_schema_tells() {
    let cluster = cluster().await;
    let with = |metadata: &Value| {
        let mut object = thing("b");
        object["metadata"] = metadata.clone();
        object.to_string()
    };
    let cannot = "Thing in version \"v1\" cannot be handled as a Thing: ";
    for (metadata, wanted) in [
        (
            json!({"labels": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string",
        ),
        (json!({"name": 1}), "json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"),
        (json!("x"), "json: cannot unmarshal string into Go value of type v1.ObjectMeta"),
    ] {
        hold(&cluster, "POST", THINGS, JSON, &with(&metadata), (400, &format!("{cannot}{wanted}"))).await;
    }
    let strict = format!("{THINGS}?fieldValidation=Strict");
    let unknown = format!("{cannot}strict decoding error: unknown field \"metadata.zz\"");
    hold(&cluster, "POST", &strict, JSON, &with(&json!({"name": "b", "zz": 1})), (400, &unknown)).await;
    let twice =
        r#"{"apiVersion":"test.dev/v1","kind":"Thing","metadata":{"name":"b"},"spec":{"image":"x","image":"y"}}"#;
    let duplicate = format!("{cannot}strict decoding error: duplicate field \"spec.image\"");
    hold(&cluster, "POST", &strict, JSON, twice, (400, &duplicate)).await;
    let finalizer = json!({"name": "b", "finalizers": ["foo"], "zz": 1});
    let made = raw(&cluster, "POST", THINGS, JSON, &with(&finalizer)).await;
    let warnings: Vec<_> = made.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [
            "299 - \"unknown field \\\"metadata.zz\\\"\"",
            "299 - \"metadata.finalizers: \\\"foo\\\": prefer a domain-qualified finalizer name to avoid accidental \
             conflicts with other finalizer writers\"",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_put_names_its_object_and_the_version_that_it_replaces() {
    let cluster = cluster().await;
    let path = format!("{THINGS}/a");
    let mut object = thing("a");
    let wanted = "things.test.dev \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an \
                  update";
    hold(&cluster, "PUT", &path, JSON, &object.to_string(), (422, wanted)).await;
    object["metadata"]["resourceVersion"] = "abc".into();
    let wanted = "strconv.ParseUint: parsing \"abc\": invalid syntax";
    hold(&cluster, "PUT", &path, JSON, &object.to_string(), (500, wanted)).await;
    object["metadata"] = json!({});
    let wanted = "the name of the object (a based on URL) was undeterminable: name must be provided";
    hold(&cluster, "PUT", &path, JSON, &object.to_string(), (400, wanted)).await;
}

#[tokio::test(start_paused = true)]
async fn a_patch_changes_a_thing_and_never_what_it_is() {
    let cluster = cluster().await;
    let path = format!("{THINGS}/a");
    for (media, body, code, wanted) in [
        (
            MERGE,
            r#"{"kind":"Other"}"#,
            422,
            "Other.test.dev \"a\" is invalid: kind: Invalid value: \"Other\": must be Thing",
        ),
        (
            MERGE,
            r#"{"apiVersion":"test.dev/v9"}"#,
            422,
            "Thing.test.dev \"a\" is invalid: apiVersion: Invalid value: \"test.dev/v9\": must be test.dev/v1",
        ),
        (
            MERGE,
            "[]",
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (MERGE, "null", 400, "Invalid JSON Patch"),
        (MERGE, "{", 400, "error decoding patch: unexpected end of JSON input"),
        (
            JSON_PATCH,
            r#"[{"op":"jump","path":"/spec"}]"#,
            400,
            "invalid operation {\"op\":\"jump\",\"path\":\"/spec\"}: unsupported operation",
        ),
        (
            JSON_PATCH,
            "{}",
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            JSON_PATCH,
            r#"[{"op":"remove","path":"/spec/z"}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
    ] {
        hold(&cluster, "PATCH", &path, media, body, (code, wanted)).await;
    }
    let apply = format!("{path}?fieldManager=me");
    hold(&cluster, "PATCH", &apply, APPLY, "", (400, "invalid object type: /, Kind=")).await;
    let other = r#"{"apiVersion":"test.dev/v1","kind":"Other","metadata":{"name":"a"}}"#;
    hold(&cluster, "PATCH", &apply, APPLY, other, (400, "invalid object type: test.dev/v1, Kind=Other")).await;
    let mark = r#"{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z"}}"#;
    let wanted = "Thing.test.dev \"a\" is invalid: metadata.deletionTimestamp: Invalid value: \"2020-01-01T00:00:00Z\": field is \
                  immutable";
    hold(&cluster, "PATCH", &path, MERGE, mark, (422, wanted)).await;
    assert_eq!(cluster.get("things.test.dev", "default", "a").unwrap()["kind"], "Thing");
}

#[tokio::test(start_paused = true)]
async fn what_is_done_to_the_wrong_path_is_told_by_its_verb() {
    let cluster = cluster().await;
    let on = |verb: &str| format!("{verb} is not supported on resources of kind \"things.test.dev\"");
    for (method, path, code, wanted) in [
        ("POST", "/a/status", 405, on("create")),
        ("DELETE", "/a/scale", 405, on("delete")),
        ("PUT", "", 400, "name must be provided".to_owned()),
        ("GET", "/a/nothing", 404, "things.test.dev \"a\" not found".to_owned()),
        (
            "GET",
            "/a?resourceVersion=abc",
            500,
            "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax".to_owned(),
        ),
    ] {
        hold(&cluster, method, &format!("{THINGS}{path}"), JSON, "", (code, &wanted)).await;
    }
    let (code, answer) = ask(&cluster, "POST", &format!("{THINGS}/a"), JSON, &thing("a").to_string()).await;
    assert_eq!((code, &answer["reason"]), (409, &json!("AlreadyExists")));
}

#[tokio::test(start_paused = true)]
async fn options_are_refused_with_all_their_faults() {
    let cluster = cluster().await;
    let invalid = |kind: &str, why: &str| format!("{kind}.meta.k8s.io \"\" is invalid: {why}");
    let dry = "dryRun: Unsupported value: [\"x\"]: supported values: \"All\"";
    let unknown = "fieldValidation: Unsupported value: \"y\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
    let force = "force: Forbidden: may not be specified for non-apply patch";
    let all = invalid("PatchOptions", &format!("[{force}, {dry}, {unknown}]"));
    let path = format!("{THINGS}/a?dryRun=x&fieldValidation=y&force=true");
    hold(&cluster, "PATCH", &path, MERGE, "{}", (422, &all)).await;
    hold(
        &cluster,
        "DELETE",
        &format!("{THINGS}/a"),
        JSON,
        r#"{"dryRun":["x"]}"#,
        (422, &invalid("DeleteOptions", dry)),
    )
    .await;
    let long = format!("{THINGS}?fieldManager={}", "m".repeat(129));
    let wanted = invalid("CreateOptions", "fieldManager: Too long: may not be more than 128 bytes");
    hold(&cluster, "POST", &long, JSON, &thing("b").to_string(), (422, &wanted)).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_is_asked_for_in_ways_that_make_sense() {
    let cluster = cluster().await;
    let matching = "ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, code, wanted) in [
        ("limit=zz", 400, "strconv.ParseInt: parsing \"zz\": invalid syntax".to_owned()),
        ("resourceVersion=abc", 400, "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax".to_owned()),
        ("continue=e30", 400, "invalid continue token: continue key is not valid: server does not recognize this encoded version ".to_owned()),
        ("continue=!!!", 400, "invalid continue token: continue key is not valid: illegal base64 data at input byte 0".to_owned()),
        ("labelSelector=a%3Db%3Dc", 400, "found '=', expected: ',' or 'end of string'".to_owned()),
        ("fieldSelector=spec.image%3Dx", 400, "field label not supported: spec.image".to_owned()),
        (
            "resourceVersion=5&resourceVersionMatch=Zz",
            422,
            format!("{matching}resourceVersionMatch: Unsupported value: \"Zz\": supported values: \"Exact\", \"NotOlderThan\", \"\""),
        ),
        (
            "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact",
            422,
            format!(
                "{matching}[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                 NotOlderThan, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]"
            ),
        ),
    ] {
        hold(&cluster, "GET", &format!("{THINGS}?{query}"), JSON, "", (code, &wanted)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_are_no_number_are_told_by_the_schema_and_by_scale() {
    let cluster = cluster().await;
    let mut object = thing("b");
    object["spec"]["replicas"] = "1".into();
    let wanted = "Thing.test.dev \"b\" is invalid: [spec.replicas: Invalid value: \"string\": spec.replicas in body must be of \
                  type integer: \"string\", .spec.replicas: Invalid value: 0: .spec.replicas accessor error: 1 is of the type \
                  string, expected int64]";
    hold(&cluster, "POST", THINGS, JSON, &object.to_string(), (422, wanted)).await;
    object["spec"]["replicas"] = 1.5.into();
    let (code, answer) = ask(&cluster, "POST", THINGS, JSON, &object.to_string()).await;
    let causes = answer["details"]["causes"].as_array().map(Vec::len);
    assert_eq!((code, causes), (422, Some(3)), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn who_lets_go_of_a_marked_thing_sees_it_without_a_new_version() {
    let cluster = cluster().await;
    let path = format!("{THINGS}/a");
    ask(&cluster, "PATCH", &path, MERGE, r#"{"metadata":{"finalizers":["test.dev/f"]}}"#).await;
    let marked = ask(&cluster, "DELETE", &path, JSON, "").await.1;
    let (code, last) = ask(&cluster, "PATCH", &path, MERGE, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!(code, 200);
    assert_eq!(last["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    assert!(last["metadata"]["finalizers"].is_null(), "{last}");
    assert_eq!(ask(&cluster, "GET", &path, JSON, "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_serves_nothing_can_be_deleted() {
    let cluster = cluster().await;
    let name = "customresourcedefinitions.apiextensions.k8s.io";
    let mut definition = (*cluster.get(name, "", "things.test.dev").unwrap()).clone();
    definition["metadata"] = json!({"name": "bolts.test.dev"});
    definition["spec"]["names"] = json!({"plural": "bolts", "kind": "Bolt"});
    definition["spec"]["versions"][0]["served"] = false.into();
    definition["status"] = Value::Null;
    cluster.create(name, "", definition, "test").unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/bolts.test.dev";
    assert_eq!(ask(&cluster, "DELETE", path, JSON, "").await.0, 200);
    assert_eq!(ask(&cluster, "GET", path, JSON, "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn who_deletes_a_definition_sees_it_marked_whatever_is_left_of_it() {
    let cluster = cluster().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.test.dev";
    for query in ["?dryRun=All", ""] {
        let (code, marked) = ask(&cluster, "DELETE", &format!("{path}{query}"), JSON, "").await;
        assert_eq!((code, &marked["kind"]), (200, &json!("CustomResourceDefinition")), "{marked}");
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
        assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
        let last = marked["status"]["conditions"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["type"], &last["reason"]), (&json!("Terminating"), &json!("InstanceDeletionPending")));
    }
    assert_eq!(ask(&cluster, "GET", path, JSON, "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_somebody_else_holds_outlives_its_objects() {
    let cluster = cluster().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.test.dev";
    ask(&cluster, "PATCH", path, MERGE, r#"{"metadata":{"finalizers":["test.dev/f"]}}"#).await;
    ask(&cluster, "DELETE", path, JSON, "").await;
    assert_eq!(ask(&cluster, "GET", &format!("{THINGS}/a"), JSON, "").await.0, 404);
    let held = ask(&cluster, "GET", path, JSON, "").await.1;
    assert_eq!(held["metadata"]["finalizers"], json!(["test.dev/f"]), "{held}");
    ask(&cluster, "PATCH", path, MERGE, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!(ask(&cluster, "GET", path, JSON, "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_a_value_of_another_type_fails_before_it_is_validated() {
    let cluster = cluster().await;
    let rows = [
        (json!({"spec": {"image": 1}}), ".spec.image: expected string, got &value.valueUnstructured{Value:1}"),
        (
            json!({"spec": {"image": {"a": [true]}}}),
            ".spec.image: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":[]interface \
             {}{true}}}",
        ),
        (json!({"spec": {"replicas": "x"}}), ".spec.replicas: expected numeric (int or float), got string"),
        (json!({"spec": ["x", 1]}), ".spec: expected map, got &{[x 1]}"),
        (
            json!({"spec": {"image": 1, "zz": 1}}),
            "errors:\n  .spec.image: expected string, got &value.valueUnstructured{Value:1}\n  .spec.zz: field not \
             declared in schema",
        ),
    ];
    for (fields, why) in rows {
        let mut object = json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": "a"}});
        object["spec"] = fields["spec"].clone();
        let wanted = format!("failed to create typed patch object (/a; test.dev/v1, Kind=Thing): {why}");
        let path = format!("{THINGS}/a?fieldManager=m");
        hold(&cluster, "PATCH", &path, APPLY, &object.to_string(), (500, &wanted)).await;
    }
    let metadata = json!({"name": "a", "labels": {"a": 1}, "finalizers": [1], "ownerReferences": [{"uid": 1}]});
    let object = json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": metadata});
    let (code, answer) =
        ask(&cluster, "PATCH", &format!("{THINGS}/a?fieldManager=m"), APPLY, &object.to_string()).await;
    let told = answer["message"].as_str().unwrap();
    assert_eq!(code, 500, "{told}");
    for at in [".metadata.labels.a", ".metadata.finalizers[=1]", ".metadata.ownerReferences[uid=1].uid"] {
        assert!(told.contains(&format!("  {at}: expected string, got &value.valueUnstructured{{Value:1}}")), "{told}");
    }
}

/// The events of a watch that ends of itself.
async fn events(cluster: &Cluster, path: &str, accept: &str) -> Vec<Value> {
    let request = Request::builder().uri(path).header("accept", accept).body(Bytes::new()).unwrap();
    let body = cluster.exchange(request).await.unwrap().into_body();
    let bytes = body.collect().await.unwrap().to_bytes();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn of_the_tables_of_a_watch_the_first_alone_has_columns() {
    let cluster = cluster().await;
    ask(&cluster, "POST", THINGS, JSON, &thing("b").to_string()).await;
    let path = format!("{THINGS}?watch=true&timeoutSeconds=1");
    let tables = events(&cluster, &path, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let [first, second] = tables.as_slice() else { panic!("{tables:?}") };
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(second["object"].get("columnDefinitions"), Some(&Value::Null));
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_of_the_future_is_an_error_in_a_stream() {
    let cluster = cluster().await;
    let ahead = cluster.revision() + 100;
    let path = format!(
        "{THINGS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&\
         resourceVersion={ahead}"
    );
    let told = events(&cluster, &path, JSON).await;
    let [error] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(504)));
    let why = format!("Timeout: Too large resource version: {ahead}, current: {}", ahead - 100);
    assert_eq!(error["object"]["message"], why);
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_bookmarks_tells_where_the_state_it_began_with_ends() {
    let cluster = cluster().await;
    let revision = cluster.revision().to_string();
    for (bookmarks, wanted) in [("&allowWatchBookmarks=true", 2), ("", 1)] {
        let told = events(&cluster, &format!("{THINGS}?watch=true&timeoutSeconds=1{bookmarks}"), JSON).await;
        assert_eq!(told.len(), wanted, "{told:?}");
        let Some(end) = told.get(1) else { continue };
        assert_eq!(
            (&end["type"], &end["object"]["metadata"]["resourceVersion"]),
            (&json!("BOOKMARK"), &json!(revision))
        );
        assert_eq!(end["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    }
}
