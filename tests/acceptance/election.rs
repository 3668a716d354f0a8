//! Cases 25 and 26: one leads, and only one; the next one takes over.
//!
//! Every instance here is a process of its own, for that is what gets killed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::objects::{DEPLOYMENTS, LEASES, SERVERS};
use crate::harness::peer::Peer;
use crate::harness::process::{LEASE, Process, QUICK_ELECTION, program};
use crate::harness::{World, eventually};

/// As in [`QUICK_ELECTION`].
const LEASE_DURATION: Duration = Duration::from_secs(5);
const RETRY_PERIOD: Duration = Duration::from_millis(500);
/// What a busy machine may add to what is promised.
const SLACK: Duration = Duration::from_secs(2);

/// Two instances, of which the first leads and the second knows of it.
async fn two(world: &World) -> (Process, Process) {
    world.create_released_lease().await;
    let first = world.process(&QUICK_ELECTION);
    first.says(": leading ").await;
    let second = world.process(&QUICK_ELECTION);
    second.says("the lease is held by").await;
    (first, second)
}

async fn holder(world: &World) -> String {
    let lease = world.get(LEASES, LEASE).await;
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn when_the_leader_is_killed_the_other_acts_after_the_lease_and_not_before() {
    let world = World::start().await;
    let (first, second) = two(&world).await;
    world.create_server("before", json!({"replicas": 0})).await;
    world.until_ready("before").await;
    let (killed_holder, transitions) = (holder(&world).await, transitions(&world).await);

    let killed = Instant::now();
    first.signal("KILL").await;
    world.create_server("after", json!({"replicas": 0})).await;
    world.until("the other one acts", DEPLOYMENTS, "after", |_| true).await;
    let took = killed.elapsed();
    // The last renewal was sent up to a retry period before the kill.
    assert!(
        took >= LEASE_DURATION.saturating_sub(2 * RETRY_PERIOD),
        "it acted after {took:?}, within the Lease of another"
    );
    assert!(took <= LEASE_DURATION + RETRY_PERIOD + SLACK, "it acted after {took:?} only");
    assert_ne!(holder(&world).await, killed_holder);
    assert_eq!(self::transitions(&world).await, transitions + 1);
    world.until_ready("after").await;
    drop(second);
}

#[tokio::test]
async fn when_the_leader_stops_in_order_the_other_acts_within_a_retry_period() {
    let world = World::start().await;
    let (first, second) = two(&world).await;
    first.signal("TERM").await;
    let ended = first.ends().await;
    let released = Instant::now();
    assert!(ended.status.success(), "{ended:?}");
    second.says(": leading ").await;
    let took = released.elapsed();
    assert!(took < RETRY_PERIOD + SLACK, "it leads after {took:?} only");
    world.create_server("x", json!({"replicas": 0})).await;
    world.until_ready("x").await;

    second.signal("TERM").await;
    assert!(second.ends().await.status.success());
    assert_eq!(holder(&world).await, "", "nobody is left");
}

#[tokio::test]
async fn a_leader_that_sees_another_holder_ends_at_once_and_says_why() {
    let world = World::start().await;
    world.create_released_lease().await;
    let first = world.process(&QUICK_ELECTION);
    first.says(": leading ").await;
    let spec = json!({"holderIdentity": "thief", "leaseDurationSeconds": 3600});
    world.merge(LEASES, LEASE, &json!({"spec": spec})).await;
    let ended = first.ends().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let last = ended.output.lines().last().unwrap();
    assert!(last.starts_with("smooth-operator: leadership of ") && last.contains("thief"), "{last}");
    assert_eq!(holder(&world).await, "thief", "the Lease of another was touched");
}

/// Case 26.
#[tokio::test]
async fn a_leader_that_is_cut_off_ends_before_the_other_may_act() {
    let Some(world) = World::with_levers("let a line go dead").await else { return };
    world.create_released_lease().await;
    let line = Peer::line_to(&world).await;
    let mut command = program(&["run", "--metrics-bind-address", "0", "--health-bind-address", "0"]);
    command.arg("--kubeconfig").arg(&line.kubeconfig).args(["--lease-namespace", &world.namespace]);
    let first = Process::start({
        command.args(QUICK_ELECTION);
        command
    });
    first.says(": leading ").await;
    let second = world.process(&QUICK_ELECTION);
    second.says("the lease is held by").await;

    line.go_dead();
    let dead = Instant::now();
    let ended = first.ends().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.output.contains("leadership of "), "{}", ended.output);
    // It stops writing at its deadline; the process may take a moment to be gone.
    assert!(dead.elapsed() < LEASE_DURATION + SLACK, "it lived on for {:?}", dead.elapsed());
    second.says(": leading ").await;
    world.create_server("x", json!({"replicas": 0})).await;
    world.until_ready("x").await;
}

/// Somebody may lead by a Lease that was deleted a moment ago, and can't be asked.
#[tokio::test]
async fn an_instance_that_finds_no_lease_waits_a_whole_lease_before_it_leads() {
    let world = World::start().await;
    world.create_server("x", json!({"replicas": 0})).await;
    let started = Instant::now();
    let _first = world.process(&QUICK_ELECTION);
    world.until("it acts", DEPLOYMENTS, "x", |_| true).await;
    assert!(started.elapsed() >= LEASE_DURATION, "it acted after {:?}", started.elapsed());
}

/// A follower watches and writes nothing: all that is written is written once.
#[tokio::test]
async fn two_instances_write_no_more_than_one() {
    let Some(world) = World::with_levers("tell what it was asked").await else { return };
    let (_first, _second) = two(&world).await;
    for name in ["a", "b", "c"] {
        world.create_server(name, json!({"replicas": 0})).await;
    }
    world.settle().await;
    let writes = world.writes();
    for name in ["a", "b", "c"] {
        for resource in ["deployments.apps", "services"] {
            let of = |write: &&playground::cluster::RequestRecord| write.resource == resource && write.name == name;
            assert_eq!(writes.iter().filter(of).count(), 1, "{resource} {name}");
        }
    }
}

/// The lease is only for who writes: both have warm caches, and both are ready.
#[tokio::test]
async fn a_follower_knows_the_whole_state_before_it_leads() {
    let world = World::start().await;
    world.create_server("x", json!({"replicas": 0})).await;
    let (_first, second) = two(&world).await;
    eventually("all caches are full", async || {
        let output = second.output();
        let full = output.lines().filter(|line| line.contains("listed the complete state")).count();
        if full == 8 { Ok(()) } else { Err(output) }
    })
    .await;
    assert!(!second.output().contains(": leading "));
    let _ = world.get(SERVERS, "x").await;
}

async fn transitions(world: &World) -> i64 {
    let lease: Value = world.get(LEASES, LEASE).await;
    lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default()
}
