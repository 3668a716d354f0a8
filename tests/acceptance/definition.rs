//! The definition of MCPServers goes away under a running operator, and comes back: the objects of before are gone, and
//! so is what they owned; those that come after have nothing of theirs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::objects::{CRDS, DEPLOYMENTS, SERVERS, SERVICES, uid};
use crate::harness::process::QUICK_ELECTION;
use crate::harness::{World, eventually};

const DEFINITION: &str = "mcpservers.mcp.mcp.dev";
/// For how long it is counted what is asked for a kind that nobody serves.
const LOOK: Duration = Duration::from_secs(5);
/// What two kinds of requests (streamed and plain lists) may be tried meanwhile: backoff begins below a second, and doubles.
const PATIENT: usize = 20;

/// How often MCPServers were asked for, in vain.
fn in_vain(world: &World) -> usize {
    let path = SERVERS.collection(&world.namespace);
    let asked = world.levers().requests();
    asked.iter().filter(|request| request.status == 404 && request.resource == path).count()
}

fn owner(child: &Value) -> &str {
    child["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_definition_that_goes_and_comes_back_stops_nobody_and_leaves_nothing_of_before() {
    let Some(world) = World::with_levers("take the CRD away under everybody's feet").await else { return };
    world.create_released_lease().await;
    let mut operator = world.process(&QUICK_ELECTION);
    let before = world.create_server("x", json!({})).await;
    world.until_ready("x").await;

    world.client.delete(&CRDS.path("", DEFINITION), &json!({})).await.unwrap();
    operator.says("the API server does not serve mcpservers").await;
    for kind in [DEPLOYMENTS, SERVICES] {
        world.until_gone(kind, "x").await;
    }
    let asked = in_vain(&world);
    assert!(asked > 0, "it asks");
    // Not to let something happen: to see how much does.
    sleep(LOOK).await;
    let more = in_vain(&world) - asked;
    assert!(more <= PATIENT, "{more} requests in {LOOK:?}");
    assert!(operator.runs(), "{}", operator.output());

    world.install_definition().await;
    let after = world.create_server("x", json!({})).await;
    assert_ne!(uid(&before), uid(&after));
    world.until_ready("x").await;
    for kind in [DEPLOYMENTS, SERVICES] {
        assert_eq!(owner(&world.get(kind, "x").await), uid(&after));
    }
    eventually("it says that all is well again", async || {
        let output = operator.output();
        if output.contains("the API server answers again") { Ok(()) } else { Err(output) }
    })
    .await;
    let output = operator.output();
    assert_eq!(output.matches("the API server does not serve mcpservers").count(), 1, "{output}");
    world.stays_quiet().await;
    operator.signal("TERM").await;
    assert!(operator.ends().await.status.success());
}
