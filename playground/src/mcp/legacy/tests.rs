use super::*;
use crate::mcp::sessions::MOST;

const STATEFUL: Kind = Kind { sessions: true, answers: Answers::Json, versions: VERSIONS, checks_version: true };
const STATELESS: Kind = Kind { sessions: false, ..STATEFUL };

/// A server of one kind, and a client that has it.
struct Talk {
    kind: Kind,
    sessions: Sessions,
    session: String,
}

impl Talk {
    fn new(kind: Kind) -> Self {
        Self { kind, sessions: Sessions::new("u"), session: String::new() }
    }

    fn send(&mut self, method: Method, body: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(method).uri("/mcp");
        for (name, value) in [
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            (SESSION.as_str(), self.session.as_str()),
        ]
        .iter()
        .chain(headers)
        {
            if !value.is_empty() {
                request.headers_mut().unwrap().insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        answer(&self.kind, &mut self.sessions, &World::new("x", 0), &request)
    }

    fn ask(&mut self, method: &str, params: &Value) -> (u16, Value) {
        let body = json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params}).to_string();
        told(&self.send(Method::POST, &body, &[]))
    }

    fn notify(&mut self) -> u16 {
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        self.send(Method::POST, &body, &[]).status.as_u16()
    }

    /// Shakes hands; returns the server's answer.
    fn begin(&mut self, version: &str) -> Value {
        let params =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params}).to_string();
        let reply = self.send(Method::POST, &body, &[]);
        let session = reply.headers.iter().find(|(name, _)| *name == SESSION);
        self.session = session.map(|(_, value)| value.clone()).unwrap_or_default();
        told(&reply).1
    }
}

fn told(reply: &Reply) -> (u16, Value) {
    let Content::Whole(body) = &reply.content else { panic!("{reply:?}") };
    (reply.status.as_u16(), serde_json::from_slice(body).unwrap_or_default())
}

#[test]
fn a_session_is_required_from_initialize_until_it_is_deleted() {
    let mut talk = Talk::new(STATEFUL);
    assert_eq!(talk.ask("tools/list", &json!({})).0, 400);
    let begun = talk.begin("2025-06-18");
    assert_eq!(begun["result"]["protocolVersion"], "2025-06-18");
    assert!(!talk.session.is_empty());
    assert_eq!(talk.ask("tools/list", &json!({})).1["error"]["code"], INVALID_PARAMS, "it is not initialized yet");
    assert_eq!(talk.notify(), 202);
    assert_eq!(talk.ask("tools/list", &json!({})).1["result"]["nextCursor"], "after-2");
    assert_eq!(talk.send(Method::DELETE, "", &[]).status, StatusCode::OK);
    assert_eq!(talk.sessions.len(), 0);
    assert_eq!(talk.ask("tools/list", &json!({})).0, 404);
}

#[test]
fn a_version_that_nobody_knows_gets_the_newest_in_the_handshake_and_400_after_it() {
    let mut talk = Talk::new(STATEFUL);
    assert_eq!(talk.begin("2026-07-28")["result"]["protocolVersion"], VERSIONS[0]);
    talk.notify();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let version = |version| [(VERSION_HEADER, version)];
    assert_eq!(talk.send(Method::POST, &body, &version("2026-07-28")).status, StatusCode::BAD_REQUEST);
    assert_eq!(talk.send(Method::POST, &body, &version("2025-11-25")).status, StatusCode::OK);
}

#[test]
fn a_modern_request_is_a_400_with_nothing_modern_in_it_or_an_unknown_method_where_versions_are_not_looked_at() {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}).to_string();
    for (kind, status, code) in [
        (STATEFUL, 400, REFUSED),
        (STATELESS, 400, REFUSED),
        (Kind { checks_version: false, ..STATELESS }, 200, rpc::METHOD_NOT_FOUND),
    ] {
        let reply = Talk::new(kind).send(Method::POST, &body, &[(VERSION_HEADER, "2026-07-28")]);
        let (told_status, told_body) = told(&reply);
        assert_eq!((told_status, &told_body["error"]["code"]), (status, &json!(code)), "{kind:?}");
    }
}

#[test]
fn a_client_that_does_not_take_both_forms_is_not_acceptable() {
    let mut talk = Talk::new(STATELESS);
    let accept = [("accept", "application/json")];
    assert_eq!(talk.send(Method::POST, "{}", &accept).status, StatusCode::NOT_ACCEPTABLE);
    let plain = [("content-type", "text/plain")];
    assert_eq!(talk.send(Method::POST, "{}", &plain).status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[test]
fn without_sessions_there_is_nothing_to_get_to_delete_or_to_wait_for() {
    let mut talk = Talk::new(STATELESS);
    talk.begin("2025-11-25");
    assert_eq!(talk.session, "");
    assert_eq!(talk.ask("tools/list", &json!({})).0, 200);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(talk.send(method, "", &[]).status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[test]
fn a_stream_brings_something_else_before_the_answer_and_only_who_streams_can_be_listened_to() {
    let mut talk = Talk::new(Kind { answers: Answers::Events, ..STATEFUL });
    talk.begin("2025-11-25");
    talk.notify();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let reply = talk.send(Method::POST, &body, &[]);
    let Content::Whole(events) = &reply.content else { panic!("{reply:?}") };
    let events = std::str::from_utf8(events).unwrap();
    assert!(events.find("notifications/message").unwrap() < events.find("\"result\"").unwrap(), "{events}");
    assert!(matches!(talk.send(Method::GET, "", &[]).content, Content::Stream { session: Some(_), .. }));
    assert_eq!(Talk::new(STATEFUL).send(Method::GET, "", &[]).status, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn sessions_that_nobody_ends_fill_the_server() {
    let mut talk = Talk::new(STATEFUL);
    for _ in 0..MOST {
        assert!(talk.begin("2025-11-25")["result"].is_object());
    }
    assert_eq!(talk.begin("2025-11-25")["error"]["message"], "Too many sessions");
}
