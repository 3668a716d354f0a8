//! An operator in the test's own process.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use smooth_operator::client::{Target, connect};
use smooth_operator::controller::Options;
use smooth_operator::manager::{self, Serving, Settings, Surroundings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::wait::{PATIENCE, eventually};
use super::{World, on_a_real_cluster};

/// A running operator. Dropping it kills it.
pub(crate) struct Operator {
    metrics: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), manager::Error>>,
}

impl World {
    /// Starts an operator; `change` may change its settings.
    pub(crate) async fn operator(&self, change: impl FnOnce(&mut Settings)) -> Operator {
        self.operator_by(self.kubeconfig(), change).await
    }

    /// The same, which gets there by another way.
    pub(crate) async fn operator_by(&self, kubeconfig: &Path, change: impl FnOnce(&mut Settings)) -> Operator {
        let metrics = format!("127.0.0.1:{}", free_port());
        // On a playground, as most people run it: everywhere. A real cluster's other namespaces are none of our business.
        let namespaces = if on_a_real_cluster() { self.namespaces.lock().unwrap().clone() } else { Vec::new() };
        let mut settings = Settings {
            namespaces,
            work: Options { workers: NonZeroUsize::new(4).unwrap(), grace: Duration::from_secs(10) },
            election: None,
            metrics: metrics.parse().unwrap(),
            health: "0".parse().unwrap(),
            serving: Serving::default(),
            watch_seconds: 300..=600,
            resync: Duration::from_secs(36_000),
            seed: 1,
            surroundings: Surroundings::default(),
        };
        change(&mut settings);
        let target = Target { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let connection = connect(&target).await.unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { Box::pin(manager::run(&connection, settings, token)).await });
        Operator { metrics, stop, task }
    }
}

impl Operator {
    /// Asks it to stop and waits until it has, in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = timeout(PATIENCE, &mut self.task).await.expect("the operator stops within its time");
        ended
            .expect("the operator does not panic")
            .expect("an operator that is asked to stop does so without an error");
    }

    /// Everything it measures, as Prometheus would read it.
    pub(crate) async fn metrics(&self) -> String {
        eventually("the operator serves its metrics", async || {
            scrape(&self.metrics).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// The sum of all series of this name whose labels contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics().await;
        let series = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (family, labels) = series.split_once('{').unwrap_or((series, ""));
            (family == name && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        series.sum()
    }

    /// How many reconciles it has ended.
    pub(crate) async fn reconciles(&self) -> f64 {
        self.metric("controller_runtime_reconcile_total", "").await
    }

    /// Waits until it has ended so many reconciles and no key is waiting.
    pub(crate) async fn has_reconciled(&self, at_least: f64) {
        eventually(&format!("{at_least} reconciles are done"), async || {
            let done = self.reconciles().await;
            let left =
                self.metric("controller_runtime_active_workers", "").await + self.metric("workqueue_depth", "").await;
            if done >= at_least && left < 0.5 { Ok(()) } else { Err(format!("{done} are, {left} are not")) }
        })
        .await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn scrape(address: &str) -> std::io::Result<String> {
    let (head, body) = get(address, "/metrics").await?;
    assert!(head.contains(" 200 "), "{head}");
    Ok(body)
}

/// Asks without a client: head and body of the answer.
pub(crate) async fn get(address: &str, path: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok((head.to_owned(), body.to_owned()))
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
