//! Which of the servers answers, and on which path.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use super::behaviour::Behaviour;
use super::legacy::{Answers, Kind, VERSIONS as LEGACY};
use super::modern::{Era, META_VERSION, VERSION, VERSION_HEADER, header as text};
use super::reply::{Content, Reply};
use super::sessions::Sessions;
use super::tools::World;
use super::{broken, legacy, modern, old};

/// Where MCP is spoken.
const PATH: &str = "/mcp";

const MODERN: Era = Era { listed: &[VERSION], speaks: VERSION, demanding: false };
const DEMANDING: Era = Era { demanding: true, ..MODERN };
const FUTURE: Era = Era { listed: &["2099-01-01"], speaks: "2099-01-01", demanding: false };
const DUAL: Era = Era { listed: &[VERSION, LEGACY[0], LEGACY[1], LEGACY[2], LEGACY[3]], ..MODERN };

const STATEFUL: Kind = Kind { sessions: true, answers: Answers::Json, versions: LEGACY, checks_version: true };
const STREAMS: Kind = Kind { answers: Answers::Events, ..STATEFUL };
const OPEN_STREAMS: Kind = Kind { answers: Answers::OpenEvents, ..STATEFUL };
const STATELESS: Kind = Kind { sessions: false, ..STATEFUL };
const EARLY: Kind = Kind { versions: &["2025-03-26", "2024-11-05"], checks_version: false, ..STATELESS };

/// Answers one request.
pub(super) fn answer(behaviour: Behaviour, sessions: &mut Sessions, world: &World, request: &Request<Bytes>) -> Reply {
    let mut at = |path: &str| speak(behaviour, path, sessions, world, request);
    match behaviour {
        Behaviour::Html => broken::page(),
        Behaviour::Nginx => broken::files(request.method()),
        Behaviour::Json => broken::other_json(),
        Behaviour::Garbage => broken::garbage(),
        Behaviour::Errors => broken::error(),
        Behaviour::Endless => broken::endless(),
        Behaviour::Silent | Behaviour::HangsUp | Behaviour::Refuses | Behaviour::Unreachable => broken::silence(),
        Behaviour::Redirects if request.uri().path() != broken::ELSEWHERE => broken::elsewhere(),
        Behaviour::Redirects => at(broken::ELSEWHERE),
        Behaviour::Login if !has_token(request) => challenge(request),
        Behaviour::Slow => slowly(at(PATH)),
        Behaviour::Both
        | Behaviour::Modern
        | Behaviour::Future
        | Behaviour::Demanding
        | Behaviour::Legacy
        | Behaviour::Streams
        | Behaviour::OpenStreams
        | Behaviour::Stateless
        | Behaviour::Early
        | Behaviour::OldSse
        | Behaviour::Login => at(PATH),
    }
}

/// The servers that speak, on a path.
fn speak(behaviour: Behaviour, path: &str, sessions: &mut Sessions, world: &World, request: &Request<Bytes>) -> Reply {
    if request.headers().contains_key(header::ORIGIN) {
        // Only browsers send it, and none has been invited: a page could have rebound its name to this address.
        return Reply::text(StatusCode::FORBIDDEN, "text/plain", "Forbidden: an Origin that is not allowed");
    }
    if request.uri().path() == "/healthz" && request.method() == Method::GET {
        return Reply::text(StatusCode::OK, "text/plain", "ok");
    }
    if behaviour == Behaviour::OldSse {
        return old::answer(sessions, world, request);
    }
    if request.uri().path() != path {
        return Reply::text(StatusCode::NOT_FOUND, "text/plain", "Not Found");
    }
    match behaviour {
        Behaviour::Modern => modern::answer(&MODERN, world, request),
        Behaviour::Future => modern::answer(&FUTURE, world, request),
        Behaviour::Demanding => modern::answer(&DEMANDING, world, request),
        Behaviour::Legacy => legacy::answer(&STATEFUL, sessions, world, request),
        Behaviour::Streams => legacy::answer(&STREAMS, sessions, world, request),
        Behaviour::OpenStreams => legacy::answer(&OPEN_STREAMS, sessions, world, request),
        Behaviour::Stateless => legacy::answer(&STATELESS, sessions, world, request),
        Behaviour::Early => legacy::answer(&EARLY, sessions, world, request),
        _ if is_modern(request) => modern::answer(&DUAL, world, request),
        _ => legacy::answer(&STATEFUL, sessions, world, request),
    }
}

/// A server of both eras goes by how the client opens: a version in `_meta`, or one in the header that no legacy server
/// has, is modern.
fn is_modern(request: &Request<Bytes>) -> bool {
    if request.method() != Method::POST {
        return false;
    }
    let said = text(request.headers(), VERSION_HEADER);
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    body["params"]["_meta"][META_VERSION].is_string() || said.is_some_and(|said| !LEGACY.contains(&said))
}

fn has_token(request: &Request<Bytes>) -> bool {
    let token = text(request.headers(), "authorization").and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| !token.trim().is_empty())
}

fn challenge(request: &Request<Bytes>) -> Reply {
    let host = text(request.headers(), "host").unwrap_or("localhost");
    let value = format!("Bearer resource_metadata=\"http://{host}/.well-known/oauth-protected-resource{PATH}\"");
    Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, value)
}

fn slowly(mut reply: Reply) -> Reply {
    if let Content::Whole(bytes) = reply.content {
        reply.content = Content::Slow(bytes);
    }
    reply
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(behaviour: Behaviour, request: &Request<Bytes>) -> Reply {
        answer(behaviour, &mut Sessions::new("u"), &World::new("x", 0), request)
    }

    fn post(body: &Value, headers: &[(&str, &str)]) -> Request<Bytes> {
        let mut request = Request::post(PATH)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::from(body.to_string())).unwrap()
    }

    fn discover() -> Request<Bytes> {
        let meta = json!({META_VERSION: VERSION, "io.modelcontextprotocol/clientCapabilities": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}});
        post(&body, &[(VERSION_HEADER, VERSION), ("mcp-method", "server/discover")])
    }

    fn initialize() -> Request<Bytes> {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t"}});
        post(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}), &[])
    }

    #[test]
    fn each_server_answers_in_its_own_eras() {
        for (behaviour, modern, legacy) in [
            (Behaviour::Both, 200, 200),
            (Behaviour::Modern, 200, 400),
            (Behaviour::Future, 400, 400),
            (Behaviour::Demanding, 400, 400),
            (Behaviour::Legacy, 400, 200),
            (Behaviour::Streams, 400, 200),
            (Behaviour::Stateless, 400, 200),
            (Behaviour::Early, 200, 200),
            (Behaviour::OldSse, 404, 404),
            (Behaviour::Login, 401, 401),
            (Behaviour::Html, 200, 200),
            (Behaviour::Nginx, 405, 405),
            (Behaviour::Errors, 500, 500),
            (Behaviour::Redirects, 307, 307),
        ] {
            let statuses = (ask(behaviour, &discover()).status.as_u16(), ask(behaviour, &initialize()).status.as_u16());
            assert_eq!(statuses, (modern, legacy), "{behaviour:?}");
        }
    }

    #[test]
    fn a_server_of_both_eras_lists_all_its_versions_to_a_version_from_the_future() {
        let mut request = discover();
        request.headers_mut().insert("mcp-protocol-version", "2099-01-01".parse().unwrap());
        let body = String::from_utf8_lossy(request.body()).replace(VERSION, "2099-01-01");
        *request.body_mut() = Bytes::from(body);
        let reply = ask(Behaviour::Both, &request);
        let Content::Whole(body) = &reply.content else { panic!("{reply:?}") };
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["error"]["code"], -32022);
        assert_eq!(body["error"]["data"]["supported"], json!(DUAL.listed));
    }

    #[test]
    fn a_token_opens_the_door_and_the_challenge_says_where_to_get_one() {
        let refused = ask(Behaviour::Login, &discover());
        assert!(
            refused.headers.iter().any(|(name, value)| *name == header::WWW_AUTHENTICATE && value.contains("Bearer"))
        );
        let mut request = discover();
        request.headers_mut().insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(ask(Behaviour::Login, &request).status, StatusCode::OK);
    }

    #[test]
    fn who_follows_the_redirect_would_be_answered() {
        let mut request = discover();
        *request.uri_mut() = broken::ELSEWHERE.parse().unwrap();
        assert_eq!(ask(Behaviour::Redirects, &request).status, StatusCode::OK);
    }

    #[test]
    fn an_origin_is_forbidden_and_other_paths_are_not_found() {
        let mut request = discover();
        request.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert_eq!(ask(Behaviour::Both, &request).status, StatusCode::FORBIDDEN);
        let mut request = discover();
        *request.uri_mut() = "/".parse().unwrap();
        assert_eq!(ask(Behaviour::Both, &request).status, StatusCode::NOT_FOUND);
    }
}
