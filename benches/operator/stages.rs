//! The story that is told for each number of servers, and what is measured of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use smooth_operator::object::ObjectKey;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Load;
use crate::api::{Api, Writes};
use crate::metrics::{Source, label};
use crate::process::{Process, Usage, scratch, start_operator, start_playground};

/// The image that all servers are made with.
pub(crate) const FIRST_IMAGE: &str = "registry.example/server:1";
/// The image that they are changed to.
pub(crate) const OTHER_IMAGE: &str = "registry.example/server:2";
/// How many servers are being made at the same time.
const MAKERS: usize = 16;
/// Over how many namespaces they are spread.
const NAMESPACES: usize = 10;
/// The operator has settled when it hasn't written for so long, and all is Ready.
const QUIET: Duration = Duration::from_secs(2);
/// Longer than any of this may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How often the counters are read while waiting.
const POLL: Duration = Duration::from_millis(100);

/// What was measured with one number of servers.
#[derive(Debug)]
pub(crate) struct Story {
    /// How many servers there were.
    pub(crate) servers: usize,
    /// From nothing until all are Ready.
    pub(crate) made: Made,
    /// A restart where nothing is to be done.
    pub(crate) restarted: Restarted,
    /// One change at a time.
    pub(crate) changed: Changed,
    /// What the operator's informers hold, by resource.
    pub(crate) informed: Vec<(String, u64)>,
    /// What the playground has used for all of it.
    pub(crate) playground: Usage,
}

/// See [`Story::made`].
#[derive(Debug)]
pub(crate) struct Made {
    /// Until all servers were made.
    pub(crate) created: Duration,
    /// Until the operator's last write for them, from the same start.
    pub(crate) settled: Duration,
    /// What the operator wrote.
    pub(crate) writes: Writes,
    /// What the operator used.
    pub(crate) operator: Usage,
    /// What the playground used.
    pub(crate) playground: Usage,
}

/// See [`Story::restarted`].
#[derive(Debug)]
pub(crate) struct Restarted {
    /// From the start of the process until it had looked at everything.
    pub(crate) idle: Duration,
    /// What it wrote.
    pub(crate) writes: Writes,
    /// What it used.
    pub(crate) operator: Usage,
}

/// See [`Story::changed`].
#[derive(Debug)]
pub(crate) struct Changed {
    /// From the answer to the change until the Deployment's change is seen, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// What the operator wrote.
    pub(crate) writes: Writes,
    /// The CPU time that the operator used.
    pub(crate) cpu: Duration,
}

/// Tells the story with so many servers.
pub(crate) async fn story(servers: usize, load: &Load) -> anyhow::Result<Story> {
    let world = World::start(servers, load.ready_ms).await?;
    let World { playground, api, keys, kubeconfig: _ } = &world;

    println!("{servers} servers: making them");
    let (operator, _metrics) = world.start_operator(&load.operator).await?;
    let made = make(api, keys, &operator, playground).await?;
    operator.stop().await.context("the operator")?;

    println!("{servers} servers: starting the operator again");
    api.forget().await?;
    let started = Instant::now();
    let (operator, metrics) = start_operator(&load.operator, &world.kubeconfig.0)?;
    let idle = operator.idle(QUIET).await?.duration_since(started);
    let restarted = Restarted { idle, writes: api.writes().await?, operator: operator.usage()? };
    // Read when its memory was measured: the series of ten thousand servers are long.
    let informed = informed(&metrics, servers).await?;

    println!("{servers} servers: changing {}, one at a time", load.changes.min(servers));
    api.forget().await?;
    let changed = change(api, &keys[..load.changes.min(servers)], &operator).await?;
    operator.stop().await.context("the operator")?;
    Ok(Story { servers, made, restarted, changed, informed, playground: playground.usage()? })
}

/// An API server with nothing in it but namespaces, and the names of the servers to be.
pub(crate) struct World {
    pub(crate) playground: Process,
    pub(crate) api: Api,
    pub(crate) keys: Arc<[ObjectKey]>,
    kubeconfig: Kubeconfig,
}

impl World {
    /// Starts it.
    pub(crate) async fn start(servers: usize, ready_ms: u64) -> anyhow::Result<Self> {
        let (playground, url) = start_playground(ready_ms).await?;
        let api = Api::new(&url)?;
        let namespaces: Vec<String> = (0..NAMESPACES).map(|number| format!("bench-{number}")).collect();
        let key = |number: usize| ObjectKey::new(namespaces[number % NAMESPACES].as_str(), format!("server-{number}"));
        let keys = (0..servers).map(key).collect();
        api.prepare(&namespaces).await?;
        Ok(Self { playground, api, keys, kubeconfig: Kubeconfig::write(&url)? })
    }

    /// Starts an operator, and waits until it has nothing to do. Gives the URL of its metrics, too.
    pub(crate) async fn start_operator(&self, program: &Path) -> anyhow::Result<(Process, String)> {
        let (operator, metrics) = start_operator(program, &self.kubeconfig.0)?;
        operator.idle(QUIET).await?;
        Ok((operator, metrics))
    }
}

/// Makes the servers while the operator runs, and waits until all is as it should be.
pub(crate) async fn make(
    api: &Api,
    keys: &Arc<[ObjectKey]>,
    operator: &Process,
    playground: &Process,
) -> anyhow::Result<Made> {
    let started = Instant::now();
    let mut makers = JoinSet::new();
    for first in 0..MAKERS {
        let (api, keys) = (api.clone(), Arc::clone(keys));
        makers.spawn(async move {
            for key in keys.iter().skip(first).step_by(MAKERS) {
                api.create(key, FIRST_IMAGE).await?;
            }
            anyhow::Ok(())
        });
    }
    let creating = async {
        while let Some(made) = makers.join_next().await {
            made??;
        }
        anyhow::Ok(started.elapsed())
    };
    let (created, settled) = tokio::try_join!(creating, settled(api, keys.len()))?;
    let settled = settled.duration_since(started);
    let (operator, playground) = (operator.usage()?, playground.usage()?);
    Ok(Made { created, settled, writes: api.writes().await?, operator, playground })
}

/// Waits until all servers are Ready and the operator writes nothing any more; gives the moment of the last write.
async fn settled(api: &Api, servers: usize) -> anyhow::Result<Instant> {
    let begun = Instant::now();
    let (mut seen, mut since) = (0, begun);
    loop {
        let writes = without_leases(&api.writes().await?);
        if writes != seen {
            (seen, since) = (writes, Instant::now());
        } else if since.elapsed() >= QUIET {
            let ready = api.ready().await?;
            if ready == servers {
                return Ok(since);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{ready} of {servers} servers are Ready, and nothing moves");
            }
        }
        sleep(POLL).await;
    }
}

/// The writes that are about servers: a Lease is renewed whatever happens.
pub(crate) fn without_leases(writes: &Writes) -> u64 {
    writes.iter().filter(|(resource, _)| !resource.starts_with("leases")).map(|(_, count)| count).sum()
}

/// Gives one server after the other another image, each when the one before is rolled out.
async fn change(api: &Api, keys: &[ObjectKey], operator: &Process) -> anyhow::Result<Changed> {
    let before = operator.usage()?.cpu;
    let mut watch = api.watch_deployments().await?;
    let mut latencies = Vec::with_capacity(keys.len());
    for key in keys {
        api.change_image(key, OTHER_IMAGE).await?;
        let answered = Instant::now();
        let mut written = None;
        loop {
            let change = watch.next().await?;
            if !change.is_of(key) || !change.is_written(2) {
                continue;
            }
            let seen = *written.get_or_insert_with(Instant::now);
            if change.is_complete() {
                // The Deployment may be faster than the answer.
                latencies.push(seen.saturating_duration_since(answered));
                break;
            }
        }
    }
    settled_again(api).await?;
    latencies.sort();
    Ok(Changed { latencies, writes: api.writes().await?, cpu: operator.usage()?.cpu.saturating_sub(before) })
}

/// Waits for the last statuses and Events.
async fn settled_again(api: &Api) -> anyhow::Result<()> {
    let (mut seen, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET {
        let writes = without_leases(&api.writes().await?);
        if writes != seen {
            (seen, since) = (writes, Instant::now());
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Asks the operator itself whether it has looked at every server, and how many objects it holds.
async fn informed(url: &str, servers: usize) -> anyhow::Result<Vec<(String, u64)>> {
    let metrics = Source::new(url)?.read().await?;
    let reconciled = metrics.sum("controller_runtime_reconcile_total", |_| true);
    if reconciled < servers as f64 {
        bail!("the operator has nothing to do, and has looked at {reconciled} of {servers} servers");
    }
    let held = metrics.samples("smooth_operator_informer_objects");
    Ok(held.map(|(labels, value)| (label(labels, "resource").to_owned(), value as u64)).collect())
}

/// A kubeconfig of this run's own; goes when it is dropped.
struct Kubeconfig(std::path::PathBuf);

impl Kubeconfig {
    fn write(url: &str) -> anyhow::Result<Self> {
        let file = scratch("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bench\nusers: [{{name: bench, user: {{}}}}]\n\
             clusters: [{{name: bench, cluster: {{server: '{url}'}}}}]\n\
             contexts: [{{name: bench, context: {{cluster: bench, user: bench, namespace: default}}}}]\n"
        );
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(Self(file))
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}
