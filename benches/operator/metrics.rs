//! What the operator says of itself, in the text format of Prometheus.

use anyhow::Context as _;
use kube_client::{Client, Config};

/// Where to ask.
#[derive(Clone)]
pub(crate) struct Source(Client);

/// All metrics of one moment.
pub(crate) struct Metrics(String);

impl Source {
    /// `url` is that of the operator's metrics, without the path.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Config::new(url.parse()?).try_into()?))
    }

    /// Asks.
    pub(crate) async fn read(&self) -> anyhow::Result<Metrics> {
        Ok(Metrics(self.0.request_text(http::Request::get("/metrics").body(Vec::new())?).await.context("metrics")?))
    }
}

impl Metrics {
    /// The samples of a metric: its labels as text, and its value.
    pub(crate) fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let sample = move |line: &'a str| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ");
        self.0.lines().filter_map(sample).map(|(labels, value)| (labels, value.parse().unwrap_or(0.0)))
    }

    /// The sum of those samples whose labels are such.
    pub(crate) fn sum(&self, name: &str, such: impl Fn(&str) -> bool) -> f64 {
        self.samples(name).filter(|(labels, _)| such(labels)).map(|(_, value)| value).sum()
    }
}

/// The value of a label.
pub(crate) fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
    labels.find(|(found, _)| *found == name).map_or("", |(_, value)| value.trim_matches('"'))
}
