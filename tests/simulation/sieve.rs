//! Sieve's three: an intermediate state, a stale state, an unobserved state. Not by chance, but all of them.
//!
//! A server's whole life is played once without any trouble. Then it is played again for *each* request of the operator,
//! which crashes before or after it; for each request once more, where the operator that starts again meets an API server
//! whose cache lags behind; and for each piece of each watch, which is lost. Every time the world has to look the same, step
//! by step, and the pods have to have been restarted equally often.
//!
//! [Sieve](https://www.usenix.org/conference/osdi22/presentation/sun) (Sun et al., OSDI 2022) found 46 bugs in ten
//! controllers in this way.

use std::sync::Arc;

use playground::faults::{Age, Fault, Rule};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::instance::operators;
use crate::people::{Place, delete, make_server, set_secret};
use crate::run::{alone, on_all_cores};
use crate::timeline::Timeline;
use crate::truth::{Foreign, differences};
use crate::wire::Crash;
use crate::world::{CHILDREN, Plan, SECRETS, SERVERS, SERVICES, Stale, World};

const SERVER: Place = Place { namespace: "default", name: "alpha" };
const SECRET: Place = Place { namespace: "default", name: "keys" };

/// A step of it, and what it is called.
type Step = (&'static str, fn(&World));

/// The life of a server.
const STEPS: [Step; 7] = [
    ("it is made", |world| make_server(world, &SERVER, &spec(1, 1))),
    ("its Secret comes", |world| set_secret(world, &SECRET, 1)),
    ("it is scaled", |world| make_server(world, &SERVER, &spec(1, 3))),
    ("a stranger deletes its Service", |world| delete(world, SERVICES, SERVER.namespace, SERVER.name)),
    ("its image changes", |world| make_server(world, &SERVER, &spec(2, 3))),
    ("its Secret is rotated", |world| set_secret(world, &SECRET, 2)),
    ("it is deleted", |world| delete(world, SERVERS, SERVER.namespace, SERVER.name)),
];

fn spec(version: u32, replicas: u32) -> Value {
    json!({
        "image": format!("example.com/mcp:{version}"), "replicas": replicas, "secretName": SECRET.name,
        "disruptionBudget": {"maxUnavailable": 1}, "mcp": {"interval": "1h"},
    })
}

/// How long everything may take that follows from a step. A Lease has to expire in it.
const PATIENCE: Duration = Duration::from_secs(150);

/// What goes wrong in a life.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    instances: usize,
    elects: bool,
    plan: Plan,
}

/// A life.
struct Life {
    /// What the world looked like after each step.
    worlds: Vec<String>,
    /// How many requests the first operator sent, in its first life.
    requests: u64,
    /// How many pieces of watches it was shown.
    pieces: u64,
    violations: Vec<String>,
    timeline: Timeline,
}

fn play(trouble: Trouble) -> Life {
    alone(Timeline::new, async |timeline| {
        let Trouble { instances, elects, plan } = trouble;
        let (world, controllers) = World::start(1, elects, plan, timeline.clone());
        if plan.stale.is_some() {
            // Only a plain list may be stale; and an old API server has no others.
            world.cluster.stream_lists(false);
        }
        let mut random = StdRng::seed_from_u64(1);
        let operators = operators(&world, instances, &mut random);
        sleep(Duration::from_secs(5)).await;
        let first = Arc::clone(&world.newest_lives()[0]);
        let mut worlds = Vec::new();
        for (what, step) in STEPS {
            timeline.note("step", what);
            world.begin_step();
            step(&world);
            world.rolls.lock().unwrap().look(&world.cluster);
            settle(&world, what).await;
            worlds.push(format!("after {what}: {}", portrait(&world)));
        }
        operators.stop().await;
        controllers.stop().await;
        let (requests, pieces) = (first.requests(), first.pieces());
        Life { worlds, requests, pieces, violations: timeline.violations(), timeline }
    })
}

async fn settle(world: &World, what: &str) {
    let began = Instant::now();
    sleep(Duration::from_secs(10)).await;
    loop {
        let found = differences(world, &Foreign::default());
        if found.is_empty() {
            break;
        }
        if began.elapsed() > PATIENCE {
            world.timeline.violation(format_args!("{PATIENCE:?} after {what}: {}", found.join("; ")));
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    // A status of progress is written with patience.
    sleep(Duration::from_secs(10)).await;
}

/// All that there is, without what is different each time: times, uids, versions.
fn portrait(world: &World) -> Value {
    let mut all = Vec::new();
    for kind in [SERVERS].into_iter().chain(CHILDREN) {
        all.extend(world.cluster.list(kind, None).iter().map(|object| timeless((**object).clone())));
    }
    Value::Array(all)
}

fn timeless(mut value: Value) -> Value {
    const TIMELY: [&str; 12] = [
        // Of the owner's uid, too.
        "mcp.mcp.dev/applied-hash",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "lastTransitionTime",
        "lastUpdateTime",
        "lastVerifiedTime",
        "observedGeneration",
        "generation",
        "clusterIP",
        "clusterIPs",
        "message",
    ];
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMELY.contains(&name.as_str()));
            for field in fields.values_mut() {
                *field = timeless(field.take());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}

/// Plays the life with each of these troubles, and compares it with one without.
fn compare(usual: &Life, troubles: Vec<Trouble>) {
    let count = troubles.len();
    assert!(count > 20, "only {count}: was there anything to go wrong?");
    let mut wrong = on_all_cores(troubles, |trouble| {
        let life = play(trouble);
        let other = usual.worlds.iter().zip(&life.worlds).find(|(usual, life)| usual != life);
        let other = other.map(|(usual, life)| format!("another world:\n{life}\ninstead of\n{usual}"));
        let wrong: Vec<String> = life.violations.into_iter().chain(other).collect();
        (!wrong.is_empty()).then(|| (trouble, wrong, life.timeline.lines()))
    });
    if !wrong.is_empty() {
        let others: Vec<_> = wrong.iter().map(|(trouble, _, _)| trouble).collect();
        println!("{} of {count} went wrong: {others:?}", wrong.len());
        let (trouble, wrong, lines) = wrong.remove(0);
        println!("the first of them, {trouble:?}:\n{}", lines.join("\n"));
        panic!("{trouble:?}: {}", wrong.join("\n"));
    }
}

fn usual(instances: usize, elects: bool, stale: Option<Stale>) -> Life {
    let plan = Plan { stale, ..Plan::default() };
    let life = play(Trouble { instances, elects, plan });
    assert!(life.violations.is_empty(), "{:?}\n{}", life.violations, life.timeline.lines().join("\n"));
    assert_eq!(life.worlds.last().unwrap(), "after it is deleted: []");
    life
}

fn crashes(requests: u64) -> impl Iterator<Item = Crash> {
    (0..requests).flat_map(|request| [Crash::Before(request), Crash::After(request)])
}

#[test]
fn wherever_the_operator_crashes_the_world_becomes_the_same() {
    let usual = usual(1, true, None);
    let trouble = |crash| Trouble { instances: 1, elects: true, plan: Plan { crash: Some(crash), ..Plan::default() } };
    compare(&usual, crashes(usual.requests).map(trouble).collect());
}

#[test]
fn wherever_the_leader_crashes_the_follower_makes_the_world_the_same() {
    let usual = usual(2, true, None);
    let trouble = |crash| Trouble { instances: 2, elects: true, plan: Plan { crash: Some(crash), ..Plan::default() } };
    compare(&usual, crashes(usual.requests).map(trouble).collect());
}

#[test]
fn wherever_it_starts_again_on_a_stale_api_server_the_world_becomes_the_same() {
    for (elects, stale) in [(true, Stale::Everything), (false, Stale::Causes)] {
        let usual = usual(1, elects, Some(stale));
        let plan = |crash| Plan { crash: Some(crash), stale: Some(stale), ..Plan::default() };
        let trouble = |crash| Trouble { instances: 1, elects, plan: plan(crash) };
        compare(&usual, (0..usual.requests).map(Crash::After).map(trouble).collect());
    }
}

#[test]
fn whichever_event_is_lost_the_world_becomes_the_same() {
    let usual = usual(1, false, None);
    let trouble = |lost| Trouble { instances: 1, elects: false, plan: Plan { lost: Some(lost), ..Plan::default() } };
    compare(&usual, (0..usual.pieces).map(trouble).collect());
}

/// What makes an API server stale, from the second life of an operator on: its cache knows nothing of the last step.
pub(crate) fn grow_stale(world: &World, stale: Stale) {
    world.timeline.note("weather", format_args!("the API server starts with a cache from before this step: {stale:?}"));
    let rule = |resource| {
        let age = Age::At(world.before_step());
        Rule::new(Fault::Stale(age)).user_agent("smooth-operator").resource(resource).next(1)
    };
    let causes = [SERVERS, SECRETS];
    let rules: Vec<Rule> = match stale {
        Stale::Everything => causes.into_iter().chain(CHILDREN).map(rule).collect(),
        Stale::Causes => causes.map(rule).into(),
    };
    for rule in rules {
        world.cluster.faults().add(rule);
    }
    // A cache that is behind learns late what is new, and so does whoever watches it.
    for resource in ["mcpservers", "secrets"] {
        world.delay_watches(None, resource, Duration::from_secs(5));
    }
}
