//! Several operators in one process, of which one leads, and each of which can be killed.
//!
//! A task that is aborted says nothing about a crash if the rest of its operator goes on: its connections, its informers,
//! the sending of its Events. So each operator has a tokio runtime of its own. To kill it is to drop that runtime, with
//! every task and every socket in it, wherever they are. Nothing is finished and the Lease is not released: for the API
//! server, this is a process that got SIGKILL. As a Pod would, it starts again a little later, as another instance.
//!
//! What it does not promise: that a bug which takes the whole process down takes only one operator down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use playground::Cluster;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use smooth_operator::client::{Connection, Target, connect};
use smooth_operator::controller;
use smooth_operator::http::BindAddress;
use smooth_operator::leader_election::config::{InvalidTiming, hostname};
use smooth_operator::leader_election::{Identity, Timing};
use smooth_operator::manager::{self, Election, Serving, Settings, Surroundings};
use smooth_operator::object::ObjectKey;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many operators there are: one leads, one stands by.
pub(crate) const COUNT: usize = 2;

/// The resource of the Lease.
pub(crate) const LEASES: &str = "leases.coordination.k8s.io";

/// The namespace and the name of the Lease.
pub(crate) const LEASE: (&str, &str) = ("default", "smooth-operator");

/// From the end of an operator to its next start.
const RESTART: Duration = Duration::from_secs(2);

/// From the first start of one operator to that of the next, so that normally the first one leads.
const STAGGER: Duration = Duration::from_millis(500);

/// What becomes of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs. The Lease names it by this identity when it leads.
    Up(String),
    /// It was killed.
    Killed,
    /// It ended by itself, for this reason.
    Ended(String),
}

/// What people call an operator.
pub(crate) fn name(number: usize) -> String {
    format!("operator {}", number + 1)
}

/// Running operators, numbered from 0.
///
/// Dropping them without [`stop`](Self::stop) kills them all.
pub(crate) struct Operators {
    instances: Vec<Instance>,
    stop: CancellationToken,
    /// Kills all, even while this process is panicking: the runtime of `main` waits for them before it ends.
    _kill_all: DropGuard,
}

struct Instance {
    kill: Arc<Notify>,
    task: JoinHandle<()>,
}

/// How an operator is set up, alone or among others. It connects like any operator: with the kubeconfig.
pub(crate) fn settings(metrics: &BindAddress, seed: u64, election: Option<Election>) -> Settings {
    Settings {
        namespaces: Vec::new(),
        work: controller::Options::default(),
        election,
        metrics: metrics.clone(),
        health: BindAddress::Disabled,
        serving: Serving::default(),
        watch_seconds: 300..=600,
        resync: Duration::from_secs(10 * 60 * 60),
        seed,
        surroundings: Surroundings::default(),
    }
}

/// Connects with a kubeconfig.
pub(crate) async fn connected(kubeconfig: PathBuf) -> anyhow::Result<Connection> {
    Ok(connect(&Target { kubeconfig: Some(kubeconfig), context: None }).await?)
}

/// Shorter than the default, whose Lease lasts 15 s: a person waits for it.
pub(crate) fn timing() -> anyhow::Result<Timing> {
    let timing = Timing::new(Duration::from_secs(6), Duration::from_secs(4), Duration::from_secs(1));
    timing.map_err(|InvalidTiming(why)| anyhow::anyhow!("the timing of the election is invalid: {why:?}"))
}

/// The Lease as an operator leaves it that has stopped in order. Without a Lease, the first leader would wait for as
/// long as one lasts, because there may just have been one.
fn leave_released_lease(cluster: &Cluster) -> anyhow::Result<()> {
    let (namespace, name) = LEASE;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 0},
    });
    match cluster.create(LEASES, namespace, lease, "playground") {
        Ok(_made) => Ok(()),
        Err(status) => Err(anyhow::anyhow!("the API server refused the Lease: {status:?}")),
    }
}

/// Starts them. Only the first one serves metrics, since an address can be used only once; normally it
/// is also the first to lead. What becomes of each is reported with its number.
pub(crate) fn start(
    cluster: &Cluster,
    kubeconfig: &Path,
    metrics: &BindAddress,
    timing: Timing,
    news: &mpsc::UnboundedSender<(usize, Life)>,
) -> anyhow::Result<Operators> {
    leave_released_lease(cluster)?;
    let (stop, all) = (CancellationToken::new(), CancellationToken::new());
    let instances = (0..COUNT).map(|number| {
        let kill = Arc::new(Notify::new());
        let run = Run {
            number,
            kubeconfig: kubeconfig.to_owned(),
            metrics: if number == 0 { metrics.clone() } else { BindAddress::Disabled },
            timing,
            news: news.clone(),
            stop: stop.clone(),
            kill: kill.clone(),
            all: all.clone(),
        };
        Instance { kill, task: tokio::spawn(run.again_and_again()) }
    });
    Ok(Operators { instances: instances.collect(), stop: stop.clone(), _kill_all: all.drop_guard() })
}

impl Operators {
    /// Kills one of them, if it is alive; it starts again by itself.
    pub(crate) fn kill(&self, number: usize) {
        if let Some(instance) = self.instances.get(number) {
            instance.kill.notify_waiters();
        }
    }

    /// Stops them all in order, and waits for it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for instance in self.instances {
            instance.task.await.context("an operator panicked")?;
        }
        Ok(())
    }
}

/// What the lives of one operator have in common.
#[derive(Clone)]
struct Run {
    number: usize,
    kubeconfig: PathBuf,
    metrics: BindAddress,
    timing: Timing,
    news: mpsc::UnboundedSender<(usize, Life)>,
    /// Asks for the end in order.
    stop: CancellationToken,
    /// Ends this life.
    kill: Arc<Notify>,
    /// Ends this and all further lives.
    all: CancellationToken,
}

impl Run {
    /// Runs until it is stopped; after any other end, it starts again.
    async fn again_and_again(self) {
        let mut starts = 0;
        self.pause(STAGGER * u32::try_from(self.number).unwrap_or(u32::MAX)).await;
        while !self.stop.is_cancelled() && !self.all.is_cancelled() {
            // Another seed for each life, because the identity comes from it. A Lease names the dead, not the living.
            let seed = (self.number + starts * COUNT) as u64;
            starts += 1;
            let run = self.clone();
            let ended = tokio::task::spawn_blocking(move || run.once(seed)).await;
            let how = ended.unwrap_or_else(|panic| Life::Ended(format!("it panicked: {panic}")));
            // Nobody reads this while everything ends.
            let _ = self.news.send((self.number, how));
            self.pause(RESTART).await;
        }
    }

    async fn pause(&self, time: Duration) {
        self.stop.run_until_cancelled(self.all.run_until_cancelled(sleep(time))).await;
    }

    /// One life, from the start to the end of everything that belongs to it.
    fn once(self, seed: u64) -> Life {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Life::Ended(format!("it got no runtime: {error}")),
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.kill.notified() => Life::Killed,
                () = self.all.cancelled() => Life::Killed,
                ended = self.operate(seed) => match ended {
                    Ok(()) => Life::Ended("it was stopped".to_owned()),
                    Err(error) => Life::Ended(format!("{error:#}")),
                },
            }
        })
    }

    async fn operate(&self, seed: u64) -> anyhow::Result<()> {
        let connection = connected(self.kubeconfig.clone()).await?;
        let (namespace, name) = LEASE;
        let election = Election { lease: ObjectKey::new(namespace, name), timing: self.timing };
        let settings = settings(&self.metrics, seed, Some(election));
        let _ = self.news.send((self.number, Life::Up(identity(seed))));
        Box::pin(manager::run(&connection, settings, self.stop.clone())).await?;
        Ok(())
    }
}

/// The identity of an operator with this seed: the manager draws it first of all.
fn identity(seed: u64) -> String {
    Identity::new(&hostname(), &mut StdRng::seed_from_u64(seed)).as_str().to_owned()
}

#[cfg(test)]
mod tests;
