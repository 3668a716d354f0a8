//! Recorded watches, line by line: through the decoder, and through a whole informer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use smooth_operator::api::{MCPSERVERS, MCPServer};
use smooth_operator::client::{Request, WatchParams};
use smooth_operator::object::{DEPLOYMENTS, Meta, Object, Resource};
use smooth_operator::watch::{Event, Identity, Lines};

use crate::fixture::recorded;
use crate::thing::{initial_end, page};
use crate::world::{World, unhurried, until};

const RECORDED: [&str; 9] = [
    "rollout/deployments",
    "rollout/pods",
    "watch/clean-end",
    "watch/from-zero",
    "watch/gone",
    "watch/mcpservers-lifecycle",
    "watch/metadata-only",
    "watch/rv-too-large",
    "watch/streaming-list",
];

/// One word for the type, the name, the version and, where it is going away, that.
fn in_short(line: &[u8]) -> String {
    let object = |kind: &str, text: &str| {
        let metadata = serde_json::from_str::<Value>(text).unwrap()["metadata"].clone();
        let meta: Meta = serde_json::from_value(metadata).unwrap();
        assert_eq!(Identity::decode(text).unwrap().resource_version, meta.resource_version);
        let deleting = if meta.deleting { " deleting" } else { "" };
        format!("{kind} {}@{} generation {}{deleting}", meta.key.name(), meta.resource_version, meta.generation)
    };
    match Event::decode(line).unwrap() {
        Event::Added(text) => object("ADDED", text.get()),
        Event::Modified(text) => object("MODIFIED", text.get()),
        Event::Deleted(text) => object("DELETED", text.get()),
        Event::Bookmark { resource_version, initial_events_end } => {
            format!("BOOKMARK @{resource_version} end {initial_events_end}")
        }
        Event::Error(status) => format!("ERROR {status}"),
    }
}

#[test]
fn every_recorded_line_is_read_wherever_the_stream_is_cut() {
    for name in RECORDED.into_iter().chain(["watch/streaming-list-unsupported"]) {
        let text = recorded(name).body();
        for size in [1, 7, 1_000, 1 << 20] {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                lines.push(chunk);
                while let Some(line) = lines.next_line().unwrap() {
                    seen.push(line);
                }
            }
            assert!(seen.iter().map(AsRef::as_ref).eq(text.lines().map(str::as_bytes)), "{name} in chunks of {size}");
            for line in seen {
                in_short(&line);
            }
        }
    }
}

#[test]
fn the_life_of_a_server_reads_as_it_happened() {
    let text = recorded("watch/mcpservers-lifecycle").body();
    let story: Vec<String> = text.lines().map(|line| in_short(line.as_bytes())).collect();
    let expected = [
        "ADDED minimal@291 generation 1",
        "ADDED example-server@292 generation 1",
        "MODIFIED example-server@293 generation 2",
        "MODIFIED example-server@294 generation 2",
        "MODIFIED example-server@295 generation 2",
        "MODIFIED example-server@296 generation 2",
        "MODIFIED example-server@297 generation 3",
        "ADDED page-0@298 generation 1",
        "ADDED page-1@299 generation 1",
        "ADDED page-2@300 generation 1",
        "ADDED page-3@301 generation 1",
        "ADDED page-4@302 generation 1",
        "DELETED minimal@303 generation 1",
        "MODIFIED page-4@304 generation 2 deleting",
        "DELETED page-0@305 generation 1",
        "DELETED page-1@306 generation 1",
        "DELETED page-2@307 generation 1",
        "DELETED page-3@308 generation 1",
    ];
    assert_eq!(story, expected);
}

#[test]
fn a_streaming_list_has_one_end_and_goes_on() {
    let text = recorded("watch/streaming-list").body();
    let story: Vec<String> = text.lines().map(|line| in_short(line.as_bytes())).collect();
    let expected = [
        "ADDED example-server@297 generation 3",
        "ADDED s-0@390 generation 1",
        "ADDED s-1@391 generation 1",
        "ADDED s-2@392 generation 1",
        "BOOKMARK @392 end true",
        "MODIFIED s-0@393 generation 2",
        "DELETED s-1@394 generation 1",
    ];
    assert_eq!(story, expected);
}

#[test]
fn refusals_on_the_stream_say_why() {
    let gone = in_short(recorded("watch/gone").body().trim().as_bytes());
    assert_eq!(gone, "ERROR 410 Expired: too old resource version: 1 (290)");
    let unsupported = in_short(recorded("watch/streaming-list-unsupported").body().trim().as_bytes());
    assert!(unsupported.starts_with("ERROR 500 InternalError: a watch stream was requested"), "{unsupported}");
}

#[tokio::test]
async fn a_recorded_watch_comes_through_the_client_line_by_line() {
    for name in ["watch/mcpservers-lifecycle", "watch/clean-end", "watch/rv-too-large"] {
        let exchange = recorded(name);
        let (_server, client) = exchange.served().await;
        let params = WatchParams {
            resource_version: Some("290".into()),
            send_initial_events: false,
            timeout: Duration::from_secs(30),
        };
        let mut stream = client.watch(Request::watch(&MCPSERVERS, None, None, &params)).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = stream.next_line().await.unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(lines, exchange.body().lines().collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn a_recorded_watch_that_is_refused_is_an_error_before_its_first_line() {
    for (name, code) in
        [("watch/streaming-list-forbidden", 422), ("watch/rv-malformed", 500), ("mcpservers/list-before-crd", 404)]
    {
        let (_server, client) = recorded(name).served().await;
        let params =
            WatchParams { resource_version: None, send_initial_events: true, timeout: Duration::from_secs(30) };
        let error = client.watch(Request::watch(&MCPSERVERS, None, None, &params)).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn the_recorded_streaming_list_fills_a_store_and_keeps_it_current() {
    let mut world = World::<MCPServer>::start(vec![None], unhurried(), |_| {}).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.bytes(recorded("watch/streaming-list").body().as_bytes()).await;
    stream.end().await;
    let initial = ["example-server@297", "s-0@390", "s-1@391", "s-2@392"].map(|name| format!("+default/{name} low"));
    world.tells(&initial.each_ref().map(String::as_str)).await;
    world.tells(&["~default/s-0@393", "-default/s-1@394"]).await;
    world.asked("watch since 394").await;
    assert_eq!(world.holds(), ["default/example-server@297", "default/s-0@393", "default/s-2@392"]);
}

/// The whole story of an old server: it can't stream lists, so they come in pages; the version expires, and it is not asked to stream again.
#[tokio::test]
async fn recorded_pages_fill_a_store_where_streaming_lists_are_unknown() {
    let mut world = World::<MCPServer>::start(vec![None], unhurried(), |_| {}).await;
    let mut stream = world.asked("stream").await.stream().await;
    stream.bytes(recorded("watch/streaming-list-unsupported").body().as_bytes()).await;
    stream.end().await;
    let mut expected = "list 500 since 0".to_owned();
    for name in ["mcpservers/list-page-1", "mcpservers/list-page-2", "mcpservers/list-page-3"] {
        let page = recorded(name).response.body;
        world.asked(&expected).await.json(200, &page).await;
        expected = format!("list 500 page {}", page["metadata"]["continue"].as_str().unwrap_or_default());
    }
    world.synced.wait().await;
    assert_eq!((world.store.len(), world.invalid()), (7, 0));
    let version =
        recorded("mcpservers/list-page-3").response.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = world.asked(&format!("watch since {version}")).await.stream().await;
    watch.bytes(recorded("watch/gone").body().as_bytes()).await;
    watch.end().await;
    world.asked(&format!("list 500 since {version}")).await.json(200, &page(&[], 400, "")).await;
    until("all are gone", || world.store.is_empty()).await;
}

/// Only what every kind has.
#[derive(PartialEq)]
struct Anything(Meta);

impl Object for Anything {
    const RESOURCE: Resource = DEPLOYMENTS;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Value>(json)
            .and_then(|mut object| serde_json::from_value(object["metadata"].take()))
            .map(Self)
    }

    fn meta(&self) -> &Meta {
        &self.0
    }
}

/// Two minutes of a real rollout. Every event is told once, in order, and what was deleted at the end is gone.
#[tokio::test]
async fn a_recorded_rollout_is_told_event_by_event() {
    for name in ["rollout/deployments", "rollout/pods"] {
        let text = recorded(name).body();
        let mut world = World::<Anything>::start(vec![None], unhurried(), |_| {}).await;
        let mut stream = world.asked("stream").await.stream().await;
        stream.line(&initial_end(445)).await;
        stream.bytes(text.as_bytes()).await;
        stream.end().await;
        let mut last = BTreeMap::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let metadata = &event["object"]["metadata"];
            let text = |field: &str| metadata[field].as_str().unwrap().to_owned();
            let key = format!(
                "{}/{}",
                metadata["namespace"].as_str().unwrap_or_default(),
                metadata["name"].as_str().unwrap_or_default()
            );
            let told = match event["type"].as_str().unwrap() {
                "BOOKMARK" => continue,
                "DELETED" => {
                    last.remove(&key).unwrap();
                    format!("-{key}@{}", text("resourceVersion"))
                }
                kind => {
                    last.insert(key.clone(), text("resourceVersion"));
                    format!("{}{key}@{}", if kind == "ADDED" { '+' } else { '~' }, text("resourceVersion"))
                }
            };
            world.tells(&[&told]).await;
        }
        assert_eq!(world.store.len(), last.len(), "{name}");
        assert!(world.has_told_nothing_more());
    }
}
