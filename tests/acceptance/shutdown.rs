//! Case 27: SIGTERM, at the worst time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::objects::{DEPLOYMENTS, Kind, LEASES, SERVERS, SERVICES, name};
use crate::harness::peer::Peer;
use crate::harness::process::{LEASE, Process, program};
use crate::harness::{World, eventually};

/// So many that a stop comes in the middle of them.
const MANY: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_amid_a_thousand_reconciles_leaves_nothing_half_done_and_the_next_one_goes_on() {
    let world = World::start().await;
    for number in 0..MANY {
        world.create_server(&format!("s{number}"), json!({"replicas": 0})).await;
    }
    world.create_released_lease().await;
    let first = world.process(&["--leader-elect"]);
    eventually("it is in the midst of them", async || match world.list(DEPLOYMENTS).await.len() {
        made @ 0..50 => Err(format!("{made} are made")),
        _ => Ok(()),
    })
    .await;
    first.signal("TERM").await;
    let ended = first.ends().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(world.get(LEASES, LEASE).await["spec"]["holderIdentity"], "", "the Lease is not released");

    let made = names(&world, DEPLOYMENTS).await;
    assert!(made.len() < MANY, "it stopped in the midst of nothing");
    assert_eq!(made, names(&world, SERVICES).await, "half of a server was made");
    let unreported = world
        .list(SERVERS)
        .await
        .into_iter()
        .filter(|server| made.contains(name(server)) && server["status"]["phase"] == Value::Null);
    // A status may wait for the Deployment's controller to speak first; what is in flight waits for nobody.
    println!("{} of {MANY} were made, {} of them are not reported on yet", made.len(), unreported.count());

    let mut second = world.process(&["--leader-elect"]);
    eventually("all are settled", async || {
        let settled = |server: &&Value| server["status"]["phase"] == "ScaledToZero";
        match world.list(SERVERS).await.iter().filter(settled).count() {
            MANY => Ok(()),
            settled if second.runs() => Err(format!("{settled} are")),
            _ => panic!("the second one has ended: {}", second.output()),
        }
    })
    .await;
    assert_eq!(names(&world, SERVICES).await.len(), MANY);
    let mut writes: BTreeMap<(String, String), usize> = BTreeMap::new();
    for write in world.writes().into_iter().filter(|write| write.subresource.is_empty()) {
        *writes.entry((write.resource, write.name)).or_default() += 1;
    }
    writes.retain(|_, count| *count > 1);
    assert!(writes.is_empty(), "written more than once: {writes:#?}");
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let Some(world) = World::with_levers("let a line go dead").await else { return };
    world.create_released_lease().await;
    let line = Peer::line_to(&world).await;
    let mut command = program(&["run", "--metrics-bind-address", "0", "--health-bind-address", "0", "--leader-elect"]);
    command.arg("--kubeconfig").arg(&line.kubeconfig).args(["--lease-namespace", &world.namespace]);
    let operator = Process::start(command);
    operator.says(": leading ").await;
    operator.says("working").await;
    line.go_dead();
    operator.signal("TERM").await;
    // Now it tries to give the Lease back, over a line that is dead.
    operator.says("stopping").await;
    operator.signal("INT").await;
    let ended = operator.ends().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.output.contains("second signal: stopping"), "{ended:?}");
}

async fn names(world: &World, kind: Kind) -> BTreeSet<String> {
    world.list(kind).await.iter().map(|object| name(object).to_owned()).collect()
}
