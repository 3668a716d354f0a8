//! Scenes that need so many things to happen in one order that a seed hardly ever plays them.

use std::sync::Arc;

use playground::faults::{Answer, Fault, Rule, Verb};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::instance::operators;
use crate::people::{Place, delete, make_server, set_secret};
use crate::run::alone;
use crate::timeline::Timeline;
use crate::truth::{Foreign, differences};
use crate::world::{AUTOSCALERS, DEPLOYMENTS, Plan, SECRETS, SERVERS, SERVICES, World};

const SERVER: Place = Place { namespace: "default", name: "alpha" };
const SECRET: Place = Place { namespace: "default", name: "keys" };

/// Plays a scene with so many operators; nothing that must not happen may have happened.
fn play(instances: usize, scene: impl AsyncFnOnce(&Arc<World>)) {
    alone(Timeline::new, async |timeline| {
        let (world, controllers) = World::start(1, instances > 1, Plan::default(), timeline.clone());
        let operators = operators(&world, instances, &mut StdRng::seed_from_u64(1));
        scene(&world).await;
        operators.stop().await;
        controllers.stop().await;
        assert_eq!(timeline.violations(), [""; 0], "{}", timeline.lines().join("\n"));
    });
}

fn set(world: &World, spec: &Value) {
    make_server(world, &SERVER, spec);
    world.rolls.lock().unwrap().look(&world.cluster);
}

/// The operator looks at its store, decides to delete what it has made, and somebody else's object has the name by then.
#[test]
fn what_has_taken_the_name_of_what_is_to_go_is_not_deleted() {
    let spec = |autoscaling: Value| json!({"image": "example.com/mcp:1", "autoscaling": autoscaling, "mcp": {"verify": "Off"}});
    play(1, async |world| {
        let autoscaler = || world.cluster.get(AUTOSCALERS, SERVER.namespace, SERVER.name);
        set(world, &spec(json!({"minReplicas": 1, "maxReplicas": 2})));
        sleep(Duration::from_secs(20)).await;
        assert!(autoscaler().is_some());

        world.delay_watches(None, "horizontalpodautoscalers", Duration::from_secs(60));
        delete(world, AUTOSCALERS, SERVER.namespace, SERVER.name);
        let theirs = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": SERVER.namespace, "name": SERVER.name},
            "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}},
        });
        let theirs = world.cluster.create(AUTOSCALERS, SERVER.namespace, theirs, "stranger").unwrap();
        set(world, &spec(Value::Null));
        sleep(Duration::from_secs(20)).await;
        assert!(world.asked_for("DELETE horizontalpodautoscalers default/alpha"), "the scene was not played");
        assert_eq!(autoscaler().unwrap()["metadata"]["uid"], theirs["metadata"]["uid"]);
    });
}

/// The follower has not heard of what the leader has done last. When it leads it must not undo that.
#[test]
fn a_new_leader_does_not_trust_what_it_knew_as_a_follower() {
    let spec = |version: u32| json!({"image": format!("example.com/mcp:{version}"), "mcp": {"verify": "Off"}});
    play(2, async |world| {
        let image = || {
            let deployment = world.cluster.get(DEPLOYMENTS, SERVER.namespace, SERVER.name).unwrap();
            deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
        };
        set(world, &spec(1));
        sleep(Duration::from_secs(20)).await;
        let leader = world.leader().expect("one of them leads");
        let follower = 3 - leader.instance;
        world.delay_watches(Some(follower), "mcpservers", Duration::from_secs(300));
        set(world, &spec(2));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(image(), "example.com/mcp:2");
        leader.crashes_soon(0, true);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(world.leader().map(|leader| leader.instance), Some(follower), "the scene was not played");
        assert_eq!(image(), "example.com/mcp:2");
    });
}

/// The operator looks again, and finds that there is nothing to do.
#[test]
fn what_changes_nothing_is_not_followed_by_a_write() {
    play(1, async |world| {
        set_secret(world, &SECRET, 1);
        let spec = json!({"image": "example.com/mcp:1", "secretName": SECRET.name, "mcp": {"interval": "5s"}});
        set(world, &spec);
        sleep(Duration::from_secs(60)).await;
        let (writes, requests) = (world.writes(), world.requests());
        assert_eq!(differences(world, &Foreign::default()), [""; 0]);
        let patch = |kind: &str, name: &str, metadata: &str| {
            let patch = json!({"metadata": {metadata: {"stranger.example/note": "seen"}}});
            world.cluster.patch_merge(kind, SERVER.namespace, name, None, &patch, "stranger").unwrap();
        };
        for kind in [DEPLOYMENTS, SERVICES, SERVERS] {
            patch(kind, SERVER.name, "annotations");
        }
        patch(SECRETS, SECRET.name, "labels");
        for pod in world.cluster.list("pods", None) {
            patch("pods", pod["metadata"]["name"].as_str().unwrap(), "annotations");
        }
        sleep(Duration::from_secs(10)).await;
        world.cluster.cut_watches();
        world.cluster.compact();
        sleep(Duration::from_secs(60)).await;
        assert!(world.requests() > requests, "it has not even watched again");
        assert_eq!(world.writes() - writes, 0);
    });
}

/// What the operator has made is gone before its watch, which is broken, could show it: no event will ever tell of either.
#[test]
fn what_was_made_and_taken_away_while_nobody_watched_is_made_again() {
    play(1, async |world| {
        let service = || world.cluster.get(SERVICES, SERVER.namespace, SERVER.name);
        set(world, &json!({"image": "example.com/mcp:1", "mcp": {"verify": "Off"}}));
        sleep(Duration::from_secs(20)).await;
        let delete = || delete(world, SERVICES, SERVER.namespace, SERVER.name);
        delete();
        sleep(Duration::from_millis(100)).await;
        let unavailable = Fault::Answer(Answer::Unavailable);
        for verb in [Verb::List, Verb::Watch] {
            world.cluster.faults().add(Rule::new(unavailable.clone()).resource(SERVICES).verb(verb));
        }
        world.cluster.cut_watches();
        sleep(Duration::from_secs(3)).await;
        assert!(service().is_some(), "the scene was not played");
        delete();
        world.cluster.compact();
        world.cluster.faults().clear();
        sleep(Duration::from_secs(90)).await;
        assert!(service().is_some());
    });
}
