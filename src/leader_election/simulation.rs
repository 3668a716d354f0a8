//! The elector against an API server that delays, loses and reorders requests in virtual time.
//!
//! Each request is carried by a task of its own, so that it arrives even after its sender has given up, or is dead: a
//! renewal may be done half a minute after the leader has stopped waiting for it.

mod facts;
mod overlap;
mod rules;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::api::{LeaseApi, LeaseError};
use super::config::{Identity, Timing};
use super::elector::Elector;
use crate::client::Fence;
use crate::clock::WallClock;
use crate::object::ObjectKey;

/// What happens to one request.
#[derive(Debug, Clone, Copy)]
struct Trip {
    /// From the sender to the API server.
    there: Duration,
    /// Whether it arrives.
    arrives: bool,
    /// From the API server to the sender.
    back: Duration,
    /// Whether the answer arrives; if not, the connection breaks at that moment.
    answered: bool,
}

const FAST: Trip =
    Trip { there: Duration::from_millis(1), arrives: true, back: Duration::from_millis(1), answered: true };

const HOUR: Duration = Duration::from_secs(3600);

impl Trip {
    /// Never reaches the API server, and the sender gets no answer for an hour.
    const HUNG: Self = Self { arrives: false, back: HOUR, ..FAST };
    /// The request is done, but the answer is lost.
    const ANSWER_LOST: Self = Self { answered: false, ..FAST };
}

/// The Lease in the API server, and what becomes of those who compete for it.
#[derive(Debug, Default)]
struct World {
    lease: Option<Lease>,
    version: u64,
    /// When the Lease was last written.
    written: Option<Instant>,
    /// The holder that each write named, and when.
    holders: Vec<(Instant, String)>,
    /// The fences of all instances that have ever existed.
    fences: Vec<Fence>,
    /// The holder that was last let write.
    latest: Option<Identity>,
    /// How many have ever been let write.
    terms: usize,
    /// What happened and must not.
    broken: Vec<String>,
    /// From now on every request is `FAST`.
    calm: bool,
}

impl World {
    fn writers(&self) -> usize {
        let now = Instant::now();
        self.fences.iter().filter(|fence| fence.remaining(now).is_some()).count()
    }

    fn create(&mut self, lease: Lease) -> Result<Lease, LeaseError> {
        if self.lease.is_some() {
            return Err(LeaseError::Changed);
        }
        let uid = format!("uid-{}", self.version);
        Ok(self.store(lease, uid))
    }

    /// Refuses another uid or version, but not a write that names none; ignores a write that changes nothing.
    fn replace(&mut self, lease: Lease) -> Result<Lease, LeaseError> {
        let Some(stored) = &self.lease else { return Err(LeaseError::Changed) };
        let is_other = |named: &Option<String>, is: &Option<String>| named.is_some() && named != is;
        if is_other(&lease.metadata.uid, &stored.metadata.uid)
            || is_other(&lease.metadata.resource_version, &stored.metadata.resource_version)
        {
            return Err(LeaseError::Changed);
        }
        if stored.metadata == lease.metadata && stored.spec == lease.spec {
            return Ok(lease);
        }
        let uid = stored.metadata.uid.clone().unwrap_or_default();
        self.broken.extend(rules::of_a_write(stored, &lease, self.written.map(|written| written.elapsed())));
        Ok(self.store(lease, uid))
    }

    fn store(&mut self, mut lease: Lease, uid: String) -> Lease {
        self.version += 1;
        lease.metadata.uid = Some(uid);
        lease.metadata.resource_version = Some(self.version.to_string());
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        self.holders.push((Instant::now(), holder));
        self.written = Some(Instant::now());
        self.lease = Some(lease.clone());
        lease
    }

    /// The fence of `holder` was opened, or its opening prolonged.
    ///
    /// Two intervals overlap if and only if one begins within the other. So it is enough to count the open fences now.
    fn opened(&mut self, holder: &Identity) {
        self.terms += usize::from(self.latest.as_ref() != Some(holder));
        self.latest = Some(holder.clone());
        let writers = self.writers();
        if writers != 1 {
            self.broken.push(format!("{writers} may write when {holder} begins"));
        }
    }
}

/// One instance's connection to the API server.
#[derive(Clone)]
struct Path {
    world: Arc<Mutex<World>>,
    /// What happens to the next requests; then all are `FAST`.
    trips: Arc<Mutex<VecDeque<Trip>>>,
    /// The verbs of all requests.
    asked: Arc<Mutex<Vec<(Instant, &'static str)>>>,
}

impl Path {
    fn to(world: &Arc<Mutex<World>>) -> Self {
        Self { world: Arc::clone(world), trips: Arc::default(), asked: Arc::default() }
    }

    /// Decides what happens to the next requests.
    fn next(&self, trips: impl IntoIterator<Item = Trip>) {
        let mut next = self.trips.lock().unwrap();
        next.clear();
        next.extend(trips);
    }

    /// Lets no request through any more.
    fn cut(&self) {
        self.next(std::iter::repeat_n(Trip::HUNG, 1_000));
    }

    fn verbs(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().iter().map(|(_, verb)| *verb).collect()
    }

    async fn ask<T: Send + 'static>(
        &self,
        verb: &'static str,
        act: impl FnOnce(&mut World) -> Result<T, LeaseError> + Send + 'static,
    ) -> Result<T, LeaseError> {
        self.asked.lock().unwrap().push((Instant::now(), verb));
        let trip = self.trips.lock().unwrap().pop_front().filter(|_| !self.world.lock().unwrap().calm).unwrap_or(FAST);
        let (answer, answered) = oneshot::channel();
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            sleep(trip.there).await;
            let result = if trip.arrives { act(&mut world.lock().unwrap()) } else { Err(broken()) };
            sleep(trip.back).await;
            // The sender may have given up.
            let _ = answer.send(if trip.answered { result } else { Err(broken()) });
        });
        answered.await.unwrap_or_else(|_| Err(broken()))
    }
}

fn broken() -> LeaseError {
    LeaseError::Failed("connection reset".into())
}

impl LeaseApi for Path {
    async fn get(&self) -> Result<Option<Lease>, LeaseError> {
        self.ask("get", |world| Ok(world.lease.clone())).await
    }

    async fn create(&self, lease: Lease) -> Result<Lease, LeaseError> {
        self.ask("create", move |world| world.create(lease)).await
    }

    async fn replace(&self, lease: Lease) -> Result<Lease, LeaseError> {
        self.ask("replace", move |world| world.replace(lease)).await
    }
}

/// An instance that takes part in the election.
struct Instance {
    identity: Identity,
    timing: Timing,
    fence: Fence,
    path: Path,
    /// The values of the gauge, and whether the fence was open at the moment of each change.
    gauge: Arc<Mutex<Vec<(Instant, bool, bool)>>>,
}

impl Instance {
    fn new(name: &str, seed: u64, world: &Arc<Mutex<World>>) -> Self {
        let identity = Identity::new(name, &mut StdRng::seed_from_u64(seed));
        let fence = Fence::closed();
        world.lock().unwrap().fences.push(fence.clone());
        let timing = Timing::default();
        Self { identity, timing, fence, path: Path::to(world), gauge: Arc::default() }
    }

    fn elector(&self, seed: u64) -> Elector<Path> {
        let (fence, gauge, world) = (self.fence.clone(), Arc::clone(&self.gauge), Arc::clone(&self.path.world));
        let identity = self.identity.clone();
        let show = move |leads| {
            let now = Instant::now();
            let open = fence.remaining(now).is_some();
            gauge.lock().unwrap().push((now, leads, open));
            // It is not if the answer came when the time was over.
            if leads && open {
                world.lock().unwrap().opened(&identity);
            }
        };
        Elector::new(
            self.path.clone(),
            key(),
            self.identity.clone(),
            self.timing,
            self.fence.clone(),
            Box::new(show),
            StdRng::seed_from_u64(seed),
        )
    }

    /// The same with a wall clock that is wrong by `off`.
    fn elector_with_clock(&self, seed: u64, off: SignedDuration) -> Elector<Path> {
        self.elector(seed).with_wall_clock(wall_clock(off))
    }

    fn may_write(&self) -> bool {
        self.fence.remaining(Instant::now()).is_some()
    }

    fn leads(&self) -> bool {
        self.gauge.lock().unwrap().last().is_some_and(|(_, leads, _)| *leads)
    }
}

/// A wall clock that follows the virtual time.
fn wall_clock(off: SignedDuration) -> WallClock {
    let (start, wall) = (Instant::now(), "2026-11-22T20:00:00Z".parse::<Timestamp>().unwrap());
    WallClock::new(move || wall + off + SignedDuration::try_from(start.elapsed()).unwrap())
}

fn key() -> ObjectKey {
    ObjectKey::new("ops", "smooth-operator")
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
