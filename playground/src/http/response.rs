//! Bodies and headers of answers.

use std::io;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::yaml;
use crate::status::Status;

/// The body of an answer: whole, or a stream of watch events. An error means that the connection breaks here.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

const JSON: &str = "application/json";

/// JSON that is encoded already.
pub(super) fn bytes(code: u16, json: impl Into<Bytes>) -> Response<Body> {
    with_type(code, JSON, json.into())
}

/// JSON.
pub(super) fn json(code: u16, value: &Value) -> Response<Body> {
    bytes(code, value.to_string())
}

/// JSON under a more special media type.
pub(super) fn json_as(media: &'static str, value: &Value) -> Response<Body> {
    with_type(200, media, value.to_string().into())
}

/// Plain text.
pub(super) fn text(code: u16, text: &'static str) -> Response<Body> {
    with_type(code, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

/// What a path gets that no API group serves; clients tell by the plain text that the resource itself is missing.
pub(super) fn page_not_found() -> Response<Body> {
    text(404, "404 page not found\n")
}

/// What flow control answers, in plain text, to a request beyond the limit.
pub(super) fn too_many_requests() -> Response<Body> {
    let mut response = text(429, "Too many requests, please try again later.\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    response
}

/// An outcome that is no object.
pub(crate) fn status(status: &Status) -> Response<Body> {
    status_value(status, &status.to_value())
}

/// As [`status`], with a body that says more than the status itself does.
pub(super) fn status_value(status: &Status, body: &Value) -> Response<Body> {
    let mut response = json(status.code, body);
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

/// A body of any media type.
pub(crate) fn whole(code: u16, media: &'static str, body: Bytes) -> Response<Body> {
    with_type(code, media, body)
}

/// A stream.
pub(super) fn stream(body: Body) -> Response<Body> {
    respond(200, JSON, body)
}

/// The same answer in YAML; one that is not JSON stays as it is.
pub(super) async fn as_yaml(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.headers.get(header::CONTENT_TYPE).is_none_or(|media| media != JSON) {
        return Response::from_parts(parts, body);
    }
    let text = match body.collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) => return status(&Status::internal(error.to_string())),
    };
    let Ok(value) = serde_json::from_slice(&text) else { return Response::from_parts(parts, whole_body(text)) };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    Response::from_parts(parts, whole_body(yaml::document(&value).into()))
}

/// Adds a `Warning` header for each text.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

fn with_type(code: u16, media: &'static str, body: Bytes) -> Response<Body> {
    respond(code, media, whole_body(body))
}

fn whole_body(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn respond(code: u16, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
