//! Pods that answer at their own address, over real sockets.
//!
//! Linux only: elsewhere 127.0.0.0/8 does not lead to this machine.
#![cfg(target_os = "linux")]

#[path = "mcp/client.rs"]
mod client;
#[path = "mcp/world.rs"]
mod world;

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use playground::mcp::behaviour::WORDS;
use playground::{Options, Playground};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use world::{World, initialize, is_ready, legacy, modern, open, request, send};

/// Long enough for an answer, short enough to wait for none.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_image_of_any_name_speaks_both_eras_at_its_pods_address() {
    let world = World::start(10).await;
    let address = world.listening("a", "ghcr.io/stackloklabs/gofetch/server:1.0.1").await;
    let discovered = send(address, modern("server/discover")).await.unwrap().json();
    assert_eq!(discovered["result"]["supportedVersions"][0], "2026-07-28");
    let begun = send(address, legacy("", &initialize())).await.unwrap();
    assert_eq!(begun.json()["result"]["protocolVersion"], "2025-11-25");
    assert!(begun.headers.contains_key("mcp-session-id"));
    assert_eq!(send(address, modern("no/such")).await.unwrap().code(), (404, -32601));
    world.playground.stop().await;
}

#[tokio::test]
async fn pods_share_a_port_and_no_address_and_endpoints_lead_to_them() {
    let world = World::start(10).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": "mcp"}]}});
    world.cluster().create("services", "default", service, "test").unwrap();
    let (a, b) = (world.listening("a", "x:1").await, world.listening("b", "speaks-modern").await);
    assert_eq!(a.port(), b.port());
    assert_ne!(a.ip(), b.ip());
    world
        .until_in("endpointslices.discovery.k8s.io", "the endpoint is there", |cluster| {
            let slices = cluster.list("endpointslices.discovery.k8s.io", Some("default"));
            let (endpoint, port) = (&slices.first()?["endpoints"][0], &slices[0]["ports"][0]["port"]);
            let leads = endpoint["addresses"] == json!([a.ip().to_string()]) && *port == json!(a.port());
            (leads && endpoint["conditions"]["ready"] == true).then_some(())
        })
        .await;
    world.playground.stop().await;
}

#[tokio::test]
async fn a_legacy_session_is_counted_until_it_is_deleted() {
    let world = World::start(10).await;
    let address = world.listening("a", "speaks-legacy:1").await;
    let begun = send(address, legacy("", &initialize())).await.unwrap();
    let session = begun.headers["mcp-session-id"].to_str().unwrap();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(send(address, legacy(session, &ready)).await.unwrap().status, StatusCode::ACCEPTED);
    let list = |cursor: Value| json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"cursor": cursor}});
    assert_eq!(send(address, legacy("", &list(Value::Null))).await.unwrap().code(), (400, -32000));
    let first = send(address, legacy(session, &list(Value::Null))).await.unwrap().json();
    let second = send(address, legacy(session, &list(first["result"]["nextCursor"].clone()))).await.unwrap().json();
    assert_eq!(second["result"]["tools"][0]["name"], "time");
    assert_eq!(world.report(address).unwrap().sessions, 1);
    let end = request(Method::DELETE, "/mcp", &[("mcp-session-id", session)], "");
    assert_eq!(send(address, end).await.unwrap().status, StatusCode::OK);
    let report = world.report(address).unwrap();
    let asked: Vec<_> = report.requests.iter().map(|one| (one.rpc.as_str(), one.status)).collect();
    let told = [
        ("initialize", 200),
        ("notifications/initialized", 202),
        ("tools/list", 400),
        ("tools/list", 200),
        ("tools/list", 200),
        ("", 200),
    ];
    assert_eq!((report.sessions, asked.as_slice()), (0, &told[..]));
    world.playground.stop().await;
}

#[tokio::test]
async fn the_deprecated_transport_answers_on_its_stream() {
    let world = World::start(10).await;
    let address = world.listening("a", "speaks-sse").await;
    let mut stream = open(address, request(Method::GET, "/sse", &[], "")).await.unwrap().into_body();
    let mut event = async || {
        let frame = timeout(Duration::from_secs(10), stream.frame()).await.unwrap().unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    let endpoint = event().await;
    let path = endpoint.strip_prefix("event: endpoint\ndata: ").unwrap().trim();
    let posted = send(address, request(Method::POST, path, &[], &initialize().to_string())).await.unwrap();
    assert_eq!(posted.status, StatusCode::ACCEPTED);
    let message = event().await;
    assert!(message.contains(r#""protocolVersion":"2024-11-05""#), "{message}");
    assert_eq!(send(address, modern("server/discover")).await.unwrap().status, StatusCode::NOT_FOUND);
    world.playground.stop().await;
}

#[tokio::test]
async fn an_answer_by_stream_ends_or_stays_open_as_the_image_has_it() {
    let world = World::start(10).await;
    let ending = world.listening("a", "speaks-streams").await;
    let answer = send(ending, legacy("", &initialize())).await.unwrap();
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
    let staying = world.listening("b", "speaks-open-streams").await;
    let mut body = open(staying, legacy("", &initialize())).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("protocolVersion"));
    assert!(timeout(MOMENT, body.frame()).await.is_err(), "it has ended");
    world.playground.stop().await;
}

#[tokio::test]
async fn servers_that_speak_no_mcp_do_as_their_image_says() {
    let world = World::start(10).await;
    for (name, status, beginning) in [
        ("speaks-login", 401, ""),
        ("speaks-html", 200, "<!DOCTYPE html>"),
        ("speaks-nginx", 405, "<html>"),
        ("speaks-json", 200, r#"{"data""#),
        ("speaks-garbage", 200, r#"{"jsonrpc""#),
        ("speaks-errors", 500, "Internal"),
        ("speaks-elsewhere", 307, ""),
    ] {
        let address = world.listening(name, name).await;
        let answer = send(address, modern("server/discover")).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{name}");
        assert!(answer.body.starts_with(beginning.as_bytes()), "{name}: {answer:?}");
    }
    world.playground.stop().await;
}

#[tokio::test]
async fn servers_that_never_finish_hold_the_client_and_not_the_playground() {
    let world = World::start(10).await;
    let silent = world.listening("a", "speaks-nothing").await;
    assert!(timeout(MOMENT, send(silent, modern("server/discover"))).await.is_err());
    let slow = world.listening("b", "speaks-slowly").await;
    assert!(timeout(MOMENT, send(slow, modern("server/discover"))).await.is_err());
    let endless = world.listening("c", "speaks-endlessly").await;
    let mut body = open(endless, modern("server/discover")).await.unwrap().into_body();
    let mut length = 0;
    while length < 2 << 20 {
        length += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    let gone = world.listening("d", "hangs-up").await;
    assert!(send(gone, modern("server/discover")).await.is_err());
    // Stopping waits for all of them, and does not wait long.
    timeout(Duration::from_secs(10), world.playground.stop()).await.unwrap();
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_not_read() {
    let world = World::start(10).await;
    let address = world.listening("a", "x").await;
    let body = "x".repeat((1 << 20) + 1);
    // The server may close before all of it was sent: either way there is no answer of its own.
    match send(address, request(Method::POST, "/mcp", &[], &body)).await {
        Ok(answer) => assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE),
        Err(_closed) => {}
    }
    assert_eq!(world.report(address).unwrap().requests, []);
    world.playground.stop().await;
}

#[tokio::test]
async fn the_listener_goes_with_the_pod_and_with_its_container() {
    let world = World::start(10).await;
    let deleted = world.listening("a", "x").await;
    let mut open_one = open(deleted, modern("server/discover")).await.unwrap().into_body();
    let streaming = world.listening("s", "speaks-endlessly").await;
    let mut endless = open(streaming, modern("server/discover")).await.unwrap().into_body();
    for name in ["a", "s"] {
        world.cluster().delete("pods", "default", name, &playground::cluster::DeleteOptions::default()).unwrap();
        world.until("it is gone", |cluster| cluster.get("pods", "default", name).is_none().then_some(())).await;
    }
    while let Some(Ok(_)) = endless.frame().await {}
    while let Some(Ok(_)) = open_one.frame().await {}
    refused(deleted).await;
    world.make("b", "crash:1");
    let pod = world.until_state("b", "CrashLoopBackOff").await;
    let crashed = format!("{}:8080", pod["status"]["podIP"].as_str().unwrap()).parse().unwrap();
    assert_eq!(world.report(crashed), None);
    refused(crashed).await;
    let later = world.listening("c", "x").await;
    assert_ne!(later.ip(), deleted.ip(), "an address comes again only late");
    world.playground.stop().await;
}

/// Waits until nothing listens there: the socket closes right after the listener was told to.
async fn refused(address: std::net::SocketAddr) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test]
async fn tools_change_on_demand_for_the_images_that_are_meant() {
    let world = World::start(10).await;
    let (one, other) = (world.listening("a", "one:1").await, world.listening("b", "two:1").await);
    let description = async |address| {
        let listed = send(address, modern("tools/list")).await.unwrap().json();
        listed["result"]["tools"][0]["description"].as_str().unwrap().to_owned()
    };
    let before = description(one).await;
    let pod = world.cluster().get("pods", "default", "a").unwrap();
    let api = world.playground.url().strip_prefix("http://").unwrap().parse().unwrap();
    let change = |body: &str| request(Method::POST, "/playground/servers/tools/change", &[], body);
    assert_eq!(send(api, change(r#"{"image": "one"}"#)).await.unwrap().status, StatusCode::OK);
    assert_ne!(description(one).await, before);
    assert_eq!(description(other).await, before);
    assert_eq!(send(api, change("")).await.unwrap().status, StatusCode::OK);
    assert_ne!(description(other).await, before);
    assert_eq!(send(api, change("{}")).await.unwrap().status, StatusCode::BAD_REQUEST);
    let listed = send(api, request(Method::GET, "/playground/servers", &[], "")).await.unwrap().json();
    assert_eq!((&listed[0]["pod"], &listed[1]["image"]), (&json!("a"), &json!("two:1")));
    assert_eq!(listed[1]["requests"][0]["rpc"], "tools/list");
    assert_eq!(world.cluster().get("pods", "default", "a").unwrap(), pod, "the pod did not change");
    world.playground.stop().await;
}

#[tokio::test]
async fn a_pod_beyond_the_bound_is_ready_without_a_listener_and_an_event_says_so() {
    let world = World::start(1).await;
    let first = world.listening("a", "x").await;
    let second = world.listening("b", "x").await;
    assert!(TcpStream::connect(first).await.is_ok());
    assert!(TcpStream::connect(second).await.is_err());
    let wanted = format!("NotListening: Nothing listens on {second}: at most 1 ports of pods are listened on");
    // The Event is written right after the status.
    world.listening("c", "x").await;
    assert!(world.said("b").contains(&wanted), "{:?}", world.said("b"));
    world.playground.stop().await;
}

#[tokio::test]
async fn probes_see_who_does_not_listen_and_not_what_is_in_the_way() {
    let world = World::start(10).await;
    world.make("a", "not-listening");
    let blocked = world.listening("b", "unreachable").await;
    assert!(TcpStream::connect(blocked).await.is_err());
    let pod = world.until_state("a", "running").await;
    assert!(!is_ready(&pod));
    world.listening("c", "x").await;
    let said = world.said("a");
    let wanted = "Unhealthy: Readiness probe failed: dial tcp 127.";
    assert!(said.iter().any(|line| line.starts_with(wanted)), "{said:?}");
    world.playground.stop().await;
}

#[tokio::test]
async fn two_playgrounds_on_a_machine_have_different_addresses() {
    let (one, other) = (World::start(10).await, World::start(10).await);
    let (a, b) = (one.listening("a", "x").await, other.listening("a", "x").await);
    assert_ne!(a, b);
    assert!(other.report(a).is_none());
    one.playground.stop().await;
    refused(a).await;
    assert!(TcpStream::connect(b).await.is_ok());
    other.playground.stop().await;
}

#[tokio::test]
async fn unless_asked_for_nothing_listens_and_probes_pass() {
    let options = Options { ready_delay: Duration::from_millis(20), ..Options::default() };
    let world = World { playground: Playground::start(options).await.unwrap() };
    let address = world.listening("a", "not-listening").await;
    assert!(address.ip().to_string().starts_with("127.1."), "{address}");
    assert!(world.cluster().servers().list().is_empty());
    assert!(TcpStream::connect(address).await.is_err());
    world.playground.stop().await;
}

#[tokio::test]
async fn the_65th_connection_to_a_pod_is_closed() {
    let world = World::start(200).await;
    let address = world.listening("a", "speaks-nothing").await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let answered = timeout(Duration::from_secs(10), send(address, modern("server/discover"))).await;
    assert!(answered.unwrap().is_err(), "it was held");
    world.playground.stop().await;
}

#[test]
fn the_readme_has_every_word_for_an_image() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for (word, _, _) in WORDS {
        assert!(readme.contains(&format!("`{word}`")), "{word}");
    }
}
