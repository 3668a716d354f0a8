//! The requests of all eras, as values.
//!
//! They contain what the protocol asks for and nothing more: no `Origin`, since no browser is involved; no `User-Agent`;
//! no credentials.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{MODERN, Target};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// In an answer: the session that was opened. In a request: the session that it belongs to.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The way in which requests are put once the server's era is known.
#[derive(Debug, Clone)]
pub(super) enum Manner {
    /// Each request says everything.
    Modern,
    /// After `initialize`, with the version that was agreed on.
    Legacy { version: &'static str, session: Option<HeaderValue> },
}

impl Manner {
    /// Whether there is a session to be ended.
    pub(super) fn has_session(&self) -> bool {
        matches!(self, Self::Legacy { version: _, session: Some(_) })
    }
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Discover,
    Initialize(&'static str),
    Initialized(Manner),
    ListTools(Manner, Option<String>),
    /// The event stream of the deprecated transport.
    Stream,
    EndSession(Manner),
}

/// What an answer is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    /// The JSON-RPC response with this id.
    Response(u64),
    /// The event that names the endpoint of the deprecated transport.
    Endpoint,
    /// Its status alone: the body is not read.
    Status,
}

impl Ask {
    /// What messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Discover => "server/discover",
            Self::Initialize(_) => "initialize",
            Self::Initialized(_) => "notifications/initialized",
            Self::ListTools(..) => "tools/list",
            Self::Stream => "GET",
            Self::EndSession(_) => "DELETE",
        }
    }

    pub(super) fn expects(&self, id: u64) -> Expects {
        match self {
            Self::Discover | Self::Initialize(_) | Self::ListTools(..) => Expects::Response(id),
            Self::Stream => Expects::Endpoint,
            Self::Initialized(_) | Self::EndSession(_) => Expects::Status,
        }
    }

    /// The request, with this id if it has one.
    pub(super) fn request(&self, id: u64, target: &Target) -> Request<Full<Bytes>> {
        let (method, accept, body) = match self.body(id) {
            Some(body) => (Method::POST, BOTH, Bytes::from(body.to_string())),
            None => match self {
                Self::EndSession(_) => (Method::DELETE, BOTH, Bytes::new()),
                _ => (Method::GET, EVENTS, Bytes::new()),
            },
        };
        let mut request = Request::new(Full::new(body));
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host.clone());
        // Each request has its own connection.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::ACCEPT, accept);
        if method == Method::POST {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        match self {
            Self::Discover | Self::ListTools(Manner::Modern, _) => {
                headers.insert(VERSION, HeaderValue::from_static(MODERN));
                headers.insert(METHOD, HeaderValue::from_static(self.name()));
            }
            Self::Initialized(manner) | Self::ListTools(manner, _) | Self::EndSession(manner) => {
                if let Manner::Legacy { version, session } = manner {
                    headers.insert(VERSION, HeaderValue::from_static(version));
                    headers.extend(session.clone().map(|session| (SESSION, session)));
                }
            }
            Self::Initialize(_) | Self::Stream => {}
        }
        *request.method_mut() = method;
        *request.uri_mut() = target.path.clone().into();
        request
    }

    /// The body of a POST.
    fn body(&self, id: u64) -> Option<Value> {
        let params = match self {
            Self::Discover => json!({"_meta": meta()}),
            Self::Initialize(version) => json!({
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": {"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")},
            }),
            Self::Initialized(_) => return Some(json!({"jsonrpc": "2.0", "method": self.name()})),
            Self::ListTools(manner, cursor) => {
                let mut params = json!({});
                if let Manner::Modern = manner {
                    params["_meta"] = meta();
                }
                if let Some(cursor) = cursor {
                    params["cursor"] = cursor.as_str().into();
                }
                params
            }
            Self::Stream | Self::EndSession(_) => return None,
        };
        Some(json!({"jsonrpc": "2.0", "id": id, "method": self.name(), "params": params}))
    }
}

/// What a modern request says about its sender.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn sent(ask: &Ask) -> (String, Vec<String>, Value) {
        let target = Target::new(([10, 0, 0, 1], 8080).into(), "fetch.default.svc:8080", "/mcp?a=b").unwrap();
        let request = ask.request(7, &target);
        let line = format!("{} {}", request.method(), request.uri());
        let headers = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut headers: Vec<String> = headers.collect();
        headers.sort();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        (line, headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    const POSTED: [&str; 4] = [
        "accept: application/json, text/event-stream",
        "connection: close",
        "content-type: application/json",
        "host: fetch.default.svc:8080",
    ];

    #[tokio::test]
    async fn a_modern_request_says_version_and_method_twice() {
        for (ask, method) in [(Ask::Discover, "server/discover"), (Ask::ListTools(Manner::Modern, None), "tools/list")]
        {
            let (line, headers, body) = sent(&ask).await;
            assert_eq!(line, "POST /mcp?a=b");
            let more = [format!("mcp-method: {method}"), "mcp-protocol-version: 2026-07-28".to_owned()];
            assert_eq!(headers, [&POSTED.map(str::to_owned)[..], &more].concat());
            assert_eq!((&body["id"], &body["method"]), (&json!(7), &json!(method)));
            assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], MODERN);
            assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({}));
        }
    }

    #[tokio::test]
    async fn a_legacy_request_names_version_and_session_from_the_handshake_on() {
        let (_, headers, body) = sent(&Ask::Initialize("2025-11-25")).await;
        assert_eq!(headers, POSTED);
        assert_eq!(body["params"]["protocolVersion"], "2025-11-25");
        assert_eq!(body["params"]["clientInfo"]["name"], "smooth-operator");
        let manner = Manner::Legacy { version: "2025-06-18", session: Some(HeaderValue::from_static("s-1")) };
        let more = ["mcp-protocol-version: 2025-06-18", "mcp-session-id: s-1"];
        let (_, headers, body) = sent(&Ask::ListTools(manner.clone(), Some("page-2".to_owned()))).await;
        assert_eq!(headers, [&POSTED[..], &more].concat());
        assert_eq!(body["params"], json!({"cursor": "page-2"}));
        let (_, headers, body) = sent(&Ask::Initialized(manner.clone())).await;
        assert_eq!(headers, [&POSTED[..], &more].concat());
        assert_eq!(body.get("id"), None, "a notification has none");
        let (line, headers, _) = sent(&Ask::EndSession(manner)).await;
        assert_eq!(line, "DELETE /mcp?a=b");
        assert_eq!(headers, [POSTED[0], POSTED[1], POSTED[3], more[0], more[1]]);
    }

    #[tokio::test]
    async fn the_deprecated_transport_is_asked_for_its_stream_only() {
        let (line, headers, _) = sent(&Ask::Stream).await;
        assert_eq!(line, "GET /mcp?a=b");
        assert_eq!(headers, ["accept: text/event-stream", "connection: close", "host: fetch.default.svc:8080"]);
    }
}
