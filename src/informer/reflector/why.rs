//! Why something went wrong, and why everything is asked for again.

use std::time::Duration;

use crate::client::Error;
use crate::watch::Status;

/// How a server that has no streaming lists says so once it has accepted to stream one; the code with it is that of any trouble.
const NO_STREAMING: &str = "a watch stream was requested";
/// No server is left alone for longer, whatever it says.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Why the API server did not give what was asked for, as far as that decides what to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no such resource (404), or not for us (401, 403). Only people can mend that.
    Unavailable,
    /// The version is older than the server's memory (410).
    Gone,
    /// The version lies in the server's future: it lags, or it was restored from a backup.
    TooLarge,
    /// Too many requests (429).
    Busy(Option<Duration>),
    /// The server does not know what was asked for (400, 422), or says in the stream that it has no streaming lists. It never will.
    Unsupported,
    /// The server does not do what was asked (other 4xx), now.
    Refused,
    /// The server has trouble (5xx), or its answer makes no sense.
    Trouble,
    /// There is no server: no connection, no answer in time, or a connection that broke. That says nothing about what was asked for.
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

/// Why the whole state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is not known yet.
    Initial,
    /// The server forgot where we were.
    Expired,
    /// Versions went backwards, or lie in the server's future.
    WentBackwards,
    /// Something could not be read.
    Unreadable,
    /// A stream was silent for too long, or ended without ever being complete.
    Stalled,
    /// The server does not stream lists, at all or this time.
    Refused,
    /// Too many failures in a row.
    Trouble,
}

impl Reason {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Initial,
        Self::Expired,
        Self::WentBackwards,
        Self::Unreadable,
        Self::Stalled,
        Self::Refused,
        Self::Trouble,
    ];

    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Expired => "expired",
            Self::WentBackwards => "went-backwards",
            Self::Unreadable => "unreadable",
            Self::Stalled => "stalled",
            Self::Refused => "streaming-refused",
            Self::Trouble => "trouble",
        }
    }
}
