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

/// What is asked for and comes as something else than JSON.
async fn text(cluster: &Cluster, method: &str, path: &str, accept: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).header("accept", accept).body(Bytes::new()).unwrap();
    let response = cluster.call(request).await;
    let (code, media) = (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, media, String::from_utf8(body.to_vec()).unwrap())
}

const YAML: &str = "application/yaml";

#[tokio::test(start_paused = true)]
async fn whoever_likes_yaml_gets_it_but_in_a_watch() {
    let cluster = cluster().await;
    let (code, media, thing) = text(&cluster, "GET", &format!("{THINGS}/a"), YAML).await;
    assert_eq!((code, media.as_str()), (200, YAML));
    assert!(thing.starts_with("apiVersion: test.dev/v1\nkind: Thing\nmetadata:\n  creationTimestamp: \"20"), "{thing}");
    assert!(thing.ends_with("\nspec:\n  image: x\n"), "{thing}");
    let (code, media, list) = text(&cluster, "GET", THINGS, YAML).await;
    assert_eq!((code, media.as_str()), (200, YAML));
    assert!(list.starts_with("apiVersion: test.dev/v1\nitems:\n- apiVersion: test.dev/v1\n  kind: Thing\n"), "{list}");
    assert!(list.contains("\nkind: ThingList\nmetadata:\n  continue: \"\"\n  resourceVersion: \""), "{list}");
    let missing = "apiVersion: v1\ncode: 404\ndetails:\n  group: test.dev\n  kind: things\n  name: nope\nkind: Status\n\
                   message: things.test.dev \"nope\" not found\nmetadata: {}\nreason: NotFound\nstatus: Failure\n";
    let found = text(&cluster, "GET", &format!("{THINGS}/nope"), YAML).await;
    assert_eq!(found, (404, YAML.to_owned(), missing.to_owned()));
    let refused = "apiVersion: v1\ncode: 406\nkind: Status\nmessage: 'only the following media types are accepted: \
                   application/json;stream=watch,\n  application/vnd.kubernetes.protobuf;stream=watch'\nmetadata: {}\n\
                   reason: NotAcceptable\nstatus: Failure\n";
    let found = text(&cluster, "GET", &format!("{THINGS}?watch=true"), YAML).await;
    assert_eq!(found, (406, YAML.to_owned(), refused.to_owned()));
    let (_, media, _) = text(&cluster, "GET", &format!("{THINGS}?watch=true"), "application/yaml;q=0.5,*/*").await;
    assert_eq!(media, JSON, "what is liked better counts");
    let (_, media, page) = text(&cluster, "GET", "/apis/test.dev/v2/things", YAML).await;
    assert_eq!((media.as_str(), page.as_str()), ("text/plain; charset=utf-8", "404 page not found\n"));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_yaml() {
    let cluster = cluster().await;
    let body = "apiVersion: test.dev/v1\nkind: Thing\nmetadata: {name: b}\nspec: {image: x}\n";
    assert_eq!(ask(&cluster, "POST", THINGS, YAML, body).await.0, 201);
    let unread = "the object provided is unrecognized (must be of type Thing): ";
    let (code, answer) = ask(&cluster, "POST", THINGS, YAML, "a: [b").await;
    let message = answer["message"].as_str().unwrap();
    assert!(code == 400 && message.starts_with(&format!("{unread}yaml: ")), "{message}");
    assert!(message.ends_with(" (613a205b62)"), "{message}");
    let kindless = format!("{unread}Object 'Kind' is missing in '' (<empty>)");
    hold(&cluster, "POST", THINGS, YAML, "", (400, &kindless)).await;
}

#[tokio::test(start_paused = true)]
async fn head_is_a_get_of_custom_resources_alone() {
    let cluster = cluster().await;
    for (path, wanted) in [
        (THINGS, 200),
        (&format!("{THINGS}/a"), 200),
        (&format!("{THINGS}/a/scale"), 200),
        (&format!("{THINGS}/a/status"), 200),
        (&format!("{THINGS}/nope"), 404),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", 405),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.test.dev", 405),
        ("/api/v1/namespaces/default/configmaps/x", 405),
    ] {
        assert_eq!(raw(&cluster, "HEAD", path, "", "").await.status(), wanted, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_none_is_refused_whatever_is_asked_but_a_watch() {
    let cluster = cluster().await;
    for (deadline, why) in [("zz", "invalid duration \"zz\""), ("1", "missing unit in duration \"1\"")] {
        let why = format!("invalid timeout specified in the request URL - time: {why}");
        for (method, path) in [("GET", THINGS), ("POST", THINGS), ("GET", "/apis"), ("GET", "/nope")] {
            hold(&cluster, method, &format!("{path}?timeout={deadline}"), JSON, "", (400, &why)).await;
        }
    }
    for path in ["?timeout=5s", "?timeout=-1s", "?timeout=", "?watch=true&timeout=zz&timeoutSeconds=1"] {
        assert_eq!(raw(&cluster, "GET", &format!("{THINGS}{path}"), "", "").await.status(), 200, "{path}");
    }
    for path in ["?limit=zz", "?timeoutSeconds=zz", "?watch=true&timeoutSeconds=zz", "?watch=true&limit=zz"] {
        let why = "strconv.ParseInt: parsing \"zz\": invalid syntax";
        hold(&cluster, "GET", &format!("{THINGS}{path}"), JSON, "", (400, why)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scale_of_things_is_refused_in_the_api_servers_words() {
    let cluster = cluster().await;
    let path = format!("{THINGS}/a/scale");
    let scale = |metadata: &Value, spec: &Value| {
        json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}).to_string()
    };
    let strange = "no kind is registered for the type v1.Scale in scheme \
                   \"k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go:781\"";
    let nameless = "the name of the object (a based on URL) was undeterminable: name must be provided";
    let negative =
        "Thing.test.dev \"a\" is invalid: .spec.replicas: Invalid value: -1: should be a non-negative integer";
    let modified = "Operation cannot be fulfilled on things.test.dev \"a\": the object has been modified; please apply \
                    your changes to the latest version and try again";
    let elsewhere = "the namespace of the provided object does not match the namespace sent on the request";
    let a = json!({"name": "a"});
    for (body, code, wanted) in [
        ("{}".to_owned(), 400, nameless),
        ("null".to_owned(), 400, nameless),
        ("hello".to_owned(), 400, strange),
        ("[]".to_owned(), 400, strange),
        (r#"{"kind":"Foo","apiVersion":"autoscaling/v1","metadata":{"name":"a"}}"#.to_owned(), 400, strange),
        (scale(&a, &json!({"replicas": "x"})), 400, strange),
        (scale(&a, &json!({"replicas": 3.5})), 400, strange),
        (scale(&a, &json!({"replicas": 4_294_967_296_i64})), 400, strange),
        (scale(&a, &json!({"replicas": -1})), 422, negative),
        (
            scale(&json!({"name": "b"}), &json!({})),
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (scale(&json!({"name": "a", "namespace": "b"}), &json!({})), 400, elsewhere),
        (scale(&json!({"name": "a", "resourceVersion": "1"}), &json!({})), 409, modified),
    ] {
        hold(&cluster, "PUT", &path, JSON, &body, (code, wanted)).await;
    }
    let put = ask(&cluster, "PUT", &path, JSON, &scale(&a, &json!({"replicas": 3}))).await;
    assert_eq!((put.0, &put.1["spec"]), (200, &json!({"replicas": 3})));
    for (change, code, wanted) in [
        (json!({"spec": {"replicas": -1}}), 422, negative),
        (json!({"metadata": {"name": "b"}}), 400, "the name of the object (b) does not match the name on the URL (a)"),
        (json!({"metadata": {"namespace": "b"}}), 400, elsewhere),
        (json!({"metadata": {"resourceVersion": "1"}}), 409, modified),
    ] {
        hold(&cluster, "PATCH", &path, MERGE, &change.to_string(), (code, wanted)).await;
    }
    for (change, why) in [
        (
            json!({"spec": {"replicas": "x"}}),
            "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": {"replicas": 3.5}}),
            "json: cannot unmarshal number 3.5 into Go struct field ScaleSpec.spec.replicas of type int32",
        ),
        (json!({"spec": "x"}), "json: cannot unmarshal string into Go struct field Scale.spec of type v1.ScaleSpec"),
        (
            json!({"kind": "X"}),
            "no kind \"X\" is registered for version \"autoscaling/v1\" in scheme \"k8s.io/client-go/scale/util.go:146\"",
        ),
    ] {
        let (code, answer) = ask(&cluster, "PATCH", &path, MERGE, &change.to_string()).await;
        let message = answer["message"].as_str().unwrap();
        assert!(code == 422 && message.starts_with(" \"\" is invalid: patch: Invalid value: \"{"), "{message}");
        assert!(message.ends_with(why), "{message}");
    }
    let applied = format!("{path}?fieldManager=m");
    let why = "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, \
               Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1";
    hold(&cluster, "PATCH", &applied, APPLY, &scale(&a, &json!({"replicas": 5})), (500, why)).await;
    let emptied = ask(&cluster, "PATCH", &path, MERGE, r#"{"spec":{"replicas":null}}"#).await;
    assert_eq!((emptied.0, &emptied.1["spec"]), (200, &json!({})));
}

#[tokio::test(start_paused = true)]
async fn a_scale_has_columns_of_its_own() {
    let cluster = cluster().await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let (_, _, table) = text(&cluster, "GET", &format!("{THINGS}/a/scale"), table).await;
    let table: Value = serde_json::from_str(&table).unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap());
    assert_eq!(columns.collect::<Vec<_>>(), ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", 0, 0, "0s"]));
}

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn named(plural: &str, mut names: Value) -> Value {
    let mut definition = things::definition(&json!({"type": "object"}), &json!({}));
    definition["metadata"]["name"] = format!("{plural}.test.dev").into();
    names["plural"] = plural.into();
    definition["spec"]["names"] = names;
    definition
}

/// The reason and the message of the condition, and the accepted names.
fn verdict(cluster: &Cluster, plural: &str) -> (String, String, Value) {
    let definition = cluster.get(DEFINITIONS, "", &format!("{plural}.test.dev")).unwrap();
    let accepted = &definition["status"]["conditions"][0];
    assert_eq!(accepted["type"], "NamesAccepted");
    let text = |name: &str| accepted[name].as_str().unwrap().to_owned();
    (text("reason"), text("message"), definition["status"]["acceptedNames"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_definition_whose_names_are_taken_waits_until_they_are_free() {
    let cluster = cluster().await;
    for (plural, names, reason, message, accepted) in [
        (
            "as",
            json!({"kind": "Thing"}),
            "SingularConflict+ListKindConflict",
            "\"ThingList\" is already in use",
            json!({"plural": "as", "kind": ""}),
        ),
        (
            "bs",
            json!({"kind": "B", "listKind": "ThingList"}),
            "ListKindConflict",
            "\"ThingList\" is already in use",
            json!({"plural": "bs", "singular": "b", "kind": "B"}),
        ),
        (
            "ds",
            json!({"kind": "D", "shortNames": ["thing", "things", "dd"]}),
            "ShortNamesConflict",
            "[\"thing\" is already in use, \"things\" is already in use]",
            json!({"plural": "ds", "singular": "d", "kind": "D", "listKind": "DList"}),
        ),
        (
            "es",
            json!({"kind": "E", "singular": "thing"}),
            "SingularConflict",
            "\"thing\" is already in use",
            json!({"plural": "es", "kind": "E", "listKind": "EList"}),
        ),
        (
            "fs",
            json!({"kind": "ThingList"}),
            "KindConflict",
            "\"ThingList\" is already in use",
            json!({"plural": "fs", "singular": "thinglist", "kind": "", "listKind": "ThingListList"}),
        ),
    ] {
        cluster.create(DEFINITIONS, "", named(plural, names), "test").unwrap();
        let reason = reason.rsplit('+').next().unwrap();
        assert_eq!(verdict(&cluster, plural), (reason.to_owned(), message.to_owned(), accepted), "{plural}");
        let path = format!("/apis/test.dev/v1/namespaces/default/{plural}");
        assert_eq!(ask(&cluster, "GET", &path, JSON, "").await, (404, json!("404 page not found\n")));
    }
    let gone = cluster.delete(DEFINITIONS, "", "things.test.dev", &playground::cluster::DeleteOptions::default());
    gone.unwrap();
    assert_eq!(verdict(&cluster, "as").0, "NoConflicts", "who asked first has them");
    assert_eq!(ask(&cluster, "GET", "/apis/test.dev/v1/namespaces/default/as", JSON, "").await.0, 200);
    assert_eq!(verdict(&cluster, "bs").0, "ListKindConflict");
}

#[tokio::test(start_paused = true)]
async fn fields_that_may_be_selected_by_are_and_others_are_refused() {
    let cluster = cluster().await;
    let mut definition = named("picks", json!({"kind": "Pick"}));
    let text = json!({"type": "string"});
    let spec =
        json!({"type": "object", "properties": {"image": text, "on": {"type": "boolean"}, "n": {"type": "integer"}}});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = json!({"spec": spec});
    definition["spec"]["versions"][0]["selectableFields"] =
        json!([{"jsonPath": ".spec.image"}, {"jsonPath": ".spec.on"}, {"jsonPath": ".spec.n"}]);
    cluster.create(DEFINITIONS, "", definition, "test").unwrap();
    let picks = "/apis/test.dev/v1/namespaces/default/picks";
    let pick = json!({"apiVersion": "test.dev/v1", "kind": "Pick", "metadata": {"name": "a"},
        "spec": {"image": "x", "on": true, "n": 2}});
    assert_eq!(ask(&cluster, "POST", picks, JSON, &pick.to_string()).await.0, 201);
    for (selector, found) in [
        ("spec.image=x", 1),
        ("spec.image=y", 0),
        ("spec.image!=y", 1),
        ("spec.n=2", 1),
        ("spec.on=true", 1),
        ("spec.on=false", 0),
        ("metadata.name=a,spec.n=2", 1),
    ] {
        let (_, list) = ask(&cluster, "GET", &format!("{picks}?fieldSelector={selector}"), JSON, "").await;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(found), "{selector}: {list}");
    }
    let refused = (400, "field label not supported: spec.zz");
    for path in ["?fieldSelector=spec.zz=1", "?fieldSelector=spec.zz=1&watch=true"] {
        hold(&cluster, "GET", &format!("{picks}{path}"), JSON, "", refused).await;
    }
    hold(&cluster, "DELETE", &format!("{picks}?fieldSelector=spec.zz=1"), JSON, "", refused).await;
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_null_is_held_against_the_schema() {
    let cluster = cluster().await;
    let text = json!({"type": "string"});
    let keyed = json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": text, "v": text}},
    });
    let spec = json!({"type": "object", "properties": {
        "image": text,
        "may": {"type": "string", "nullable": true},
        "def": {"type": "string", "default": "d"},
        "obj": {"type": "object", "properties": {"a": text}},
        "map": {"type": "object", "additionalProperties": text},
        "list": {"type": "array", "items": text},
        "keyed": keyed,
        "replicas": {"type": "integer"},
    }});
    let mut definition = named("nulls", json!({"kind": "Null"}));
    let version = &mut definition["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"]["properties"] =
        json!({"spec": spec, "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}});
    version["subresources"] = json!({"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}});
    cluster.create(DEFINITIONS, "", definition, "test").unwrap();
    let null = |name: &str, spec: &Value| {
        json!({"apiVersion": "test.dev/v1", "kind": "Null", "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let nulls = "/apis/test.dev/v1/namespaces/default/nulls";
    ask(&cluster, "POST", nulls, JSON, &null("a", &json!({"image": "x", "replicas": 2}))).await;
    let typed = |field: &str, kind: &str| {
        format!("{field}: Invalid value: \"null\": {field} in body must be of type {kind}: \"null\"")
    };
    for (spec, field, kind) in [
        (json!({"image": null}), "spec.image", "string"),
        (json!({"obj": null}), "spec.obj", "object"),
        (json!({"obj": {"a": null}}), "spec.obj.a", "string"),
        (json!({"map": null}), "spec.map", "object"),
        (json!({"map": {"k": null}}), "spec.map.k", "string"),
        (json!({"list": null}), "spec.list", "array"),
        (json!({"list": ["a", null]}), "spec.list[1]", "string"),
        (json!({"keyed": null}), "spec.keyed", "array"),
        (json!({"keyed": [{"name": "a", "v": null}]}), "spec.keyed[0].v", "string"),
        (json!({"keyed": [{"name": null}]}), "spec.keyed[0].name", "string"),
    ] {
        for name in ["a", "n"] {
            let path = format!("{nulls}/{name}?fieldManager=m&force=true");
            let wanted = format!("Null.test.dev \"{name}\" is invalid: {}", typed(field, kind));
            hold(&cluster, "PATCH", &path, APPLY, &null(name, &spec), (422, &wanted)).await;
        }
    }
    let path = |name: &str| format!("{nulls}/{name}?fieldManager=m&force=true");
    let both = format!(
        "Null.test.dev \"n\" is invalid: [{}, .spec.replicas: Invalid value: 0: .spec.replicas accessor error: <nil> is of \
         the type <nil>, expected int64]",
        typed("spec.replicas", "integer")
    );
    hold(&cluster, "PATCH", &path("n"), APPLY, &null("n", &json!({"replicas": null})), (422, &both)).await;
    let whole = format!("Null.test.dev \"n\" is invalid: {}", typed("spec", "object"));
    hold(&cluster, "PATCH", &path("n"), APPLY, &null("n", &Value::Null), (422, &whole)).await;
    let element = "failed to create typed patch object (/n; test.dev/v1, Kind=Null): .spec.keyed: element 0: associative \
                   list with keys may not have a null element";
    hold(&cluster, "PATCH", &path("n"), APPLY, &null("n", &json!({"keyed": [null]})), (500, element)).await;
    let unknown =
        "failed to create typed patch object (/n; test.dev/v1, Kind=Null): .spec.zz: field not declared in schema";
    hold(&cluster, "PATCH", &path("n"), APPLY, &null("n", &json!({"zz": null})), (500, unknown)).await;

    let (code, kept) = ask(&cluster, "PATCH", &path("a"), APPLY, &null("a", &Value::Null)).await;
    assert_eq!((code, &kept["spec"]), (200, &json!({"image": "x", "replicas": 2, "def": "d"})), "{kept}");
    let (code, made) = ask(&cluster, "PATCH", &path("b"), APPLY, &null("b", &json!({"may": null}))).await;
    assert_eq!((code, &made["spec"]), (201, &json!({"may": null, "def": "d"})), "{made}");
    let (code, made) = ask(&cluster, "PATCH", &path("c"), APPLY, &null("c", &json!({"def": null}))).await;
    assert_eq!((code, &made["spec"]), (201, &json!({"def": "d"})), "{made}");
    assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:def": {}}}));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_mixes_types_is_refused_when_it_is_made() {
    let cluster = cluster().await;
    let text = json!({"type": "string"});
    let pair = json!({"type": "object", "properties": {"name": text, "v": text}});
    let spec = json!({"type": "object", "properties": {
        "image": text,
        "n": {"type": "integer"},
        "on": {"type": "boolean"},
        "obj": {"type": "object", "properties": {"a": text}},
        "map": {"type": "object", "additionalProperties": text},
        "list": {"type": "array", "items": text},
        "keyed": {"type": "array", "items": pair},
    }});
    let create = async |rule: &Value| {
        let mut definition = named("rules", json!({"kind": "Rule"}));
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"] = json!({"spec": spec});
        schema["properties"]["spec"]["x-kubernetes-validations"] = json!([rule]);
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
        ask(&cluster, "POST", path, JSON, &definition.to_string()).await
    };
    let mut wrong = Vec::new();
    for (rule, column, why) in [
        ("self.image + 1 == \"x\"", 12, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.n + \"a\" == \"x\"", 8, "found no matching overload for '_+_' applied to '(int, string)'"),
        ("self.image > 1", 12, "found no matching overload for '_>_' applied to '(string, int)'"),
        ("self.n == \"x\"", 8, "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.image.foo()", 15, "undeclared reference to 'foo' (in container '')"),
        ("size(self.n) > 1", 5, "found no matching overload for 'size' applied to '(int)'"),
        ("self.on + self.on", 9, "found no matching overload for '_+_' applied to '(bool, bool)'"),
        ("self.nope == 1", 5, "undefined field 'nope'"),
        ("nope == 1", 1, "undeclared reference to 'nope' (in container '')"),
        ("!self.image", 1, "found no matching overload for '!_' applied to '(string)'"),
        ("-self.image == \"\"", 1, "found no matching overload for '-_' applied to '(string)'"),
        ("self.image && true", 5, "expected type 'bool' but found 'string'"),
        ("self.on ? 1 : \"x\"", 9, "found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
        ("self.list[\"a\"] == \"x\"", 10, "found no matching overload for '_[_]' applied to '(list(string), string)'"),
        ("self.list.all(x, x > 1)", 20, "found no matching overload for '_>_' applied to '(string, int)'"),
        ("self.map[\"a\"] == 1", 15, "found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.n in self.list", 8, "found no matching overload for '@in' applied to '(int, list(string))'"),
        ("self.image.startsWith(1)", 22, "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("foo(self.image)", 4, "undeclared reference to 'foo' (in container '')"),
        ("self.n / 2.0 > 1.0", 8, "found no matching overload for '_/_' applied to '(int, double)'"),
        ("self.n == 1.0", 8, "found no matching overload for '_==_' applied to '(int, double)'"),
        ("self.obj.a > 3", 12, "found no matching overload for '_>_' applied to '(string, int)'"),
        ("has(self.nope)", 4, "undefined field 'nope'"),
        ("self.obj.b == \"x\"", 9, "undefined field 'b'"),
        ("oldSelf.image == 1", 15, "found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.image.size() == \"a\"", 19, "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.list + [1] == []", 11, "found no matching overload for '_+_' applied to '(list(string), list(int))'"),
        ("self.list.map(x, x + 1) == []", 20, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.list.exists(x, x)", 21, "expected type 'bool' but found 'string'"),
        ("int(self.list) == 1", 4, "found no matching overload for 'int' applied to '(list(string))'"),
        ("self.keyed.all(k, k.v == 1)", 23, "found no matching overload for '_==_' applied to '(string, int)'"),
    ] {
        let (code, answer) = create(&json!({"rule": rule})).await;
        let dots = ".".repeat(column - 1);
        let fault = format!("compilation failed: ERROR: <input>:1:{column}: {why}\n | {rule}\n | {dots}^");
        let message = answer["message"].as_str().unwrap_or_default();
        if code != 422 || !message.ends_with(&fault) {
            wrong.push(format!("{rule}: {code} {message}"));
        }
    }
    for fine in ["self.image in self.list", "self.n > 1.0", "dyn(self.image) + 1 == 2", "int(self.image) == 1"] {
        let (code, answer) = create(&json!({"rule": fine})).await;
        if code != 201 {
            wrong.push(format!("{fine}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A default and a rule that came after the object: what the default fills in is no change, so the rule is not broken by who
/// writes the status.
#[tokio::test]
async fn a_default_of_today_is_no_change_of_an_object_of_yesterday() {
    let cluster = cluster().await;
    let name = "things.test.dev";
    let mut definition = (*cluster.get("customresourcedefinitions.apiextensions.k8s.io", "", name).unwrap()).clone();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["replicas"]["default"] = json!(1);
    spec["x-kubernetes-validations"] = json!([{"rule": "self.image != 'x'", "message": "no x"}]);
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    let (code, answer) = ask(&cluster, "PUT", &path, JSON, &definition.to_string()).await;
    assert_eq!(code, 200, "{answer}");
    let status = json!({"status": {"replicas": 3}}).to_string();
    let (code, answer) = ask(&cluster, "PATCH", &format!("{THINGS}/a/status"), MERGE, &status).await;
    assert_eq!((code, &answer["metadata"]["generation"]), (200, &json!(1)), "{answer}");
    let changed = json!({"spec": {"replicas": 2}}).to_string();
    let (code, answer) = ask(&cluster, "PATCH", &format!("{THINGS}/a"), MERGE, &changed).await;
    assert!(code == 422 && answer["message"].as_str().unwrap().ends_with("no x"), "{answer}");
}
