//! The promise of the whole module, tested with random histories: the intervals in which two instances may write never
//! overlap.
//!
//! Two or three instances compete for one Lease. Their networks delay and lose requests at random, and their wall
//! clocks are hours apart. They are suspended and resumed, stopped and killed, and now and then the Lease is deleted.
//!
//! Two intervals overlap if and only if one begins within the other. So it is enough to count the open fences
//! whenever one is opened. A failing case prints a seed that replays it.

use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use rand::Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::leader_election::elector::Term;

/// How long one case lasts, in virtual time.
const STORY: Duration = Duration::from_secs(400);

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// The percentage of requests that never arrive.
    lost: u32,
    /// The percentage of answers that never arrive.
    answers_lost: u32,
    /// The percentage of trips, each way, that take up to `slow` instead of 20 ms.
    often_slow: u32,
    slow: Duration,
}

impl Weather {
    fn trip(self, rng: &mut StdRng) -> Trip {
        let mut percent = |chance| rng.random_range(0..100) < chance;
        let (arrives, answered) = (!percent(self.lost), !percent(self.answers_lost));
        let (there_slow, back_slow) = (percent(self.often_slow), percent(self.often_slow));
        let mut time = |slow| rng.random_range(Duration::ZERO..if slow { self.slow } else { secs(0.02) });
        Trip { there: time(there_slow), arrives, back: time(back_slow), answered }
    }
}

/// A process that the kernel suspends from time to time: nothing in it runs then, but its clock continues.
struct Suspendable<F> {
    process: Pin<Box<F>>,
    /// The start and end of each suspension, in order.
    pauses: VecDeque<(Instant, Instant)>,
    resume: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<F: Future> Future for Suspendable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(resume) = &mut self.resume {
                std::task::ready!(resume.as_mut().poll(context));
                self.resume = None;
            }
            let now = Instant::now();
            match self.pauses.front() {
                Some((_, until)) if *until <= now => {
                    self.pauses.pop_front();
                }
                Some((from, until)) if *from <= now => self.resume = Some(Box::pin(tokio::time::sleep_until(*until))),
                Some(_) | None => return self.process.as_mut().poll(context),
            }
        }
    }
}

/// One process after the other, each with a new identity, as a Deployment restarts its pod.
async fn restart_for_ever(name: String, seed: u64, world: Arc<Mutex<World>>, weather: Weather) {
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let instance = Instance::new(&name, rng.random(), &world);
        instance.path.next((0..500).map(|_| weather.trip(&mut rng)));
        let elector = instance.elector_with_clock(rng.random(), SignedDuration::from_mins(rng.random_range(-300..300)));
        let stop = CancellationToken::new();
        let leader = elector.acquire(&stop).await.expect("it was not asked to stop");
        let (stopped_in_order, served) = (rng.random_range(0..3) == 0, secs(rng.random_range(1.0..60.0)));
        let asked_to_stop = async {
            sleep(served).await;
            if stopped_in_order {
                stop.cancel();
            }
            std::future::pending::<()>().await;
        };
        let term = tokio::select! {
            term = leader.hold(&stop) => term,
            () = asked_to_stop => unreachable!("it pends"),
        };
        if let Term::Completed(retired) = term {
            retired.release().await;
        }
    }
}

/// Plays one history, and returns for each of its seconds how many instances may write.
async fn play(seed: u64, instances: usize, weather: Weather, suspensions: bool, deletions: bool) -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world: Arc<Mutex<World>> = Arc::default();
    let start = Instant::now();
    let mut processes = JoinSet::new();
    for number in 0..instances {
        let process = restart_for_ever(format!("pod-{number}"), rng.random(), Arc::clone(&world), weather);
        let pauses = if suspensions { some_pauses(start, &mut rng) } else { VecDeque::new() };
        processes.spawn(Suspendable { process: Box::pin(process), pauses, resume: None });
    }
    let mut writers = Vec::new();
    while start.elapsed() < STORY {
        sleep(secs(1.0)).await;
        assert!(processes.try_join_next().is_none(), "a process has panicked");
        let mut world = world.lock().unwrap();
        writers.push(world.writers());
        if deletions && rng.random_range(0..15) == 0 {
            world.lease = None;
        }
    }
    processes.shutdown().await;
    let begun = std::mem::take(&mut world.lock().unwrap().writers);
    assert!(begun.iter().all(|writers| *writers <= 1), "{begun:?} may write");
    writers
}

fn some_pauses(start: Instant, rng: &mut StdRng) -> VecDeque<(Instant, Instant)> {
    let mut at = start;
    (0..20)
        .map(|_| {
            let from = at + secs(rng.random_range(1.0..30.0));
            at = from + secs(rng.random_range(0.1..40.0));
            (from, at)
        })
        .collect()
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(story)
}

#[test]
fn on_a_good_day_somebody_leads_nearly_always() {
    let weather = Weather { lost: 0, answers_lost: 0, often_slow: 0, slow: secs(0.1) };
    let writers = run(play(1, 2, weather, false, false));
    let led = writers.iter().filter(|writers| **writers == 1).count();
    assert!(led > writers.len() * 9 / 10, "{led} seconds of {}", writers.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_may_two_instances_write(
        seed in any::<u64>(),
        instances in 2..=3_usize,
        lost in 0..40_u32,
        answers_lost in 0..40_u32,
        often_slow in 0..60_u32,
        slow in 1..12_u64,
        suspensions in any::<bool>(),
        deletions in any::<bool>(),
    ) {
        let weather = Weather { lost, answers_lost, often_slow, slow: Duration::from_secs(slow) };
        run(play(seed, instances, weather, suspensions, deletions));
    }
}
