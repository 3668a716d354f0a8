//! Leader election and Events over HTTP, against the embedded API server.
//!
//! What the network can do to an election is simulated beside its source, on virtual time. What is left for here is whether
//! the API server takes what is written, and refuses what must be refused.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube_client::Config;
use playground::cluster::DeleteOptions;
use playground::{Options, Playground};
use rand::SeedableRng;
use rand::rngs::StdRng;
use smooth_operator::client::{Client, Fence};
use smooth_operator::events::{Event, EventType, Recorder, Regarding};
use smooth_operator::leader_election::api::LeaseError;
use smooth_operator::leader_election::{ClientLease, Elector, Identity, LeaseApi, Term, Timing};
use smooth_operator::object::{DEPLOYMENTS, ObjectKey, Uid};
use tokio_util::sync::CancellationToken;

async fn playground() -> (Playground, Client) {
    let playground = Playground::start(Options::default()).await.unwrap();
    let config = Config::new(playground.url().parse().unwrap());
    (playground, Client::new(kube_client::Client::try_from(config).unwrap()))
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "smooth-operator")
}

/// Durations short enough for a test, and long enough for a busy machine.
fn elector(client: &Client, name: &str, seed: u64) -> (Elector<ClientLease>, Fence) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (identity, fence) = (Identity::new(name, &mut rng), Fence::closed());
    let timing = Timing::new(Duration::from_secs(3), Duration::from_secs(2), Duration::from_millis(200)).unwrap();
    let api = ClientLease::new(client, key());
    (Elector::new(api, key(), identity, timing, fence.clone(), Box::new(|_| {}), rng), fence)
}

fn may_write(fence: &Fence) -> bool {
    fence.remaining(tokio::time::Instant::now()).is_some()
}

#[tokio::test]
async fn a_lease_is_replaced_only_in_the_state_that_was_read() {
    let (playground, client) = playground().await;
    let api = ClientLease::new(&client, key());
    assert!(api.get().await.unwrap().is_none());
    let lease: Lease = serde_json::from_value(serde_json::json!({
        "metadata": {"namespace": "default", "name": "smooth-operator"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-11-22T20:00:00.000000Z"},
    }))
    .unwrap();
    let first = api.create(lease.clone()).await.unwrap();
    assert!(matches!(api.create(lease).await, Err(LeaseError::Changed)));

    let mut renewal = first.clone();
    renewal.spec.as_mut().unwrap().lease_duration_seconds = Some(16);
    let second = api.replace(renewal.clone()).await.unwrap();
    assert_ne!(second.metadata.resource_version, first.metadata.resource_version);
    assert!(matches!(api.replace(renewal).await, Err(LeaseError::Changed)));

    // A PUT makes a Lease where there is none. It must not make this one again: it names a uid that is gone.
    playground
        .cluster()
        .delete("leases.coordination.k8s.io", "default", "smooth-operator", &DeleteOptions::default())
        .unwrap();
    assert!(matches!(api.replace(second).await, Err(LeaseError::Changed)));
    assert!(api.get().await.unwrap().is_none());
    playground.stop().await;
}

#[tokio::test]
async fn a_lease_that_was_released_goes_to_the_next_one_without_a_wait() {
    let (playground, client) = playground().await;
    let forever = CancellationToken::new();
    let (first, first_fence) = elector(&client, "pod-a", 1);
    let leader = first.acquire(&forever).await.expect("nobody stops it");
    assert!(may_write(&first_fence));

    let stop = CancellationToken::new();
    let holding = tokio::spawn({
        let stop = stop.clone();
        async move { leader.hold(&stop).await }
    });
    let (second, second_fence) = elector(&client, "pod-b", 2);
    let waiting = tokio::spawn(async move { second.acquire(&CancellationToken::new()).await });
    let lease =
        || playground.cluster().get("leases.coordination.k8s.io", "default", "smooth-operator").expect("a Lease");
    let renewed = lease()["spec"]["renewTime"].clone();
    while lease()["spec"]["renewTime"] == renewed {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished() && !may_write(&second_fence));

    stop.cancel();
    let Term::Completed(retired) = holding.await.unwrap() else { panic!("it was asked to stop") };
    assert!(!may_write(&first_fence) && retired.release().await);
    let released = Instant::now();
    let _leader = waiting.await.unwrap().expect("nobody stops it");
    assert!(may_write(&second_fence));
    assert!(released.elapsed() < Duration::from_secs(2), "it did not wait for a lease duration");
    assert_eq!(lease()["spec"]["leaseTransitions"], 1);
    assert!(lease()["spec"]["holderIdentity"].as_str().unwrap().starts_with("pod-b_"));
    playground.stop().await;
}

#[tokio::test]
async fn what_happens_twice_is_one_event_that_counts() {
    let (playground, client) = playground().await;
    let (recorder, delivery) = Recorder::new(&client, "pod-a_1");
    let regarding = Regarding { resource: DEPLOYMENTS, key: ObjectKey::new("default", "web"), uid: Uid::from("u") };
    for _ in 0..3 {
        let note = "the Deployment web belongs to another".to_owned();
        let event = Event { event_type: EventType::Warning, reason: "NameConflict", action: "Reconcile", note };
        recorder.publish(&regarding, event);
    }
    delivery.flush().await;
    let events = playground.cluster().list("events.events.k8s.io", Some("default"));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["series"]["count"], 3);
    assert_eq!(events[0]["regarding"]["name"], "web");
    assert_eq!(events[0]["reportingController"], "mcp.mcp.dev/smooth-operator");
    playground.stop().await;
}
