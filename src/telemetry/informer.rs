//! `smooth_operator_informer_*`: is the cache current, and can it decode what it reads?

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::gauge;

/// The metrics of one informer, which its [reflectors](ReflectorMetrics) count into.
#[derive(Clone, Debug)]
pub struct InformerMetrics {
    resource: String,
    objects: Gauge,
    events: Family<EventLabels, Counter>,
    relists: Family<RelistLabels, Counter>,
    undecodable: Counter,
    heard: Arc<Heard>,
}

impl InformerMetrics {
    /// Names all reasons for which the complete state may be read, so that their counters exist at 0.
    pub fn expect_relists(&self, reasons: impl IntoIterator<Item = &'static str>) {
        for reason in reasons {
            drop(self.relists.get_or_create(&self.relist_labels(reason)));
        }
    }

    /// The metrics of the reflector of one namespace, or of all namespaces. All reflectors count into the same series, but
    /// the age of the last message is kept for each, and counts from now.
    pub fn reflector(&self, namespace: Option<&str>) -> ReflectorMetrics {
        let reflector = ReflectorMetrics { informer: self.clone(), namespace: namespace.map(str::to_owned) };
        reflector.heard();
        reflector
    }

    fn relist_labels(&self, reason: &'static str) -> RelistLabels {
        RelistLabels { resource: self.resource.clone(), reason }
    }
}

/// The metrics of one reflector of an informer.
#[derive(Clone, Debug)]
pub struct ReflectorMetrics {
    informer: InformerMetrics,
    namespace: Option<String>,
}

impl ReflectorMetrics {
    /// Sets the number of objects in the store.
    pub fn objects(&self, count: usize) {
        self.informer.objects.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a change of the store (`ADDED`, `MODIFIED`, `DELETED`), or a `BOOKMARK` or `ERROR` in the watch.
    ///
    /// The type is `&'static str`, here and below, so that text from the server can't become a label.
    pub fn event(&self, kind: &'static str) {
        let InformerMetrics { resource, events, .. } = &self.informer;
        events.get_or_create(&EventLabels { resource: resource.clone(), r#type: kind }).inc();
        self.heard();
    }

    /// Counts one reading of the complete state, with its reason, once it is complete. Attempts are not counted: during an
    /// outage there are many of them, and nothing is read.
    pub fn relisted(&self, reason: &'static str) {
        self.informer.relists.get_or_create(&self.informer.relist_labels(reason)).inc();
        self.heard();
    }

    /// Counts an object that could not be decoded.
    pub fn undecodable(&self) {
        self.informer.undecodable.inc();
    }

    fn heard(&self) {
        self.informer.heard.note(&self.informer.resource, self.namespace.as_deref());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    resource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    resource: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RelistLabels {
    resource: String,
    reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Families {
    objects: Family<Labels, Gauge>,
    events: Family<EventLabels, Counter>,
    relists: Family<RelistLabels, Counter>,
    undecodable: Family<Labels, Counter>,
    heard: Arc<Heard>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            objects: Family::default(),
            events: Family::default(),
            relists: Family::default(),
            undecodable: Family::default(),
            heard: Arc::default(),
        };
        let Self { objects, events, relists, undecodable, heard } = &families;
        registry.register("smooth_operator_informer_objects", "Objects in the store", objects.clone());
        registry.register(
            "smooth_operator_informer_events",
            "Changes taken into the cache (ADDED, MODIFIED, DELETED), and bookmarks and errors of the watch, by type",
            events.clone(),
        );
        registry.register(
            "smooth_operator_informer_relists",
            "How often the complete state was read, by reason",
            relists.clone(),
        );
        registry.register(
            "smooth_operator_informer_undecodable",
            "Objects that could not be decoded",
            undecodable.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(heard)));
        families
    }

    pub(super) fn handle(&self, resource: &str) -> InformerMetrics {
        let labels = Labels { resource: resource.to_owned() };
        for kind in ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"] {
            drop(self.events.get_or_create(&EventLabels { resource: resource.to_owned(), r#type: kind }));
        }
        InformerMetrics {
            resource: resource.to_owned(),
            objects: self.objects.get_or_create_owned(&labels),
            events: self.events.clone(),
            relists: self.relists.clone(),
            undecodable: self.undecodable.get_or_create_owned(&labels),
            heard: Arc::clone(&self.heard),
        }
    }
}

/// When each reflector last received something from the server: by resource, then by namespace. For one that has never
/// received anything, the age counts from its creation, so that an alert needs no special case for it.
///
/// The age of a resource is that of its oldest reflector. With the youngest, a namespace whose watch is dead would be
/// hidden by the others.
#[derive(Debug, Default)]
struct Heard(Mutex<BTreeMap<String, BTreeMap<Option<String>, Instant>>>);

impl Heard {
    fn note(&self, resource: &str, namespace: Option<&str>) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.entry(resource.to_owned()).or_default();
        heard.insert(namespace.map(str::to_owned), Instant::now());
    }
}

impl Collector for Heard {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let oldest = heard.into_iter().filter_map(|(resource, heard)| Some((resource, heard.into_values().min()?)));
        let ages = oldest.map(|(resource, last)| (Labels { resource }, last.elapsed().as_secs_f64()));
        gauge::encode(
            &mut encoder,
            "smooth_operator_informer_last_event_age_seconds",
            "How long ago the server last sent something, bookmarks included; the largest age of all namespaces.",
            ages,
        )
    }
}
