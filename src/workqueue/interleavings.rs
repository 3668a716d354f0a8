//! The queue in every order in which a few threads can do a few things with it.
//!
//! The other tests choose the moments: an add *here*, a deadline *there*. A lost wake-up is a moment that nobody thought
//! of. So here nobody chooses: shuttle runs each story again and again, each time in another order of its threads, until
//! there is none left in which threads are held up at most twice (see [`Schedules`]), and then at random.
//!
//! The stories share a world: a number for each key, which a change raises before it tells the queue. A run reads the
//! number, as a reconcile reads its object. Then the promises of the queue are plain:
//!
//! - *No change is lost*: in the end each number was read after its last change. A worker that sleeps while there is
//!   work never ends; shuttle then says `deadlock`.
//! - *Never with two workers*: a run that begins while another one has the key fails the test.
//! - *A stop ends*: the drain returns, and every worker ends.
//!
//! A failure prints the schedule that led to it; [`shuttle::replay`] runs it again.

use std::collections::{BTreeMap, BTreeSet};

use shuttle::future::{JoinHandle, block_on};
use shuttle::scheduler::{PctScheduler, Scheduler};
use shuttle::{Config, Runner, thread};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::sync::{another_may_run, interleave};
use super::*;
use crate::telemetry::Metrics;
use schedules::Schedules;

mod schedules;

type Key = &'static str;

const SECOND: Duration = Duration::from_secs(1);

/// The runs of these keys end only when all changes of other keys are seen. So a worker that sleeps while a key is ready
/// is found out, even if another one would come back for the key in the end.
const SLOW: [Key; 2] = ["slow", "slower"];

/// What the queue is about.
#[derive(Debug, Default)]
struct World {
    /// How often each key has changed.
    changes: BTreeMap<Key, u32>,
    /// The changes of each key that a run has seen.
    seen: BTreeMap<Key, u32>,
    /// The number of runs of each key.
    runs: BTreeMap<Key, u32>,
    /// The keys that a worker has.
    processing: BTreeSet<Key>,
}

impl World {
    /// Whether runs have seen all changes of these keys.
    fn is_seen(&self, which: impl Fn(Key) -> bool) -> bool {
        self.changes.iter().filter(|(key, _)| which(key)).all(|(key, changes)| self.seen.get(key) == Some(changes))
    }
}

/// A queue, its world, and what its threads do. Clones are handles.
#[derive(Clone)]
struct Story {
    queue: Workqueue<Key>,
    world: Arc<std::sync::Mutex<World>>,
    /// A run has begun.
    progress: Arc<tokio::sync::Notify>,
}

impl Story {
    fn new(metrics: &Metrics) -> Self {
        let queue = Workqueue::new(RateLimit::default(), metrics.queue("test"));
        Self { queue, world: Arc::default(), progress: Arc::default() }
    }

    /// The world is no part of the queue: nobody comes in between while a thread looks at it.
    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A change that the queue hears of at once.
    fn change(&self, key: Key) {
        self.note_change(key);
        self.queue.add(key);
    }

    /// A change that has to be seen after `delay`, at the latest.
    fn change_after(&self, key: Key, delay: Duration) {
        self.note_change(key);
        self.queue.add_after(key, delay);
    }

    fn note_change(&self, key: Key) {
        another_may_run();
        *self.world().changes.entry(key).or_default() += 1;
    }

    /// A worker that ends with the queue.
    fn worker(&self) -> JoinHandle<()> {
        self.worker_until(CancellationToken::new())
    }

    /// A worker that also ends when it is told to: its `get` is dropped, wherever it is.
    fn worker_until(&self, stop: CancellationToken) -> JoinHandle<()> {
        let story = self.clone();
        shuttle::future::spawn(async move {
            while let Some(Some(item)) = stop.run_until_cancelled(story.queue.get()).await {
                story.begin(&item);
                another_may_run();
                if SLOW.contains(&item) {
                    story.wait_for(|world| world.is_seen(|key| !SLOW.contains(&key))).await;
                }
                story.end(&item);
                drop(item);
            }
        })
    }

    fn begin(&self, key: Key) {
        let mut world = self.world();
        assert!(world.processing.insert(key), "{key} is with two workers");
        let changes = world.changes.get(key).copied().unwrap_or_default();
        world.seen.insert(key, changes);
        *world.runs.entry(key).or_default() += 1;
        self.progress.notify_waiters();
    }

    fn end(&self, key: Key) {
        self.world().processing.remove(key);
    }

    /// Another thread, which does this.
    fn thread(&self, act: impl FnOnce(&Self) + Send + 'static) -> thread::JoinHandle<()> {
        let story = self.clone();
        thread::spawn(move || act(&story))
    }

    /// Waits for this to be true of the world. If it never is, shuttle reports a deadlock.
    async fn wait_for(&self, fact: impl Fn(&World) -> bool) {
        loop {
            let progress = self.progress.notified();
            if fact(&self.world()) {
                return;
            }
            progress.await;
        }
    }

    /// Waits until runs have seen all changes.
    async fn all_seen(&self) {
        self.wait_for(|world| world.is_seen(|_| true)).await;
    }

    /// Waits until all changes are seen, stops the queue, and waits for the workers.
    fn finish(&self, workers: impl IntoIterator<Item = JoinHandle<()>>) {
        block_on(async {
            self.all_seen().await;
            self.queue.shut_down_with_drain().await;
            assert_eq!(self.world().processing, BTreeSet::new(), "drained while a worker had a key");
            for worker in workers {
                worker.await.unwrap();
            }
        });
        assert!(self.queue.is_empty());
    }
}

/// The time, which only passes when a story says so.
#[derive(Clone)]
struct Clock(Arc<Runtime>);

impl Clock {
    fn pass(&self, time: Duration) {
        self.0.block_on(tokio::time::advance(time));
    }
}

/// Tells `story` once for each schedule. Returns how many there were.
fn tell(scheduler: impl Scheduler + 'static, story: impl Fn(Story, &Clock) + Send + Sync + 'static) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let clock = Clock(Arc::new(runtime));
    let _entered = clock.0.clone().enter();
    let mut config = Config::new();
    // The runtime, which moves the clock, does not fit on shuttle's default stack.
    config.stack_size = 1 << 18;
    let (clock, metrics) = (clock.clone(), Metrics::new());
    interleave(|| Runner::new(scheduler, config).run(move || story(Story::new(&metrics), &clock)))
}

/// Tells `story` in every schedule with at most this many delays.
fn tell_every(delays: usize, story: impl Fn(Story, &Clock) + Send + Sync + 'static) {
    let schedules = tell(Schedules::with_delays(delays), story);
    assert!(schedules > 1, "there is nothing to choose");
}

#[test]
fn a_change_at_whatever_moment_is_seen_by_a_run_that_begins_after_it() {
    tell_every(2, |story, _| {
        let workers = [story.worker(), story.worker()];
        let changes = story.thread(|story| {
            story.change("a");
            story.change("a");
        });
        changes.join().unwrap();
        story.finish(workers);
    });
}

#[test]
fn keys_that_several_threads_add_at_once_all_get_a_worker() {
    tell_every(2, |story, _| {
        let workers = [story.worker(), story.worker()];
        let changes = story.thread(|story| story.change("slow"));
        story.change_after("a", Duration::ZERO);
        changes.join().unwrap();
        story.finish(workers);
    });
}

#[test]
fn a_stop_at_whatever_moment_drains_what_was_accepted_before_and_ends_every_worker() {
    tell_every(3, |story, _| {
        let workers = [story.worker(), story.worker()];
        let accepted = Arc::new(std::sync::Mutex::new(BTreeMap::new()));
        let changes = story.thread({
            let accepted = Arc::clone(&accepted);
            move |story| {
                for key in ["a", "a", "b"] {
                    story.change(key);
                    *accepted.lock().unwrap() = story.world().changes.clone();
                }
            }
        });
        let accepted = accepted.lock().unwrap().clone();
        let other = story.thread(|story| block_on(story.queue.shut_down_with_drain()));
        block_on(story.queue.shut_down_with_drain());
        let World { seen, processing, .. } = std::mem::take(&mut *story.world());
        assert_eq!(processing, BTreeSet::new(), "drained while a worker had a key");
        assert!(accepted.iter().all(|(key, changes)| seen.get(key) >= Some(changes)), "{accepted:?}, seen {seen:?}");
        assert!(story.queue.is_empty());
        changes.join().unwrap();
        other.join().unwrap();
        for worker in workers {
            block_on(worker).unwrap();
        }
    });
}

#[test]
fn a_worker_that_goes_away_at_whatever_moment_leaves_no_key_and_no_deadline_behind() {
    tell_every(2, |story, clock| {
        let stop = CancellationToken::new();
        let (leaving, staying) = (story.worker_until(stop.clone()), story.worker());
        let changes = story.thread(|story| {
            story.change_after("late", SECOND);
            story.change("now");
            story.change("now");
        });
        stop.cancel();
        changes.join().unwrap();
        clock.pass(SECOND);
        block_on(leaving).unwrap();
        story.finish([staying]);
    });
}

#[test]
fn a_deadline_is_kept_by_some_worker_whatever_the_others_do() {
    tell_every(2, |story, clock| {
        let workers = [story.worker(), story.worker(), story.worker()];
        let changes = story.thread(|story| story.change_after("late", SECOND));
        story.change("slow");
        story.change("slower");
        changes.join().unwrap();
        clock.pass(SECOND);
        story.finish(workers);
    });
}

#[test]
fn keys_that_are_due_together_get_a_worker_each() {
    tell_every(1, |story, clock| {
        let workers = [story.worker(), story.worker(), story.worker()];
        let changes = story.thread(|story| story.change_after("slow", SECOND));
        story.change_after("slower", SECOND);
        story.change_after("tail", SECOND);
        changes.join().unwrap();
        clock.pass(SECOND);
        story.finish(workers);
    });
}

#[test]
fn of_two_delays_that_are_asked_for_at_once_the_earlier_counts_and_the_key_runs_once() {
    tell_every(2, |story, clock| {
        let workers = [story.worker(), story.worker()];
        let delay = story.thread(|story| story.change_after("a", 3 * SECOND));
        story.change_after("a", SECOND);
        delay.join().unwrap();
        clock.pass(SECOND);
        block_on(story.all_seen());
        clock.pass(2 * SECOND);
        story.finish(workers);
        assert_eq!(story.world().runs["a"], 1);
    });
}

#[test]
fn a_scrape_that_finds_a_key_due_wakes_a_worker_for_it() {
    tell_every(2, |story, clock| {
        let workers = [story.worker(), story.worker()];
        story.change_after("a", SECOND);
        let scrape = story.thread(|story| _ = story.queue.len());
        clock.pass(SECOND);
        story.finish(workers);
        scrape.join().unwrap();
    });
}

/// Everything at once, with more interruptions than can be tried exhaustively.
#[test]
fn a_storm_of_changes_delays_scrapes_and_leaving_workers_loses_nothing() {
    tell(PctScheduler::new_from_seed(1, 5, 500), |story, clock| {
        let stop = CancellationToken::new();
        let (leaving, staying) = (story.worker_until(stop.clone()), [story.worker(), story.worker()]);
        let threads = [
            story.thread(|story| {
                for key in ["a", "b", "a"] {
                    story.change(key);
                }
            }),
            story.thread(|story| {
                for (key, seconds) in [("c", 2), ("a", 1), ("c", 1)] {
                    story.change_after(key, seconds * SECOND);
                }
            }),
            story.thread(|story| {
                story.queue.len();
                story.change("b");
                story.queue.len();
            }),
            story.thread(move |_| stop.cancel()),
        ];
        clock.pass(SECOND);
        for thread in threads {
            thread.join().unwrap();
        }
        clock.pass(2 * SECOND);
        block_on(leaving).unwrap();
        story.finish(staying);
    });
}
