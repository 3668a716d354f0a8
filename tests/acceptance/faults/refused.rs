//! Writes that are refused by others: quotas and policies.

use playground::cluster::DeleteOptions;
use playground::faults::{Fault, Policy, Quota, Rule, RuleId};
use serde_json::{Value, json};
use std::time::Duration;

use super::{a_good_day, have_struck};
use crate::harness::World;
use crate::harness::haste::{Haste, pass};
use crate::harness::objects::{DEPLOYMENTS, SERVERS, SERVICES, condition, says};

const OVER_QUOTA: &str = "deployments.apps \"x\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, \
                          used: count/deployments.apps=5, limited: count/deployments.apps=5";

fn over_quota(world: &World) -> RuleId {
    let quota = Quota { name: "q".into(), used: 5, limit: 5 };
    world.levers().faults().add(Rule::new(Fault::Quota(quota)).resource("deployments.apps").namespace(&world.namespace))
}

/// Its status says that the Deployment is missing and why, in the quota's own words.
fn is_over_quota(server: &Value) -> bool {
    let message = condition(server, "Ready")["message"].as_str().unwrap_or_default();
    says(server, "Ready") == "False DeploymentMissing" && message.contains(OVER_QUOTA)
}

#[tokio::test]
async fn a_new_server_over_quota_says_so_and_heals_when_the_quota_goes() {
    let Some((world, _operator)) = a_good_day().await else { return };
    let quota = over_quota(&world);
    world.create_server("x", json!({})).await;
    world.until("its status quotes the quota", SERVERS, "x", is_over_quota).await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none());
    heals_without(&world, quota).await;
}

/// The quota goes, and the server gets ready by itself.
async fn heals_without(world: &World, quota: RuleId) {
    let haste = Haste::times(20);
    world.levers().faults().remove(quota);
    world.until_ready("x").await;
    drop(haste);
    world.stays_quiet().await;
}

#[tokio::test]
async fn a_running_server_whose_deployment_is_gone_and_over_quota_is_not_ready_any_more() {
    let Some((world, _operator)) = a_good_day().await else { return };
    world.create_server("x", json!({})).await;
    world.until_ready("x").await;
    let quota = over_quota(&world);
    world.levers().delete("deployments.apps", &world.namespace, "x", &DeleteOptions::default()).unwrap();
    let server = world.until("its status quotes the quota", SERVERS, "x", is_over_quota).await;
    assert!(says(&server, "Available").starts_with("False"), "{server:#}");
    assert!(server["status"]["url"].is_null(), "nobody serves there: {server:#}");
    heals_without(&world, quota).await;
}

/// While it is refused it is tried again, but less and less often.
#[tokio::test]
async fn a_quota_is_not_hammered() {
    let Some((world, _operator)) = a_good_day().await else { return };
    let quota = over_quota(&world);
    world.create_server("x", json!({})).await;
    world.until("its status quotes the quota", SERVERS, "x", is_over_quota).await;
    let before = world.writes().len();
    pass(Duration::from_secs(60)).await;
    let tried = world.writes().len() - before;
    assert!(tried <= 20, "{tried} writes in a minute: {:#?}", world.writes());
    assert!(world.levers().faults().struck(quota) >= 2, "nobody has tried again");
}

const DENIED: &str = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";

#[tokio::test]
async fn a_policy_that_denies_the_deployment_shows_as_an_invalid_spec_until_the_spec_is_another() {
    let Some((world, _operator)) = a_good_day().await else { return };
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no".into() };
    let rule = Rule::new(Fault::Policy(policy)).resource("deployments.apps").namespace(&world.namespace).name("x");
    let rule = world.levers().faults().add(rule);
    world.create_server("x", json!({})).await;
    world.create_server("y", json!({})).await;
    let denied = |server: &Value| {
        let message = condition(server, "Accepted")["message"].as_str().unwrap_or_default();
        says(server, "Accepted") == "False InvalidSpec" && message.contains(DENIED)
    };
    let server = world.until("its status quotes the policy", SERVERS, "x", denied).await;
    assert_eq!(says(&server, "Ready"), "False InvalidSpec");
    world.until_ready("y").await;
    have_struck(world.levers(), &["policy"]);
    let settled = world.settle().await;
    world.stays(&settled).await;
    assert!(world.find(DEPLOYMENTS, "x").await.is_none());

    world.levers().faults().remove(rule);
    world.merge(SERVERS, "x", &json!({"spec": {"replicas": 2}})).await;
    world.until_ready("x").await;
    assert!(world.find(SERVICES, "x").await.is_some());
    world.stays_quiet().await;
}

/// No event tells that a policy was changed, so time has to.
#[tokio::test]
async fn a_policy_that_goes_is_found_out_within_minutes() {
    let Some((world, _operator)) = a_good_day().await else { return };
    let policy = Policy { name: "p".into(), binding: "b".into(), message: "no".into() };
    let rule = world.levers().faults().add(Rule::new(Fault::Policy(policy)).resource("deployments.apps"));
    world.create_server("x", json!({})).await;
    let denied = |server: &Value| says(server, "Accepted") == "False InvalidSpec";
    world.until("it is denied", SERVERS, "x", denied).await;
    world.levers().faults().remove(rule);
    pass(Duration::from_secs(6 * 60)).await;
    world.until_ready("x").await;
}
