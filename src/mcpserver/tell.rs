//! Step six: tell people what happened, as Events.
//!
//! A status describes a state; an Event says that something happened. So each Event here is a difference: a write that
//! was done, or a condition that has changed.

use super::apply::{Done, Why};
use super::kind::ChildKind;
use super::report::{ACCEPTED, AVAILABLE, PROGRESSING, Reason, SECRET_RESOLVED, VERIFIED};
use crate::api::{Condition, ConditionStatus, MCPServerStatus, ServerInfo};
use crate::events::{Event, EventType};

/// The Events about writes that were done to the children of the server `name`.
pub fn events_of_writes(name: &str, done: &[Done]) -> Vec<Event> {
    done.iter().map(|done| event_of_write(name, done)).collect()
}

fn event_of_write(name: &str, done: &Done) -> Event {
    let Done { kind, why } = done;
    let (event_type, reason, action, what) = match why {
        Why::Created => (EventType::Normal, created(*kind), "Create", "created"),
        Why::Updated => (EventType::Normal, updated(*kind), "Update", "updated"),
        Why::Removed => {
            (EventType::Normal, removed(*kind), "Delete", "deleted: the spec does not call for it any more")
        }
        Why::Adopted => (EventType::Normal, "Adopted", "Adopt", "adopted: it had no owner"),
        Why::SecretRotated => {
            (EventType::Normal, "SecretRotated", "Update", "is restarting its pods: the Secret's data changed")
        }
        Why::DriftCorrected => (
            EventType::Warning,
            "DriftCorrected",
            "Update",
            "restored: another client changed fields that this operator manages",
        ),
    };
    Event { event_type, reason, action, note: format!("{} {name} {what}", kind.as_str()) }
}

fn created(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Deployment => "DeploymentCreated",
        ChildKind::Service => "ServiceCreated",
        ChildKind::DisruptionBudget => "PodDisruptionBudgetCreated",
        ChildKind::NetworkPolicy => "NetworkPolicyCreated",
        ChildKind::Autoscaler => "HorizontalPodAutoscalerCreated",
    }
}

fn updated(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Deployment => "DeploymentUpdated",
        ChildKind::Service => "ServiceUpdated",
        ChildKind::DisruptionBudget => "PodDisruptionBudgetUpdated",
        ChildKind::NetworkPolicy => "NetworkPolicyUpdated",
        ChildKind::Autoscaler => "HorizontalPodAutoscalerUpdated",
    }
}

fn removed(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Deployment => "DeploymentDeleted",
        ChildKind::Service => "ServiceDeleted",
        ChildKind::DisruptionBudget => "PodDisruptionBudgetDeleted",
        ChildKind::NetworkPolicy => "NetworkPolicyDeleted",
        ChildKind::Autoscaler => "HorizontalPodAutoscalerDeleted",
    }
}

/// The Events about a status that has changed.
pub fn events_of_change(old: Option<&MCPServerStatus>, new: &MCPServerStatus) -> Vec<Event> {
    /// A condition and its reason, and the reason of the Event that announces it.
    const ANNOUNCED: [(&str, Reason, &str); 5] = [
        (ACCEPTED, Reason::NameConflict, "NameConflict"),
        (ACCEPTED, Reason::InvalidSpec, "InvalidSpec"),
        (ACCEPTED, Reason::UndecodableObject, "InvalidSpec"),
        (SECRET_RESOLVED, Reason::SecretNotFound, "SecretNotFound"),
        (PROGRESSING, Reason::ProgressDeadlineExceeded, "RolloutStuck"),
    ];
    let mut events = Vec::new();
    for (condition, reason, event_reason) in ANNOUNCED {
        let before = old.and_then(|old| old.condition(condition)).filter(|found| reason.is_of(found));
        // Another message is news: now another Secret is missing.
        let news = |found: &&Condition| reason.is_of(found) && before.is_none_or(|old| old.message != found.message);
        if let Some(Condition { message, .. }) = new.condition(condition).filter(news) {
            let (event_type, note) = (EventType::Warning, message.clone());
            events.push(Event { event_type, reason: event_reason, action: "Reconcile", note });
        }
    }
    events.extend(verification(old, new));
    let serves = |status: &MCPServerStatus| status.url.is_some() && holds(status, AVAILABLE);
    if serves(new) && !old.is_some_and(serves) {
        let url = new.url.as_deref().unwrap_or_default();
        let note = format!("the server is available at {url}");
        events.push(Event { event_type: EventType::Normal, reason: "Available", action: "Reconcile", note });
    }
    events
}

/// The Events about what the server says when it is asked.
fn verification(old: Option<&MCPServerStatus>, new: &MCPServerStatus) -> Vec<Event> {
    let mut events = Vec::new();
    let event = |event_type, reason, note| Event { event_type, reason, action: "Verify", note };
    let reason =
        |status: &MCPServerStatus| status.condition(VERIFIED).map(|found| (found.status, found.reason.clone()));
    if let Some(Condition { status, reason: why, message, .. }) = new.condition(VERIFIED)
        && old.and_then(reason) != reason(new)
    {
        match status {
            ConditionStatus::True => events.push(event(EventType::Normal, "Verified", message.clone())),
            // That it wants to know who asks is no failure.
            ConditionStatus::False if *why != Reason::AuthenticationRequired.as_str() => {
                events.push(event(EventType::Warning, "VerificationFailed", message.clone()));
            }
            ConditionStatus::False | ConditionStatus::Unknown => {}
        }
    }
    if tools_changed(old, new) {
        let note = "the tools that the server offers have changed, and its pods have not: check what they do now";
        events.push(event(EventType::Warning, "ToolsChanged", note.to_owned()));
    }
    events
}

/// Whether the server offers other tools than before, though its pods run the same.
pub fn tools_changed(old: Option<&MCPServerStatus>, new: &MCPServerStatus) -> bool {
    let (Some(old), Some(new)) = (old.and_then(|old| old.server.as_ref()), new.server.as_ref()) else { return false };
    let known = |server: &ServerInfo| !server.tools_hash.is_empty() && !server.pod_template_hash.is_empty();
    known(old) && known(new) && old.pod_template_hash == new.pod_template_hash && old.tools_hash != new.tools_hash
}

fn holds(status: &MCPServerStatus, condition: &str) -> bool {
    status.condition(condition).is_some_and(|found| found.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests;
