//! What the lock, the waiting and the metrics add to the machine. All tests use paused time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{advance, timeout};

use super::*;
use crate::telemetry::Metrics;

type Queue = Workqueue<&'static str>;

const SECOND: Duration = Duration::from_secs(1);

fn queue<K: Ord + Clone + Send + 'static>() -> Workqueue<K> {
    Workqueue::new(RateLimit::default(), Metrics::new().queue("test"))
}

/// The next key, which must come without time passing.
async fn next(queue: &Queue) -> &'static str {
    let item = timeout(Duration::ZERO, queue.get()).await.expect("a key is ready").expect("the queue is open");
    *item
}

/// The next key, however long it takes; a key that was lost fails the test instead of hanging it.
async fn take<K: Ord + Clone>(queue: &Workqueue<K>) -> Item<K> {
    let item = timeout(1_000_000 * SECOND, queue.get()).await;
    item.expect("the key was lost").expect("the queue is open")
}

/// How often a future was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A `get` that is polled by hand, so that a test sees each wake-up.
struct Waiting<'a> {
    get: Pin<Box<dyn Future<Output = Option<Item<&'static str>>> + 'a>>,
    wakes: Arc<Wakes>,
    /// The item that it got, which stays in processing until the test ends.
    item: Option<Item<&'static str>>,
}

impl<'a> Waiting<'a> {
    fn on(queue: &'a Queue) -> Self {
        let mut waiting = Self { get: Box::pin(queue.get()), wakes: Arc::default(), item: None };
        assert!(waiting.poll().is_pending());
        waiting
    }

    fn poll(&mut self) -> Poll<Option<&'static str>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let poll = self.get.as_mut().poll(&mut Context::from_waker(&waker));
        poll.map(|item| {
            self.item = item;
            self.item.as_deref().copied()
        })
    }
}

fn woken(waiting: &[Waiting<'_>]) -> Vec<usize> {
    waiting.iter().map(|waiting| waiting.wakes.count()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_waiting_get_wakes_with_the_added_key() {
    let queue = queue::<&str>();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { *take(&queue).await }
    });
    tokio::task::yield_now().await;
    queue.add("a");
    assert_eq!(waiting.await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn each_add_wakes_one_waiting_worker_and_not_the_herd() {
    let queue = queue::<&str>();
    let mut waiting: Vec<_> = (0..4).map(|_| Waiting::on(&queue)).collect();
    queue.add("a");
    queue.add("b");
    assert_eq!(woken(&waiting), [1, 1, 0, 0]);
    let polls = waiting.iter_mut().map(Waiting::poll);
    let mut keys: Vec<_> = polls.filter(Poll::is_ready).collect();
    keys.sort_unstable();
    assert_eq!(keys, [Poll::Ready(Some("a")), Poll::Ready(Some("b"))]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_woken_for_nothing() {
    let queue = queue::<&str>();
    queue.add_after("late", 3600 * SECOND);
    let mut waiting: Vec<_> = (0..3).map(|_| Waiting::on(&queue)).collect();
    let before = woken(&waiting);
    let since = |waiting: &[Waiting<'_>]| -> Vec<usize> {
        woken(waiting).iter().zip(&before).map(|(after, before)| after - before).collect()
    };
    queue.add_after("later", 7200 * SECOND);
    assert_eq!(since(&waiting), [0, 0, 0], "the timer is set to an earlier deadline already");
    queue.add("a");
    assert_eq!(since(&waiting), [1, 0, 0]);
    let item = take(&queue).await;
    assert_eq!(since(&waiting), [1, 0, 0], "the key that was taken was the last one");
    drop(item);
    assert_eq!(since(&waiting), [1, 0, 0], "its run leaves nothing behind");
    assert!(waiting[0].poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_processed_comes_again_only_after_done() {
    let queue = queue::<&str>();
    queue.add("a");
    let item = take(&queue).await;
    queue.add("a");
    assert!(timeout(SECOND, queue.get()).await.is_err(), "no second worker gets it");
    queue.done(item);
    assert_eq!(next(&queue).await, "a");
}

#[tokio::test(start_paused = true)]
async fn done_of_a_dirty_key_wakes_a_waiting_worker() {
    let queue = queue::<&str>();
    queue.add("a");
    let item = take(&queue).await;
    queue.add("a");
    let mut waiting = Waiting::on(&queue);
    drop(item);
    assert_eq!(waiting.wakes.count(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(Some("a")));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_at_its_deadline() {
    let queue = queue::<&str>();
    let start = Instant::now();
    queue.add_after("late", 10 * SECOND);
    queue.add_after("early", SECOND);
    assert_eq!(*take(&queue).await, "early");
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(*take(&queue).await, "late");
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_is_due_earlier_moves_the_timer_of_a_get_that_waits() {
    let queue = queue::<&str>();
    let start = Instant::now();
    queue.add_after("late", 3600 * SECOND);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { *take(&queue).await }
    });
    tokio::task::yield_now().await;
    queue.add_after("early", SECOND);
    assert_eq!(waiting.await.unwrap(), "early");
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_wakes_one_of_ten_waiting_workers_so_there_is_one_timer() {
    let queue = queue::<&str>();
    queue.add_after("a", SECOND);
    let mut waiting: Vec<_> = (0..10).map(|_| Waiting::on(&queue)).collect();
    advance(SECOND).await;
    let mut wakes = woken(&waiting);
    assert_eq!(wakes, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], "the first to wait keeps the time");
    assert_eq!(waiting[0].poll(), Poll::Ready(Some("a")));
    wakes = woken(&waiting);
    assert_eq!(wakes.iter().sum::<usize>(), 2, "it woke one other, which keeps the time from here on");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_due_together_wake_as_many_workers() {
    let queue = queue::<&str>();
    for key in ["a", "b", "c", "d", "e"] {
        queue.add_after(key, SECOND);
    }
    let mut waiting: Vec<_> = (0..5).map(|_| Waiting::on(&queue)).collect();
    advance(SECOND).await;
    // Each future is polled after it was woken, as a runtime does it. The first wakes the second, and so on.
    for (position, waiting) in waiting.iter_mut().enumerate() {
        assert!(waiting.wakes.count() > 0, "worker {position} sleeps while a key is ready");
        assert!(waiting.poll().is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_delay_leaves_no_timer_behind() {
    let queue = queue::<&str>();
    queue.add_after("a", SECOND);
    queue.add("a");
    assert_eq!(next(&queue).await, "a");
    let waiting = Waiting::on(&queue);
    advance(2 * SECOND).await;
    assert_eq!(waiting.wakes.count(), 0);
}

/// kube-rs/kube#1772: the delay queue panicked on a delay that its timer wheel can't hold.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_far_future_delay_does_not_panic() {
    let queue = queue::<&str>();
    queue.add_after("never", Duration::MAX);
    assert!(timeout(3600 * SECOND, queue.get()).await.is_err());
    queue.add("never");
    assert_eq!(next(&queue).await, "never");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_timekeeper_hands_its_deadline_to_another_get() {
    let queue = queue::<&str>();
    queue.add_after("a", SECOND);
    let timekeeper = Waiting::on(&queue);
    let mut other = Waiting::on(&queue);
    drop(timekeeper);
    assert_eq!(other.poll(), Poll::Pending);
    advance(SECOND).await;
    assert_eq!(other.poll(), Poll::Ready(Some("a")));
}

/// The wake-up from a leaving timekeeper may reach a worker that finds a key and leaves as well.
#[tokio::test(start_paused = true)]
async fn a_key_taken_on_the_way_does_not_swallow_the_deadline_of_the_others() {
    let queue = queue::<&str>();
    queue.add_after("late", SECOND);
    let timekeeper = Waiting::on(&queue);
    let (mut second, mut third) = (Waiting::on(&queue), Waiting::on(&queue));
    drop(timekeeper);
    // The second was woken to become the timekeeper, but finds a key.
    queue.shared.lock().add("now", Priority::NORMAL, Instant::now());
    assert_eq!(second.poll(), Poll::Ready(Some("now")));
    assert_eq!(third.wakes.count(), 1, "the role goes on to the third");
    assert_eq!(third.poll(), Poll::Pending);
    advance(SECOND).await;
    assert_eq!(third.poll(), Poll::Ready(Some("late")));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_get_that_was_woken_hands_its_key_on() {
    let queue = queue::<&str>();
    let woken = Waiting::on(&queue);
    let mut other = Waiting::on(&queue);
    queue.add("a");
    assert_eq!(woken.wakes.count(), 1);
    drop(woken);
    assert_eq!(other.wakes.count(), 1);
    assert_eq!(other.poll(), Poll::Ready(Some("a")));
}

/// Workers stop waiting at random, between adds and delays. Every key must come out nevertheless.
#[tokio::test(start_paused = true)]
async fn no_get_that_is_dropped_loses_a_key_or_a_deadline() {
    for seed in 0..20 {
        let queue = queue::<u32>();
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let mut workers = JoinSet::new();
        for worker in 0..4 {
            let (queue, seen, mut random) =
                (queue.clone(), Arc::clone(&seen), StdRng::seed_from_u64(seed * 10 + worker));
            workers.spawn(async move {
                loop {
                    let patience = Duration::from_millis(random.random_range(0..20));
                    match timeout(patience, queue.get()).await {
                        Err(_gave_up) => tokio::task::yield_now().await,
                        Ok(None) => break,
                        Ok(Some(item)) => *seen.lock().unwrap().entry(*item).or_insert(0) += 1,
                    }
                }
            });
        }
        let mut random = StdRng::seed_from_u64(seed);
        for key in 0..200 {
            queue.add_after(key, Duration::from_millis(random.random_range(0..50)));
            if random.random_bool(0.3) {
                advance(Duration::from_millis(1)).await;
            }
        }
        // Every key that is not lost has come by then.
        tokio::time::sleep(SECOND).await;
        queue.shut_down();
        workers.join_all().await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 200, "seed {seed}: keys were lost");
        assert!(seen.values().all(|runs| *runs == 1), "seed {seed}: keys came twice");
    }
}

/// controller-runtime#3540: workers that waited at an empty queue never noticed the shutdown.
#[tokio::test(start_paused = true)]
async fn shutdown_wakes_every_idle_waiter() {
    let queue = queue::<&str>();
    let mut waiting: Vec<_> = (0..4).map(|_| Waiting::on(&queue)).collect();
    queue.shut_down();
    for waiting in &mut waiting {
        assert!(waiting.wakes.count() > 0);
        assert_eq!(waiting.poll(), Poll::Ready(None));
    }
}

#[tokio::test(start_paused = true)]
async fn after_shutdown_the_queued_keys_drain_and_adds_are_ignored() {
    let queue = queue::<&str>();
    queue.add("a");
    queue.add_after("delayed", SECOND);
    queue.shut_down();
    queue.add("b");
    queue.add_after("c", Duration::ZERO);
    queue.add_rate_limited("d");
    assert_eq!(next(&queue).await, "a");
    assert!(queue.get().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_queued_and_for_those_in_processing() {
    let queue = queue::<&str>();
    queue.add("running");
    let running = take(&queue).await;
    queue.add("queued");
    let mut drain = pin!(queue.shut_down_with_drain());
    assert!(timeout(SECOND, &mut drain).await.is_err());
    drop(running);
    assert!(timeout(SECOND, &mut drain).await.is_err(), "one is queued still");
    let queued = take(&queue).await;
    assert!(timeout(SECOND, &mut drain).await.is_err(), "it is in processing now");
    drop(queued);
    assert!(timeout(Duration::ZERO, &mut drain).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_does_not_keep_its_key() {
    let queue = queue::<&str>();
    queue.add("a");
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _item = queue.get().await;
            panic!("on purpose");
        }
    });
    assert!(worker.await.is_err());
    queue.add("a");
    assert_eq!(next(&queue).await, "a");
}

#[tokio::test(start_paused = true)]
async fn the_item_knows_its_priority() {
    let queue = queue::<&str>();
    queue.add_with_priority("a", Priority::LOW);
    let item = take(&queue).await;
    assert_eq!((item.key(), item.priority()), (&"a", Priority::LOW));
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_forget_ends_that() {
    let queue = queue::<&str>();
    queue.add("a");
    let start = Instant::now();
    let mut runs = Vec::new();
    for _ in 0..4 {
        let item = take(&queue).await;
        runs.push(start.elapsed().as_millis());
        queue.add_rate_limited(*item);
    }
    assert_eq!(runs, [0, 5, 15, 35]);
    assert_eq!(queue.num_requeues(&"a"), 4);
    queue.forget(&"a");
    assert_eq!(queue.num_requeues(&"a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paced_key_comes_after_its_pause_without_a_backoff() {
    let queue = queue::<&str>();
    let start = Instant::now();
    queue.add_paced("a", 5 * SECOND);
    assert_eq!(*take(&queue).await, "a");
    assert_eq!((start.elapsed(), queue.num_requeues(&"a")), (5 * SECOND, 0));
}

/// The samples of the queue `test` in a scrape.
fn sample(metrics: &Metrics, name: &str) -> String {
    let text = metrics.render().unwrap();
    let prefix = format!("workqueue_{name}{{name=\"test\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name).to_owned()
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_depth_adds_retries_and_unfinished_work() {
    let metrics = Metrics::new();
    let queue = Workqueue::new(RateLimit::default(), metrics.queue("test"));
    queue.add("a");
    queue.add("a");
    queue.add("b");
    queue.add_after("delayed", 10 * SECOND);
    assert_eq!((sample(&metrics, "depth"), sample(&metrics, "adds_total")), ("2.0".into(), "2".into()));
    assert_eq!(sample(&metrics, "retries_total"), "1");
    advance(SECOND).await;
    let item = take(&queue).await;
    assert_eq!(sample(&metrics, "queue_duration_seconds_sum"), "1.0");
    advance(3 * SECOND).await;
    assert_eq!(sample(&metrics, "unfinished_work_seconds"), "3.0");
    assert_eq!(sample(&metrics, "longest_running_processor_seconds"), "3.0");
    drop(item);
    assert_eq!(sample(&metrics, "unfinished_work_seconds"), "0.0");
    assert_eq!(sample(&metrics, "work_duration_seconds_sum"), "3.0");
    advance(10 * SECOND).await;
    assert_eq!(sample(&metrics, "depth"), "2.0", "what is due counts, even if nobody took it yet");
    assert_eq!(sample(&metrics, "adds_total"), "3");
    assert_eq!(queue.len(), 2);
    assert!(!queue.is_empty());
}
