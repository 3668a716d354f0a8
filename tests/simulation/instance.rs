//! Operators, as a Deployment runs them: whoever ends is started again, without any memory.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use smooth_operator::client::{Client, Connection};
use smooth_operator::clock::WallClock;
use smooth_operator::controller::Options;
use smooth_operator::http::BindAddress;
use smooth_operator::leader_election::Timing;
use smooth_operator::manager::{self, Election, Error, Serving, Settings, Surroundings};
use smooth_operator::object::ObjectKey;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use crate::wire::{Life, connect, dialer};
use crate::world::World;

/// The Lease.
pub(crate) const LEASE: (&str, &str) = ("default", "smooth-operator");

/// Tasks that end together.
pub(crate) struct Crew {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Crew {
    pub(crate) fn start(start: impl FnOnce(&CancellationToken) -> Vec<JoinHandle<()>>) -> Self {
        let stop = CancellationToken::new();
        Self { tasks: start(&stop), stop }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Starts so many operators.
pub(crate) fn operators(world: &Arc<World>, instances: usize, random: &mut StdRng) -> Crew {
    Crew::start(|stop| {
        let mut start = |instance| tokio::spawn(supervise(Arc::clone(world), instance, random.random(), stop.clone()));
        (1..=instances).map(&mut start).collect()
    })
}

/// Runs one operator, life after life, until the `stop`.
async fn supervise(world: Arc<World>, instance: usize, seed: u64, stop: CancellationToken) {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 1.. {
        let life = Arc::new(Life::new(instance, number, random.random()));
        world.lives(&life);
        world.timeline.note(life.name(), "starts");
        live(&world, &life, random.random(), &stop).await;
        if stop.is_cancelled() {
            return;
        }
        sleep(Duration::from_millis(random.random_range(100..5000))).await;
    }
}

/// From start to end, whatever the end is.
async fn live(world: &Arc<World>, life: &Arc<Life>, seed: u64, stop: &CancellationToken) {
    let connection = Connection {
        client: Client::new(connect(world, life)),
        server: "https://cluster.example".to_owned(),
        namespace: LEASE.0.to_owned(),
    };
    let (settings, asked_to_stop) = (settings(world, life, seed), life.stop.clone());
    let mut run = tokio::spawn(async move { manager::run(&connection, settings, asked_to_stop).await });
    let ended = tokio::select! {
        biased;
        () = life.crashed.cancelled() => {
            run.abort();
            world.timeline.note(life.name(), "is dead");
            _ = run.await;
            return;
        }
        ended = &mut run => ended,
        () = stop.cancelled() => {
            life.stop.cancel();
            run.await
        }
    };
    // Dead or not, this life sends nothing more.
    life.crashed.cancel();
    match ended {
        Ok(Ok(())) => world.timeline.note(life.name(), "has stopped"),
        Ok(Err(error @ Error::LeadershipLost { .. })) => world.timeline.note(life.name(), error),
        Ok(Err(error)) => world.timeline.violation(format_args!("{} ended: {error}", life.name())),
        Err(error) => world.timeline.violation(format_args!("{} ended: {error}", life.name())),
    }
}

fn settings(world: &Arc<World>, life: &Arc<Life>, seed: u64) -> Settings {
    let cluster = world.cluster.clone();
    let surroundings = Surroundings {
        wall_clock: WallClock::new(move || cluster.now()),
        dialer: dialer(world, life),
        metrics: life.metrics.clone(),
    };
    let election = || Election { lease: ObjectKey::new(LEASE.0, LEASE.1), timing: Timing::default() };
    Settings {
        namespaces: Vec::new(),
        work: Options::default(),
        election: world.elects.then(election),
        metrics: BindAddress::Disabled,
        health: BindAddress::Disabled,
        serving: Serving::default(),
        watch_seconds: 45..=90,
        resync: Duration::ZERO,
        seed,
        surroundings,
    }
}
