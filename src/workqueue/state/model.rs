//! Random histories, compared with a model of ten lines.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

/// Rules 1 to 6 with nothing but sets. Without priorities and delays this is the whole queue.
#[derive(Default)]
struct Model {
    queue: VecDeque<u8>,
    dirty: BTreeSet<u8>,
    processing: BTreeSet<u8>,
}

impl Model {
    fn add(&mut self, key: u8) {
        if self.dirty.insert(key) && !self.processing.contains(&key) {
            self.queue.push_back(key);
        }
    }

    fn take(&mut self) -> Option<u8> {
        let key = self.queue.pop_front()?;
        self.dirty.remove(&key);
        self.processing.insert(key);
        Some(key)
    }

    fn done(&mut self, key: u8) {
        if self.processing.remove(&key) && self.dirty.contains(&key) {
            self.queue.push_back(key);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u8),
    AddAt(u8, i32),
    AddAfter(u8, u16),
    Fail(u8),
    Take,
    Done(u8),
    Forget(u8),
    Pass(u16),
    ShutDown,
}

fn plain() -> impl Strategy<Value = Step> {
    prop_oneof![(0..5_u8).prop_map(Step::Add), Just(Step::Take), (0..5_u8).prop_map(Step::Done)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => plain(),
        2 => (0..5_u8, -2..3_i32).prop_map(|(key, priority)| Step::AddAt(key, priority)),
        2 => (0..5_u8, 0..300_u16).prop_map(|(key, ms)| Step::AddAfter(key, ms)),
        2 => (0..5_u8).prop_map(Step::Fail),
        1 => (0..5_u8).prop_map(Step::Forget),
        2 => (0..300_u16).prop_map(Step::Pass),
        1 => (0..20_u8).prop_map(|die| if die == 0 { Step::ShutDown } else { Step::Take }),
    ]
}

fn apply(state: &mut State<u8>, step: Step, now: &mut Instant) -> Option<u8> {
    match step {
        Step::Add(key) => _ = state.add(key, Priority::NORMAL, *now),
        Step::AddAt(key, priority) => _ = state.add(key, Priority(priority), *now),
        Step::AddAfter(key, ms) => _ = state.add_after(key, Duration::from_millis(ms.into()), *now),
        Step::Fail(key) => _ = state.add_rate_limited(key, Duration::ZERO, *now),
        Step::Done(key) => _ = state.done(&key, *now),
        Step::Forget(key) => state.forget(&key),
        Step::Pass(ms) => *now += Duration::from_millis(ms.into()),
        Step::ShutDown => state.shut_down(),
        Step::Take => {
            if let Take::Key { key, .. } = state.take(*now) {
                return Some(key);
            }
        }
    }
    None
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_history_of_add_take_and_done_is_that_of_the_model(steps in prop::collection::vec(plain(), 0..60)) {
        let (mut state, mut model, mut now) = (State::new(RateLimit::default()), Model::default(), Instant::now());
        for step in steps {
            let taken = apply(&mut state, step, &mut now);
            let expected = match step {
                Step::Add(key) => { model.add(key); None }
                Step::Done(key) => { model.done(key); None }
                _ => model.take(),
            };
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(state.len(), model.queue.len());
        }
    }

    #[test]
    fn no_history_breaks_an_invariant_or_loses_a_key(steps in prop::collection::vec(any_step(), 0..60)) {
        let (mut state, mut now) = (State::new(RateLimit::default()), Instant::now());
        // Keys that were added, and not taken since: each must come out in the end.
        let mut owed = BTreeSet::new();
        let mut open = true;
        for step in steps {
            state.advance(now);
            if let Some(key) = apply(&mut state, step, &mut now) {
                owed.remove(&key);
            }
            match step {
                Step::Add(key) | Step::AddAt(key, _) if open => _ = owed.insert(key),
                Step::ShutDown => open = false,
                _ => {}
            }
            state.check_invariants();
        }
        for key in 0..5 {
            state.done(&key, now);
        }
        while let Take::Key { key, .. } = state.take(now) {
            owed.remove(&key);
        }
        prop_assert!(owed.is_empty(), "never came out: {:?}", owed);
    }
}
