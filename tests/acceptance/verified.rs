//! Whether the server speaks MCP: asked pod by pod, told in the status, and never a reason to touch anything.

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::objects::{DEPLOYMENTS, SERVERS, condition, generation, says};

fn verified(server: &Value) -> bool {
    says(server, "Verified") == "True Verified"
}

#[tokio::test]
async fn a_server_of_either_era_is_verified_and_tells_what_it_offers() {
    let Some(world) = World::with_pods_that_listen().await else { return };
    let _operator = world.operator(|_| {}).await;
    for (name, image, version) in [
        ("legacy", "example.com/speaks-legacy:1", "2025-11-25"),
        ("modern", "example.com/speaks-modern:1", "2026-07-28"),
    ] {
        world.create_server(name, json!({"image": image, "mcp": {"verify": "Observe"}})).await;
        let server = world.until("it is verified", SERVERS, name, verified).await;
        let info = &server["status"]["server"];
        let versions = info["protocolVersions"].as_array().unwrap();
        assert!(versions.contains(&json!(version)), "{info}");
        assert!(info["tools"].as_i64() >= Some(1) && info["toolsHash"].as_str().map(str::len) == Some(64), "{info}");
        assert!(info["name"].is_string() && info["lastVerifiedTime"].is_string(), "{info}");
        world.told("Verified", name).await;
    }
    world.stays_quiet().await;
}

#[tokio::test]
async fn what_does_not_speak_mcp_is_told_so_and_left_alone() {
    let Some(world) = World::with_pods_that_listen().await else { return };
    let _operator = world.operator(|_| {}).await;
    for (name, image, reason) in [
        ("page", "example.com/speaks-html:1", "NotMCP"),
        ("login", "example.com/speaks-login:1", "AuthenticationRequired"),
        ("future", "example.com/speaks-future:1", "UnsupportedVersion"),
        ("unreachable", "example.com/unreachable:1", "Unreachable"),
    ] {
        world.create_server(name, json!({"image": image, "mcp": {"verify": "Observe"}})).await;
        let told = |server: &Value| says(server, "Verified") == format!("False {reason}");
        let server = world.until(reason, SERVERS, name, told).await;
        assert_eq!(says(&server, "Ready"), "True Available", "{name}: its pods are ready");
        assert_eq!(server["status"]["phase"], "Running");
        assert_eq!(generation(&world.get(DEPLOYMENTS, name).await), 1);
        let message = condition(&server, "Verified")["message"].as_str().unwrap();
        assert!(message.contains(name), "the pod is named: {message}");
    }
    world.told("VerificationFailed", "page").await;
    assert_eq!(world.events("VerificationFailed", "login").await, 0, "to want a login is no failure");
    world.stays_quiet().await;
}

#[tokio::test]
async fn who_is_not_to_be_asked_is_not() {
    let Some(world) = World::with_pods_that_listen().await else { return };
    let _operator = world.operator(|_| {}).await;
    world.create_server("x", json!({"image": "example.com/speaks-both:1", "mcp": {"verify": "Off"}})).await;
    world.until_ready("x").await;
    let server = world.until("it says so", SERVERS, "x", |it| says(it, "Verified") == "Unknown VerificationOff").await;
    assert_eq!(server["status"]["server"], Value::Null);
    world.merge(SERVERS, "x", &json!({"spec": {"mcp": {"verify": "Observe"}}})).await;
    world.until("it is asked now", SERVERS, "x", verified).await;
    world.merge(SERVERS, "x", &json!({"spec": {"mcp": {"verify": "Off"}}})).await;
    let forgotten = |it: &Value| says(it, "Verified") == "Unknown VerificationOff" && it["status"]["server"].is_null();
    world.until("what it said is forgotten", SERVERS, "x", forgotten).await;
}

/// Across a restart of the operator, too: it compares with what the status says.
#[tokio::test]
async fn tools_that_change_behind_everybodys_back_are_told_once() {
    let Some(world) = World::with_pods_that_listen().await else { return };
    let operator = world.operator(|_| {}).await;
    let spec = json!({"image": "example.com/speaks-both:1", "mcp": {"verify": "Observe", "interval": "5s"}});
    world.create_server("x", spec).await;
    let before = world.until("it is verified", SERVERS, "x", verified).await;
    world.settle().await;
    operator.stop().await;
    world.client.create("/playground/servers/tools/change", &json!({"image": "speaks-both"})).await.unwrap();
    let _operator = world.operator(|settings| settings.seed = 2).await;
    let changed = |it: &Value| it["status"]["server"]["toolsHash"] != before["status"]["server"]["toolsHash"];
    world.until("it offers others now", SERVERS, "x", changed).await;
    world.told("ToolsChanged", "x").await;
    world.stays_quiet().await;
    assert_eq!(world.events("ToolsChanged", "x").await, 1);
    assert_eq!(generation(&world.get(DEPLOYMENTS, "x").await), 1, "nobody touched it");
}
