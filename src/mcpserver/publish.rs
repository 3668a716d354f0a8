//! The end of a reconcile: what was found out and done goes into the status, the Events, the metrics and the log.

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::apply::{Applied, Done, Why};
use super::failure::is_gone;
use super::memory::{Refused, Written};
use super::observe::Observed;
use super::report::{self, Outcome, Urgency, report, urgency};
use super::{Reconciler, tell, verify};
use crate::api::{MCPSERVERS, MCPServer, MCPServerSpec, MCPServerStatus, Phase};
use crate::client::{Error, Request};
use crate::controller::Action;
use crate::events::Regarding;
use crate::object::ResourceVersion;
use crate::telemetry::ServerReport;
use crate::verification;

impl Reconciler {
    /// Reports the server's state, and writes it if it says something new that is worth a write by now.
    pub(super) async fn write_report(&self, observed: &Observed, outcome: &Outcome<'_>) -> Result<Action, Error> {
        let server = &observed.server;
        let key = &server.meta.key;
        let verification = self.verify(observed);
        let status = report(observed, outcome, verification.as_ref(), whole_seconds(self.wall_clock.now()));
        self.metrics.report(key.namespace(), key.name(), metrics(server, &status));
        match urgency(server.status.as_ref(), &status, controller_spoke(outcome)) {
            Urgency::None => self.waiting.end(key),
            Urgency::Now => self.write_status(server, &status).await?,
            Urgency::Patient(patience) => {
                let rest = self.waiting.rest(key, patience, Instant::now());
                if !rest.is_zero() {
                    return Ok(Action::RequeueAfter(rest));
                }
                self.write_status(server, &status).await?;
            }
        }
        Ok(next(outcome, Instant::now()))
    }

    /// Says which pods are to be asked whether they speak MCP, and reads what is known of them.
    fn verify(&self, observed: &Observed) -> Option<verification::Report> {
        let key = &observed.server.meta.key;
        let Some(desired) = verify::desired(observed) else {
            self.verification.forget(key);
            return None;
        };
        Some(self.verification.observe(key, desired))
    }

    /// Writes the status, and tells what is new in it.
    async fn write_status(&self, server: &MCPServer, status: &MCPServerStatus) -> Result<(), Error> {
        let key = &server.meta.key;
        let request = Request::apply_status(&MCPSERVERS, key, &status_object(server, status));
        let operation = request.operation.clone();
        let answer = match self.client.send::<Box<RawValue>>(request).await {
            // The server was deleted a moment ago, and the event about that is on its way.
            Err(error) if is_gone(&error) => return Ok(()),
            answer => answer?,
        };
        let version = resource_version(&answer)
            .map_err(|source| Error::Answer { operation: Box::new(operation), source: source.into() })?;
        let _changed = self.memory.wrote(key, Written::Status, version, Instant::now());
        self.waiting.end(key);
        let phase = status.phase.map_or("", Phase::as_str);
        tracing::info!(phase, available = status.available_replicas, "wrote the status");
        for event in tell::events_of_change(server.status.as_ref(), status) {
            self.recorder.publish(&regarding(server), event);
        }
        if tell::tools_changed(server.status.as_ref(), status) {
            self.metrics.tools_changed(key.namespace(), key.name());
        }
        Ok(())
    }

    /// Tells of the writes that were done to the children.
    pub(super) fn publish_events(&self, observed: &Observed, done: &[Done]) {
        let server = &observed.server;
        for event in tell::events_of_writes(server.meta.key.name(), done) {
            self.recorder.publish(&regarding(server), event);
        }
        for Done { kind, why } in done {
            tracing::info!(kind = kind.as_str(), ?why, "wrote a child");
            if *why == Why::DriftCorrected {
                self.metrics.drift_corrected(kind.as_str());
            }
        }
    }
}

/// The whole status as an object for server-side apply. The uid makes sure that it is written to this server and not to
/// a later one with the same name.
fn status_object(server: &MCPServer, status: &MCPServerStatus) -> Value {
    json!({
        "apiVersion": MCPSERVERS.api_version(),
        "kind": MCPSERVERS.kind,
        "metadata": {
            "name": server.meta.key.name(),
            "namespace": server.meta.key.namespace(),
            "uid": server.meta.uid,
        },
        "status": status,
    })
}

fn resource_version(answer: &RawValue) -> Result<ResourceVersion, serde_json::Error> {
    crate::watch::Identity::decode(answer.get()).map(|identity| identity.resource_version)
}

/// When to look again without an event: after a refusal.
fn next(outcome: &Outcome<'_>, now: Instant) -> Action {
    match outcome {
        Outcome::Applied(Applied { refused: Some(Refused { until, .. }), .. }) => Action::RequeueAfter(*until - now),
        Outcome::Applied(Applied { refused: None, .. }) | Outcome::Suspended { .. } | Outcome::HandsOff(_) => {
            Action::Done
        }
    }
}

/// Times in Kubernetes objects have no fractions, so the ones that are compared with them must not have any either.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether the Deployment controller has processed the current generation of the Deployment.
fn controller_spoke(outcome: &Outcome<'_>) -> bool {
    match outcome {
        Outcome::Applied(applied) => applied
            .deployment
            .as_ref()
            .is_some_and(|deployment| deployment.status.observed_generation >= deployment.child.meta.generation),
        Outcome::Suspended { .. } | Outcome::HandsOff(_) => true,
    }
}

fn regarding(server: &MCPServer) -> Regarding {
    Regarding { resource: MCPSERVERS, key: server.meta.key.clone(), uid: server.meta.uid.clone() }
}

fn metrics(server: &MCPServer, status: &MCPServerStatus) -> ServerReport {
    let counts = [
        ("current", status.replicas),
        ("updated", status.updated_replicas),
        ("ready", status.ready_replicas),
        ("available", status.available_replicas),
    ];
    // If the spec can't be read, nobody knows how many pods it asks for; with an autoscaler, that is not in the spec.
    let fixed = |spec: &&MCPServerSpec| spec.autoscaling.is_none();
    let desired = server.spec.iter().filter(fixed).map(|spec| ("desired", spec.replicas));
    ServerReport {
        phase: status.phase.map_or("", Phase::as_str),
        conditions: report::OURS
            .into_iter()
            .filter_map(|kind| Some((kind, status.condition(kind)?.status.as_str())))
            .collect(),
        replicas: desired.chain(counts).collect(),
    }
}
