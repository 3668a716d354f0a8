//! Cases 21 to 23: bad days. Whatever goes wrong on the way to the API server, the world becomes what people wish for, and
//! then it is quiet.
//!
//! Each test lets something go wrong for the operator alone, leads servers through their life ([`live`]), and then looks at
//! what there is.

mod away;
mod refused;
mod requests;
mod streams;

use playground::Cluster as Levers;
use playground::faults::{Matcher, Rule};
use serde_json::{Value, json};

use crate::harness::objects::{DEPLOYMENTS, SECRETS, SERVERS, SERVICES, condition, rolled_out, secret};
use crate::harness::operator::Operator;
use crate::harness::{World, eventually};

const WHAT_FOR: &str = "let things go wrong on purpose";
/// How the operator calls itself.
const OPERATOR: &str = "smooth-operator/";
/// It follows MCPServers, Deployments, Services, Secrets and (where they say why) pods.
const WATCHED: [&str; 4] = ["mcpservers.mcp.mcp.dev", "deployments.apps", "services", "secrets"];

/// A world with an operator that has seen it, before anything goes wrong.
async fn a_good_day() -> Option<(World, Operator)> {
    let world = World::with_levers(WHAT_FOR).await?;
    let operator = world.operator(|_| {}).await;
    follows_everything(&world).await;
    Some((world, operator))
}

/// The operator's requests, of any kind.
fn its_own() -> Matcher {
    Matcher { user_agent: Some(OPERATOR.to_owned()), ..Matcher::default() }
}

/// Waits until the operator's watches are open.
async fn follows_everything(world: &World) {
    eventually("the operator follows everything", async || {
        let open = |resource: &&str| {
            let one = Matcher { resource: Some((*resource).to_owned()), ..its_own() };
            world.levers().faults().open_watches(&one) > 0
        };
        match WATCHED.iter().find(|resource| !open(resource)) {
            None => Ok(()),
            Some(resource) => Err(format!("no watch of {resource}")),
        }
    })
    .await;
}

/// Puts rules in force, for the operator alone.
fn from_now_on(levers: &Levers, rules: impl IntoIterator<Item = Rule>) {
    for rule in rules {
        levers.faults().add(rule.user_agent(OPERATOR));
    }
}

/// All that people do with servers: made, with a Secret; scaled; the Secret rotated; deleted.
async fn live(world: &World) {
    world.create(SECRETS, &secret("token", "1")).await;
    world.create_server("stays", json!({"secretName": "token"})).await;
    world.create_server("goes", json!({})).await;
    let before = world.until_ready("stays").await;
    world.until_ready("goes").await;

    world.merge(SERVERS, "stays/scale", &json!({"spec": {"replicas": 3}})).await;
    world.until("three pods serve", DEPLOYMENTS, "stays", |it| it["spec"]["replicas"] == 3 && rolled_out(it)).await;

    let hash = |deployment: &Value| {
        deployment["spec"]["template"]["metadata"]["annotations"]["mcp.mcp.dev/secret-hash"].clone()
    };
    let old = hash(&world.get(DEPLOYMENTS, "stays").await);
    world.merge(SECRETS, "token", &json!({"stringData": {"TOKEN": "2"}})).await;
    world.until("the pods have rolled", DEPLOYMENTS, "stays", |it| hash(it) != old && rolled_out(it)).await;

    world.delete(SERVERS, "goes").await;
    for kind in [SERVERS, DEPLOYMENTS, SERVICES] {
        world.until_gone(kind, "goes").await;
    }
    let tells = |server: &Value| {
        server["status"]["availableReplicas"] == 3
            && server["status"]["phase"] == "Running"
            && condition(server, "Ready")["observedGeneration"] == server["metadata"]["generation"]
    };
    let after = world.until("the status tells of it", SERVERS, "stays", tells).await;
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
}

/// That these classes of faults have struck; else the test has shown nothing.
fn have_struck(levers: &Levers, classes: &[&str]) {
    let strikes = levers.faults().strikes();
    for class in classes {
        assert!(strikes.contains_key(class), "{class} never struck: {strikes:?}");
    }
}
