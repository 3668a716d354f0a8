//! `make soak`: the operator under a steady load, for as long as one likes.
//!
//! The benchmark asks what a change costs; this asks whether the thousandth hour is like the first. Ten thousand servers
//! are there, a tenth of them changes every minute, evenly spread, and all the while the operator's watches are cut every
//! few seconds. Nothing of that is an emergency, so nothing may pile up: no memory, no keys, no delay.
//!
//! ```text
//!   pressure ── changes, cuts ──► playground ◄──── operator
//!      │                              │               │
//!      ▼                              │ watch         │ /metrics, /proc/PID
//!   ledger ◄── Deployments ───────────┘               ▼
//!      └───────────────────────────────────────► a line each minute, and the verdict
//! ```
//!
//! The verdict is also the exit code. Not promised: that the times are those of another machine; that a leak is found
//! which is smaller than the noise of the run's second half.

mod ledger;
mod pressure;
mod verdict;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, Source, label};
use crate::process::Process;
use crate::stages::{World, make};
use crate::table::{mib, milliseconds, percentile, thousands};
use ledger::Ledger;
use pressure::Pressure;
use verdict::{Finding, Measured, Sample, judge};

const MINUTE: Duration = Duration::from_secs(60);
/// How often memory is measured. It divides a minute.
const SAMPLE: Duration = Duration::from_secs(5);
/// How often the metrics are read, as a Prometheus does, counted in samples.
const SCRAPE: u32 = 3;
/// How long the last changes may take after the end.
const DRAIN: Duration = Duration::from_secs(60);
/// How often it is looked whether they are done.
const POLL: Duration = Duration::from_millis(100);

/// How much of what, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Soak {
    /// How long it takes after all servers are made.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=43_200))]
    minutes: u32,
    /// The number of MCPServers; a tenth of them is changed every minute.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    servers: u32,
    /// All chance comes from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Within how many milliseconds 99 of 100 changes have to be written.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    p99_ms: u64,
    /// How long a pod takes to be ready, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    ready_ms: u64,
    /// The program that is measured.
    #[arg(long, value_name = "FILE", default_value = "target/release/smooth-operator")]
    operator: PathBuf,
}

/// Makes the servers, puts them under pressure until the time is over or `end`, and prints what it finds. False: the
/// operator has not passed.
pub(crate) async fn soak(soak: &Soak, end: &CancellationToken) -> anyhow::Result<bool> {
    let Soak { minutes, servers, seed, p99_ms, ready_ms, operator } = soak;
    let servers = usize::try_from(*servers)?;
    println!("{}\nmaking {} servers", crate::table::machine(), thousands(servers as u64));
    let world = World::start(servers, *ready_ms).await?;
    let (operator, metrics) = world.start_operator(operator).await?;
    let made = make(&world.api, &world.keys, &operator, &world.playground);
    let made = end.run_until_cancelled(made).await.context("interrupted before all servers were made")??;
    println!("all Ready, operator quiet after {:.1} s\n", made.settled.as_secs_f64());

    let ledger = Ledger::default();
    let mut pressure = Pressure::begin(&world.api, &world.keys, *seed, &ledger).await?;
    let mut observer = Observer::new(operator, Source::new(&metrics)?, ledger).await?;
    let cut = pressure.watches_cut();
    tokio::select! {
        over = observer.observe(*minutes, &cut) => over?,
        trouble = pressure.trouble() => return Err(trouble),
        () = end.cancelled() => println!("interrupted: the verdict so far"),
    }
    pressure.relax().await?;
    let drained = tokio::select! {
        drained = observer.drain() => drained?,
        trouble = pressure.trouble() => return Err(trouble),
    };
    observer.verdict(drained, Duration::from_millis(*p99_ms)).await
}

/// Measures, and prints.
struct Observer {
    operator: Process,
    source: Source,
    ledger: Ledger,
    began: Instant,
    memory: Vec<Sample>,
    /// Of all changes that were written so far.
    latencies: Vec<Duration>,
    before: Counters,
}

/// What only grows.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    changes: u64,
    requests: u64,
    errors: u64,
    cut: u64,
}

impl Observer {
    async fn new(operator: Process, source: Source, ledger: Ledger) -> anyhow::Result<Self> {
        let before = Counters::of(&source.read().await?, 0, 0);
        Ok(Self { operator, source, ledger, began: Instant::now(), memory: Vec::new(), latencies: Vec::new(), before })
    }

    /// Prints a line each minute.
    async fn observe(&mut self, minutes: u32, cut: &AtomicU64) -> anyhow::Result<()> {
        println!("minute  memory MiB  queue, at most  p50 ms  p99 ms  changes  requests  errors  watches cut");
        let samples = u32::try_from(MINUTE.as_secs() / SAMPLE.as_secs())?;
        for minute in 1..=minutes {
            let mut deepest = 0;
            for sample in 1..=samples {
                sleep_until(self.began + MINUTE * (minute - 1) + SAMPLE * sample).await;
                self.sample()?;
                if sample % SCRAPE == 0 {
                    deepest = deepest.max(depth(&self.source.read().await?));
                }
            }
            self.print(minute, deepest, cut.load(Ordering::Relaxed)).await?;
        }
        Ok(())
    }

    fn sample(&mut self) -> anyhow::Result<()> {
        let resident = self.operator.usage().context("the operator is gone")?.resident_kib;
        self.memory.push(Sample { at: self.began.elapsed(), mib: resident as f64 / 1024.0 });
        Ok(())
    }

    async fn print(&mut self, minute: u32, deepest: u64, cut: u64) -> anyhow::Result<()> {
        let now = Counters::of(&self.source.read().await?, self.ledger.sent(), cut);
        let before = std::mem::replace(&mut self.before, now);
        let mut latencies = self.ledger.take_latencies();
        latencies.sort_unstable();
        let [p50, p99] = [50, 99].map(|percent| milliseconds(percentile(&latencies, percent)));
        println!(
            "{minute:>6}  {:>10}  {deepest:>14}  {p50:>6}  {p99:>6}  {:>7}  {:>8}  {:>6}  {:>11}",
            mib(self.operator.usage()?.resident_kib),
            now.changes - before.changes,
            now.requests - before.requests,
            now.errors - before.errors,
            now.cut - before.cut,
        );
        self.latencies.append(&mut latencies);
        Ok(())
    }

    /// Waits until all changes are written and the queue is empty, but not for ever; how long that took.
    async fn drain(&mut self) -> anyhow::Result<Duration> {
        let relaxed = Instant::now();
        while relaxed.elapsed() < DRAIN {
            if self.ledger.unwritten() == 0 && depth(&self.source.read().await?) == 0 {
                break;
            }
            sleep(POLL).await;
        }
        Ok(relaxed.elapsed())
    }

    async fn verdict(mut self, drained: Duration, p99_limit: Duration) -> anyhow::Result<bool> {
        let metrics = self.source.read().await?;
        self.latencies.append(&mut self.ledger.take_latencies());
        self.latencies.sort_unstable();
        let findings = judge(&Measured {
            memory: &self.memory,
            changes: self.ledger.sent(),
            unwritten: self.ledger.unwritten(),
            queue: depth(&metrics),
            drained,
            p99: percentile(&self.latencies, 99),
            p99_limit,
            panics: metrics.sum("controller_runtime_reconcile_panics_total", |_| true) as u64,
        });
        println!();
        for finding in &findings {
            println!("{finding}");
        }
        self.operator.stop().await.context("the operator")?;
        Ok(!findings.iter().any(|finding| matches!(finding, Finding::Bad(_))))
    }
}

impl Counters {
    fn of(metrics: &Metrics, changes: u64, cut: u64) -> Self {
        let requests = |such: fn(&str) -> bool| metrics.sum("rest_client_requests_total", such) as u64;
        Self {
            changes,
            requests: requests(|_| true),
            errors: requests(|labels| !label(labels, "code").starts_with('2')),
            cut,
        }
    }
}

/// How many keys are ready and wait for a worker.
fn depth(metrics: &Metrics) -> u64 {
    metrics.sum("workqueue_depth", |_| true) as u64
}
