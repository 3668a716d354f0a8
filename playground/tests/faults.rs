//! Each fault as a client meets it: on the wire of a real socket.

use playground::cluster::DeleteOptions;
use playground::faults::{Age, Answer, Beat, Break, Fault, Lever, Matcher, Moment, Plan, Policy, Quota, Rule, Verb};
use playground::{Options, Playground};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Duration;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn serve() -> Playground {
    Playground::start(Options::default()).await.unwrap()
}

async fn connect(playground: &Playground) -> TcpStream {
    TcpStream::connect(playground.url().strip_prefix("http://").unwrap()).await.unwrap()
}

async fn send(playground: &Playground, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = connect(playground).await;
    let media = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nuser-agent: me/1\r\ncontent-type: {media}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the connection ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // A connection that breaks may do so by an end or by a reset.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads until the text has come.
async fn until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let byte = stream.read_u8().await.unwrap_or_else(|error| panic!("{error}: {wanted:?} is not in {text:?}"));
        text.push(char::from(byte));
    }
    text
}

/// One request, its whole answer: status line and headers, and the body as JSON (null where it is none).
async fn ask(playground: &Playground, method: &str, path: &str, body: &Value) -> (String, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let text = rest(&mut send(playground, method, path, &body).await).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn create(playground: &Playground, name: &str) {
    playground.cluster().create("configmaps", "default", config_map(name), "t").unwrap();
}

fn names(playground: &Playground) -> Vec<String> {
    let names = |object: std::sync::Arc<Value>| object["metadata"]["name"].as_str().unwrap().to_owned();
    playground.cluster().list("configmaps", Some("default")).into_iter().map(names).collect()
}

const CLEAN_END: &str = "\r\n0\r\n\r\n";

#[tokio::test]
async fn a_lost_request_leaves_no_trace_and_a_lost_answer_does() {
    let playground = serve().await;
    for (fault, name, made) in [(Fault::LoseRequest, "a", vec![]), (Fault::LoseAnswer, "b", vec!["b"])] {
        playground.cluster().faults().add(Rule::new(fault).next(1));
        let (head, _) = ask(&playground, "POST", CONFIG_MAPS, &config_map(name)).await;
        assert_eq!(head, "", "not one byte of an answer");
        assert_eq!(names(&playground), made);
    }
    let statuses: Vec<u16> = playground.cluster().requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [0, 201], "the log knows the one by 0 and the other by what it did");
    let (head, _) = ask(&playground, "POST", CONFIG_MAPS, &config_map("c")).await;
    assert!(head.starts_with("HTTP/1.1 201"), "then all is well again: {head}");
    playground.stop().await;
}

#[tokio::test]
async fn errors_are_worded_as_kubernetes_does() {
    let playground = serve().await;
    let apply = format!("{CONFIG_MAPS}/x?fieldManager=me");
    for (answer, method, path, expected) in [
        (
            Answer::Conflict,
            "PATCH",
            apply.as_str(),
            (
                409,
                "Conflict",
                "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; please apply your changes \
                 to the latest version and try again",
            ),
        ),
        (
            Answer::Conflict,
            "POST",
            CONFIG_MAPS,
            (409, "AlreadyExists", "object is being deleted: configmaps \"x\" already exists"),
        ),
        (Answer::Gone, "GET", CONFIG_MAPS, (410, "Expired", "The resourceVersion for the provided list is too old.")),
        (
            Answer::TooManyRequests { retry_after: 7 },
            "GET",
            CONFIG_MAPS,
            (429, "TooManyRequests", "storage is (re)initializing"),
        ),
        (Answer::Internal, "GET", CONFIG_MAPS, (500, "", "etcdserver: leader changed")),
        (
            Answer::Unavailable,
            "GET",
            CONFIG_MAPS,
            (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
        ),
    ] {
        let (code, reason, message) = expected;
        playground.cluster().faults().add(Rule::answer(answer).next(1));
        let body = if method == "GET" { Value::Null } else { config_map("x") };
        let (head, status) = ask(&playground, method, path, &body).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
        assert_eq!((status["kind"].as_str(), status["status"].as_str()), (Some("Status"), Some("Failure")), "{status}");
        assert_eq!((&status["code"], status["reason"].as_str().unwrap_or("")), (&json!(code), reason), "{status}");
        assert_eq!(status["message"], message);
        assert_eq!(head.to_lowercase().contains("retry-after: 7"), code == 429, "{head}");
        assert!(names(&playground).is_empty());
    }
    playground.stop().await;
}

/// Priority and fairness sheds load before anything has read the request.
#[tokio::test]
async fn a_busy_server_refuses_writes_in_plain_text() {
    let playground = serve().await;
    playground.cluster().faults().add(Rule::answer(Answer::TooManyRequests { retry_after: 2 }));
    let mut stream = send(&playground, "POST", CONFIG_MAPS, &config_map("x").to_string()).await;
    let text = rest(&mut stream).await.to_lowercase();
    assert!(text.starts_with("http/1.1 429 ") && text.contains("retry-after: 2\r\n"), "{text}");
    assert!(
        text.contains("content-type: text/plain") && text.ends_with("too many requests, please try again later.\n")
    );
    playground.stop().await;
}

#[tokio::test]
async fn a_quota_refuses_what_would_be_made_and_lets_changes_pass() {
    let playground = serve().await;
    create(&playground, "there");
    let quota = Quota { name: "q".into(), used: 5, limit: 5 };
    let id = playground.cluster().faults().add(Rule::new(Fault::Quota(quota)).resource("configmaps"));
    let why = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=5, limited: count/configmaps=5";
    let apply = |name: &str| format!("{CONFIG_MAPS}/{name}?fieldManager=me");
    for (method, path) in [("POST", CONFIG_MAPS.to_owned()), ("PATCH", apply("x"))] {
        let (head, status) = ask(&playground, method, &path, &config_map("x")).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert_eq!(status["message"], format!("configmaps \"x\" is forbidden: {why}"));
        assert_eq!(
            (&status["reason"], &status["details"]),
            (&json!("Forbidden"), &json!({"name": "x", "kind": "configmaps"}))
        );
    }
    let (head, _) = ask(&playground, "PATCH", &apply("there"), &config_map("there")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(playground.cluster().faults().remove(id));
    let (head, _) = ask(&playground, "PATCH", &apply("x"), &config_map("x")).await;
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    playground.stop().await;
}

#[tokio::test]
async fn a_policy_denies_in_the_words_of_a_403_under_a_422() {
    let playground = serve().await;
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no".into() };
    playground.cluster().faults().add(Rule::new(Fault::Policy(policy)).namespace("default").name("x"));
    let (head, status) = ask(&playground, "POST", CONFIG_MAPS, &config_map("x")).await;
    assert!(head.starts_with("HTTP/1.1 422 "), "{head}");
    let why = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
    assert_eq!(status["message"], format!("configmaps \"x\" is forbidden: {why}"));
    assert_eq!((&status["reason"], &status["details"]["causes"]), (&json!("Invalid"), &json!([{"message": why}])));
    let (head, _) = ask(&playground, "POST", CONFIG_MAPS, &config_map("y")).await;
    assert!(head.starts_with("HTTP/1.1 201 "), "another name: {head}");
    playground.stop().await;
}

/// A watch of ConfigMaps from now on.
async fn watch(playground: &Playground) -> TcpStream {
    let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", playground.cluster().revision());
    let mut stream = send(playground, "GET", &path, "").await;
    until(&mut stream, "\r\n\r\n").await;
    stream
}

fn strike(playground: &Playground, how: Break) {
    assert_eq!(playground.cluster().faults().strike_watches(&Matcher::default(), how), 1);
}

#[tokio::test]
async fn an_open_watch_is_cut_without_a_last_chunk_and_ended_with_one() {
    let playground = serve().await;
    for (how, clean) in [(Break::Cut, false), (Break::End, true)] {
        let mut stream = watch(&playground).await;
        strike(&playground, how);
        assert_eq!(rest(&mut stream).await.ends_with("0\r\n\r\n"), clean, "{how:?}");
    }
    playground.stop().await;
}

#[tokio::test]
async fn an_open_watch_gets_half_a_line_or_garbage_or_an_error_event() {
    let playground = serve().await;
    let mut stream = watch(&playground).await;
    strike(&playground, Break::HalfLine);
    create(&playground, "a");
    let text = rest(&mut stream).await;
    assert!(text.contains("{\"type\":\"ADDED\"") && !text.contains("}\n") && text.ends_with(CLEAN_END), "{text}");

    let mut stream = watch(&playground).await;
    strike(&playground, Break::Garbage);
    create(&playground, "b");
    create(&playground, "c");
    let text = until(&mut stream, "\"name\":\"c\"").await;
    assert!(text.contains("<html>") && !text.contains("\"name\":\"b\""), "in place of b: {text}");
    drop(stream);

    let mut stream = watch(&playground).await;
    playground.cluster().faults().strike_watches(&Matcher::default(), Break::Error(Answer::Gone));
    let text = rest(&mut stream).await;
    assert!(text.contains("{\"type\":\"ERROR\",") && text.contains("\"reason\":\"Expired\""), "{text}");
    assert!(text.ends_with(CLEAN_END), "{text}");
    playground.stop().await;
}

#[tokio::test]
async fn a_stalled_watch_is_silent_and_a_new_one_is_not() {
    let playground = serve().await;
    let mut stalled = watch(&playground).await;
    strike(&playground, Break::Stall);
    let mut good = watch(&playground).await;
    create(&playground, "a");
    until(&mut good, "\"name\":\"a\"").await;
    let mut byte = [0];
    let error = stalled.try_read(&mut byte).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "open, and nothing in it");
    playground.cluster().cut_watches();
    assert!(!rest(&mut stalled).await.contains("\"name\":\"a\""));
    playground.stop().await;
}

#[tokio::test]
async fn a_rule_breaks_watches_as_they_are_opened() {
    let playground = serve().await;
    playground.cluster().faults().add(Rule::watch(Break::Cut, Moment::Lines(2)).resource("namespaces"));
    let mut stream = send(&playground, "GET", "/api/v1/namespaces?watch=true&resourceVersion=0", "").await;
    let text = rest(&mut stream).await;
    assert_eq!(text.matches("\"ADDED\"").count(), 2, "{text}");
    assert!(!text.ends_with(CLEAN_END));
    playground.cluster().faults().replace([Rule::answer(Answer::Gone).verb(Verb::Watch)]);
    let text = rest(&mut send(&playground, "GET", "/api/v1/namespaces?watch=true&resourceVersion=0", "").await).await;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.contains("{\"type\":\"ERROR\","),
        "as an API server does: {text}"
    );
    playground.stop().await;
}

async fn listed(playground: &Playground, query: &str) -> (Vec<String>, String) {
    let (_, list) = ask(playground, "GET", &format!("{CONFIG_MAPS}?{query}"), &Value::Null).await;
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    let names = list["items"].as_array().unwrap_or_else(|| panic!("{list}")).iter().map(name).collect();
    (names, list["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_stale_cache_shows_the_past_to_whom_any_state_will_do_and_to_nobody_else() {
    let playground = serve().await;
    create(&playground, "a");
    let then = playground.cluster().revision();
    create(&playground, "b");
    playground.cluster().delete("configmaps", "default", "a", &DeleteOptions::default()).unwrap();
    for age in [Age::At(then), Age::Behind(2)] {
        playground.cluster().faults().replace([Rule::new(Fault::Stale(age))]);
        assert_eq!(listed(&playground, "resourceVersion=0&limit=500").await, (vec!["a".to_owned()], then.to_string()));
        assert_eq!(listed(&playground, "").await.0, ["b"]);
        assert_eq!(
            listed(&playground, &format!("resourceVersion={then}&resourceVersionMatch=NotOlderThan")).await.0,
            ["b"]
        );
    }
    // A cache knows no compaction: it shows the oldest state that there is.
    playground.cluster().compact();
    assert_eq!(listed(&playground, "resourceVersion=0").await.0, ["b"]);
    playground.stop().await;
}

/// The events of a watch that begins with a state: what happens to whom, and the bookmark that ends the beginning.
async fn streamed(playground: &Playground, version: &str) -> Vec<String> {
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let path = format!("{CONFIG_MAPS}?{query}&resourceVersion={version}&timeoutSeconds=1");
    let request = http::Request::get(path).body(bytes::Bytes::new()).unwrap();
    let response = playground.cluster().exchange(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).map(|event| {
        let metadata = &event["object"]["metadata"];
        let about = metadata["name"].as_str().or(metadata["resourceVersion"].as_str()).unwrap();
        format!("{} {about}", event["type"].as_str().unwrap())
    });
    events.collect()
}

/// Time stands still: a watch of one second ends at once.
#[tokio::test(start_paused = true)]
async fn a_streaming_list_begins_with_the_past_and_goes_on_from_there() {
    let playground = serve().await;
    create(&playground, "a");
    let then = playground.cluster().revision();
    create(&playground, "b");
    playground.cluster().delete("configmaps", "default", "a", &DeleteOptions::default()).unwrap();
    let now = playground.cluster().revision();
    for age in [Age::At(then), Age::Behind(2)] {
        playground.cluster().faults().replace([Rule::new(Fault::Stale(age))]);
        let past = ["ADDED a".to_owned(), format!("BOOKMARK {then}"), "ADDED b".to_owned(), "DELETED a".to_owned()];
        assert_eq!(streamed(&playground, "0").await, past);
        let bookmark = format!("BOOKMARK {}", then + 1);
        let asked_for = ["ADDED a".to_owned(), "ADDED b".to_owned(), bookmark, "DELETED a".to_owned()];
        assert_eq!(streamed(&playground, &(then + 1).to_string()).await, asked_for, "never older than asked for");
        let newest = ["ADDED b".to_owned(), format!("BOOKMARK {now}")];
        assert_eq!(streamed(&playground, "").await, newest, "who wants the newest gets it");
    }
    playground.stop().await;
}

#[tokio::test]
async fn a_restore_takes_state_and_versions_back_and_breaks_all_watches() {
    let playground = serve().await;
    create(&playground, "a");
    let then = playground.cluster().revision();
    create(&playground, "b");
    playground.cluster().delete("configmaps", "default", "a", &DeleteOptions::default()).unwrap();
    let mut stream = watch(&playground).await;
    playground.cluster().restore(then).unwrap();
    assert!(!rest(&mut stream).await.ends_with(CLEAN_END));
    assert_eq!(listed(&playground, "").await, (vec!["a".to_owned()], then.to_string()));
    create(&playground, "c");
    assert_eq!(playground.cluster().revision(), then + 1, "the versions are given again");
    assert!(playground.cluster().restore(then + 9).is_err(), "the future can't be restored");
    playground.cluster().compact();
    assert_eq!(playground.cluster().restore(then).unwrap_err().floor, then + 1, "nor what is forgotten");
    playground.stop().await;
}

/// What in the process follows a resource must not go on from a place that never was.
#[tokio::test]
async fn the_controllers_live_through_a_restore() {
    let playground = Playground::start(Options { ready_delay: Duration::ZERO, ..Options::default() }).await.unwrap();
    let cluster = playground.cluster();
    let before = cluster.revision();
    let deployment = |name: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }})
    };
    for name in ["never", "after"] {
        cluster.create("deployments.apps", "default", deployment(name), "t").unwrap();
        let mut seen = cluster.watch("deployments.apps", before).unwrap();
        while seen.next().await.unwrap().object["status"]["availableReplicas"] != 1 {}
        if name == "never" {
            cluster.restore(before).unwrap();
        }
    }
    assert!(cluster.get("deployments.apps", "default", "never").is_none());
    playground.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_refuses_and_comes_back_with_all_it_had() {
    let playground = serve().await;
    create(&playground, "a");
    let mut stream = watch(&playground).await;
    playground.go_away().await;
    assert!(!rest(&mut stream).await.ends_with(CLEAN_END));
    let address = playground.url().strip_prefix("http://").unwrap().to_owned();
    assert_eq!(TcpStream::connect(&address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    playground.come_back().await.unwrap();
    assert_eq!(listed(&playground, "").await.0, ["a"]);
    playground.stop().await;
}

#[tokio::test]
async fn the_rules_are_put_shown_and_deleted_over_http_and_do_not_strike_their_own_path() {
    let playground = serve().await;
    let rules =
        json!({"seed": 3, "rules": [{"userAgent": "me/", "fault": {"type": "answer", "code": 503}, "next": 2}]});
    let (head, shown) = ask(&playground, "PUT", "/playground/faults", &rules).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head} {shown}");
    let (head, _) = ask(&playground, "GET", CONFIG_MAPS, &Value::Null).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let (_, shown) = ask(&playground, "GET", "/playground/faults", &Value::Null).await;
    assert_eq!((&shown["rules"][0]["struck"], &shown["rules"][0]["next"]), (&json!(1), &json!(2)), "{shown}");
    let (head, status) =
        ask(&playground, "PUT", "/playground/faults", &json!({"rules": [{"fault": {"type": "x"}}]})).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(status["message"].as_str().unwrap().starts_with("rules[0].fault.type: \"x\" is none of "), "{status}");
    let (_, shown) = ask(&playground, "GET", "/playground/faults", &Value::Null).await;
    assert_eq!(shown["rules"].as_array().unwrap().len(), 1, "what is wrong changes nothing");
    let (_, shown) = ask(&playground, "DELETE", "/playground/faults", &Value::Null).await;
    assert_eq!(shown, json!({"rules": []}));
    let (head, _) = ask(&playground, "GET", CONFIG_MAPS, &Value::Null).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    playground.stop().await;
}

#[tokio::test]
async fn the_levers_are_pulled_over_http() {
    let playground = serve().await;
    let mut stream = watch(&playground).await;
    let (_, none) = ask(&playground, "POST", "/playground/watches/cut", &json!({"resource": "secrets"})).await;
    let (_, one) = ask(&playground, "POST", "/playground/watches/cut", &Value::Null).await;
    assert_eq!((none, one), (json!({"watches": 0}), json!({"watches": 1})));
    assert!(!rest(&mut stream).await.ends_with(CLEAN_END));
    let old = playground.cluster().revision();
    create(&playground, "a");
    let (head, _) = ask(&playground, "POST", "/playground/history/compact", &Value::Null).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={old}");
    let text = rest(&mut send(&playground, "GET", &path, "").await).await;
    assert!(text.contains("\"code\":410"), "{text}");
    let current = playground.cluster().revision();
    let restore = |version: &str| json!({"resourceVersion": version});
    let (head, _) = ask(&playground, "POST", "/playground/history/restore", &restore(&current.to_string())).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for (path, body, message) in [
        ("/playground/history/restore", restore("1"), "resourceVersion: 1 is not within the history"),
        ("/playground/history/restore", json!({}), "resourceVersion: null is no resourceVersion"),
        ("/playground/watches/bite", Value::Null, "\"bite\" is none of cut, end, stall, half-line, garbage"),
        ("/playground/watches/cut", json!({"verbs": 1}), "verbs: is unknown here"),
    ] {
        let (head, status) = ask(&playground, "POST", path, &body).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(status["message"].as_str().unwrap().contains(message), "{message:?} is not in {status}");
    }
    let (head, _) = ask(&playground, "GET", "/playground/watches/cut", &Value::Null).await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    playground.stop().await;
}

#[tokio::test]
async fn a_plan_strikes_from_the_start_and_pulls_its_levers_by_itself() {
    let beat = |lever| Beat { every: Duration::from_millis(20), lever, matcher: Matcher::default() };
    let faults = Plan {
        rules: vec![Rule::answer(Answer::Internal).verb(Verb::Create)],
        beats: vec![beat(Lever::Watches(Break::Cut)), beat(Lever::Compact)],
    };
    let playground = Playground::start(Options { faults, ..Options::default() }).await.unwrap();
    let (head, _) = ask(&playground, "POST", CONFIG_MAPS, &config_map("x")).await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    let old = playground.cluster().revision();
    create(&playground, "a");
    let mut stream = watch(&playground).await;
    assert!(!rest(&mut stream).await.ends_with(CLEAN_END), "cut, and cut again");
    let mut strikes = playground.cluster().faults().strikes();
    while !strikes.contains_key("compact") {
        tokio::task::yield_now().await;
        strikes = playground.cluster().faults().strikes();
    }
    assert!(strikes["cut-watches"] > 0 && strikes["error-500"] == 1, "{strikes:?}");
    assert!(playground.cluster().watch("configmaps", old).unwrap().next().await.is_err());
    playground.stop().await;
}
