//! What the workers do with keys and outcomes. All on paused time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::telemetry::Metrics;
use crate::workqueue::{Priority, RateLimit};

const SECOND: Duration = Duration::from_secs(1);

/// What a key's reconcile does, each time it runs.
#[derive(Clone, Copy)]
enum Script {
    Succeed,
    RequeueAfter(Duration),
    Wait(Duration),
    Fail,
    FailPermanently,
    /// Fails, and the server says when to come back.
    Busy(Duration),
    Panic,
    /// Takes so long, then succeeds.
    Take(Duration),
    Hang,
    /// Fails so often, then succeeds.
    FailTimes(usize),
}

/// A reconciler that does as it is told, and writes down when each key ran.
#[derive(Default)]
struct Scripted {
    scripts: Mutex<BTreeMap<&'static str, Script>>,
    runs: Mutex<Vec<(&'static str, Instant)>>,
    finished: Mutex<Vec<&'static str>>,
    ran: Notify,
}

impl Reconcile<&'static str> for Scripted {
    async fn reconcile(&self, key: &&'static str) -> Result<Action, Error> {
        let script = self.scripts.lock().unwrap().get(key).copied().unwrap_or(Script::Succeed);
        self.runs.lock().unwrap().push((key, Instant::now()));
        self.ran.notify_waiters();
        let action = match script {
            Script::RequeueAfter(delay) => Action::RequeueAfter(delay),
            Script::Wait(delay) => Action::Wait(delay),
            Script::Fail => return Err(Error::transient("no luck")),
            Script::FailPermanently => return Err(Error::permanent("never")),
            Script::Busy(wait) => return Err(Error::busy("too many requests", wait)),
            Script::Panic => panic!("on purpose"),
            Script::Take(time) => {
                sleep(time).await;
                Action::Done
            }
            Script::Hang => std::future::pending().await,
            Script::FailTimes(times) if self.count(key) <= times => return Err(Error::transient("not yet")),
            Script::Succeed | Script::FailTimes(_) => Action::Done,
        };
        self.finished.lock().unwrap().push(key);
        Ok(action)
    }
}

impl Scripted {
    fn count(&self, key: &str) -> usize {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|(ran, _at)| *ran == key).count()
    }

    /// When `key` ran, in milliseconds since `start`.
    fn millis(&self, key: &str, start: Instant) -> Vec<u128> {
        let runs = self.runs.lock().unwrap();
        runs.iter().filter(|(ran, _at)| *ran == key).map(|(_key, at)| (*at - start).as_millis()).collect()
    }

    fn finished(&self) -> Vec<&'static str> {
        self.finished.lock().unwrap().clone()
    }
}

fn controller(
    metrics: &Metrics,
    workers: usize,
    scripts: impl IntoIterator<Item = (&'static str, Script)>,
) -> (Workqueue<&'static str>, Arc<Scripted>, Controller<&'static str, Scripted>) {
    let queue = Workqueue::new(RateLimit::default(), metrics.queue("test"));
    let reconciler = Arc::new(Scripted::default());
    *reconciler.scripts.lock().unwrap() = scripts.into_iter().collect();
    let options = Options { workers: NonZeroUsize::new(workers).unwrap(), grace: 5 * SECOND };
    let handle = metrics.controller("test");
    let controller = Controller::new("test", queue.clone(), Arc::clone(&reconciler), options, handle);
    (queue, reconciler, controller)
}

/// A running controller.
struct Bench {
    queue: Workqueue<&'static str>,
    reconciler: Arc<Scripted>,
    metrics: Metrics,
    stop: CancellationToken,
    running: JoinHandle<Stopped>,
    start: Instant,
}

impl Bench {
    fn start(scripts: impl IntoIterator<Item = (&'static str, Script)>) -> Self {
        Self::with_workers(10, scripts)
    }

    fn with_workers(workers: usize, scripts: impl IntoIterator<Item = (&'static str, Script)>) -> Self {
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let (queue, reconciler, controller) = controller(&metrics, workers, scripts);
        let running = tokio::spawn(controller.run(stop.clone()));
        Self { queue, reconciler, metrics, stop, running, start: Instant::now() }
    }

    /// When `key` ran within the next `time`.
    async fn runs_within(&self, key: &str, time: Duration) -> Vec<u128> {
        sleep(time).await;
        self.reconciler.millis(key, self.start)
    }

    fn sample(&self, name: &str) -> u64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().expect(line)
    }

    async fn stop(self) -> Stopped {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_the_key_and_does_not_run_it_again() {
    let bench = Bench::start([("a", Script::FailTimes(3))]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", 3600 * SECOND).await, [0, 5, 15, 35]);
    assert_eq!(bench.queue.num_requeues(&"a"), 0);
}

#[tokio::test(start_paused = true)]
async fn requeue_after_runs_the_key_again_after_that_time_and_forgets_its_failures() {
    let bench = Bench::start([("a", Script::Fail)]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", Duration::from_millis(20)).await, [0, 5, 15]);
    bench.reconciler.scripts.lock().unwrap().insert("a", Script::RequeueAfter(10 * SECOND));
    assert_eq!(bench.runs_within("a", 15 * SECOND).await, [0, 5, 15, 35, 10_035]);
    assert_eq!(bench.queue.num_requeues(&"a"), 0);
}

/// A server whose Deployment is taken and whose Service fails waits, after each failure, until the store has seen the
/// Deployment. That was answered as a success: the failures were forgotten each time, and the backoff never grew.
#[tokio::test(start_paused = true)]
async fn a_wait_runs_the_key_again_after_that_time_and_neither_forgets_its_failures_nor_counts_as_one() {
    let bench = Bench::start([("a", Script::Fail)]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", Duration::from_millis(20)).await, [0, 5, 15]);
    bench.reconciler.scripts.lock().unwrap().insert("a", Script::Wait(SECOND));
    assert_eq!(bench.runs_within("a", Duration::from_millis(20)).await, [0, 5, 15, 35]);
    assert_eq!(bench.queue.num_requeues(&"a"), 3);
    bench.reconciler.scripts.lock().unwrap().insert("a", Script::Fail);
    assert_eq!(bench.runs_within("a", 1100 * SECOND / 1000).await, [0, 5, 15, 35, 1035, 1075]);
    assert_eq!(bench.sample("controller_runtime_reconcile_errors_total{controller=\"test\"}"), 5);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_retried_with_growing_delays() {
    let bench = Bench::start([("a", Script::Fail)]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", Duration::from_millis(400)).await, [0, 5, 15, 35, 75, 155, 315]);
    assert_eq!(bench.queue.num_requeues(&"a"), 7);
}

#[tokio::test(start_paused = true)]
async fn an_error_with_a_time_is_not_retried_before_that_time_and_with_growing_delays() {
    let bench = Bench::start([("a", Script::Busy(Duration::from_millis(70)))]);
    bench.queue.add("a");
    // 5, 10, 20 and 40 ms would have been too early; then the key's own delay is the later one.
    assert_eq!(bench.runs_within("a", SECOND).await, [0, 70, 140, 210, 280, 360, 520, 840]);
    assert_eq!(bench.sample("controller_runtime_reconcile_errors_total{controller=\"test\"}"), 8);
    assert_eq!(bench.queue.num_requeues(&"a"), 8);
}

/// An overloaded server says "in a second" to each of them. They were all back in a second, every second: the bucket,
/// which is there for this very moment, was never asked.
#[tokio::test(start_paused = true)]
async fn a_busy_server_is_not_met_by_all_keys_at_once_each_time_that_its_time_is_over() {
    let keys: Vec<&'static str> = (0..300).map(|n| &*format!("{n}").leak()).collect();
    let bench = Bench::start(keys.iter().map(|key| (*key, Script::Busy(SECOND))));
    for key in &keys {
        bench.queue.add(key);
    }
    sleep(10 * SECOND).await;
    let runs = bench.reconciler.runs.lock().unwrap().len();
    let allowed = 300 + 100 + 10 * 10;
    assert!((allowed - 10..=allowed).contains(&runs), "each once, the burst of the bucket, ten a second: {runs}");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_retried_until_the_object_changes() {
    let bench = Bench::start([("a", Script::FailPermanently)]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", 3600 * SECOND).await, [0]);
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", 3600 * SECOND).await, [0, 3_600_000]);
    assert_eq!(bench.queue.num_requeues(&"a"), 0, "nothing is remembered of a key that nobody retries");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_reconcile_is_caught_counted_and_the_key_retried_with_backoff() {
    let bench = Bench::with_workers(1, [("broken", Script::Panic)]);
    bench.queue.add("broken");
    assert_eq!(bench.runs_within("broken", Duration::from_millis(50)).await, [0, 5, 15, 35]);
    assert_eq!(bench.sample("controller_runtime_reconcile_panics_total{controller=\"test\"}"), 4);
    assert_eq!(bench.sample("controller_runtime_reconcile_errors_total{controller=\"test\"}"), 4);
    bench.queue.add("fine");
    assert_eq!(bench.runs_within("fine", Duration::from_millis(1)).await, [50], "the only worker lives");
    assert_eq!(bench.stop().await, Stopped::InOrder);
}

/// Not in the future that it returns: in the function that should return one.
struct PanicsWhenCalled;

impl Reconcile<&'static str> for PanicsWhenCalled {
    fn reconcile(&self, key: &&'static str) -> impl Future<Output = Result<Action, Error>> + Send {
        assert!(key.is_empty(), "no future for {key}");
        async { Ok(Action::Done) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_poll_is_caught_as_well() {
    let metrics = Metrics::new();
    let queue = Workqueue::new(RateLimit::default(), metrics.queue("test"));
    let handle = metrics.controller("test");
    let stop = CancellationToken::new();
    let controller = Controller::new("test", queue.clone(), Arc::new(PanicsWhenCalled), Options::default(), handle);
    let running = tokio::spawn(controller.run(stop.clone()));
    queue.add("a");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(queue.num_requeues(&"a"), 1);
    stop.cancel();
    assert_eq!(running.await.unwrap(), Stopped::InOrder);
}

#[tokio::test(start_paused = true)]
async fn as_many_keys_run_at_once_as_there_are_workers_and_no_more() {
    let keys = ["a", "b", "c", "d", "e"];
    let bench = Bench::with_workers(2, keys.map(|key| (key, Script::Take(SECOND))));
    for key in keys {
        bench.queue.add(key);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.sample("controller_runtime_active_workers{controller=\"test\"}"), 2);
    assert_eq!(bench.sample("controller_runtime_max_concurrent_reconciles{controller=\"test\"}"), 2);
    sleep(3 * SECOND).await;
    assert_eq!(bench.reconciler.finished(), keys);
    assert_eq!(bench.sample("controller_runtime_active_workers{controller=\"test\"}"), 0);
}

#[tokio::test(start_paused = true)]
async fn ten_workers_are_the_default() {
    assert_eq!(Options::default().workers.get(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_reconcile_gives_one_more_run_after_it() {
    let bench = Bench::start([("a", Script::Take(SECOND))]);
    bench.queue.add("a");
    sleep(SECOND / 2).await;
    bench.queue.add("a");
    bench.queue.add("a");
    assert_eq!(bench.runs_within("a", 10 * SECOND).await, [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_the_priority_of_its_run() {
    let bench = Bench::with_workers(1, [("listed", Script::FailTimes(1)), ("busy", Script::Take(SECOND))]);
    bench.queue.add_with_priority("listed", Priority::LOW);
    sleep(Duration::from_millis(1)).await;
    // The only worker is busy while the retry becomes ready, and then something changes.
    bench.queue.add("busy");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.queue.len(), 1, "the retry is ready");
    bench.queue.add("changed");
    sleep(2 * SECOND).await;
    assert_eq!(bench.reconciler.finished(), ["busy", "changed", "listed"]);
}

#[tokio::test(start_paused = true)]
async fn results_are_counted_by_kind() {
    let bench = Bench::start([
        ("requeue", Script::RequeueAfter(3600 * SECOND)),
        ("permanent", Script::FailPermanently),
        ("slow", Script::Take(2 * SECOND)),
    ]);
    for key in ["ok", "requeue", "permanent", "slow"] {
        bench.queue.add(key);
    }
    sleep(3 * SECOND).await;
    let result = |result| {
        bench.sample(&format!("controller_runtime_reconcile_total{{controller=\"test\",result=\"{result}\"}}"))
    };
    assert_eq!((result("success"), result("requeue_after"), result("error"), result("requeue")), (2, 1, 1, 0));
    assert_eq!(bench.sample("controller_runtime_reconcile_time_seconds_count{controller=\"test\"}"), 4);
    let slow = "controller_runtime_reconcile_time_seconds_bucket{le=\"1.75\",controller=\"test\"}";
    assert_eq!(bench.sample(slow), 3, "the slow one took 2 s");
}

#[tokio::test(start_paused = true)]
async fn after_the_stop_no_key_is_taken_but_what_is_in_flight_finishes() {
    let bench = Bench::with_workers(2, ["a", "b", "c", "d"].map(|key| (key, Script::Take(2 * SECOND))));
    for key in ["a", "b", "c", "d"] {
        bench.queue.add(key);
    }
    sleep(SECOND).await;
    let reconciler = Arc::clone(&bench.reconciler);
    let stopping = Instant::now();
    assert_eq!(bench.stop().await, Stopped::InOrder);
    assert_eq!(stopping.elapsed(), SECOND, "as long as the runs in flight needed, and no longer");
    assert_eq!(reconciler.finished(), ["a", "b"]);
    assert_eq!(reconciler.runs.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_within_the_grace_period_is_aborted_and_joined() {
    let metrics = Metrics::new();
    let scripts = [("hangs", Script::Hang), ("fine", Script::Take(SECOND))];
    let (queue, reconciler, controller) = controller(&metrics, 10, scripts);
    queue.add("hangs");
    queue.add("fine");
    let (start, stop) = (Instant::now(), CancellationToken::new());
    let signal = async {
        sleep(Duration::from_millis(1)).await;
        stop.cancel();
    };
    let run = async {
        let stopped = controller.run(stop.clone()).await;
        // Looked at before anything else may run: joined means that it is all over by now.
        (stopped, Arc::strong_count(&reconciler))
    };
    let ((), (stopped, holders)) = tokio::join!(signal, run);
    assert_eq!((stopped, holders), (Stopped::Aborted(1), 1), "nobody holds the reconciler any more");
    assert_eq!(start.elapsed(), 5 * SECOND + Duration::from_millis(1));
    assert_eq!(reconciler.finished(), ["fine"]);
    assert!(metrics.render().unwrap().contains("controller_runtime_active_workers{controller=\"test\"} 0\n"));
}

#[tokio::test(start_paused = true)]
async fn idle_workers_stop_at_once() {
    let bench = Bench::start([]);
    sleep(SECOND).await;
    let stopping = Instant::now();
    assert_eq!(bench.stop().await, Stopped::InOrder);
    assert_eq!(stopping.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn after_the_stop_the_queue_accepts_nothing() {
    let bench = Bench::start([]);
    let queue = bench.queue.clone();
    assert_eq!(bench.stop().await, Stopped::InOrder);
    queue.add("a");
    assert_eq!(queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_shut_down_is_worked_off_and_ends_the_controller() {
    let bench = Bench::with_workers(1, ["a", "b"].map(|key| (key, Script::Take(SECOND))));
    bench.queue.add("a");
    bench.queue.add("b");
    bench.queue.shut_down();
    assert_eq!(bench.running.await.unwrap(), Stopped::InOrder);
    assert_eq!(bench.reconciler.finished(), ["a", "b"]);
}
