//! The transport of 2024-11-05, deprecated: one stream for all answers, and a path to post the questions to.
//!
//! ```text
//!   GET /sse ------------------> event: endpoint, data: /messages?sessionId=X ... event: message, data: {the answer}
//!   POST /messages?sessionId=X -> 202, and the answer goes into the stream
//! ```

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use super::legacy::{handshake, perform, stream};
use super::reply::{Push, Reply, event};
use super::rpc::{self, Message};
use super::sessions::Sessions;
use super::tools::World;

/// The one version that has it.
const VERSIONS: [&str; 1] = ["2024-11-05"];

/// Answers one request. A session lives as long as its stream.
pub(super) fn answer(sessions: &mut Sessions, world: &World, request: &Request<Bytes>) -> Reply {
    match (request.uri().path(), request.method()) {
        ("/sse", &Method::GET) => match sessions.begin() {
            Some(session) => {
                let endpoint = event("endpoint", &format!("/messages?sessionId={session}"));
                stream(endpoint, Some(session))
            }
            None => Reply::empty(StatusCode::SERVICE_UNAVAILABLE),
        },
        ("/messages", &Method::POST) => message(sessions, world, request),
        ("/sse", _) => Reply::not_allowed("GET"),
        ("/messages", _) => Reply::not_allowed("POST"),
        _ => Reply::text(StatusCode::NOT_FOUND, "text/plain", "Not Found"),
    }
}

fn message(sessions: &Sessions, world: &World, request: &Request<Bytes>) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let session = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "sessionId");
    let session = session.map(|(_, value)| value.into_owned()).unwrap_or_default();
    if sessions.stage(&session).is_none() {
        return Reply::text(StatusCode::NOT_FOUND, "text/plain", "Could not find session");
    }
    let message = match rpc::parse(request.body()) {
        Ok(message) => message,
        Err(error) => return Reply::error(StatusCode::BAD_REQUEST, None, &error),
    };
    let mut reply = Reply::text(StatusCode::ACCEPTED, "text/plain", "Accepted");
    if let Message::Request { id, method, params } = message {
        let performed = match method.as_str() {
            "initialize" => Ok(handshake(&VERSIONS, params["protocolVersion"].as_str(), world)),
            method => perform(world, method, &params),
        };
        let answer = performed.map_or_else(|error| rpc::error(Some(&id), &error), |value| rpc::result(&id, &value));
        reply.push = Some(Push { session, bytes: event("message", &answer.to_string()).into() });
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::reply::Content;

    fn ask(sessions: &mut Sessions, method: Method, uri: &str, body: &str) -> Reply {
        let request = Request::builder().method(method).uri(uri).body(Bytes::from(body.to_owned())).unwrap();
        answer(sessions, &World::new("x", 0), &request)
    }

    #[test]
    fn the_answer_goes_into_the_stream_of_the_session_that_the_endpoint_names() {
        let mut sessions = Sessions::new("u");
        let opened = ask(&mut sessions, Method::GET, "/sse", "");
        let Content::Stream { first, session: Some(session) } = opened.content else { panic!("{opened:?}") };
        assert_eq!(first, event("endpoint", &format!("/messages?sessionId={session}")));
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let posted = ask(&mut sessions, Method::POST, &format!("/messages?sessionId={session}"), ping);
        assert_eq!(posted.status, StatusCode::ACCEPTED);
        let push = posted.push.unwrap();
        assert_eq!(push.session, session);
        assert!(String::from_utf8_lossy(&push.bytes).contains(r#""result":{}"#));
        assert_eq!(ask(&mut sessions, Method::POST, "/messages?sessionId=other", ping).status, StatusCode::NOT_FOUND);
        assert_eq!(ask(&mut sessions, Method::POST, "/sse", ping).status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
