//! The task that asks, on paused time, with a probe that plays the servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::testing::*;
use super::*;
use crate::telemetry::{Heard, LogFormat, Metrics};

/// How a pod answers.
#[derive(Clone)]
enum Play {
    Say(Verdict),
    /// As long as a check may take.
    Hang,
    Panic,
}

#[derive(Default)]
struct Stage {
    plays: Mutex<BTreeMap<String, Play>>,
    running: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicUsize,
}

struct Actors(Arc<Stage>);

impl Probe for Actors {
    async fn check(&self, target: &Target, _: Option<Era>) -> Verdict {
        let running = self.0.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(running, Ordering::Relaxed);
        let play = self.0.plays.lock().unwrap().get(&format!("{target:?}")).cloned();
        let verdict = match play {
            None => verified("h"),
            Some(Play::Say(verdict)) => verdict,
            Some(Play::Hang) => {
                sleep(Duration::from_secs(5)).await;
                failed(Reason::Unreachable)
            }
            Some(Play::Panic) => {
                self.0.running.fetch_sub(1, Ordering::Relaxed);
                panic!("on purpose")
            }
        };
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        verdict
    }
}

struct World {
    verification: Verification,
    stage: Arc<Stage>,
    metrics: Metrics,
    changed: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    fn start(places: usize) -> Self {
        let verification = Verification::new(NonZeroUsize::new(places).unwrap(), 7);
        let (stage, metrics, stop) = (Arc::<Stage>::default(), Metrics::new(), CancellationToken::new());
        let changed = Arc::<Mutex<Vec<String>>>::default();
        let (running, actors, measured) = (verification.clone(), Actors(Arc::clone(&stage)), metrics.verification());
        let (told, stopped) = (Arc::clone(&changed), stop.clone());
        let task = tokio::spawn(async move {
            let tell = |key: &ObjectKey| told.lock().unwrap().push(key.to_string());
            running.run(actors, &measured, tell, stopped).await;
        });
        Self { verification, stage, metrics, changed, stop, task }
    }

    fn plays(&self, number: u8, play: Play) {
        let target = &pods(&[number], "r1").into_values().next().unwrap().target;
        self.stage.plays.lock().unwrap().insert(format!("{target:?}"), play);
    }

    fn changed(&self) -> Vec<String> {
        std::mem::take(&mut *self.changed.lock().unwrap())
    }

    fn outcome(&self, name: &str) -> Outcome {
        self.verification.report(&key(name)).unwrap().outcome
    }
}

#[tokio::test(start_paused = true)]
async fn the_reconciler_is_woken_for_news_and_only_for_that() {
    let world = World::start(16);
    world.verification.observe(&key("x"), desired(&[1]));
    world.verification.observe(&key("y"), desired(&[2]));
    sleep(SECOND * 2).await;
    let mut changed = world.changed();
    changed.sort();
    assert_eq!(changed, ["default/x", "default/y"]);
    sleep(MINUTE * 10).await;
    assert_eq!(world.changed(), [""; 0]);
    world.plays(2, Play::Say(failed(Reason::NotMcp)));
    sleep(MINUTE * 10).await;
    assert_eq!(world.changed(), ["default/y"]);
    assert_eq!((world.outcome("x"), matches!(world.outcome("y"), Outcome::Failed { .. })), (Outcome::Verified, true));
    let scraped = world.metrics.render().unwrap();
    let total = scraped.lines().filter(|line| line.starts_with("smooth_operator_mcp_verify_total{"));
    let counted: u64 = total.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(counted, world.stage.ended.load(Ordering::Relaxed) as u64);
    assert!(scraped.contains(r#"smooth_operator_mcp_verify_total{result="Unreachable"} 0"#), "{scraped}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_while_everything_sleeps_is_asked_soon() {
    let world = World::start(16);
    world.verification.observe(&key("x"), desired(&[1]));
    sleep(SECOND * 10).await;
    world.verification.observe(&key("y"), desired(&[2]));
    sleep(SOON).await;
    assert_eq!(world.outcome("y"), Outcome::Verified);
}

#[tokio::test(start_paused = true)]
async fn servers_that_hang_take_the_places_and_the_others_come_after_them() {
    let world = World::start(2);
    let hanging: Vec<u8> = (1..=6).collect();
    for number in &hanging {
        world.plays(*number, Play::Hang);
    }
    world.verification.observe(&key("x"), desired(&hanging));
    sleep(SOON).await;
    world.verification.observe(&key("y"), desired(&[9]));
    sleep(SECOND * 17).await;
    assert_eq!(world.outcome("y"), Outcome::Verified, "three times two who hang, five seconds each");
    assert_eq!(world.stage.most.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_check_harms_no_other() {
    let world = World::start(1);
    world.plays(1, Play::Panic);
    world.verification.observe(&key("x"), desired(&[1]));
    world.verification.observe(&key("y"), desired(&[2]));
    sleep(SECOND * 2).await;
    assert_eq!((world.outcome("x"), world.outcome("y")), (Outcome::NotYetVerified, Outcome::Verified));
    world.plays(1, Play::Say(verified("h")));
    sleep(MINUTE * 2).await;
    assert_eq!(world.outcome("x"), Outcome::Verified);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_checks_that_have_begun_and_begins_no_more() {
    let world = World::start(1);
    for number in 1..=3 {
        world.plays(number, Play::Hang);
    }
    world.verification.observe(&key("x"), desired(&[1, 2, 3]));
    sleep(SOON).await;
    assert_eq!(world.stage.running.load(Ordering::Relaxed), 1);
    world.stop.cancel();
    timeout(SECOND * 6, world.task).await.expect("it does not stop").unwrap();
    assert_eq!(world.stage.ended.load(Ordering::Relaxed), 1);
    assert_eq!(world.stage.running.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_observed_before_the_start_is_asked_after_it() {
    let stage = Arc::<Stage>::default();
    let verification = Verification::new(CONCURRENCY, 7);
    verification.observe(&key("x"), desired(&[1]));
    sleep(MINUTE).await;
    assert_eq!(stage.ended.load(Ordering::Relaxed), 0, "who does not lead does not ask");
    let (stop, metrics) = (CancellationToken::new(), Metrics::new().verification());
    let running = verification.run(Actors(Arc::clone(&stage)), &metrics, |_| {}, stop.clone());
    let watching = async {
        sleep(SECOND).await;
        stop.cancel();
    };
    tokio::join!(running, watching);
    assert_eq!(verification.report(&key("x")).unwrap().outcome, Outcome::Verified);
}

#[test]
fn a_thousand_servers_spread_over_the_interval() {
    let mut state = State::new(1000, 7);
    let begun = Instant::now();
    let mut seconds = [0; 120];
    for number in 0..1000 {
        state.observe(&key(&number.to_string()), desired(&[1]), begun);
    }
    // After some rounds nothing is left of their common beginning.
    while let Some(due) = state.next_due().filter(|due| *due < begun + MINUTE * 240) {
        while let Some(job) = state.start(due) {
            state.finish(job.question.ticket, Some(verified("h")), due);
            if let Some(late) = due.checked_duration_since(begun + MINUTE * 238) {
                seconds[usize::try_from(late.as_secs()).unwrap()] += 1;
            }
        }
    }
    assert!(seconds.iter().all(|count| *count < 50), "{seconds:?}");
}

/// It said "a check has ended", of one server out of thousands.
#[tokio::test(start_paused = true)]
async fn what_is_logged_of_a_check_names_the_server_and_the_pod() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber(LogFormat::Json, "debug"));
    let world = World::start(16);
    world.verification.observe(&key("x"), desired(&[1]));
    sleep(MINUTE).await;
    let ended = heard.lines().into_iter().find(|line| line["message"] == "a check has ended").unwrap();
    assert_eq!((&ended["server"], &ended["pod"]), (&"default/x".into(), &"pod-1".into()));
    world.stop.cancel();
    world.task.await.unwrap();
}
