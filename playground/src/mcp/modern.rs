//! The revision of 2026-07-28: each request stands alone.
//!
//! There is no handshake and no session. Version, method and capabilities come with every request, in headers and in
//! `_meta`, and must say the same; a server that is asked in a version that it doesn't know lists those that it knows.
//!
//! ```text
//!   POST --version header? same as in _meta? known?--> Mcp-Method? --> capabilities? --> the method
//!             -32020           -32020        -32022      -32020        -32602, -32021    -32601 with 404
//! ```

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use super::reply::Reply;
use super::rpc::{self, Error, INVALID_PARAMS, METHOD_NOT_FOUND, Message};
use super::tools::{self, World};

pub(super) const VERSION: &str = "2026-07-28";
/// Where a request says its version a second time.
pub(super) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
pub(super) const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;

/// For how long an answer may be remembered.
const TTL_MS: u64 = 60_000;

/// What a server speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Era {
    /// The versions that it lists.
    pub(super) listed: &'static [&'static str],
    /// The version that it speaks in this way.
    pub(super) speaks: &'static str,
    /// Whether it wants clients that can elicit.
    pub(super) demanding: bool,
}

/// Answers one request. Sessions and streams are things of the past here: their headers are ignored.
pub(super) fn answer(era: &Era, world: &World, request: &Request<Bytes>) -> Reply {
    if request.method() != Method::POST {
        return Reply::not_allowed("POST");
    }
    let message = match rpc::parse(request.body()) {
        Ok(message) => message,
        Err(error) => return Reply::error(StatusCode::BAD_REQUEST, None, &error),
    };
    match message {
        Message::Request { id, method, params } => match respond(era, world, request.headers(), &method, &params) {
            Ok(mut result) => {
                result["resultType"] = "complete".into();
                result["_meta"] = json!({META_SERVER: world.info()});
                Reply::json(StatusCode::OK, &rpc::result(&id, &result))
            }
            Err(error) => Reply::error(status(&error), Some(&id), &error),
        },
        Message::Notification { method } => {
            let headers = request.headers();
            match versioned(era, headers, None).and_then(|()| matching(headers, METHOD_HEADER, "method", &method)) {
                Ok(()) => Reply::empty(StatusCode::ACCEPTED),
                Err(error) => Reply::error(StatusCode::BAD_REQUEST, None, &error),
            }
        }
        Message::Response => {
            let error = Error::new(rpc::INVALID_REQUEST, "Invalid Request: nothing was asked");
            Reply::error(StatusCode::BAD_REQUEST, None, &error)
        }
    }
}

fn status(error: &Error) -> StatusCode {
    if error.code == METHOD_NOT_FOUND { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST }
}

fn respond(era: &Era, world: &World, headers: &HeaderMap, method: &str, params: &Value) -> Result<Value, Error> {
    let meta = &params["_meta"];
    versioned(era, headers, Some(meta))?;
    matching(headers, METHOD_HEADER, "method", method)?;
    let capabilities = meta[META_CAPABILITIES].as_object();
    let capabilities =
        capabilities.ok_or_else(|| Error::new(INVALID_PARAMS, format!("Invalid params: no {META_CAPABILITIES}")))?;
    if era.demanding && !capabilities.contains_key("elicitation") {
        let data = json!({"requiredCapabilities": {"elicitation": {}}});
        return Err(Error {
            data,
            ..Error::new(MISSING_CAPABILITY, "Missing required client capability: elicitation")
        });
    }
    match method {
        "server/discover" => Ok(json!({
            "supportedVersions": era.listed,
            "capabilities": {"tools": {}},
            "instructions": "A server of the playground: it listens, and nothing runs.",
            "ttlMs": TTL_MS,
            "cacheScope": "public",
        })),
        "tools/list" => tools::list(world, params).map(|mut page| {
            page["ttlMs"] = TTL_MS.into();
            page["cacheScope"] = "public".into();
            page
        }),
        "tools/call" => {
            matching(headers, NAME_HEADER, "params.name", params["name"].as_str().unwrap_or_default())?;
            tools::call(world, params)
        }
        other => Err(Error::no_such_method(other)),
    }
}

/// The version in the header, which must be there, be the one in `_meta`, and be known. Notifications have no `_meta`.
fn versioned(era: &Era, headers: &HeaderMap, meta: Option<&Value>) -> Result<(), Error> {
    let said = header(headers, VERSION_HEADER);
    let Some(said) = said else {
        // A client of the past learns here, and nowhere else, what it would have to speak.
        let message =
            format!("Header mismatch: MCP-Protocol-Version is missing; this server speaks {}", era.listed.join(", "));
        return Err(Error::new(HEADER_MISMATCH, message));
    };
    if let Some(meta) = meta {
        let again = meta[META_VERSION].as_str();
        let again = again.ok_or_else(|| Error::new(INVALID_PARAMS, format!("Invalid params: no {META_VERSION}")))?;
        matching(headers, VERSION_HEADER, META_VERSION, again)?;
    }
    if said != era.speaks {
        let data = json!({"supported": era.listed, "requested": said});
        return Err(Error { data, ..Error::new(UNSUPPORTED_VERSION, "Unsupported protocol version") });
    }
    Ok(())
}

fn matching(headers: &HeaderMap, name: &str, field: &str, body: &str) -> Result<(), Error> {
    let mismatch = |what: String| Err(Error::new(HEADER_MISMATCH, format!("Header mismatch: {what}")));
    match header(headers, name) {
        None => mismatch(format!("{name} is missing")),
        Some(said) if said != body => mismatch(format!("{name} is '{said}', and {field} in the body is '{body}'")),
        Some(_) => Ok(()),
    }
}

/// A header's text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::reply::Content;

    const ERA: Era = Era { listed: &[VERSION], speaks: VERSION, demanding: false };

    /// A correct request, with some headers replaced; an empty one is left out.
    fn ask(era: &Era, method: &str, params: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
        let meta = json!({META_VERSION: VERSION, META_CAPABILITIES: {}});
        let mut with_meta = json!({"_meta": meta});
        for (key, value) in params.as_object().into_iter().flatten() {
            with_meta[key] = value.clone();
        }
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": with_meta});
        let mut request = Request::post("/mcp").body(Bytes::from(body.to_string())).unwrap();
        for (name, value) in [(VERSION_HEADER, VERSION), (METHOD_HEADER, method)].iter().chain(headers) {
            request.headers_mut().remove(*name);
            if !value.is_empty() {
                request.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
        }
        told(&answer(era, &World::new("x", 0), &request))
    }

    fn told(reply: &Reply) -> (u16, Value) {
        let Content::Whole(body) = &reply.content else { panic!("{reply:?}") };
        (reply.status.as_u16(), serde_json::from_slice(body).unwrap_or_default())
    }

    fn code((status, body): &(u16, Value)) -> (u16, i64) {
        (*status, body["error"]["code"].as_i64().unwrap_or_default())
    }

    #[test]
    fn discovery_tells_versions_capabilities_and_who_it_is() {
        let (status, body) = ask(&ERA, "server/discover", &json!({}), &[]);
        assert_eq!((status, &body["id"]), (200, &json!(7)));
        assert_eq!(body["result"]["supportedVersions"], json!([VERSION]));
        assert_eq!(body["result"]["_meta"][META_SERVER]["name"], "x");
        assert_eq!(body["result"]["resultType"], "complete");
        assert!(body["result"]["ttlMs"].is_u64());
    }

    #[test]
    fn headers_that_are_missing_or_say_something_else_are_a_mismatch() {
        for headers in [
            [(VERSION_HEADER, "")],
            [(VERSION_HEADER, "2025-11-25")],
            [(METHOD_HEADER, "")],
            [(METHOD_HEADER, "tools/list")],
        ] {
            let answer = ask(&ERA, "server/discover", &json!({}), &headers);
            assert_eq!(code(&answer), (400, HEADER_MISMATCH), "{headers:?}");
        }
        let params = json!({"name": "echo", "arguments": {"text": "hi"}});
        assert_eq!(code(&ask(&ERA, "tools/call", &params, &[])), (400, HEADER_MISMATCH));
        let (_, called) = ask(&ERA, "tools/call", &params, &[(NAME_HEADER, "echo")]);
        assert_eq!(called["result"]["content"][0]["text"], "hi");
    }

    #[test]
    fn a_version_that_is_not_spoken_is_refused_with_those_that_are() {
        let era = Era { listed: &["2099-01-01"], speaks: "2099-01-01", demanding: false };
        let answer = ask(&era, "server/discover", &json!({}), &[]);
        assert_eq!(code(&answer), (400, UNSUPPORTED_VERSION));
        let data = &answer.1["error"]["data"];
        assert_eq!((&data["supported"], &data["requested"]), (&json!(["2099-01-01"]), &json!(VERSION)));
    }

    #[test]
    fn a_missing_capability_is_named_and_one_that_is_there_is_enough() {
        let era = Era { demanding: true, ..ERA };
        let answer = ask(&era, "server/discover", &json!({}), &[]);
        assert_eq!(code(&answer), (400, MISSING_CAPABILITY));
        assert_eq!(answer.1["error"]["data"]["requiredCapabilities"], json!({"elicitation": {}}));
        let meta = json!({META_VERSION: VERSION, META_CAPABILITIES: {"elicitation": {}}});
        assert_eq!(ask(&era, "server/discover", &json!({"_meta": meta}), &[]).0, 200);
        let without = json!({"_meta": {META_VERSION: VERSION}});
        assert_eq!(code(&ask(&ERA, "server/discover", &without, &[])), (400, INVALID_PARAMS));
    }

    #[test]
    fn what_it_does_not_know_is_not_found_and_initialize_is_told_what_would_be() {
        assert_eq!(code(&ask(&ERA, "ping", &json!({}), &[])), (404, METHOD_NOT_FOUND));
        let (status, body) = ask(&ERA, "initialize", &json!({}), &[(VERSION_HEADER, "")]);
        assert_eq!(status, 400);
        assert!(body["error"]["message"].as_str().unwrap().contains(VERSION), "{body}");
    }

    #[test]
    fn there_is_no_stream_and_no_session_to_get_or_delete() {
        for method in [Method::GET, Method::DELETE] {
            let request = Request::builder().method(method).uri("/mcp").body(Bytes::new()).unwrap();
            assert_eq!(answer(&ERA, &World::new("x", 0), &request).status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }
}
