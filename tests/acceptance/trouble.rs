//! What an operator has to live through: an API server that is away, and objects that it does not understand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::haste::Haste;
use crate::harness::objects::{DEPLOYMENTS, SERVERS, condition, container, says, uid};
use crate::harness::peer::Peer;
use crate::harness::{World, eventually};

/// The longest pause of a reflector: the cap of its backoff, and as much again by chance.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Case 23. All that happened meanwhile is made good, and nobody asks for everything again: what was known is still known.
#[tokio::test]
async fn an_api_server_that_was_away_is_caught_up_with_and_not_listed_again() {
    let Some(world) = World::with_levers("go away").await else { return };
    let line = Peer::line_to(&world).await;
    let operator = world.operator_by(&line.kubeconfig, |_| {}).await;
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let before = world.get(DEPLOYMENTS, "x").await;
    let relists = operator.metric("smooth_operator_informer_relists_total", "").await;

    line.hang_up();
    let haste = Haste::times(10);
    world.delete(DEPLOYMENTS, "x").await;
    world.create_server("y", json!({"replicas": 0})).await;
    eventually("each of the eight reflectors has been sent away more than three times", async || {
        let times = line.sent_away();
        if times >= 32 { Ok(()) } else { Err(format!("{times} times in all")) }
    })
    .await;
    line.come_back();
    let back = Instant::now();
    world.until("the Deployment is made again", DEPLOYMENTS, "x", |now| uid(now) != uid(&before)).await;
    world.until_ready("x").await;
    world.until_ready("y").await;
    assert!(back.elapsed() < LONGEST_PAUSE, "{:?}", back.elapsed());
    drop(haste);
    world.stays_quiet().await;
    let now = operator.metric("smooth_operator_informer_relists_total", "").await;
    assert!((now - relists).abs() < 0.5, "{relists} relists before, {now} now");
}

/// Case 24. The schema keeps such objects out, so here is one that lets them in.
#[tokio::test]
async fn a_server_that_can_not_be_read_says_where_and_stops_nobody_else() {
    let Some(world) = World::with_levers_but_no_definition("replace the CRD under everybody's feet").await else {
        return;
    };
    world.install_lax_definition().await;
    world.create_server("bad", json!({"port": "http"})).await;
    world.create_server("worse", json!({"service": {"type": "Carrier pigeon"}})).await;
    let operator = world.operator(|_| {}).await;
    world.create_server("good", json!({})).await;
    world.until_ready("good").await;
    for (name, field, value) in [("bad", "port", "\"http\""), ("worse", "service.type", "`Carrier pigeon`")] {
        let refused = |server: &Value| says(server, "Accepted") == "False UndecodableObject";
        let server = world.until("it is told so", SERVERS, name, refused).await;
        let message = condition(&server, "Accepted")["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("spec.{field}: ")) && message.contains(value), "{message}");
        world.told("InvalidSpec", name).await;
        assert!(world.find(DEPLOYMENTS, name).await.is_none());
    }
    world.merge(SERVERS, "good", &json!({"spec": {"port": 9090}})).await;
    let port = |deployment: &Value| container(deployment)["ports"][0]["containerPort"] == 9090;
    world.until("the others go on", DEPLOYMENTS, "good", port).await;
    world.until_ready("good").await;
    world.stays_quiet().await;

    world.merge(SERVERS, "bad", &json!({"spec": {"port": 8080}})).await;
    world.until_ready("bad").await;
    operator.stop().await;
}
