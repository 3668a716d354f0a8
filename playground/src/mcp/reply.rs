//! What a server answers, before it becomes bytes on a socket.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use serde_json::Value;

use super::rpc;

pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) content: Content,
    /// What goes into the open stream of a session beside it.
    pub(super) push: Option<Push>,
}

/// The body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Whole(Bytes),
    /// These bytes, then what is pushed to the session until it ends; without a session nothing more, and no end.
    Stream {
        first: Bytes,
        session: Option<String>,
    },
    /// One byte a second.
    Slow(Bytes),
    /// The same again and again.
    Endless(Bytes),
    /// There is no answer at all.
    Silence,
}

/// Bytes for a session's stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Push {
    pub(super) session: String,
    pub(super) bytes: Bytes,
}

impl Reply {
    pub(super) fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: Vec::new(), content, push: None }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, Content::Whole(Bytes::new()))
    }

    pub(super) fn text(status: StatusCode, media: &str, text: impl Into<Bytes>) -> Self {
        Self::new(status, Content::Whole(text.into())).with(header::CONTENT_TYPE, media)
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    /// A JSON-RPC error.
    pub(super) fn error(status: StatusCode, id: Option<&Value>, error: &rpc::Error) -> Self {
        Self::json(status, &rpc::error(id, error))
    }

    pub(super) fn not_allowed(allow: &str) -> Self {
        Self::empty(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, allow)
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A server-sent event.
pub(super) fn event(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {data}\n\n")
}
