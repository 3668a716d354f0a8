//! What a reconcile may return.

use std::fmt;
use std::time::Duration;

/// What to do after a reconcile that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the next event causes the next run.
    Done,
    /// Run again after this time even without an event: something is awaited that sends no events.
    RequeueAfter(Duration),
    /// The run has not begun: it needs information that an event will bring, and waits for it no longer than this time.
    /// That is neither a success nor a failure, so a failing key keeps its backoff.
    Wait(Duration),
}

/// Why a reconcile failed, and so whether another try makes sense.
#[derive(Debug)]
pub enum Error {
    /// It may work later, for example after a conflict. Retried with backoff.
    Transient(Box<dyn std::error::Error + Send + Sync>),
    /// It may work later, but not before this time, says the server. Retried with backoff, and not sooner than that.
    Busy(Box<dyn std::error::Error + Send + Sync>, Duration),
    /// The server could not be reached, which says nothing about this key. Retried after this time, and its backoff
    /// does not grow: after an outage of an hour all keys are retried within seconds, not at the end of each key's
    /// backoff.
    Unreachable(Box<dyn std::error::Error + Send + Sync>, Duration),
    /// It can't work until the object changes: the input itself is wrong. Not retried.
    Permanent(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A failure that is retried with backoff.
    pub fn transient(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Transient(error.into())
    }

    /// A failure that is retried with backoff, and no sooner than after `wait`.
    pub fn busy(error: impl Into<Box<dyn std::error::Error + Send + Sync>>, wait: Duration) -> Self {
        Self::Busy(error.into(), wait)
    }

    /// A failure to reach the server, which is retried after `pause`.
    pub fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>, pause: Duration) -> Self {
        Self::Unreachable(error.into(), pause)
    }

    /// A failure that is not retried until the object changes.
    pub fn permanent(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Permanent(error.into())
    }
}

impl fmt::Display for Error {
    /// The error and its sources in one line. A source whose text the message contains already is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Transient(error) | Self::Busy(error, _) | Self::Unreachable(error, _) | Self::Permanent(error)) =
            self;
        let mut said = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let more = error.to_string();
            if !said.ends_with(&more) {
                said = format!("{said}: {more}");
            }
            source = error.source();
        }
        f.write_str(&said)
    }
}

/// No `source`: the display contains the whole chain already, and printing both would repeat everything.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("applying Deployment default/gofetch")]
    struct Applying(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("applying: {0}")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn an_error_tells_its_whole_chain_in_one_line() {
        let error = Error::transient(Applying(io::Error::other("connection refused")));
        assert_eq!(error.to_string(), "applying Deployment default/gofetch: connection refused");
    }

    #[test]
    fn a_source_that_the_message_quotes_already_is_not_said_twice() {
        let error = Error::permanent(Repeating(io::Error::other("connection refused")));
        assert_eq!(error.to_string(), "applying: connection refused");
    }
}
