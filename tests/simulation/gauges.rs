//! What an operator says of itself in its metrics.

use std::collections::BTreeSet;

use crate::wire::Life;

/// The text of a scrape.
pub(crate) struct Gauges(String);

impl Gauges {
    pub(crate) fn of(life: &Life) -> Self {
        Self(life.metrics.render().expect("metrics can be written into a String"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The samples of a family: labels and value.
    fn samples<'a>(&'a self, family: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let lines = self.0.lines().filter_map(move |line| line.strip_prefix(family));
        lines.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| {
            let (labels, value) = rest.rsplit_once(' ')?;
            Some((labels, value.parse().ok()?))
        })
    }

    /// The sum of a family.
    pub(crate) fn sum(&self, family: &str) -> f64 {
        let values: Vec<f64> = self.samples(family).map(|(_, value)| value).collect();
        assert!(!values.is_empty(), "there is no {family} in the metrics");
        values.iter().sum()
    }

    /// The servers that are shown: namespaces and names.
    pub(crate) fn servers(&self) -> BTreeSet<(String, String)> {
        let label = |labels: &str, name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let infos = self.samples("smooth_operator_mcpserver_info");
        infos.filter_map(|(labels, _)| Some((label(labels, "namespace")?, label(labels, "name")?))).collect()
    }
}
