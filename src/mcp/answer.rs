//! An answer: what of it is read, and what it turns out to be.
//!
//! A body is read only as far as somebody waits for something in it. JSON is read to its end. An event stream is read until
//! the awaited event: a server may leave the stream open after it, for ever. A page of HTML is not read at all: its status
//! and its type say enough.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Claim;
use super::event_stream::EventStream;
use super::request::{Expects, SESSION};

/// The beginning of an answer: everything before the body.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) media: Media,
    /// The session that it opens.
    pub(super) session: Option<HeaderValue>,
    /// Whether it says how to log in.
    pub(super) challenge: bool,
    /// Where it would send us.
    pub(super) location: Option<Claim>,
}

/// The form of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Events,
    Other(Claim),
    Unnamed,
}

impl Head {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let claim = |name| headers.get(name).map(|value| Claim::new(&String::from_utf8_lossy(value.as_bytes())));
        let media = claim(header::CONTENT_TYPE).map_or(Media::Unnamed, |media| {
            let essence = media.as_str().split(';').next().unwrap_or_default().trim();
            match () {
                () if essence.eq_ignore_ascii_case("application/json") => Media::Json,
                () if essence.eq_ignore_ascii_case("text/event-stream") => Media::Events,
                () => Media::Other(media),
            }
        });
        Self {
            status,
            media,
            session: headers.get(SESSION).filter(|id| !id.is_empty()).cloned(),
            challenge: headers.contains_key(header::WWW_AUTHENTICATE),
            location: claim(header::LOCATION),
        }
    }

    /// Only somebody who says who he is will be answered. 403 alone says that no credentials would help: a wrong `Host`, a
    /// policy. Together with a challenge it asks for other credentials.
    pub(super) fn wants_credentials(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED || self.status == StatusCode::FORBIDDEN && self.challenge
    }
}

/// `405 Method Not Allowed (text/html)`.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, media, session: _, challenge: _, location } = self;
        f.write_str(status.as_str())?;
        if let Some(reason) = status.canonical_reason() {
            write!(f, " {reason}")?;
        }
        match (location, media) {
            (Some(location), _) if status.is_redirection() => write!(f, " to {location}, which is not followed"),
            (_, Media::Json) => f.write_str(" (application/json)"),
            (_, Media::Events) => f.write_str(" (text/event-stream)"),
            (_, Media::Other(media)) => write!(f, " ({media})"),
            (_, Media::Unnamed) => Ok(()),
        }
    }
}

/// What was found in a body.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// JSON, to its end.
    Json(Bytes),
    /// The awaited message, out of an event stream.
    Message(Bytes),
    /// The event that names the endpoint of the deprecated transport.
    Endpoint,
    /// Not read, or nothing that was awaited.
    Nothing,
}

/// A complete answer, as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing in HTTP came: what happened instead.
    NoAnswer(String),
    /// What came broke off, or was too late.
    Incomplete(String),
    /// What came is no HTTP, or more than is read.
    NotHttp(String),
}

/// Reads a body, chunk by chunk.
#[derive(Debug)]
pub(super) enum Reader {
    Json(BytesMut),
    Events(EventStream, Expects),
    Done(Body),
}

impl Reader {
    pub(super) fn new(head: &Head, expects: Expects) -> Self {
        match (expects, &head.media) {
            (Expects::Response(_), Media::Json) => Self::Json(BytesMut::new()),
            (Expects::Response(_) | Expects::Endpoint, Media::Events) if head.status.is_success() => {
                Self::Events(EventStream::default(), expects)
            }
            _ => Self::Done(Body::Nothing),
        }
    }

    /// Whether the rest does not matter.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Takes the next piece of the body, and its length from the number of bytes that are `left`.
    pub(super) fn feed(&mut self, chunk: &[u8], left: &mut usize) -> Result<(), Failure> {
        *left = left.checked_sub(chunk.len()).ok_or_else(|| Failure::NotHttp("an answer without an end".to_owned()))?;
        self.take(chunk);
        Ok(())
    }

    fn take(&mut self, mut chunk: &[u8]) {
        match self {
            Self::Json(bytes) => bytes.extend_from_slice(chunk),
            Self::Events(events, expects) => {
                while let Some(event) = events.next(&mut chunk) {
                    let found = match expects {
                        Expects::Endpoint if event.kind == "endpoint" && !event.data.is_empty() => Body::Endpoint,
                        Expects::Response(id) if event.kind == "message" && answers(&event.data, *id) => {
                            Body::Message(event.data.into())
                        }
                        Expects::Endpoint | Expects::Response(_) | Expects::Status => continue,
                    };
                    *self = Self::Done(found);
                    return;
                }
            }
            Self::Done(_) => {}
        }
    }

    /// The body has ended, or matters no more.
    pub(super) fn finish(self) -> Body {
        match self {
            Self::Json(bytes) => Body::Json(bytes.freeze()),
            Self::Events(..) => Body::Nothing,
            Self::Done(body) => body,
        }
    }
}

/// Whether an event is the response, and no notification that comes before it.
fn answers(data: &str, id: u64) -> bool {
    let message: Result<Message, _> = serde_json::from_str(data);
    message.is_ok_and(|message| message.is_response() && message.id.is_some_and(|raw| raw.get() == id.to_string()))
}

/// A JSON-RPC message.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<RpcError<'a>>,
}

impl Message<'_> {
    fn is_response(&self) -> bool {
        self.jsonrpc == "2.0" && self.result.is_some() != self.error.is_some()
    }
}

/// A JSON-RPC error.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RpcError<'a> {
    pub(super) code: i64,
    #[serde(default)]
    message: Claim,
    #[serde(default, borrow)]
    pub(super) data: Option<&'a RawValue>,
}

/// `error -32601 (Method not found)`.
impl fmt::Display for RpcError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, data: _ } = self;
        write!(f, "error {code} ({message})")
    }
}

/// What an answer to a JSON-RPC request turns out to be.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    Result(&'a RawValue),
    Error(RpcError<'a>),
    /// No JSON-RPC, or not the answer: what is wrong with it.
    Wrong(&'static str),
}

impl Answer {
    /// The response with this id.
    ///
    /// An error may lack the id: a server that refuses a request before it looks inside does not know it.
    pub(super) fn reply(&self, id: u64) -> Reply<'_> {
        let (Body::Json(body) | Body::Message(body)) = &self.body else {
            return Reply::Wrong(match self.head.media {
                Media::Events => "the event stream ended without an answer",
                Media::Json | Media::Other(_) | Media::Unnamed => "neither JSON nor an event stream",
            });
        };
        let message: Message = match serde_json::from_slice(body) {
            Ok(message) => message,
            // The parser's own message may quote the body.
            Err(error) => {
                return Reply::Wrong(match error.classify() {
                    Category::Eof | Category::Io => "the JSON breaks off",
                    Category::Syntax => "this is no JSON",
                    Category::Data => "this JSON is no JSON-RPC",
                });
            }
        };
        let same = message.id.is_some_and(|raw| raw.get() == id.to_string());
        match message {
            _ if !message.is_response() => Reply::Wrong("this JSON is no JSON-RPC response"),
            Message { error: Some(error), .. } if same || !self.head.status.is_success() || message.id.is_none() => {
                Reply::Error(error)
            }
            Message { result: Some(result), .. } if same && self.head.status == StatusCode::OK => Reply::Result(result),
            Message { result: Some(_), .. } if same => Reply::Wrong("a result with the status of an error"),
            _ => Reply::Wrong("this answers another request"),
        }
    }
}

/// Reads a result, and says in fixed words what is wrong with it.
pub(super) fn read<'a, T: Deserialize<'a>>(result: &'a RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(result.get()).map_err(|_quotes_the_result| serde_json::Error::custom("another form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        Head::new(StatusCode::from_u16(status).unwrap(), &map)
    }

    fn read_as(status: u16, media: &str, expects: Expects, chunks: &[&str]) -> (Answer, usize) {
        let head = head(status, &[("content-type", media)]);
        let mut reader = Reader::new(&head, expects);
        let mut read = 0;
        for chunk in chunks {
            if reader.is_done() {
                break;
            }
            reader.take(chunk.as_bytes());
            read += 1;
        }
        (Answer { head, body: reader.finish() }, read)
    }

    fn json(status: u16, body: &str) -> Answer {
        read_as(status, "application/json; charset=utf-8", Expects::Response(1), &[body]).0
    }

    fn said(answer: &Answer) -> String {
        match answer.reply(1) {
            Reply::Result(result) => format!("result {}", result.get()),
            Reply::Error(error) => error.to_string(),
            Reply::Wrong(what) => what.to_owned(),
        }
    }

    #[test]
    fn a_response_is_told_from_everything_else_that_is_json() {
        for (status, body, expected) in [
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#, r#"result {"a":1}"#),
            (
                200,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no\nsuch"}}"#,
                "error -32601 (no\u{fffd}such)",
            ),
            (400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000}}"#, "error -32000 ()"),
            (400, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"x"}}"#, "error -32600 (x)"),
            (200, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601}}"#, "this answers another request"),
            (200, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, "this answers another request"),
            (200, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, "this answers another request"),
            (200, r#"{"jsonrpc":"2.0","result":{}}"#, "this answers another request"),
            (500, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "a result with the status of an error"),
            (200, r#"{"jsonrpc":"2.0","id":1}"#, "this JSON is no JSON-RPC response"),
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}"#, "this JSON is no JSON-RPC response"),
            (200, r#"{"jsonrpc":"1.0","id":1,"result":{}}"#, "this JSON is no JSON-RPC response"),
            (200, r#"{"status":"ok"}"#, "this JSON is no JSON-RPC"),
            (200, "[1,2]", "this JSON is no JSON-RPC"),
            (200, "<html>", "this is no JSON"),
            (200, r#"{"jsonrpc":"2.0","id":1,"resu"#, "the JSON breaks off"),
            (200, "", "the JSON breaks off"),
        ] {
            assert_eq!(said(&json(status, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_event_stream_is_read_until_the_answer_and_no_further() {
        let chunks = [
            ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\ndata: {\"jsonrpc\":\"2.0\",",
            "\"id\":1,\"result\":{}}\n\n",
            "data: more",
        ];
        let (answer, read) = read_as(200, "text/event-stream", Expects::Response(1), &chunks);
        assert_eq!((said(&answer).as_str(), read), ("result {}", 3));
        let (answer, _) = read_as(200, "text/event-stream", Expects::Response(1), &chunks[..2]);
        assert_eq!(said(&answer), "the event stream ended without an answer");
    }

    #[test]
    fn only_an_endpoint_event_with_data_proves_the_deprecated_transport() {
        for (stream, proves) in [
            ("event: endpoint\ndata: /messages?id=1\n\n", true),
            (": ping\n\nevent: endpoint\ndata: /m\n\n", true),
            ("event: endpoint\ndata:\n\n", false),
            ("data: endpoint\n\n", false),
        ] {
            let (answer, _) = read_as(200, "text/event-stream", Expects::Endpoint, &[stream]);
            assert_eq!(matches!(answer.body, Body::Endpoint), proves, "{stream}");
        }
    }

    #[test]
    fn a_page_is_not_read_and_named_by_status_and_type() {
        let (answer, read) = read_as(405, "text/html", Expects::Response(1), &["<html>"]);
        assert_eq!((read, answer.head.to_string().as_str()), (0, "405 Method Not Allowed (text/html)"));
        assert_eq!(said(&answer), "neither JSON nor an event stream");
        let moved = head(307, &[("location", "http://elsewhere/\u{ad}x"), ("content-type", "text/html")]).to_string();
        assert_eq!(moved, "307 Temporary Redirect to http://elsewhere/\u{fffd}x, which is not followed");
        assert_eq!(head(599, &[]).to_string(), "599");
    }

    #[test]
    fn a_403_asks_for_credentials_only_if_it_says_which() {
        for (status, challenged, wants) in
            [(401, false, true), (403, false, false), (403, true, true), (404, true, false)]
        {
            let headers: &[(&str, &str)] = if challenged { &[("www-authenticate", "Bearer")] } else { &[] };
            assert_eq!(head(status, headers).wants_credentials(), wants, "{status}");
        }
    }
}
