//! The promises of the whole module, tested with random histories:
//!
//! 1. The intervals in which two instances may write never overlap, and a write that was sent within one and took no
//!    longer than the margin arrives before the next one begins.
//! 2. No holder loses the Lease before its time, and the Lease tells people the truth (see [`rules`]).
//! 3. When everything works again, somebody leads, and goes on leading.
//!
//! Two or three instances compete for one Lease. Their networks delay and lose requests and answers at random; a request
//! may arrive when its sender has long given up. Their wall clocks are hours apart, and jump. They are suspended with
//! all that they do, so that every timer in them is late; they are stopped and killed, and replaced. And now and then
//! somebody deletes the Lease, or edits it. After some minutes of that, there is [`CALM`].
//!
//! A failing case prints a seed that replays it.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use proptest::sample::subsequence;
use rand::Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::leader_election::elector::Term;

/// How long the trouble lasts, in virtual time.
const STORM: Duration = Duration::from_secs(400);

/// Time without trouble at the end. A lease duration to notice that a leader is dead, another one where there is no
/// Lease, and the pause before a killed instance is replaced; twice that.
const CALM: Duration = Duration::from_secs(120);

/// The longest way of a worker's write that the margin has room for.
const MARGIN: Duration = Duration::from_millis(1_500);

/// What may happen besides bad weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The processes are suspended from time to time.
    Suspensions,
    /// Leaders are killed.
    Kills,
    /// Wall clocks jump by hours.
    Jumps,
    /// Somebody deletes the Lease.
    Deletions,
    /// Somebody annotates the Lease.
    Edits,
}

const FAULTS: [Fault; 5] = [Fault::Suspensions, Fault::Kills, Fault::Jumps, Fault::Deletions, Fault::Edits];

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// The percentage of requests that never arrive. Half of their senders are never told.
    lost: u32,
    /// The percentage of answers that never arrive.
    answers_lost: u32,
    /// The percentage of trips, each way, that take up to `slow` instead of 20 ms.
    often_slow: u32,
    slow: Duration,
}

impl Weather {
    const GOOD: Self = Self { lost: 0, answers_lost: 0, often_slow: 0, slow: Duration::from_millis(100) };
    const BAD: Self = Self { lost: 20, answers_lost: 20, often_slow: 20, slow: Duration::from_secs(8) };

    fn trip(self, rng: &mut StdRng) -> Trip {
        let mut percent = |chance| rng.random_range(0..100) < chance;
        let (arrives, answered, hung) = (!percent(self.lost), !percent(self.answers_lost), percent(50));
        let (there_slow, back_slow) = (percent(self.often_slow), percent(self.often_slow));
        let mut time = |slow| rng.random_range(Duration::ZERO..if slow { self.slow } else { secs(0.02) });
        let (there, back) = (time(there_slow), time(back_slow));
        Trip { there, arrives, back: if arrives || !hung { back } else { HOUR }, answered }
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

/// What is going on, for all instances.
#[derive(Clone)]
struct Scene {
    world: Arc<Mutex<World>>,
    weather: Weather,
    faults: BTreeSet<Fault>,
    /// When the trouble ends.
    calm: Instant,
}

/// How a term ends, if nothing else ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stopped,
    Killed,
    Spared,
}

impl Scene {
    /// How the next term ends, and when.
    fn fate(&self, rng: &mut StdRng) -> (Fate, Instant) {
        let at = Instant::now() + secs(rng.random_range(1.0..60.0));
        match rng.random_range(0..3) {
            _ if at >= self.calm => (Fate::Spared, at),
            0 => (Fate::Stopped, at),
            1 if self.faults.contains(&Fault::Kills) => (Fate::Killed, at),
            _ => (Fate::Spared, at),
        }
    }

    /// A wall clock that is wrong by up to five hours, and by another time every seven seconds if clocks jump.
    fn wall_clock(&self, rng: &mut StdRng) -> WallClock {
        let start = Instant::now();
        let jumps = if self.faults.contains(&Fault::Jumps) { 50 } else { 1 };
        let clocks: Vec<WallClock> =
            (0..jumps).map(|_| wall_clock(SignedDuration::from_mins(rng.random_range(-300..300)))).collect();
        let turn = move || usize::try_from(start.elapsed().as_secs() / 7).unwrap();
        WallClock::new(move || clocks[turn() % clocks.len()].now())
    }

    fn pauses(&self, rng: &mut StdRng) -> VecDeque<(Instant, Instant)> {
        let mut pauses = VecDeque::new();
        let mut at = Instant::now();
        while self.faults.contains(&Fault::Suspensions) && at < self.calm {
            let from = at + secs(rng.random_range(1.0..80.0));
            at = from + secs(rng.random_range(0.1..40.0));
            pauses.push_back((from, at.min(self.calm)));
        }
        pauses
    }

    /// One process after the other, each with a new identity, as a Deployment replaces its pod.
    async fn replace_for_ever(self, name: String, mut rng: StdRng) {
        loop {
            let instance = Instance::new(&name, rng.random(), &self.world);
            instance.path.next((0..500).map(|_| self.weather.trip(&mut rng)));
            let elector = instance.elector(rng.random()).with_wall_clock(self.wall_clock(&mut rng));
            let leader = elector.acquire(&CancellationToken::new()).await.expect("it was not asked to stop");
            let (fate, at) = self.fate(&mut rng);
            let (stop, release) = (CancellationToken::new(), CancellationToken::new());
            let work = async {
                self.work(&instance, &stop, StdRng::seed_from_u64(rng.random())).await;
                release.cancel();
                std::future::pending::<()>().await;
            };
            let end = async {
                tokio::time::sleep_until(at).await;
                if fate == Fate::Stopped {
                    stop.cancel();
                }
                if fate != Fate::Killed {
                    std::future::pending::<()>().await;
                }
            };
            let term = tokio::select! {
                term = leader.hold(&release) => Some(term),
                () = work => None,
                () = end => None,
            };
            if let Some(Term::Completed(retired)) = term {
                retired.release().await;
            }
            sleep(secs(rng.random_range(0.0..10.0))).await;
        }
    }

    /// Writes one thing after the other, as far as the fence lets it, until `stop`, and ends between two of them.
    async fn work(&self, instance: &Instance, stop: &CancellationToken, mut rng: StdRng) {
        while !stop.is_cancelled() {
            sleep(secs(rng.random_range(0.0..1.0))).await;
            if instance.may_write() {
                let (world, writer) = (Arc::clone(&self.world), instance.identity.clone());
                let way = rng.random_range(Duration::ZERO..MARGIN);
                // It arrives even if the writer is killed meanwhile.
                let arrived = tokio::spawn(async move {
                    sleep(way).await;
                    world.lock().unwrap().wrote(&writer);
                });
                arrived.await.unwrap();
            }
        }
    }
}

impl World {
    /// A write of a worker has arrived.
    fn wrote(&mut self, writer: &Identity) {
        if self.latest.as_ref() != Some(writer) {
            self.broken.push(format!("a write of {writer} arrived when {:?} had begun", self.latest));
        }
    }

    /// Somebody who is no instance does something to the Lease.
    fn meddle(&mut self, faults: &BTreeSet<Fault>, rng: &mut StdRng) {
        if faults.contains(&Fault::Deletions) && rng.random_range(0..40) == 0 {
            self.lease = None;
        }
        if faults.contains(&Fault::Edits)
            && rng.random_range(0..40) == 0
            && let Some(mut lease) = self.lease.clone()
        {
            let note = lease.metadata.annotations.get_or_insert_default();
            note.insert("note".to_owned(), self.version.to_string());
            let uid = lease.metadata.uid.clone().unwrap_or_default();
            self.store(lease, uid);
        }
    }
}

/// What a history was like.
struct Outcome {
    /// For each second, how many might write.
    writers: Vec<usize>,
    /// How many led, one after the other.
    terms: usize,
}

/// Plays one history, and checks the promises.
async fn play(seed: u64, instances: usize, weather: Weather, faults: &[Fault]) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let (world, start) = (Arc::<Mutex<World>>::default(), Instant::now());
    let faults: BTreeSet<Fault> = faults.iter().copied().collect();
    let scene = Scene { world: Arc::clone(&world), weather, faults, calm: start + STORM };
    let mut processes = JoinSet::new();
    for number in 0..instances {
        let process = scene.clone().replace_for_ever(format!("pod-{number}"), StdRng::seed_from_u64(rng.random()));
        processes.spawn(Suspendable { process: Box::pin(process), pauses: scene.pauses(&mut rng), resume: None });
    }
    let mut writers = Vec::new();
    while start.elapsed() < STORM + CALM {
        sleep(secs(1.0)).await;
        assert!(processes.try_join_next().is_none(), "a process has panicked");
        let mut world = world.lock().unwrap();
        writers.push(world.writers());
        if start.elapsed() < STORM {
            world.meddle(&scene.faults, &mut rng);
        } else {
            world.calm = true;
        }
    }
    processes.shutdown().await;
    let World { broken, terms, .. } = std::mem::take(&mut *world.lock().unwrap());
    assert_eq!(broken, [""; 0]);
    assert!(writers.iter().rev().take(30).all(|writers| *writers == 1), "in the calm, nobody leads: {writers:?}");
    Outcome { writers, terms }
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(story)
}

#[test]
fn on_a_good_day_somebody_leads_nearly_always() {
    let Outcome { writers, terms: _ } = run(play(1, 2, Weather::GOOD, &[]));
    let led = writers.iter().filter(|writers| **writers == 1).count();
    assert!(led > writers.len() * 9 / 10, "{led} seconds of {}", writers.len());
}

/// Histories in which one instance leads from beginning to end would prove nothing.
#[test]
fn in_a_storm_leadership_passes_on_many_times() {
    let terms: Vec<usize> = (0..10).map(|seed| run(play(seed, 3, Weather::BAD, &FAULTS)).terms).collect();
    assert!(terms.iter().sum::<usize>() > 30, "{terms:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_may_two_instances_write(
        seed in any::<u64>(),
        instances in 2..=3_usize,
        lost in 0..40_u32,
        answers_lost in 0..40_u32,
        often_slow in 0..60_u32,
        slow in 1..40_u64,
        faults in subsequence(&FAULTS, 0..=FAULTS.len()),
    ) {
        let weather = Weather { lost, answers_lost, often_slow, slow: Duration::from_secs(slow) };
        run(play(seed, instances, weather, &faults));
    }
}
