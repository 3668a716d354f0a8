//! Step six: tell people what happened, as Events.
//!
//! A status says how it is; an Event says that something happened. So each Event here is a difference: a write that was
//! done, or a condition that is not what it was.

use super::apply::{Done, Why};
use super::report::{ACCEPTED, AVAILABLE, PROGRESSING, SECRET_RESOLVED};
use crate::api::{ConditionStatus, MCPServerStatus};
use crate::events::{Event, EventType};

/// The Events of what was done.
pub fn tell_done(name: &str, done: &[Done]) -> Vec<Event> {
    let event = |Done { kind, why }: &Done| {
        let (event_type, reason, action, verb): (_, &'static str, _, _) = match (why, *kind) {
            (Why::Created, "Deployment") => (EventType::Normal, "DeploymentCreated", "Create", "created"),
            (Why::Created, _) => (EventType::Normal, "ServiceCreated", "Create", "created"),
            (Why::Updated, "Deployment") => (EventType::Normal, "DeploymentUpdated", "Update", "updated"),
            (Why::Updated, _) => (EventType::Normal, "ServiceUpdated", "Update", "updated"),
            (Why::Adopted, _) => (EventType::Normal, "Adopted", "Adopt", "adopted, it had lost its owner"),
            (Why::SecretRotated, _) => {
                (EventType::Normal, "SecretRotated", "Update", "rolls its pods, the data of the Secret changed")
            }
            (Why::DriftCorrected, _) => (
                EventType::Warning,
                "DriftCorrected",
                "Update",
                "put back, somebody had changed what this operator manages",
            ),
        };
        Event { event_type, reason, action, note: format!("{kind} {name} {verb}") }
    };
    done.iter().map(event).collect()
}

/// The Events of a status that is not what it was.
pub fn tell_change(old: Option<&MCPServerStatus>, new: &MCPServerStatus) -> Vec<Event> {
    const TOLD: [(&str, ConditionStatus, &str, &str, EventType); 5] = [
        (ACCEPTED, ConditionStatus::False, "NameConflict", "NameConflict", EventType::Warning),
        (ACCEPTED, ConditionStatus::False, "InvalidSpec", "InvalidSpec", EventType::Warning),
        (ACCEPTED, ConditionStatus::False, "UndecodableObject", "InvalidSpec", EventType::Warning),
        (SECRET_RESOLVED, ConditionStatus::False, "SecretNotFound", "SecretNotFound", EventType::Warning),
        (PROGRESSING, ConditionStatus::False, "ProgressDeadlineExceeded", "RolloutStuck", EventType::Warning),
    ];
    let mut events = Vec::new();
    for (condition, status, reason, event_reason, event_type) in TOLD {
        let is = |found: &crate::api::Condition| found.status == status && found.reason == reason;
        let before = old.and_then(|old| old.condition(condition)).filter(|found| is(found));
        // Another Secret that is missing is news, too.
        let news = |found: &&crate::api::Condition| is(found) && before.is_none_or(|old| old.message != found.message);
        if let Some(found) = new.condition(condition).filter(news) {
            events.push(Event { event_type, reason: event_reason, action: "Reconcile", note: found.message.clone() });
        }
    }
    let serves = |status: &MCPServerStatus| status.url.is_some() && holds(status, AVAILABLE);
    if serves(new) && !old.is_some_and(serves) {
        let url = new.url.as_deref().unwrap_or_default();
        let note = format!("the server is available at {url}");
        events.push(Event { event_type: EventType::Normal, reason: "Available", action: "Reconcile", note });
    }
    events
}

fn holds(status: &MCPServerStatus, condition: &str) -> bool {
    status.condition(condition).is_some_and(|found| found.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests;
