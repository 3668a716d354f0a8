//! One seed: a world, a while in which everything goes wrong, and then quiet.
//!
//! The claim is that of *eventually stable reconciliation*: once nothing changes any more, the operator brings everything to
//! where it should be, and then it does nothing. All else that must hold (see [`World::arrive`](crate::world::World::arrive))
//! has to hold all the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use playground::faults::Matcher;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Duration, Instant, sleep};
use tracing::level_filters::LevelFilter;

use crate::chance::{draw, spec, unseen};
use crate::gauges::Gauges;
use crate::instance::operators;
use crate::people::{Act, Place, act, delete, make_server, set_secret};
use crate::timeline::Timeline;
use crate::truth::{Foreign, differences};
use crate::world::{CHILDREN, Plan, SECRETS, SERVERS, World};

/// Within this time of quiet everything has to be as it should.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// After which a Deployment's rollout counts as stuck, which is news once.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(11 * 60);
/// After so much silence a watch is opened anew, if it has not come to its own end before; and then some.
const DEAD_WATCH: Duration = Duration::from_secs(100);
/// For so long nothing may be written then.
const SETTLED: Duration = Duration::from_secs(60);

/// So long the operator needs to see that all is gone, and the garbage collector to take away what hung on it.
const GOODBYE: Duration = Duration::from_secs(8);

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) timeline: Timeline,
    /// How often each class of fault struck, each act was done.
    pub(crate) strikes: BTreeMap<String, u64>,
    pub(crate) requests: u64,
}

/// Runs a future alone in this thread, on a clock that jumps from event to event. There is no I/O: whatever opens a socket
/// panics.
pub(crate) fn alone<T>(timeline: impl FnOnce() -> Timeline, scenario: impl AsyncFnOnce(Timeline) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let timeline = runtime.block_on(async { timeline() });
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(timeline.clone())
        .finish();
    tracing::subscriber::with_default(log, || runtime.block_on(scenario(timeline)))
}

/// Does something with each of these on all cores. What comes of it is in the order of what it came from.
pub(crate) fn on_all_cores<A: Send, B: Send>(all: Vec<A>, each: impl Fn(A) -> Option<B> + Sync) -> Vec<B> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let next = Mutex::new(all.into_iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let one = next.lock().unwrap().next();
                    let Some((number, one)) = one else { break };
                    if let Some(result) = each(one) {
                        done.lock().unwrap().insert(number, result);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

/// Runs one seed.
pub(crate) fn seed(seed: u64) -> Outcome {
    alone(Timeline::new, async |timeline| {
        let mut random = StdRng::seed_from_u64(seed);
        let instances = random.random_range(1..=3);
        let elects = instances > 1 || random.random_bool(0.5);
        let (world, controllers) = World::start(random.random(), elects, Plan::default(), timeline.clone());
        // Some API servers can't, and then lists come from a cache, which may be stale.
        world.cluster.stream_lists(random.random_bool(0.7));
        let operators = operators(&world, instances, &mut random);
        let mut strikes = BTreeMap::new();
        let mut foreign = Foreign::default();
        trouble(&world, &mut random, instances, &mut foreign, &mut strikes).await;
        let dead_watches = quiet(&world, &mut random);
        settle(&world, &mut random, &foreign, dead_watches).await;
        farewell(&world).await;

        operators.stop().await;
        controllers.stop().await;
        // A connection's last tasks end by themselves.
        sleep(Duration::from_secs(60)).await;
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        if tasks > 0 {
            timeline.violation(format_args!("{tasks} tasks have survived their operators"));
        }
        strikes.extend(world.cluster.faults().strikes().into_iter().map(|(class, count)| (class.to_owned(), count)));
        *strikes.entry("rolls".to_owned()).or_default() += world.rolls.lock().unwrap().count;
        Outcome { seed, timeline, strikes, requests: world.requests() }
    })
}

/// A while in which people work and everything goes wrong.
async fn trouble(
    world: &Arc<World>,
    random: &mut StdRng,
    instances: usize,
    foreign: &mut Foreign,
    strikes: &mut BTreeMap<String, u64>,
) {
    let until = Instant::now() + Duration::from_secs(random.random_range(15..70));
    // Something to begin with.
    for name in ["alpha", "beta"] {
        let spec = spec(random);
        make_server(world, &Place { namespace: "default", name }, &spec);
    }
    world.rolls.lock().unwrap().look(&world.cluster);
    while Instant::now() < until {
        let pause = if random.random_bool(0.3) { random.random_range(0..50) } else { random.random_range(50..4000) };
        sleep(Duration::from_millis(pause)).await;
        let next = draw(random, instances);
        *strikes.entry(name(&next)).or_default() += 1;
        act(world, &next, foreign);
    }
    // Whatever happens later might make up for what was missed here: so often this is the last.
    if random.random_bool(0.5) {
        act(world, &Act::Unseen(Box::new(unseen(random))), foreign);
    }
}

/// `Crash` of `Crash(1, 2, true)`.
fn name(act: &Act) -> String {
    let text = format!("{act:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

/// The weather clears up, and people finish what they have begun. Returns whether some watches may be dead.
fn quiet(world: &World, random: &mut StdRng) -> bool {
    world.timeline.note("quiet", "nothing goes wrong any more");
    world.clear_up();
    // To wait for dead watches takes as long as all the trouble before: so only sometimes.
    let dead_watches = random.random_bool(0.25);
    if !dead_watches {
        world.cluster.cut_watches();
    }
    // What crashes or comes and goes would be news for ever, also in the old pods of a rollout that can't go on.
    let restless = |image: &str| image.contains("crash") || image.contains("flaky");
    let image_of =
        |pod: &serde_json::Value| pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned();
    let restless_pods = world.cluster.list("pods", None).iter().any(|pod| restless(&image_of(pod)));
    for server in world.servers() {
        let of = |pointer: &str| server.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (namespace, name) = (of("/metadata/namespace"), of("/metadata/name"));
        let mut change = json!({"suspend": null});
        let image = of("/spec/image");
        let broken = !image.contains("/mcp:");
        if broken && (restless_pods || restless(image) || random.random_bool(0.8)) {
            change["image"] = json!("example.com/mcp:9");
        }
        _ = world.cluster.patch_merge(SERVERS, namespace, name, None, &json!({"spec": change}), "kubectl-edit");
        let secret = of("/spec/secretName");
        let missing = !secret.is_empty() && world.cluster.get(SECRETS, namespace, secret).is_none();
        if missing && (restless_pods || random.random_bool(0.7)) {
            let static_name = |text: &str| ["keys", "token"].into_iter().find(|name| *name == text);
            let static_namespace = crate::world::NAMESPACES.into_iter().find(|name| *name == namespace);
            if let (Some(name), Some(namespace)) = (static_name(secret), static_namespace) {
                set_secret(world, &Place { namespace, name }, 5);
            }
        }
    }
    world.rolls.lock().unwrap().look(&world.cluster);
    dead_watches
}

/// Whether every operator watches everything; some of them may have to wait until they try again.
fn is_watched(world: &World) -> bool {
    let operators = world.newest_lives().len();
    [SERVERS, SECRETS, "pods"].into_iter().chain(CHILDREN).all(|kind| {
        let of_kind = Matcher { resource: Some(kind.to_owned()), ..Matcher::default() };
        world.cluster.faults().open_watches(&of_kind) >= operators
    })
}

/// Waits until all is as it should be, and then looks whether it stays so without another write.
async fn settle(world: &World, random: &mut StdRng, foreign: &Foreign, dead_watches: bool) {
    let began = Instant::now();
    let broken =
        world.servers().iter().any(|server| !server["spec"]["image"].as_str().unwrap_or_default().contains("/mcp:"));
    loop {
        let differences = differences(world, foreign);
        if differences.is_empty() {
            break;
        }
        if began.elapsed() > PATIENCE {
            for difference in differences {
                world.timeline.violation(format_args!("not so after {PATIENCE:?} of quiet: {difference}"));
            }
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    world.timeline.note("quiet", "all is as it should be");
    if dead_watches {
        sleep((began + DEAD_WATCH).saturating_duration_since(Instant::now())).await;
    }
    while !is_watched(world) && began.elapsed() < PATIENCE {
        sleep(Duration::from_secs(1)).await;
    }
    // A status of progress is written with patience, what the operator wrote itself it waits to see, and a check after the
    // interval may find what nothing has told of.
    sleep(Duration::from_secs(25)).await;
    if broken {
        sleep(PROGRESS_DEADLINE).await;
    }
    let writes = world.writes();
    sleep(SETTLED + Duration::from_millis(random.random_range(0..1000))).await;
    let more = world.writes() - writes;
    if more > 0 {
        world.timeline.violation(format_args!("{more} writes though nothing has changed for a while"));
    }
    for difference in differences(world, foreign) {
        world.timeline.violation(format_args!("it was as it should be, and is not any more: {difference}"));
    }
}

/// All servers are deleted. Then nothing of them may be left anywhere: neither in the cluster nor in the operators.
async fn farewell(world: &World) {
    let lives = world.newest_lives();
    for life in &lives {
        let gauges = Gauges::of(life);
        world.timeline.scan("the metrics", gauges.text().as_bytes());
        let (shown, there) = (gauges.servers(), world.server_names());
        // Only the leader has looked at them.
        if !shown.is_empty() && shown != there {
            world.timeline.violation(format_args!("{} has metrics of {shown:?}; there are {there:?}", life.name()));
        }
    }
    world.timeline.note("quiet", "all servers are deleted");
    for (namespace, name) in world.server_names() {
        delete(world, SERVERS, &namespace, &name);
    }
    sleep(GOODBYE).await;
    for left in world.server_names() {
        world.timeline.violation(format_args!("{left:?} is still there"));
    }
    for kind in CHILDREN {
        for object in world.cluster.list(kind, None) {
            if object["metadata"]["ownerReferences"][0]["kind"] == "MCPServer" {
                world.timeline.violation(format_args!("{kind} {} has survived", object["metadata"]["name"]));
            }
        }
    }
    for life in &lives {
        let gauges = Gauges::of(life);
        let shown = gauges.servers();
        if !shown.is_empty() {
            world.timeline.violation(format_args!("{} still has metrics of {shown:?}", life.name()));
        }
        for busy in ["workqueue_depth", "workqueue_unfinished_work_seconds", "controller_runtime_active_workers"] {
            let sum = gauges.sum(busy);
            if sum != 0.0 {
                world.timeline.violation(format_args!("{}: {busy} is {sum}; there is nothing to do", life.name()));
            }
        }
    }
}
