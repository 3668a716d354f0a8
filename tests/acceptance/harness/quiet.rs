//! "Nothing more happens", as something that can be looked at.
//!
//! A footprint is everything by which a write would show: the resourceVersions of what the operator deals with and,
//! on a playground, every write that an operator has *tried*, so that one which changes nothing, or fails, counts too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use playground::cluster::RequestRecord;
use serde_json::Value;

use super::World;
use super::client::Place;
use super::objects::{DEPLOYMENTS, Kind, SERVERS, SERVICES, generation, name, version};
use super::wait::{PAUSE, patience};

/// As long as this nothing happened: the world has settled.
const SETTLED: Duration = Duration::from_millis(300);
/// As long as this nothing must happen in a settled world.
const QUIET: Duration = Duration::from_millis(600);

/// Where a write would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// By kind, namespace and name.
    versions: BTreeMap<String, String>,
    /// One line for each write that an operator has tried.
    writes: Vec<String>,
}

impl World {
    /// Waits until every server was looked at and nothing moves any more.
    pub(crate) async fn settle(&self) -> Footprint {
        let started = Instant::now();
        let (mut last, mut since) = (self.footprint().await, Instant::now());
        loop {
            tokio::time::sleep(PAUSE).await;
            let (now, unsettled) = (self.footprint().await, self.unsettled().await);
            if now != last || unsettled.is_some() {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() >= SETTLED {
                return last;
            }
            assert!(started.elapsed() < patience(), "the world does not settle: {unsettled:?}, {last:#?}");
        }
    }

    /// Looks for a while, and fails if anything moves.
    pub(crate) async fn stays(&self, before: &Footprint) {
        let started = Instant::now();
        while started.elapsed() < QUIET {
            let now = self.footprint().await;
            assert_eq!(now, *before, "in a settled world something moved");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the world has settled, and fails if it doesn't stay so.
    pub(crate) async fn stays_quiet(&self) {
        let settled = self.settle().await;
        self.stays(&settled).await;
    }

    /// The writes that operators have tried so far, but those to Leases and Events. Empty on a real cluster, which nobody
    /// can ask.
    pub(crate) fn writes(&self) -> Vec<RequestRecord> {
        let Some(playground) = &self.playground else { return Vec::new() };
        let mut requests = playground.cluster().requests();
        requests.retain(|request| {
            request.user_agent.starts_with("smooth-operator/")
                && !matches!(request.verb.as_str(), "get" | "list" | "watch")
                && !matches!(request.resource.as_str(), "leases.coordination.k8s.io" | "events.events.k8s.io")
        });
        requests
    }

    async fn footprint(&self) -> Footprint {
        let mut versions = BTreeMap::new();
        for place in self.places() {
            for (kind, word) in [(SERVERS, "MCPServer"), (DEPLOYMENTS, "Deployment"), (SERVICES, "Service")] {
                collect(&place, kind, word, &mut versions).await;
            }
        }
        let line = |RequestRecord { verb, resource, subresource, namespace, name, status, .. }: &RequestRecord| {
            format!("{verb} {resource}/{subresource} {namespace}/{name}: {status}")
        };
        Footprint { versions, writes: self.writes().iter().map(line).collect() }
    }

    /// A server that says nothing yet of its newest generation, or that its pods are on their way.
    async fn unsettled(&self) -> Option<String> {
        for place in self.places() {
            for server in place.list(SERVERS).await {
                let phase = server["status"]["phase"].as_str().unwrap_or_default();
                let seen = server["status"]["observedGeneration"].as_i64() == Some(generation(&server));
                // A server without its Secret is Pending for good.
                let waits = phase == "Pending" && super::objects::says(&server, "SecretResolved").starts_with("False");
                if !seen || (matches!(phase, "" | "Pending" | "Progressing") && !waits) {
                    return Some(format!("{} is {phase:?}, seen: {seen}", name(&server)));
                }
            }
        }
        None
    }

    fn places(&self) -> Vec<Place> {
        let namespaces = self.namespaces.lock().unwrap().clone();
        let place = |namespace| Place { client: self.place.client.clone(), namespace };
        namespaces.into_iter().map(place).collect()
    }
}

async fn collect(place: &Place, kind: Kind, word: &str, versions: &mut BTreeMap<String, String>) {
    for object in place.list(kind).await {
        let key = format!("{word} {}/{}", place.namespace, name(&object));
        versions.insert(key, Value::from(version(&object)).to_string());
    }
}
