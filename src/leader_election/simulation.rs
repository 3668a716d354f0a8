//! The elector against an API server that delays, loses and reorders requests in virtual time.
//!
//! Each request is carried by a task of its own, so that it arrives even after its sender has given up: a renewal
//! may be done ten seconds after the leader has stopped waiting for it.

mod facts;
mod overlap;

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

/// The Lease in the API server.
#[derive(Debug, Default)]
struct World {
    lease: Option<Lease>,
    version: u64,
    /// The holder that each write named, and when.
    holders: Vec<(Instant, String)>,
    /// The fences of all instances that have ever existed.
    fences: Vec<Fence>,
    /// How many fences were open each time one was opened.
    writers: Vec<usize>,
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

    /// Refuses another uid or version; ignores a write that changes nothing.
    fn replace(&mut self, lease: Lease) -> Result<Lease, LeaseError> {
        match &self.lease {
            Some(stored) if stored.metadata == lease.metadata && stored.spec == lease.spec => Ok(lease),
            Some(stored)
                if stored.metadata.uid == lease.metadata.uid
                    && stored.metadata.resource_version == lease.metadata.resource_version =>
            {
                let uid = stored.metadata.uid.clone().unwrap_or_default();
                Ok(self.store(lease, uid))
            }
            Some(_) | None => Err(LeaseError::Changed),
        }
    }

    fn store(&mut self, mut lease: Lease, uid: String) -> Lease {
        self.version += 1;
        lease.metadata.uid = Some(uid);
        lease.metadata.resource_version = Some(self.version.to_string());
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        self.holders.push((Instant::now(), holder));
        self.lease = Some(lease.clone());
        lease
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
        let trip = self.trips.lock().unwrap().pop_front().unwrap_or(FAST);
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
        Self { identity, fence, path: Path::to(world), gauge: Arc::default() }
    }

    fn elector(&self, seed: u64) -> Elector<Path> {
        let (fence, gauge, world) = (self.fence.clone(), Arc::clone(&self.gauge), Arc::clone(&self.path.world));
        let show = move |leads| {
            let now = Instant::now();
            gauge.lock().unwrap().push((now, leads, fence.remaining(now).is_some()));
            if leads {
                let mut world = world.lock().unwrap();
                let writers = world.writers();
                world.writers.push(writers);
            }
        };
        Elector::new(
            self.path.clone(),
            key(),
            self.identity.clone(),
            Timing::default(),
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
