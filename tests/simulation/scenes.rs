//! Scenes that need so many things to happen in one order that a seed hardly ever plays them.

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::instance::operators;
use crate::people::{Place, delete, make_server};
use crate::run::alone;
use crate::timeline::Timeline;
use crate::world::{AUTOSCALERS, Plan, World};

const SERVER: Place = Place { namespace: "default", name: "alpha" };

/// Plays a scene with one operator; nothing that must not happen may have happened.
fn play(scene: impl AsyncFnOnce(&Arc<World>)) {
    alone(Timeline::new, async |timeline| {
        let (world, controllers) = World::start(1, false, Plan::default(), timeline.clone());
        let operators = operators(&world, 1, &mut StdRng::seed_from_u64(1));
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
    play(async |world| {
        let autoscaler = || world.cluster.get(AUTOSCALERS, SERVER.namespace, SERVER.name);
        set(world, &spec(json!({"minReplicas": 1, "maxReplicas": 2})));
        sleep(Duration::from_secs(20)).await;
        assert!(autoscaler().is_some());

        world.delay_watches("horizontalpodautoscalers", Duration::from_secs(60));
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
