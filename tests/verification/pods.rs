//! The playground's pods, which speak as their images' names say.
//!
//! Linux only: elsewhere pods have no addresses of their own.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use playground::mcp::Report;
use playground::{Options, Playground};
use serde_json::{Value, json};
use smooth_operator::mcp::{Era, Facts, SessionMode, Verdict};
use tokio::time::timeout;

use super::{LONG, SHORT, check, check_within, facts};

struct World {
    playground: Playground,
}

impl World {
    async fn start() -> Self {
        let options = Options { ready_delay: Duration::from_millis(10), listeners: 30, ..Options::default() };
        Self { playground: Playground::start(options).await.unwrap() }
    }

    /// A pod with this image, once it is ready.
    async fn pod(&self, image: &str) -> SocketAddr {
        let container = json!({"name": "c", "image": image, "ports": [{"name": "mcp", "containerPort": 8080}]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": image}, "spec": {"containers": [container]}});
        let cluster = self.playground.cluster();
        let mut news = cluster.watch("pods", cluster.revision()).unwrap();
        cluster.create("pods", "default", pod, "test").unwrap();
        let ready = async {
            loop {
                let pod = cluster.get("pods", "default", image).unwrap();
                let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let is = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
                if conditions.iter().any(is) {
                    return SocketAddr::new(pod["status"]["podIP"].as_str().unwrap().parse().unwrap(), 8080);
                }
                news.next().await.unwrap();
            }
        };
        timeout(LONG, ready).await.unwrap_or_else(|_| panic!("{image} never became ready"))
    }

    fn report(&self, address: SocketAddr) -> Report {
        self.playground.cluster().servers().list().into_iter().find(|report| report.address == address).unwrap()
    }
}

#[tokio::test]
async fn every_server_that_speaks_is_verified_in_its_era_and_keeps_no_session() {
    let world = World::start().await;
    for (image, path, era, session_mode, tools) in [
        ("speaks-both", "/mcp", Era::Modern, SessionMode::Stateless, Some(3)),
        ("speaks-modern", "/mcp", Era::Modern, SessionMode::Stateless, Some(3)),
        ("speaks-demanding", "/mcp", Era::Modern, SessionMode::Stateless, None),
        ("speaks-legacy", "/mcp", Era::Legacy, SessionMode::Stateful, Some(3)),
        ("speaks-streams", "/mcp", Era::Legacy, SessionMode::Stateful, Some(3)),
        ("speaks-open-streams", "/mcp", Era::Legacy, SessionMode::Stateful, Some(3)),
        ("speaks-stateless", "/mcp", Era::Legacy, SessionMode::Stateless, Some(3)),
        ("speaks-early", "/mcp", Era::Legacy, SessionMode::Stateless, Some(3)),
        ("speaks-sse", "/sse", Era::Deprecated, SessionMode::Stateful, None),
    ] {
        let address = world.pod(image).await;
        for remembered in [None, Some(era), Some(Era::Legacy), Some(Era::Deprecated)] {
            let verdict = check_within(LONG, address, path, remembered).await;
            let Facts { era: found, session_mode: mode, tools: listed, .. } = facts(verdict);
            // A server of both eras speaks in the one that it is asked in.
            if image != "speaks-both" {
                assert_eq!((found, mode), (era, session_mode), "{image}");
            }
            assert_eq!(listed.map(|tools| tools.count), tools, "{image}");
        }
        // The deprecated transport's session is its connection, whose end takes a moment to arrive.
        let left = async {
            while world.report(address).sessions > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, left).await.unwrap_or_else(|_| panic!("{image}: a session is left"));
    }
    world.playground.stop().await;
}

#[tokio::test]
async fn every_server_that_does_not_speak_gets_its_reason() {
    let world = World::start().await;
    for (image, reason) in [
        ("speaks-future", "UnsupportedVersion"),
        ("speaks-login", "AuthenticationRequired"),
        ("speaks-html", "NotMCP"),
        ("speaks-nginx", "NotMCP"),
        ("speaks-json", "NotMCP"),
        ("speaks-garbage", "NotMCP"),
        ("speaks-errors", "NotMCP"),
        ("speaks-elsewhere", "NotMCP"),
        ("speaks-endlessly", "NotMCP"),
        ("hangs-up", "Unreachable"),
        ("unreachable", "Unreachable"),
    ] {
        let verdict = check(world.pod(image).await).await.to_string();
        assert!(verdict.starts_with(&format!("{reason}: ")), "{image}: {verdict}");
    }
    for image in ["speaks-nothing", "speaks-slowly"] {
        let verdict = check_within(SHORT, world.pod(image).await, "/mcp", None).await.to_string();
        assert!(verdict.starts_with("Unreachable: "), "{image}: {verdict}");
    }
    world.playground.stop().await;
}

#[tokio::test]
async fn a_changed_tool_changes_the_digest_and_nothing_else_does() {
    let world = World::start().await;
    for image in ["speaks-modern", "speaks-legacy"] {
        let address = world.pod(image).await;
        let hash = async || facts(check(address).await).tools.unwrap().hash;
        let before = hash().await;
        assert_eq!(hash().await, before);
        world.playground.cluster().servers().change_tools(image);
        assert_ne!(hash().await, before);
    }
    world.playground.stop().await;
}

#[tokio::test]
async fn the_wrong_path_is_no_mcp() {
    let world = World::start().await;
    let address = world.pod("speaks-both").await;
    let verdict = check_within(LONG, address, "/", None).await;
    assert!(matches!(&verdict, Verdict::Failed { .. }) && verdict.to_string().starts_with("NotMCP: "), "{verdict}");
    assert_eq!(world.report(address).requests.len(), 3);
    world.playground.stop().await;
}
