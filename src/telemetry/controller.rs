//! `controller_runtime_*`: the metrics of controller-runtime's controllers.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How a reconcile ended: the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileResult {
    /// It succeeded.
    Success,
    /// It failed, permanently or not, or panicked.
    Error,
    /// It asked to run again when the rate limit allows. This operator never does that; dashboards expect the series.
    Requeue,
    /// It asked to run again after a given time.
    RequeueAfter,
}

impl ReconcileResult {
    const ALL: [Self; 4] = [Self::Success, Self::Error, Self::Requeue, Self::RequeueAfter];

    const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Requeue => "requeue",
            Self::RequeueAfter => "requeue_after",
        }
    }
}

/// The metrics of one controller.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    name: String,
    total: Family<ResultLabels, Counter>,
    errors: Counter,
    panics: Counter,
    active: Gauge,
    max_concurrent: Gauge,
    time: Histogram,
}

impl ControllerMetrics {
    /// Sets how many reconciles may run at once.
    pub fn workers(&self, count: usize) {
        self.max_concurrent.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a worker as busy while the guard lives, however the run ends.
    pub fn active(&self) -> ActiveWorker {
        self.active.inc();
        ActiveWorker(self.active.clone())
    }

    /// A reconcile ended with this result after `duration`.
    pub fn reconciled(&self, result: ReconcileResult, duration: Duration) {
        self.total.get_or_create(&ResultLabels::new(&self.name, result)).inc();
        self.time.observe(duration.as_secs_f64());
        match result {
            ReconcileResult::Error => _ = self.errors.inc(),
            ReconcileResult::Success | ReconcileResult::Requeue | ReconcileResult::RequeueAfter => {}
        }
    }

    /// A reconcile panicked. Its result, an error, is counted separately.
    pub fn panicked(&self) {
        self.panics.inc();
    }
}

/// Counts one busy worker while it lives.
#[derive(Debug)]
pub struct ActiveWorker(Gauge);

impl Drop for ActiveWorker {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    controller: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    controller: String,
    result: &'static str,
}

impl ResultLabels {
    fn new(controller: &str, result: ReconcileResult) -> Self {
        Self { controller: controller.to_owned(), result: result.label() }
    }
}

#[derive(Debug)]
pub(super) struct Families {
    total: Family<ResultLabels, Counter>,
    errors: Family<Labels, Counter>,
    panics: Family<Labels, Counter>,
    active: Family<Labels, Gauge>,
    max_concurrent: Family<Labels, Gauge>,
    time: Family<Labels, Histogram>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            total: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            active: Family::default(),
            max_concurrent: Family::default(),
            time: Family::new_with_constructor(buckets),
        };
        let Self { total, errors, panics, active, max_concurrent, time } = &families;
        registry.register(
            "controller_runtime_reconcile",
            "Total number of reconciliations per controller",
            total.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Total number of reconciliation errors per controller",
            errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_panics",
            "Total number of reconciliation panics per controller",
            panics.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Number of currently used workers per controller",
            active.clone(),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "Maximum number of concurrent reconciles per controller",
            max_concurrent.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Length of time per reconciliation per controller",
            time.clone(),
        );
        families
    }

    pub(super) fn handle(&self, name: &str) -> ControllerMetrics {
        for result in ReconcileResult::ALL {
            drop(self.total.get_or_create(&ResultLabels::new(name, result)));
        }
        let labels = Labels { controller: name.to_owned() };
        ControllerMetrics {
            name: name.to_owned(),
            total: self.total.clone(),
            errors: self.errors.get_or_create_owned(&labels),
            panics: self.panics.get_or_create_owned(&labels),
            active: self.active.get_or_create_owned(&labels),
            max_concurrent: self.max_concurrent.get_or_create_owned(&labels),
            time: self.time.get_or_create_owned(&labels),
        }
    }
}

/// The buckets of controller-runtime's `pkg/internal/controller/metrics/metrics.go`, in seconds.
fn buckets() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
        1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
    ])
}
