//! The reasons for failures and for relists.

use std::time::Duration;

use crate::client::Error;
use crate::watch::Status;

/// The start of the message with which a server without streaming lists ends a stream that it had accepted. Its code,
/// 500, is that of any other trouble.
const NO_STREAMING: &str = "a watch stream was requested";
/// The longest pause, whatever `Retry-After` says.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Why a request failed, as far as it matters for what to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no such resource (404), or access is denied (401, 403). Only people can fix that.
    Unavailable,
    /// The server does not remember this version any more (410).
    Gone,
    /// The version lies in the server's future: it lags, or it was restored from a backup.
    TooLarge,
    /// Too many requests (429), with the server's `Retry-After`.
    Busy(Option<Duration>),
    /// The server does not know the request (400, 422), or says in the stream that it does not support streaming lists.
    /// That will not change.
    Unsupported,
    /// The server does not answer the request now (other 4xx).
    Refused,
    /// The server has trouble (5xx), or its answer makes no sense.
    Trouble,
    /// There was no connection, it broke, or no answer came in time. That says nothing about the request.
    Unreachable,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Api { status, retry_after, operation: _ } => Self::answered(status, *retry_after),
            Error::Transport { .. } | Error::Timeout { .. } => Self::Unreachable,
            Error::Answer { .. } | Error::Fenced { .. } => Self::Trouble,
        }
    }
}

impl Failure {
    pub(super) fn answered(status: &Status, retry_after: Option<Duration>) -> Self {
        match status.code {
            _ if status.is_version_too_large() => Self::TooLarge,
            _ if status.message.starts_with(NO_STREAMING) => Self::Unsupported,
            400 | 422 => Self::Unsupported,
            401 | 403 | 404 => Self::Unavailable,
            410 => Self::Gone,
            429 => Self::Busy(retry_after.map(|wait| wait.min(LONGEST_PAUSE))),
            400..=499 => Self::Refused,
            _ => Self::Trouble,
        }
    }
}

/// Why the complete state is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is not known yet.
    Initial,
    /// The server no longer remembers the last version.
    Expired,
    /// Versions went backwards, or lie in the server's future.
    WentBackwards,
    /// An event could not be read.
    Unreadable,
    /// A streaming list was silent for too long, or ended before it was complete.
    Stalled,
    /// The server does not support streaming lists, or failed to stream this one.
    Refused,
    /// There were too many failures in a row.
    Trouble,
    /// What is known may be outdated, and is about to be acted on for the first time.
    Takeover,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Initial,
        Self::Expired,
        Self::WentBackwards,
        Self::Unreadable,
        Self::Stalled,
        Self::Refused,
        Self::Trouble,
        Self::Takeover,
    ];

    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Expired => "expired",
            Self::WentBackwards => "went-backwards",
            Self::Unreadable => "unreadable",
            Self::Stalled => "stalled",
            Self::Refused => "streaming-refused",
            Self::Trouble => "trouble",
            Self::Takeover => "takeover",
        }
    }
}
