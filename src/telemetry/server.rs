//! `smooth_operator_mcpserver_*`: the state of each `MCPServer`, as the operator last reported it.
//!
//! The naive solution sets a gauge per fact, and has to remember which series to remove when the server is deleted or
//! its phase changes. Here the last report of each server is kept, and each scrape writes the series from these
//! reports: a server that is not in the map has no series.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::gauge;

/// The metrics of one `MCPServer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// `status.phase`.
    pub phase: &'static str,
    /// Type and status (`True`, `False`, `Unknown`) of each condition.
    pub conditions: Box<[(&'static str, &'static str)]>,
    /// Replicas by state, such as `desired` or `available`.
    pub replicas: Box<[(&'static str, i32)]>,
}

/// The metrics about `MCPServer`s.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    reports: Arc<Reports>,
    drift: Family<DriftLabels, Counter>,
}

impl ServerMetrics {
    /// Replaces the report of this server.
    pub fn report(&self, namespace: &str, name: &str, report: ServerReport) {
        self.reports.lock().entry((namespace.to_owned(), name.to_owned())).or_default().report = report;
    }

    /// The server is gone: removes its series.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.reports.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The tools of a server have changed, and its pods have not.
    pub fn tools_changed(&self, namespace: &str, name: &str) {
        self.reports.lock().entry((namespace.to_owned(), name.to_owned())).or_default().tools_changed += 1;
    }

    /// Another client's change to a child of this kind, one of the five kinds of children, was reverted.
    pub fn drift_corrected(&self, kind: &'static str) {
        self.drift.get_or_create(&DriftLabels { kind }).inc();
    }
}

/// The kinds of children.
const CHILDREN: [&str; 5] =
    ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler"];

pub(super) fn register(registry: &mut Registry) -> ServerMetrics {
    let metrics = ServerMetrics { reports: Arc::default(), drift: Family::default() };
    let ServerMetrics { reports, drift } = &metrics;
    for kind in CHILDREN {
        drop(drift.get_or_create(&DriftLabels { kind }));
    }
    registry.register(
        "smooth_operator_drift_corrected",
        "Changes by other clients to fields that the operator manages, reverted",
        drift.clone(),
    );
    registry.register_collector(Box::new(Arc::clone(reports)));
    metrics
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DriftLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServerLabels {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InfoLabels {
    namespace: String,
    name: String,
    phase: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    name: String,
    r#type: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReplicaLabels {
    namespace: String,
    name: String,
    state: &'static str,
}

/// What is known of one server.
#[derive(Debug, Default)]
struct Known {
    report: ServerReport,
    tools_changed: u32,
}

/// What is known of each server, by namespace and name.
#[derive(Debug, Default)]
struct Reports(Mutex<BTreeMap<(String, String), Known>>);

impl Reports {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Reports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut info, mut conditions, mut replicas, mut tools) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((namespace, name), Known { report, tools_changed }) in &*self.lock() {
            let (namespace, name) = (|| namespace.clone(), || name.clone());
            let ServerReport { phase, conditions: all, replicas: counts } = report;
            info.push((InfoLabels { namespace: namespace(), name: name(), phase }, 1.0));
            tools.push((ServerLabels { namespace: namespace(), name: name() }, u64::from(*tools_changed)));
            for &(r#type, status) in all {
                conditions.push((ConditionLabels { namespace: namespace(), name: name(), r#type, status }, 1.0));
            }
            for &(state, count) in counts {
                replicas.push((ReplicaLabels { namespace: namespace(), name: name(), state }, f64::from(count)));
            }
        }
        let mut family = "smooth_operator_mcpserver_info";
        gauge::encode(&mut encoder, family, "1 for the phase that the MCPServer is in.", info)?;
        family = "smooth_operator_mcpserver_condition";
        gauge::encode(&mut encoder, family, "1 for the status that the condition has.", conditions)?;
        family = "smooth_operator_mcpserver_replicas";
        gauge::encode(&mut encoder, family, "Replicas of the MCPServer, by state.", replicas)?;
        let family = "smooth_operator_mcp_tools_changed";
        let help = "How often the tools of the MCPServer have changed without its pods.";
        let mut encoder = encoder.encode_descriptor(family, help, None, MetricType::Counter)?;
        for (labels, count) in tools {
            encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }
}
