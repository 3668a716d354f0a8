//! `leader_election_*`: which instance may write.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of one leader election.
#[derive(Clone, Debug)]
pub struct LeaderMetrics(Gauge);

impl LeaderMetrics {
    /// Sets whether this process leads. It must be set to false *before* the workers could outlive leadership.
    pub fn leading(&self, leading: bool) {
        self.0.set(i64::from(leading));
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    name: String,
}

#[derive(Debug)]
pub(super) struct Families {
    master_status: Family<Labels, Gauge>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let master_status = Family::default();
        registry.register(
            "leader_election_master_status",
            "Whether the reporting system is master of the relevant lease: 0 is backup, 1 is master",
            master_status.clone(),
        );
        Self { master_status }
    }

    pub(super) fn handle(&self, name: &str) -> LeaderMetrics {
        LeaderMetrics(self.master_status.get_or_create_owned(&Labels { name: name.to_owned() }))
    }
}
