//! What a failed reconcile means for the next one.

use std::time::Duration;

use super::build::BuildError;
use crate::client::Error;
use crate::controller::{self, Action};

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A request failed.
    #[error(transparent)]
    Request(#[from] Error),
    /// The children can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Decides when a failed reconcile is tried again. A busy server names a time, which is taken within limits: neither at
/// once nor in an hour. One that can't be reached is tried every few seconds, however long it stays away.
///
/// A namespace that is being deleted takes no new objects, and the MCPServer is about to be deleted, too. That is no
/// failure: the event about it is on its way.
///
/// # Errors
///
/// What remains of the failure, for the worker to act upon.
pub(super) fn judge(failure: Failure) -> Result<Action, controller::Error> {
    const AWAY: Duration = Duration::from_secs(5);
    const SOONEST: Duration = Duration::from_secs(1);
    const LATEST: Duration = Duration::from_secs(5 * 60);
    Err(match failure {
        Failure::Request(error) if namespace_is_terminating(&error) => return Ok(Action::Done),
        Failure::Request(error) => match error.retry_after() {
            Some(wait) => controller::Error::busy(error, wait.clamp(SOONEST, LATEST)),
            None if is_away(&error) => controller::Error::unreachable(error, AWAY),
            None => controller::Error::transient(error),
        },
        Failure::Build(error) => controller::Error::permanent(error),
    })
}

/// Whether the API server did not answer: nobody did, or only a proxy.
fn is_away(error: &Error) -> bool {
    match error {
        Error::Transport { .. } | Error::Timeout { .. } => true,
        Error::Api { status, .. } => matches!(status.code, 502..=504),
        Error::Answer { .. } | Error::Fenced { .. } => false,
    }
}

/// Whether the object no longer exists: there is none with its name, or none with its uid.
pub(super) fn is_gone(error: &Error) -> bool {
    error.code() == 404 || (error.code() == 409 && error.status().is_some_and(|s| s.message.contains("uid mismatch")))
}

/// Whether a write was refused because the namespace is being deleted.
pub(super) fn namespace_is_terminating(error: &Error) -> bool {
    error.status().is_some_and(|status| status.code == 403 && status.has_cause("NamespaceTerminating"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::MCPSERVERS;
    use crate::client::Request;
    use crate::object::ObjectKey;

    fn answered(status: Value, retry_after: Option<u64>) -> Result<Action, controller::Error> {
        let operation = Box::new(Request::get(&MCPSERVERS, &ObjectKey::new("n", "a")).operation);
        let (status, retry_after) = (serde_json::from_value(status).unwrap(), retry_after.map(Duration::from_secs));
        judge(Error::Api { operation, status: Box::new(status), retry_after }.into())
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_says_but_neither_at_once_nor_in_an_hour() {
        let busy = |retry_after| answered(json!({"code": 429}), retry_after);
        let wait = |seconds| match busy(Some(seconds)) {
            Err(controller::Error::Busy(_, wait)) => wait.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!([wait(0), wait(9), wait(86_400)], [1, 9, 300]);
        assert!(matches!(busy(None), Err(controller::Error::Transient(_))));
    }

    /// Found by a review: deleting a namespace made a warning and an error of each server in it.
    #[test]
    fn a_namespace_that_is_being_deleted_is_no_failure_and_a_missing_permission_is_one() {
        let terminating = json!({"code": 403, "reason": "Forbidden", "details": {"causes": [{
            "reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace",
        }]}});
        assert_eq!(answered(terminating, None).unwrap(), Action::Done);
        assert!(matches!(answered(json!({"code": 403}), None), Err(controller::Error::Transient(_))));
    }
}
