//! Each rule of the queue as a fact about the machine, without a clock or a task.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A machine with its time, and short words for the steps of a history.
struct Story {
    state: State<&'static str>,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        Self { state: State::new(RateLimit::default()), now: Instant::now() }
    }

    fn add(&mut self, key: &'static str) -> bool {
        self.add_at(key, Priority::NORMAL)
    }

    fn add_at(&mut self, key: &'static str, priority: Priority) -> bool {
        self.state.add(key, priority, self.now)
    }

    fn add_after(&mut self, key: &'static str, delay: Duration) {
        self.state.add_after(key, delay, self.now);
    }

    fn fail(&mut self, key: &'static str) {
        self.state.add_rate_limited(key, Duration::ZERO, self.now);
    }

    fn done(&mut self, key: &'static str) -> Option<Duration> {
        self.state.done(&key, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The next key, or `None` if no key is ready.
    fn take(&mut self) -> Option<&'static str> {
        self.state.advance(self.now);
        self.state.check_invariants();
        match self.state.take(self.now) {
            Take::Key { key, .. } => Some(key),
            Take::Wait(_) | Take::Finished => None,
        }
    }

    /// Every key that is ready now; each is taken and done at once.
    fn drain(&mut self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        while let Some(key) = self.take() {
            self.done(key);
            keys.push(key);
            assert!(keys.len() < 1000, "the queue never empties");
        }
        keys
    }

    /// The time until the next delayed key is due.
    fn next_due(&self) -> Option<Duration> {
        self.state.earliest_deadline().map(|due| due - self.now)
    }

    /// Runs `key`, which must be ready, and fails.
    fn run_and_fail(&mut self, key: &'static str) {
        assert_eq!(self.take(), Some(key));
        self.fail(key);
        self.done(key);
    }
}

impl<K: Ord + Clone + std::fmt::Debug> State<K> {
    /// Checks the invariants that are documented on the fields.
    pub(super) fn check_invariants(&self) {
        for (place, key) in &self.queue {
            assert!(!self.processing.contains_key(key), "{key:?} is ready and processed at once");
            let need = self.dirty.get(key);
            assert_eq!(need.and_then(|need| need.place), Some(*place), "{key:?} is dirty and knows its place");
            assert_eq!(need.map(|need| Reverse(need.priority)), Some(place.priority));
        }
        for (key, need) in &self.dirty {
            assert_eq!(need.place.is_none(), self.processing.contains_key(key), "{key:?} is ready unless processed");
        }
        for key in self.delayed.keys() {
            assert!(!self.dirty.contains_key(key), "{key:?} is both delayed and dirty");
        }
        self.delayed.check_invariants();
    }
}

#[test]
fn a_key_stands_in_the_queue_at_most_once_so_three_adds_give_one_get() {
    let mut story = Story::new();
    assert_eq!((story.add("a"), story.add("a"), story.add("a")), (true, false, false));
    assert_eq!(story.state.len(), 1);
    assert_eq!(story.drain(), ["a"]);
}

#[test]
fn a_key_is_never_with_two_workers_at_once() {
    let mut story = Story::new();
    story.add("a");
    assert_eq!(story.take(), Some("a"));
    story.add("a");
    assert_eq!(story.take(), None, "the second worker gets nothing");
}

#[test]
fn adds_while_processing_give_exactly_one_more_run_visible_only_after_done() {
    let mut story = Story::new();
    story.add("a");
    story.take();
    assert!(story.add("a"));
    assert!(!story.add("a"));
    assert_eq!(story.state.len(), 0, "not ready yet");
    story.done("a");
    assert_eq!(story.state.len(), 1);
    assert_eq!(story.drain(), ["a"], "once, not twice");
}

/// The lost update of every home-made queue: the key leaves the dirty set at the *end* of the run, together with the
/// change that arrived meanwhile.
#[test]
fn a_change_that_arrives_right_after_the_get_is_not_lost() {
    let mut story = Story::new();
    story.add("a");
    story.take();
    story.add("a");
    story.done("a");
    assert_eq!(story.take(), Some("a"));
}

#[test]
fn done_requeues_nothing_for_a_clean_key() {
    let mut story = Story::new();
    story.add("a");
    story.take();
    story.done("a");
    assert_eq!(story.drain(), [""; 0]);
    assert!(story.state.is_idle());
}

#[test]
fn done_puts_a_dirty_key_at_the_tail() {
    let mut story = Story::new();
    story.add("a");
    story.take();
    story.add("a");
    story.add("b");
    story.done("a");
    assert_eq!(story.drain(), ["b", "a"]);
}

/// kubernetes/kubernetes#141079: `Done` on a key that is dirty and queued, but with no worker, queued it twice.
#[test]
fn done_on_a_key_not_in_processing_is_a_no_op() {
    let mut story = Story::new();
    assert_eq!(story.done("a"), None);
    story.add("a");
    assert_eq!(story.done("a"), None);
    assert_eq!(story.drain(), ["a"]);
}

#[test]
fn within_a_priority_the_order_is_first_in_first_out() {
    let mut story = Story::new();
    for key in ["c", "a", "b"] {
        story.add(key);
    }
    assert_eq!(story.drain(), ["c", "a", "b"]);
}

#[test]
fn what_just_changed_runs_before_the_initial_list() {
    let mut story = Story::new();
    story.add_at("listed-1", Priority::LOW);
    story.add_at("listed-2", Priority::LOW);
    story.add("changed");
    assert_eq!(story.drain(), ["changed", "listed-1", "listed-2"]);
}

#[test]
fn a_raise_moves_the_key_to_the_tail_of_its_new_level() {
    let mut story = Story::new();
    story.add_at("listed", Priority::LOW);
    story.add("first");
    story.add("listed");
    story.add("last");
    assert_eq!(story.drain(), ["first", "listed", "last"]);
}

#[test]
fn an_add_at_the_same_or_a_lower_priority_leaves_the_key_where_it_stands() {
    let mut story = Story::new();
    story.add("a");
    story.add("b");
    story.add("a");
    story.add_at("a", Priority::LOW);
    assert_eq!(story.drain(), ["a", "b"]);
}

#[test]
fn a_raise_while_processing_counts_once_the_run_is_done() {
    let mut story = Story::new();
    story.add_at("a", Priority::LOW);
    story.take();
    story.add_at("a", Priority::LOW);
    story.add("a");
    story.add_at("listed", Priority::LOW);
    story.done("a");
    assert_eq!(story.drain(), ["a", "listed"]);
}

#[test]
fn a_requeue_keeps_the_priority_of_its_run() {
    for requeue in [Story::fail, |story: &mut Story, key| story.add_after(key, 5 * MS)] {
        let mut story = Story::new();
        story.add_at("listed", Priority::LOW);
        story.take();
        requeue(&mut story, "listed");
        story.done("listed");
        story.pass(SECOND);
        story.state.advance(story.now);
        story.add("changed");
        assert_eq!(story.drain(), ["changed", "listed"]);
    }
}

#[test]
fn after_shutdown_adds_of_every_kind_are_ignored() {
    let mut story = Story::new();
    story.state.shut_down();
    assert!(!story.add("a"));
    story.add_after("b", Duration::ZERO);
    story.add_after("c", SECOND);
    story.fail("d");
    story.pass(2000 * SECOND);
    assert_eq!(story.drain(), [""; 0]);
}

#[test]
fn after_shutdown_what_is_queued_still_drains_and_then_get_says_so() {
    let mut story = Story::new();
    story.add("running");
    story.take();
    story.add("running");
    story.add("queued");
    story.add_after("delayed", SECOND);
    story.state.shut_down();
    assert_eq!(story.take(), Some("queued"));
    assert_eq!(story.state.take(story.now), Take::Finished);
    story.done("running");
    assert_eq!(story.take(), Some("running"), "it was dirty before the shutdown");
    story.pass(2 * SECOND);
    assert_eq!(story.take(), None, "what was delayed is dropped");
    assert_eq!(story.state.take(story.now), Take::Finished);
}

#[test]
fn idle_means_nothing_queued_and_nothing_in_processing() {
    let mut story = Story::new();
    assert!(story.state.is_idle());
    story.add("a");
    assert!(!story.state.is_idle());
    story.take();
    assert!(!story.state.is_idle());
    story.done("a");
    assert!(story.state.is_idle());
}

#[test]
fn an_add_after_no_time_is_an_add() {
    let mut story = Story::new();
    story.add("a");
    story.add_after("b", Duration::ZERO);
    story.add("c");
    assert_eq!(story.state.len(), 3, "ready at once, with its place in the order");
    assert_eq!(story.drain(), ["a", "b", "c"]);
}

#[test]
fn a_delayed_key_comes_at_its_deadline_and_not_before() {
    let mut story = Story::new();
    story.add_after("a", SECOND);
    story.pass(999 * MS);
    assert_eq!(story.take(), None);
    story.pass(MS);
    assert_eq!(story.drain(), ["a"]);
}

#[test]
fn of_two_delays_the_earlier_deadline_wins_and_the_key_runs_once() {
    for delays in [[SECOND, 9 * SECOND], [9 * SECOND, SECOND]] {
        let mut story = Story::new();
        for delay in delays {
            story.add_after("a", delay);
        }
        assert_eq!(story.next_due(), Some(SECOND));
        story.pass(SECOND);
        assert_eq!(story.drain(), ["a"]);
        story.pass(9 * SECOND);
        assert_eq!(story.drain(), [""; 0]);
    }
}

#[test]
fn of_two_delays_the_higher_priority_counts_whichever_is_due_first() {
    for [of_the_run, of_the_event] in [[SECOND, 9 * SECOND], [9 * SECOND, SECOND]] {
        let mut story = Story::new();
        story.add_at("a", Priority::LOW);
        story.take();
        story.add_after("a", of_the_run);
        story.done("a");
        story.add_after("a", of_the_event);
        story.pass(SECOND);
        story.state.advance(story.now);
        story.add_at("b", Priority(-50));
        assert_eq!(story.drain(), ["a", "b"]);
    }
}

/// client-go keeps the delayed entry and runs the key twice: now, and again for nothing at the deadline.
#[test]
fn an_immediate_add_cancels_a_pending_delay() {
    let mut story = Story::new();
    story.add_after("a", SECOND);
    story.add("a");
    assert_eq!(story.drain(), ["a"]);
    assert_eq!(story.next_due(), None);
    story.pass(2 * SECOND);
    assert_eq!(story.drain(), [""; 0]);
}

#[test]
fn a_delay_for_a_key_that_is_ready_already_adds_nothing() {
    let mut story = Story::new();
    story.add("a");
    story.add_after("a", SECOND);
    assert_eq!(story.drain(), ["a"]);
    assert_eq!(story.next_due(), None);
}

#[test]
fn a_delay_that_passes_while_the_key_is_processed_waits_for_done() {
    let mut story = Story::new();
    story.add("a");
    story.take();
    story.add_after("a", SECOND);
    story.pass(2 * SECOND);
    assert_eq!(story.take(), None);
    story.done("a");
    assert_eq!(story.drain(), ["a"]);
}

/// kube-rs/kube#1772 and kubernetes/kubernetes#83895: "never again" as the largest duration there is.
#[test]
fn a_far_future_delay_neither_panics_nor_leaks_a_deadline() {
    let mut story = Story::new();
    story.add_after("a", Duration::MAX);
    assert!(story.next_due() > Some(Duration::from_secs(300 * 24 * 60 * 60)));
    story.add_after("a", SECOND);
    assert_eq!(story.next_due(), Some(SECOND), "the far deadline is gone");
    story.add("a");
    assert_eq!(story.next_due(), None);
}

#[test]
fn retries_of_a_key_wait_5_10_20_40_ms_and_forget_starts_over() {
    let mut story = Story::new();
    story.add("a");
    for expected in [5, 10, 20, 40] {
        story.run_and_fail("a");
        assert_eq!(story.next_due(), Some(expected * MS));
        story.pass(expected * MS);
    }
    assert_eq!(story.state.num_requeues(&"a"), 4);
    story.state.forget(&"a");
    assert_eq!(story.state.num_requeues(&"a"), 0);
    story.run_and_fail("a");
    assert_eq!(story.next_due(), Some(5 * MS));
}

#[test]
fn forget_removes_nothing_from_the_queue() {
    let mut story = Story::new();
    story.add("ready");
    story.add_after("delayed", SECOND);
    story.state.forget(&"ready");
    story.state.forget(&"delayed");
    story.pass(SECOND);
    assert_eq!(story.drain(), ["ready", "delayed"]);
}

/// kubernetes/kubernetes#132805: twenty events during the first backoff made client-go wait 2^20 x 5 ms.
#[test]
fn events_during_the_backoff_run_the_key_at_once_and_do_not_raise_n() {
    let mut story = Story::new();
    story.add("a");
    story.run_and_fail("a");
    for _ in 0..20 {
        story.pass(MS);
        story.add("a");
        story.run_and_fail("a");
        assert_eq!(story.take(), None, "once, now");
        assert_eq!(story.next_due(), Some(5 * MS), "the delay of the same n");
    }
    story.pass(5 * MS);
    story.run_and_fail("a");
    assert_eq!(story.next_due(), Some(10 * MS), "a retry failed at last");
}

#[test]
fn an_event_during_a_failing_retry_runs_the_key_right_after_and_counts_the_retry_once() {
    let mut story = Story::new();
    story.add("a");
    story.run_and_fail("a");
    story.pass(5 * MS);
    assert_eq!(story.take(), Some("a"), "the retry");
    story.add("a");
    story.fail("a");
    story.done("a");
    assert_eq!(story.next_due(), None, "the event's run serves for the retry");
    story.run_and_fail("a");
    assert_eq!(story.next_due(), Some(10 * MS));
}

#[test]
fn over_all_keys_failures_share_100_at_once_and_10_a_second() {
    let mut story = Story::new();
    let keys: Vec<&'static str> = (0..120).map(|n| &*Box::leak(format!("{n}").into_boxed_str())).collect();
    for key in &keys {
        story.fail(key);
    }
    story.pass(5 * MS);
    assert_eq!(story.drain().len(), 100);
    story.pass(995 * MS);
    assert_eq!(story.drain().len(), 10);
    story.pass(SECOND);
    assert_eq!(story.drain().len(), 10);
}

#[test]
fn a_failure_with_a_time_waits_for_the_later_of_that_and_of_the_rate_limit() {
    let mut story = Story::new();
    story.add("a");
    for expected in [30, 30, 30, 40, 80] {
        assert_eq!(story.take(), Some("a"));
        story.state.add_rate_limited("a", 30 * MS, story.now);
        story.done("a");
        assert_eq!(story.next_due(), Some(expected * MS));
        story.pass(expected * MS);
    }
    assert_eq!(story.state.num_requeues(&"a"), 5);
}

/// Found with an API server that was away for five minutes: each key came back only at the end of its own backoff, up
/// to seventeen minutes later.
#[test]
fn a_failure_that_is_not_the_keys_own_does_not_lengthen_its_backoff() {
    let mut story = Story::new();
    story.add("a");
    for _ in 0..20 {
        assert_eq!(story.take(), Some("a"));
        story.state.add_paced("a", 5 * SECOND, story.now);
        story.done("a");
        assert_eq!(story.next_due(), Some(5 * SECOND));
        story.pass(5 * SECOND);
    }
    assert_eq!(story.state.num_requeues(&"a"), 0);
}

#[test]
fn many_keys_that_come_back_share_the_bucket() {
    let mut story = Story::new();
    let keys: Vec<&'static str> = (0..130).map(|n| &*format!("{n}").leak()).collect();
    for key in &keys {
        story.state.add_paced(key, SECOND, story.now);
    }
    story.pass(SECOND);
    assert_eq!(story.drain().len(), 110, "the burst, and those of a second");
}

#[test]
fn depth_counts_ready_keys_only() {
    let mut story = Story::new();
    story.add("ready");
    story.add_after("delayed", SECOND);
    assert_eq!(story.state.len(), 1);
    story.take();
    story.add("ready");
    assert_eq!(story.state.len(), 0, "dirty in processing is not ready");
}

#[test]
fn the_snapshot_sums_the_unfinished_runs_and_names_the_longest() {
    let mut story = Story::new();
    story.add("a");
    story.add("b");
    story.take();
    story.pass(3 * SECOND);
    story.take();
    story.pass(2 * SECOND);
    let QueueSnapshot { depth, unfinished, longest_running } = story.state.snapshot(story.now);
    assert_eq!((depth, unfinished, longest_running), (0, 7 * SECOND, 5 * SECOND));
    assert_eq!(story.done("a"), Some(5 * SECOND));
}

#[test]
fn waiting_is_counted_from_the_first_add_and_from_the_deadline_of_a_delay() {
    let mut story = Story::new();
    story.add("a");
    story.add_after("b", SECOND);
    story.pass(3 * SECOND);
    story.add("a");
    story.state.advance(story.now);
    let mut waits = Vec::new();
    while let Take::Key { key, waited, .. } = story.state.take(story.now) {
        waits.push((key, waited));
    }
    assert_eq!(waits, [("a", 3 * SECOND), ("b", 2 * SECOND)]);
}
