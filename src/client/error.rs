//! What can go wrong between this process and the API server.

use std::time::Duration;

use super::request::{Operation, Target, Verb};
use crate::object::Resource;
use crate::watch::{LineTooLong, Status};

/// A request that failed.
///
/// There is a variant for each case that callers handle differently: a refusal is a definite answer, a lost connection
/// leaves open whether a write was done, and a fenced write was certainly not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the request. Where it is known how to fix that, the message says so.
    #[error("{operation}: {status}{}", remedy(operation, status))]
    Api {
        /// What was tried.
        operation: Box<Operation>,
        /// The answer.
        status: Box<Status>,
        /// How long the server asks the client to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// There was no connection, or it broke. A write may or may not have been done.
    #[error("{operation}: {}", root_cause(source.as_ref()))]
    Transport {
        /// What was tried.
        operation: Box<Operation>,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no answer in time. A write may or may not have been done.
    #[error("{operation}: no answer within {after:?}")]
    Timeout {
        /// What was tried.
        operation: Box<Operation>,
        /// How long the client waited.
        after: Duration,
    },
    /// The request succeeded, but the answer can't be read. A write has been done.
    #[error("{operation}: the answer can't be read: {source}")]
    Answer {
        /// What was tried.
        operation: Box<Operation>,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The write was not sent: this instance may not write any more, or not yet.
    #[error("{operation}: not sent, this instance does not hold the lease")]
    Fenced {
        /// What would have been done.
        operation: Box<Operation>,
    },
}

impl Error {
    /// The server's answer, where there was one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { status, .. } => Some(status),
            Self::Transport { .. } | Self::Timeout { .. } | Self::Answer { .. } | Self::Fenced { .. } => None,
        }
    }

    /// The HTTP status code of the answer; 0 where there was none.
    pub fn code(&self) -> u16 {
        self.status().map_or(0, |status| status.code)
    }

    /// Whether the answer gives this reason, for example `AlreadyExists`.
    pub fn is(&self, reason: &str) -> bool {
        self.status().is_some_and(|status| status.reason == reason)
    }

    /// How long the server asks the client to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } => *retry_after,
            Self::Transport { .. } | Self::Timeout { .. } | Self::Answer { .. } | Self::Fenced { .. } => None,
        }
    }
}

/// How to fix missing permissions and invalid credentials.
fn remedy(operation: &Operation, status: &Status) -> String {
    match status.code {
        401 => {
            "; the API server does not accept these credentials: log in again, or use another context of the kubeconfig"
                .to_owned()
        }
        // RBAC says "User … cannot list resource …"; quotas and terminating namespaces also answer "forbidden".
        403 if status.message.contains(" cannot ") => format!("; {}", missing_rule(operation)),
        _ => String::new(),
    }
}

/// The RBAC rule that a refused operation needs, in the notation of a Role.
fn missing_rule(operation: &Operation) -> String {
    let Operation { verb, resource, subresource, target } = operation;
    match resource {
        Some(resource) => rule_to_add(resource, subresource, &[*verb], target),
        None => "allow the operator's service account this path".to_owned(),
    }
}

/// Which RBAC rule to add where, in the notation of a Role, so that these verbs are allowed.
pub fn rule_to_add(resource: &Resource, subresource: &str, verbs: &[Verb], target: &Target) -> String {
    let slash = if subresource.is_empty() { "" } else { "/" };
    let kind = match target {
        Target::Cluster => "ClusterRole".to_owned(),
        Target::Namespace(namespace) => format!("Role (or ClusterRole) for namespace {namespace}"),
        Target::Object(key) => match key.scope() {
            Some(namespace) => format!("Role (or ClusterRole) for namespace {namespace}"),
            None => "ClusterRole".to_owned(),
        },
        Target::Path(path) => format!("ClusterRole for {path}"),
    };
    let verbs: Vec<String> = verbs.iter().map(|verb| format!("\"{}\"", verb.as_str())).collect();
    format!(
        "add to the operator's {kind}: {{apiGroups: [\"{}\"], resources: [\"{}{slash}{subresource}\"], verbs: [{}]}}",
        resource.group,
        resource.plural,
        verbs.join(", "),
    )
}

/// The innermost error, which says what happened ("Connection refused"). The outer ones only say in which layer.
pub(crate) fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// Reading a watch failed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke, or the body was cut.
    #[error("the stream broke: {}", root_cause(.0.as_ref()))]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// A line exceeded the limit.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ListParams, Request};
    use crate::object::{DEPLOYMENTS, ObjectKey};

    fn refused(request: Request, code: u16) -> Error {
        let message = r#"deployments is forbidden: User "x" cannot do that"#.to_owned();
        let status = Box::new(Status { code, message, ..Status::default() });
        Error::Api { operation: Box::new(request.operation), status, retry_after: None }
    }

    #[test]
    fn a_refused_permission_names_the_rule_to_add() {
        let list = refused(Request::list(&DEPLOYMENTS, None, None, &ListParams::default()), 403).to_string();
        assert_eq!(
            list,
            r#"list deployments.apps in all namespaces: 403: deployments is forbidden: User "x" cannot do that; add to the operator's ClusterRole: {apiGroups: ["apps"], resources: ["deployments"], verbs: ["list"]}"#
        );
        let key = ObjectKey::new("prod", "web");
        let status = refused(Request::apply_status(&DEPLOYMENTS, &key, &serde_json::json!({})), 403).to_string();
        assert!(status.contains(r#"resources: ["deployments/status"], verbs: ["patch"]"#), "{status}");
        let absent = refused(Request::get(&DEPLOYMENTS, &key), 404).to_string();
        assert!(!absent.contains("add to"), "{absent}");
    }
}
