//! Servers that answer, and speak no MCP.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::json;

use super::reply::{Content, Reply};

/// Where a server that sends everybody elsewhere does answer: whoever follows finds it healthy, and has gone too far.
pub(super) const ELSEWHERE: &str = "/elsewhere";

const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Welcome!</title></head><body><h1>It works.</h1></body></html>\n";

pub(super) fn page() -> Reply {
    Reply::text(StatusCode::OK, "text/html", PAGE)
}

/// Static files: to be got, and nothing else.
pub(super) fn files(method: &Method) -> Reply {
    match *method {
        Method::GET | Method::HEAD => page(),
        _ => Reply::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/html",
            "<html><head><title>405 Not Allowed</title></head><body><center><h1>405 Not Allowed</h1></center></body></html>\n",
        ),
    }
}

/// Another API's idea of an answer.
pub(super) fn other_json() -> Reply {
    Reply::json(StatusCode::OK, &json!({"status": "ok", "data": [1, 2, 3]}))
}

/// It begins well.
pub(super) fn garbage() -> Reply {
    Reply::text(StatusCode::OK, "application/json", r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-"#)
}

pub(super) fn error() -> Reply {
    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "Internal Server Error")
}

pub(super) fn elsewhere() -> Reply {
    Reply::empty(StatusCode::TEMPORARY_REDIRECT).with(header::LOCATION, ELSEWHERE)
}

/// JSON that never ends, however long one reads.
pub(super) fn endless() -> Reply {
    let chunk = Bytes::from(vec![b' '; 16 << 10]);
    Reply::new(StatusCode::OK, Content::Endless(chunk)).with(header::CONTENT_TYPE, "application/json")
}

pub(super) fn silence() -> Reply {
    Reply::new(StatusCode::OK, Content::Silence)
}
