//! Who is asked when, and what follows from the answers. The time is a value here.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::report::{Baseline, Outcome};
use super::super::testing::*;
use super::*;
use crate::mcp::{Facts, Reason};

/// A state and a clock.
struct World {
    state: State,
    now: Instant,
    asked: Vec<(Duration, SocketAddr)>,
    begun: Instant,
}

impl World {
    fn new(places: usize) -> Self {
        let now = Instant::now();
        Self { state: State::new(places, 7), now, asked: Vec::new(), begun: now }
    }

    fn observe(&mut self, name: &str, desired: Desired) -> Report {
        self.state.observe(&key(name), desired, self.now)
    }

    /// All questions that are due.
    fn start(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Some(job) = self.state.start(self.now) {
            self.asked.push((self.now - self.begun, address_of(&job)));
            jobs.push(job);
        }
        jobs
    }

    /// Lets time pass, and answers each question at once.
    fn pass(&mut self, time: Duration, mut answer: impl FnMut(SocketAddr) -> Verdict) -> usize {
        let until = self.now + time;
        let mut news = 0;
        while let Some(due) = self.state.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            for job in self.start() {
                let verdict = answer(address_of(&job));
                news += usize::from(self.state.finish(job.question.ticket, Some(verdict), self.now).is_some());
            }
        }
        self.now = until;
        news
    }

    fn report(&self, name: &str) -> Report {
        self.state.report(&key(name)).unwrap()
    }

    fn outcome(&self) -> Outcome {
        self.report("x").outcome
    }

    fn baseline(&self) -> Option<Baseline> {
        self.report("x").baseline
    }
}

fn address_of(job: &Job) -> SocketAddr {
    let all = (0..=255).map(address);
    all.into_iter().find(|address| job.target == Target::new(*address, "x.default.svc:8080", "/mcp").unwrap()).unwrap()
}

fn not(reason: Reason, message: &str) -> Outcome {
    Outcome::Failed { reason, message: message.to_owned() }
}

#[test]
fn a_pod_that_became_ready_is_asked_within_a_second_and_then_every_minute() {
    let mut world = World::new(16);
    assert_eq!(world.observe("x", desired(&[1])).outcome, Outcome::NotYetVerified);
    let news = world.pass(MINUTE * 60, |_| verified("h"));
    assert_eq!((news, world.outcome()), (1, Outcome::Verified), "sixty answers, one of which was news");
    assert!(world.asked[0].0 < SECOND);
    let pauses: Vec<f64> = world.asked.windows(2).map(|two| two[1].0.as_secs_f64() - two[0].0.as_secs_f64()).collect();
    assert!(pauses.iter().all(|pause| (54.0..66.0).contains(pause)), "{pauses:?}");
    assert!((57.0..63.0).contains(&(pauses.iter().sum::<f64>() / 59.0)), "{pauses:?}");
}

#[test]
fn the_same_seed_gives_the_same_schedule() {
    let run = |seed| {
        let mut world = World { state: State::new(2, seed), ..World::new(2) };
        world.observe("x", desired(&[1, 2, 3]));
        world.pass(MINUTE * 10, |_| verified("h"));
        world.asked
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn one_pod_of_three_that_does_not_speak_is_enough() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1, 2, 3]));
    world.pass(SECOND, |asked| if asked == address(2) { failed(Reason::NotMcp) } else { verified("h") });
    assert_eq!(world.outcome(), not(Reason::NotMcp, "pod pod-2: no luck"));
}

#[test]
fn the_worst_reason_counts_and_names_its_pod() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1, 2, 3, 4]));
    let mut reasons =
        [Reason::AuthenticationRequired, Reason::Unreachable, Reason::UnsupportedVersion, Reason::Unreachable];
    let answer = |reasons: [Reason; 4]| {
        move |asked| failed(reasons[(1..5).find(|n| asked == address(*n)).unwrap() as usize - 1])
    };
    world.pass(SECOND, answer(reasons));
    assert_eq!(world.outcome(), not(Reason::UnsupportedVersion, "pod pod-3: no luck; 4 of 4 pods fail"));
    reasons[2] = Reason::AuthenticationRequired;
    world.pass(MINUTE * 2, answer(reasons));
    assert_eq!(world.outcome(), not(Reason::Unreachable, "pod pod-2: no luck; 4 of 4 pods fail"));
}

#[test]
fn a_failure_is_news_at_once_and_its_repetition_is_none() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h"));
    assert_eq!(world.pass(MINUTE * 30, |_| failed(Reason::Unreachable)), 1);
    assert_eq!(world.outcome(), not(Reason::Unreachable, "pod pod-1: no luck"));
    let facts = world.report("x").facts.unwrap();
    assert_eq!(facts.tools, super::super::testing::facts("h").tools, "what it told before is kept");
    assert_eq!(world.pass(MINUTE * 2, |_| verified("h")), 1);
    assert_eq!(world.outcome(), Outcome::Verified);
}

#[test]
fn a_failed_pod_is_asked_again_soon_and_one_that_wants_a_login_is_not() {
    for (reason, expected) in [(Reason::Unreachable, 6..8), (Reason::AuthenticationRequired, 3..4)] {
        let mut world = World::new(16);
        world.observe("x", desired(&[1]));
        world.pass(Duration::from_secs(140), |_| failed(reason));
        assert!(expected.contains(&world.asked.len()), "{reason:?}: {:?}", world.asked);
    }
}

#[test]
fn a_pod_that_has_not_been_asked_yet_changes_nothing() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h"));
    let before = world.report("x");
    assert_eq!(world.observe("x", desired(&[1, 2])), before);
    assert_eq!(world.observe("x", desired(&[3])), before, "even if it is the only one");
    assert_eq!(world.pass(SECOND, |_| verified("h")), 0, "and if it says the same, nothing has happened");
}

#[test]
fn without_a_ready_pod_nothing_is_verified_and_what_was_told_is_kept() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h"));
    let report = world.observe("x", desired(&[]));
    assert_eq!(report.outcome, Outcome::NotYetVerified);
    assert!(report.facts.is_some() && report.baseline.is_some());
    assert_eq!(world.state.next_due(), None);
}

#[test]
fn a_pod_that_left_is_not_asked_and_its_late_answer_is_ignored() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1, 2]));
    world.now += SECOND;
    let jobs = world.start();
    world.observe("x", desired(&[1]));
    for job in jobs {
        let verdict = if address_of(&job) == address(2) { failed(Reason::NotMcp) } else { verified("h") };
        world.state.finish(job.question.ticket, Some(verdict), world.now);
    }
    assert_eq!(world.outcome(), Outcome::Verified);
    world.asked.clear();
    world.pass(MINUTE * 5, |_| verified("h"));
    assert!(world.asked.iter().all(|(_, asked)| *asked == address(1)));
}

#[test]
fn readiness_that_flaps_every_second_does_not_become_a_question_every_second() {
    let mut world = World::new(16);
    for _ in 0..60 {
        world.observe("x", desired(&[1]));
        world.pass(SECOND / 2, |_| verified("h"));
        world.observe("x", desired(&[]));
        world.pass(SECOND / 2, |_| verified("h"));
    }
    assert!((2..=12).contains(&world.asked.len()), "{:?}", world.asked);
    assert!(world.asked.windows(2).all(|two| two[1].0 >= two[0].0 + FLOOR), "{:?}", world.asked);
    assert!(world.state.servers[&key("x")].left.len() <= 1);
}

#[test]
fn another_path_is_another_question_and_the_answer_to_the_old_one_is_ignored() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.now += SECOND;
    let old = world.start().remove(0);
    let mut moved = desired(&[1]);
    let target = Target::new(address(1), "x.default.svc:8080", "/sse").unwrap();
    moved.pods.values_mut().next().unwrap().target = target.clone();
    world.observe("x", moved);
    world.state.finish(old.question.ticket, Some(failed(Reason::NotMcp)), world.now);
    assert_eq!(world.outcome(), Outcome::NotYetVerified);
    assert_eq!(world.state.next_due(), Some(world.now + FLOOR), "no pod is asked twice within five seconds");
    assert_eq!(world.state.start(world.now + FLOOR).unwrap().target, target);
}

#[test]
fn a_shorter_interval_counts_from_now_on() {
    let mut world = World::new(16);
    world.observe("x", Desired { interval: MINUTE * 60, ..desired(&[1]) });
    world.pass(SECOND, |_| verified("h"));
    world.observe("x", desired(&[1]));
    assert!(world.state.next_due().unwrap() < world.now + Duration::from_secs(67));
    world.observe("x", Desired { interval: MINUTE * 60, ..desired(&[1]) });
    assert!(
        world.state.next_due().unwrap() < world.now + Duration::from_secs(67),
        "a longer one after the next question"
    );
}

#[test]
fn there_are_never_more_questions_than_places_and_nobody_is_passed_over() {
    let mut world = World::new(2);
    world.observe("x", desired(&[1, 2, 3, 4, 5]));
    world.now += SECOND;
    let mut running = world.start();
    assert_eq!((running.len(), world.state.next_due()), (2, None));
    while let Some(job) = running.pop() {
        world.state.finish(job.question.ticket, Some(verified("h")), world.now);
        running.extend(world.start());
        assert!(running.len() <= 2);
    }
    let mut asked: Vec<_> = world.asked.iter().map(|(_, asked)| *asked).collect();
    asked.sort();
    assert_eq!(asked, (1..=5).map(address).collect::<Vec<_>>());
}

#[test]
fn a_check_that_panicked_frees_its_place_and_says_nothing() {
    let mut world = World::new(1);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h"));
    world.now += MINUTE * 2;
    let job = world.start().remove(0);
    assert_eq!(world.state.finish(job.question.ticket, None, world.now), None);
    assert_eq!(world.outcome(), Outcome::Verified);
    assert!(world.state.next_due().unwrap() > world.now + MINUTE / 2, "and it is not asked again at once");
}

#[test]
fn the_era_is_remembered_until_a_failure_or_another_pod() {
    let mut world = World::new(16);
    let legacy = Verdict::Verified(Box::new(Facts { era: Era::Legacy, ..facts("h") }));
    world.observe("x", desired(&[1]));
    let mut remembered = Vec::new();
    for verdict in [legacy.clone(), failed(Reason::Unreachable), legacy] {
        world.now = world.now.max(world.state.next_due().unwrap());
        let job = world.start().remove(0);
        remembered.push(job.remembered);
        world.state.finish(job.question.ticket, Some(verdict), world.now);
    }
    assert_eq!(remembered, [None, Some(Era::Legacy), None]);
    world.observe("x", desired(&[2]));
    world.now += SECOND;
    assert_eq!(world.start()[0].remembered, None);
}

#[test]
fn tools_that_change_behind_ones_back_are_news_once() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    assert_eq!(world.baseline(), None);
    world.pass(MINUTE * 2, |_| verified("h1"));
    assert_eq!(world.baseline(), Some(baseline("r1", "h1")));
    assert_eq!(world.pass(MINUTE * 5, |_| verified("h2")), 1);
    assert_eq!(world.baseline(), Some(baseline("r1", "h2")));
}

#[test]
fn tools_are_those_of_one_revision_and_in_the_middle_of_a_rollout_of_the_old_one() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h1"));
    let both = Desired { pods: pods(&[1], "r1").into_iter().chain(pods(&[2], "r2")).collect(), ..desired(&[]) };
    world.observe("x", both);
    world.pass(SECOND * 10, |asked| verified(if asked == address(1) { "h1" } else { "h2" }));
    assert_eq!((world.outcome(), world.baseline()), (Outcome::Verified, Some(baseline("r1", "h1"))));
    world.observe("x", Desired { pods: pods(&[2], "r2"), ..desired(&[]) });
    world.pass(SECOND * 10, |_| verified("h2"));
    assert_eq!(world.baseline(), Some(baseline("r2", "h2")));
}

#[test]
fn what_the_status_says_of_the_tools_is_where_an_operator_begins_and_is_not_looked_at_again() {
    let mut world = World::new(16);
    let begun = Desired { baseline: Some(baseline("r1", "h1")), ..desired(&[1]) };
    assert_eq!(world.observe("x", begun).baseline, Some(baseline("r1", "h1")));
    world.pass(SECOND, |_| verified("h2"));
    assert_eq!(world.baseline(), Some(baseline("r1", "h2")));
    // The status has been written by now, and says something else.
    world.observe("x", Desired { baseline: Some(baseline("r1", "h9")), ..desired(&[1]) });
    assert_eq!(world.baseline(), Some(baseline("r1", "h2")));
}

#[test]
fn one_pod_whose_tools_differ_is_a_change() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h1"));
    world.observe("x", desired(&[1, 2]));
    world.pass(SECOND * 2, |asked| verified(if asked == address(1) { "h1" } else { "h2" }));
    let Baseline { revision, tools_hash: both } = world.baseline().unwrap();
    assert!(*revision == *"r1" && *both != *"h1" && *both != *"h2");
    assert_eq!(world.pass(MINUTE * 10, |asked| verified(if asked == address(1) { "h1" } else { "h2" })), 0);
    world.pass(MINUTE * 2, |_| verified("h2"));
    assert_eq!(world.baseline(), Some(baseline("r1", "h2")));
}

#[test]
fn a_failure_in_between_does_not_hide_a_change() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    world.pass(SECOND, |_| verified("h1"));
    world.pass(MINUTE * 5, |_| failed(Reason::Unreachable));
    assert_eq!(world.baseline(), Some(baseline("r1", "h1")));
    world.pass(MINUTE * 5, |_| verified("h2"));
    assert_eq!(world.baseline(), Some(baseline("r1", "h2")));
}

#[test]
fn what_may_be_remembered_and_for_how_long_is_no_news() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1]));
    let mut ttl = 0;
    let news = world.pass(MINUTE * 20, |_| {
        ttl += 1;
        Verdict::Verified(Box::new(Facts { ttl: Some(SECOND * ttl), ..facts("h") }))
    });
    assert_eq!(news, 1);
}

#[test]
fn pods_that_say_the_same_share_it() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1, 2, 3]));
    world.pass(MINUTE * 3, |_| verified("h"));
    let facts = world.report("x").facts.unwrap();
    // Three pods, the state's report, and this one.
    assert_eq!(std::sync::Arc::strong_count(&facts), 5);
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let mut world = World::new(16);
    world.observe("x", desired(&[1, 2, 3]));
    world.observe("y", desired(&[4]));
    world.now += SECOND;
    let jobs = world.start();
    world.state.finish(jobs[0].question.ticket, Some(verified("h")), world.now);
    for name in ["x", "y"] {
        world.state.forget(&key(name));
        assert_eq!(world.state.report(&key(name)), None);
    }
    for job in &jobs[1..] {
        assert_eq!(world.state.finish(job.question.ticket, Some(verified("h")), world.now), None);
    }
    assert!(world.state.servers.is_empty() && world.state.schedule.is_empty() && world.state.running.is_empty());
}

mod any_history {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Observe(&'static str, Vec<u8>, u64),
        Forget(&'static str),
        Pass(u64),
        Answer(usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || prop::sample::select(vec!["x", "y"]);
        prop_oneof![
            (name(), prop::collection::vec(0..6u8, 0..4), 1..120u64)
                .prop_map(|(name, pods, every)| Step::Observe(name, pods, every)),
            name().prop_map(Step::Forget),
            (0..90u64).prop_map(Step::Pass),
            (0..4usize, any::<bool>()).prop_map(|(index, well)| Step::Answer(index, well)),
        ]
    }

    fn check(state: &State) -> Result<(), TestCaseError> {
        let mut waiting = BTreeSet::new();
        for (key, server) in &state.servers {
            for (uid, asked) in &server.pods {
                if let Phase::Waiting(due) = asked.phase {
                    waiting.insert((due, key.clone(), uid.clone()));
                }
            }
        }
        prop_assert_eq!(&waiting, &state.schedule, "the schedule is who waits");
        prop_assert!(state.running.len() <= state.places);
        Ok(())
    }

    proptest! {
        #[test]
        fn the_schedule_is_who_waits_and_no_pod_is_asked_twice_within_the_floor(steps in prop::collection::vec(step(), 1..60)) {
            let mut world = World::new(3);
            let mut running: Vec<Job> = Vec::new();
            let mut last: BTreeMap<SocketAddr, Instant> = BTreeMap::new();
            for step in steps {
                match step {
                    // Each server has pods of its own.
                    Step::Observe(name, numbers, every) => {
                        let numbers: Vec<u8> = numbers.iter().map(|n| n + if name == "x" { 1 } else { 101 }).collect();
                        world.observe(name, Desired { interval: SECOND * u32::try_from(every).unwrap(), ..desired(&numbers) });
                    }
                    Step::Forget(name) => {
                        world.state.forget(&key(name));
                        // With the server its memory of when it was asked goes, too.
                        last.clear();
                    }
                    Step::Pass(seconds) => world.now += SECOND * u32::try_from(seconds).unwrap(),
                    Step::Answer(index, well) if !running.is_empty() => {
                        let job = running.remove(index % running.len());
                        let verdict = if well { verified("h") } else { failed(Reason::Unreachable) };
                        world.state.finish(job.question.ticket, Some(verdict), world.now);
                    }
                    Step::Answer(..) => {}
                }
                for job in world.start() {
                    let before = last.insert(address_of(&job), world.now);
                    prop_assert!(before.is_none_or(|before| world.now - before >= FLOOR));
                    running.push(job);
                }
                check(&world.state)?;
            }
        }
    }
}
