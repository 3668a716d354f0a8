//! The revisions up to 2025-11-25: a handshake first, and often a session that every request has to name.
//!
//! ```text
//!   initialize ------> (session id) --notifications/initialized--> open --requests--> ... --DELETE--> gone
//!   without session:   400 "Mcp-Session-Id header is required"        after that: 404
//! ```
//!
//! Where the specification leaves the words to the server, they are those of its two best-known kits.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::modern::{VERSION_HEADER, header as text};
use super::reply::{Content, EVENT_STREAM, Reply, event};
use super::rpc::{self, Error, INVALID_PARAMS, Message};
use super::sessions::{Sessions, Stage};
use super::tools::{self, World};

/// Newest first.
pub(super) const VERSIONS: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// What servers answer that refuse a request before they look at its method.
const REFUSED: i64 = -32000;
const NO_SUCH_SESSION: i64 = -32001;

/// Which of the many kinds of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) sessions: bool,
    pub(super) answers: Answers,
    /// Newest first.
    pub(super) versions: &'static [&'static str],
    /// Whether it looks at `MCP-Protocol-Version`, which came in 2025-06-18.
    pub(super) checks_version: bool,
}

/// In what form a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Json,
    /// An event stream that ends after the answer.
    Events,
    /// An event stream that stays open.
    OpenEvents,
}

/// Answers one request.
pub(super) fn answer(kind: &Kind, sessions: &mut Sessions, world: &World, request: &Request<Bytes>) -> Reply {
    let answered = match *request.method() {
        Method::POST => post(kind, sessions, world, request),
        Method::GET if kind.sessions && kind.answers != Answers::Json => listen(kind, sessions, request.headers()),
        Method::DELETE if kind.sessions => in_session(kind, sessions, request.headers()).map(|session| {
            sessions.end(&session);
            Reply::empty(StatusCode::OK)
        }),
        _ if kind.sessions => Ok(Reply::not_allowed("POST, DELETE")),
        _ => Ok(Reply::not_allowed("POST")),
    };
    answered.unwrap_or_else(|refusal| *refusal)
}

/// The answer to a request that is not looked at any further. In a box, for it is rare and large.
type Refusal = Box<Reply>;

fn refuse(status: StatusCode, code: i64, message: &str) -> Refusal {
    Box::new(Reply::error(status, None, &Error::new(code, message)))
}

fn post(kind: &Kind, sessions: &mut Sessions, world: &World, request: &Request<Bytes>) -> Result<Reply, Refusal> {
    let headers = request.headers();
    negotiated(headers)?;
    let message =
        rpc::parse(request.body()).map_err(|error| Box::new(Reply::error(StatusCode::BAD_REQUEST, None, &error)))?;
    if let Message::Request { id, method, params } = &message
        && method == "initialize"
    {
        return initialize(kind, sessions, world, id, params);
    }
    let session = in_session(kind, sessions, headers)?;
    match message {
        Message::Request { id, method, params } => {
            let opening = kind.sessions && sessions.stage(&session) == Some(Stage::Opening) && method != "ping";
            let performed = if opening {
                Err(Error::new(INVALID_PARAMS, "Received request before initialization was complete"))
            } else {
                perform(world, &method, &params)
            };
            let message =
                performed.map_or_else(|error| rpc::error(Some(&id), &error), |value| rpc::result(&id, &value));
            Ok(said(kind, &message))
        }
        Message::Notification { method } => {
            if method == "notifications/initialized" {
                sessions.initialized(&session);
            }
            Ok(Reply::empty(StatusCode::ACCEPTED))
        }
        Message::Response => Ok(Reply::empty(StatusCode::ACCEPTED)),
    }
}

/// The client must take both forms of answer, and send JSON.
fn negotiated(headers: &HeaderMap) -> Result<(), Refusal> {
    let accept = text(headers, "accept").unwrap_or_default();
    if !(accept.contains("application/json") && accept.contains(EVENT_STREAM)) {
        let message = "Not Acceptable: Client must accept both application/json and text/event-stream";
        return Err(refuse(StatusCode::NOT_ACCEPTABLE, REFUSED, message));
    }
    if !text(headers, "content-type").unwrap_or_default().starts_with("application/json") {
        let message = "Unsupported Media Type: Content-Type must be application/json";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, REFUSED, message));
    }
    Ok(())
}

/// The session that the request names, empty where the server has none; and a version that it knows.
fn in_session(kind: &Kind, sessions: &Sessions, headers: &HeaderMap) -> Result<String, Refusal> {
    let named = text(headers, SESSION.as_str()).unwrap_or_default();
    if kind.sessions {
        if named.is_empty() {
            let message = "Bad Request: Mcp-Session-Id header is required";
            return Err(refuse(StatusCode::BAD_REQUEST, REFUSED, message));
        }
        if sessions.stage(named).is_none() {
            return Err(refuse(StatusCode::NOT_FOUND, NO_SUCH_SESSION, "Session not found"));
        }
    }
    // Without the header it is 2025-03-26, which did not know it.
    let version = text(headers, VERSION_HEADER);
    if kind.checks_version && version.is_some_and(|version| !kind.versions.contains(&version)) {
        let known = kind.versions.join(", ");
        let message = format!("Bad Request: Unsupported protocol version (supported versions: {known})");
        return Err(refuse(StatusCode::BAD_REQUEST, REFUSED, &message));
    }
    Ok(if kind.sessions { named.to_owned() } else { String::new() })
}

fn initialize(
    kind: &Kind,
    sessions: &mut Sessions,
    world: &World,
    id: &Value,
    params: &Value,
) -> Result<Reply, Refusal> {
    let asked = params["protocolVersion"].as_str();
    let whole = asked.is_some() && params["capabilities"].is_object() && params["clientInfo"]["name"].is_string();
    if !whole {
        let error =
            Error::new(INVALID_PARAMS, "Invalid params: protocolVersion, capabilities or clientInfo is missing");
        return Ok(said(kind, &rpc::error(Some(id), &error)));
    }
    let message = rpc::result(id, &handshake(kind.versions, asked, world));
    if !kind.sessions {
        return Ok(said(kind, &message));
    }
    let session = sessions.begin();
    let session = session.ok_or_else(|| refuse(StatusCode::SERVICE_UNAVAILABLE, REFUSED, "Too many sessions"))?;
    Ok(said(kind, &message).with(SESSION, session))
}

/// The result of `initialize`: the version that was asked for, where it is known, and else the newest.
pub(super) fn handshake(versions: &[&str], asked: Option<&str>, world: &World) -> Value {
    let version = versions.iter().find(|version| asked == Some(version)).or(versions.first());
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {"listChanged": false}},
        "serverInfo": world.info(),
        "instructions": "A server of the playground: it listens, and nothing runs.",
    })
}

/// What a request's method does.
pub(super) fn perform(world: &World, method: &str, params: &Value) -> Result<Value, Error> {
    match method {
        "ping" => Ok(json!({})),
        "tools/list" => tools::list(world, params),
        "tools/call" => tools::call(world, params),
        other => Err(Error::no_such_method(other)),
    }
}

/// An answer in the server's form. In a stream it is not the first thing that comes: a reader must look for it.
fn said(kind: &Kind, message: &Value) -> Reply {
    let log = json!({"jsonrpc": "2.0", "method": "notifications/message",
        "params": {"level": "info", "data": "working on it"}});
    let events =
        || format!("id: 1\ndata:\n\n{}{}", event("message", &log.to_string()), event("message", &message.to_string()));
    match kind.answers {
        Answers::Json => Reply::json(StatusCode::OK, message),
        Answers::Events => Reply::text(StatusCode::OK, EVENT_STREAM, events()),
        Answers::OpenEvents => stream(events(), None),
    }
}

pub(super) fn stream(first: impl Into<Bytes>, session: Option<String>) -> Reply {
    let content = Content::Stream { first: first.into(), session };
    let reply = Reply::new(StatusCode::OK, content).with(header::CONTENT_TYPE, EVENT_STREAM);
    reply.with(header::CACHE_CONTROL, "no-cache")
}

/// The stream on which a server may speak unasked. This one has nothing to say.
fn listen(kind: &Kind, sessions: &Sessions, headers: &HeaderMap) -> Result<Reply, Refusal> {
    if !text(headers, "accept").unwrap_or_default().contains(EVENT_STREAM) {
        let message = "Not Acceptable: Client must accept text/event-stream";
        return Err(refuse(StatusCode::NOT_ACCEPTABLE, REFUSED, message));
    }
    let session = in_session(kind, sessions, headers)?;
    Ok(stream(": nothing yet\n\n", Some(session)))
}

#[cfg(test)]
mod tests;
