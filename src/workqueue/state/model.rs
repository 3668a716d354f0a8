//! Random histories of the machine, compared with the rules written down as plainly as possible.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The rules of the queue with nothing but sets and a list that is searched from the front. No places, no indexes, no
/// bucket.
#[derive(Default)]
struct Model {
    now: Duration,
    /// The ready keys in the order of their arrival.
    queue: Vec<u8>,
    dirty: BTreeMap<u8, i32>,
    processing: BTreeMap<u8, i32>,
    /// The deadline and the priority, and whether it is that of a retry.
    delayed: BTreeMap<u8, (Duration, i32, bool)>,
    /// The `n` of each key that has failed, and whether its delay has passed.
    failures: BTreeMap<u8, (u32, bool)>,
    closed: bool,
}

impl Model {
    fn add(&mut self, key: u8, priority: i32) {
        if self.closed {
            return;
        }
        let priority = self.delayed.remove(&key).map_or(priority, |(_, delayed, _)| delayed.max(priority));
        self.mark_dirty(key, priority);
    }

    fn mark_dirty(&mut self, key: u8, priority: i32) {
        if self.dirty.get(&key).is_none_or(|old| priority > *old) {
            self.dirty.insert(key, priority);
            self.queue.retain(|ready| *ready != key);
            if !self.processing.contains_key(&key) {
                self.queue.push(key);
            }
        }
    }

    fn add_after(&mut self, key: u8, delay: Duration, retry: bool) {
        if self.closed || self.dirty.contains_key(&key) {
            return;
        }
        let priority = self.processing.get(&key).copied().unwrap_or_default();
        let (due, was_retry, old) = match self.delayed.get(&key) {
            Some((due, old, was_retry)) if *due <= self.now + delay => (*due, *was_retry, *old),
            Some((_, old, _)) => (self.now + delay, retry, *old),
            None => (self.now + delay, retry, priority),
        };
        self.delayed.insert(key, (due, priority.max(old), was_retry));
        if delay.is_zero() {
            self.advance();
        }
    }

    fn fail(&mut self, key: u8) {
        if !self.closed {
            let n = self.failures.get(&key).map_or(0, |(n, waited)| n + u32::from(*waited));
            self.failures.insert(key, (n, false));
            self.add_after(key, (5 * MS * 2_u32.pow(n)).min(1_000_000 * MS), true);
        }
    }

    /// What is due becomes dirty, in the order of the deadlines.
    fn advance(&mut self) {
        let mut due: Vec<_> = self.delayed.iter().map(|(key, (due, ..))| (*due, *key)).collect();
        due.retain(|(due, _)| *due <= self.now);
        due.sort_unstable();
        for (_, key) in due {
            let Some((_, priority, retry)) = self.delayed.remove(&key) else { continue };
            if let Some((_, waited)) = self.failures.get_mut(&key).filter(|_| retry) {
                *waited = true;
            }
            self.mark_dirty(key, priority);
        }
    }

    fn take(&mut self) -> Option<(u8, i32)> {
        let highest = self.queue.iter().map(|key| self.dirty[key]).max()?;
        let place = self.queue.iter().position(|key| self.dirty[key] == highest)?;
        let key = self.queue.remove(place);
        self.dirty.remove(&key);
        self.processing.insert(key, highest);
        Some((key, highest))
    }

    fn done(&mut self, key: u8) {
        if self.processing.remove(&key).is_some() && self.dirty.contains_key(&key) {
            self.queue.push(key);
        }
    }

    fn shut_down(&mut self) {
        self.closed = true;
        self.delayed.clear();
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u8, i32),
    AddAfter(u8, u16),
    Fail(u8),
    Forget(u8),
    Take,
    Done(u8),
    Pass(u16),
    ShutDown,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..4_u8;
    let step = prop_oneof![
        6 => (key(), prop_oneof![3 => Just(0), 1 => -2..3_i32]).prop_map(|(key, priority)| Step::Add(key, priority)),
        6 => Just(Step::Take),
        6 => key().prop_map(Step::Done),
        3 => (key(), prop_oneof![1 => Just(0), 4 => 0..30_u16]).prop_map(|(key, ms)| Step::AddAfter(key, ms)),
        3 => key().prop_map(Step::Fail),
        1 => key().prop_map(Step::Forget),
        4 => (0..30_u16).prop_map(Step::Pass),
    ];
    // A few steps after the shutdown: what was accepted still comes out, and nothing else.
    (prop::collection::vec(step.clone(), 0..80), prop::collection::vec(step, 0..10))
        .prop_map(|(before, after)| before.into_iter().chain([Step::ShutDown]).chain(after).collect())
}

/// The machine and the model, side by side.
struct Both {
    state: State<u8>,
    model: Model,
    start: Instant,
}

impl Both {
    fn now(&self) -> Instant {
        self.start + self.model.now
    }

    /// Does the step with both. What comes out must be the same; if a key does, it is returned.
    fn step(&mut self, step: Step) -> Result<Option<u8>, TestCaseError> {
        let (now, Self { state, model, start }) = (self.now(), &mut *self);
        match step {
            Step::Add(key, priority) => {
                state.add(key, Priority(priority), now);
                model.add(key, priority);
            }
            Step::AddAfter(key, ms) => {
                state.add_after(key, u32::from(ms) * MS, now);
                model.add_after(key, u32::from(ms) * MS, false);
            }
            Step::Fail(key) => {
                state.add_rate_limited(key, Duration::ZERO, now);
                model.fail(key);
            }
            Step::Forget(key) => {
                state.forget(&key);
                model.failures.remove(&key);
            }
            Step::Take => {
                let taken = match state.take(now) {
                    Take::Key { key, priority, waited: _ } => Some((key, priority.0)),
                    Take::Wait(_) | Take::Finished => None,
                };
                prop_assert_eq!(taken, model.take());
                return Ok(taken.map(|(key, _)| key));
            }
            Step::Done(key) => {
                let ended = state.done(&key, now).is_some();
                prop_assert_eq!(ended, model.processing.contains_key(&key));
                model.done(key);
            }
            Step::Pass(ms) => {
                model.now += u32::from(ms) * MS;
                state.advance(*start + model.now);
                model.advance();
            }
            Step::ShutDown => {
                state.shut_down();
                model.shut_down();
            }
        }
        self.compare()?;
        Ok(None)
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let Self { state, model, start } = self;
        state.check_invariants();
        prop_assert_eq!(state.len(), model.queue.len());
        prop_assert_eq!(state.is_idle(), model.queue.is_empty() && model.processing.is_empty());
        let earliest = model.delayed.values().map(|(due, ..)| *start + *due).min();
        prop_assert_eq!(state.earliest_deadline(), earliest);
        for key in 0..4 {
            prop_assert_eq!(state.num_requeues(&key), model.failures.get(&key).map_or(0, |(n, _)| n + 1));
        }
        Ok(())
    }
}

/// A bucket that never empties: how the keys share it is a matter of `rate_limit`.
const UNSHARED: RateLimit =
    RateLimit { base: Duration::from_millis(5), cap: Duration::from_secs(1000), refill: Duration::ZERO, burst: 1 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_that_of_the_model(steps in steps()) {
        let mut both = Both { state: State::new(UNSHARED), model: Model::default(), start: Instant::now() };
        for step in steps {
            both.step(step)?;
        }
    }

    /// The rules may be wrong themselves. This is what they are for.
    #[test]
    fn in_no_history_is_a_key_lost_or_with_two_workers(steps in steps()) {
        let mut both = Both { state: State::new(UNSHARED), model: Model::default(), start: Instant::now() };
        let (mut owed, mut processing, mut open) = (BTreeSet::new(), BTreeSet::new(), true);
        for step in steps {
            match step {
                Step::Add(key, _) if open => _ = owed.insert(key),
                Step::ShutDown => open = false,
                Step::Done(key) => _ = processing.remove(&key),
                Step::Add(..) | Step::AddAfter(..) | Step::Fail(_) | Step::Forget(_) | Step::Take | Step::Pass(_) => {}
            }
            if let Some(key) = both.step(step)? {
                prop_assert!(processing.insert(key), "{} is with two workers", key);
                owed.remove(&key);
            }
        }
        for key in 0..4 {
            both.state.done(&key, both.now());
        }
        while let Take::Key { key, .. } = both.state.take(both.now()) {
            owed.remove(&key);
        }
        prop_assert!(owed.is_empty(), "never came out: {:?}", owed);
    }
}
