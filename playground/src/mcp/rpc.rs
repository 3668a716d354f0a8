//! JSON-RPC 2.0, as far as MCP goes: one message in a body, never a batch.

use serde_json::{Value, json};

pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It waits for an answer.
    Request {
        /// A text or a number.
        id: Value,
        method: String,
        params: Value,
    },
    /// It waits for nothing.
    Notification { method: String },
    /// An answer to something that was never asked.
    Response,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Error {
    pub(super) code: i64,
    pub(super) message: String,
    /// Null where there is nothing to add.
    pub(super) data: Value,
}

impl Error {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: Value::Null }
    }

    pub(super) fn no_such_method(method: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("Method not found: {method}"))
    }
}

/// Reads a body.
pub(super) fn parse(body: &[u8]) -> Result<Message, Error> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Error::new(PARSE_ERROR, format!("Parse error: {error}")))?;
    let invalid = |what: &str| Error::new(INVALID_REQUEST, format!("Invalid Request: {what}"));
    let Value::Object(mut fields) = value else { return Err(invalid("not one JSON-RPC message")) };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("jsonrpc is not \"2.0\""));
    }
    let (id, params) = (fields.remove("id"), fields.remove("params").unwrap_or_default());
    match (fields.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) if id.is_string() || id.is_number() => {
            Ok(Message::Request { id, method, params })
        }
        (Some(Value::String(method)), None) => Ok(Message::Notification { method }),
        (Some(Value::String(_)), Some(_)) => Err(invalid("id is neither text nor number")),
        (Some(_), _) => Err(invalid("method is no text")),
        (None, _) if fields.contains_key("result") || fields.contains_key("error") => Ok(Message::Response),
        (None, _) => Err(invalid("no method")),
    }
}

/// A request's good end.
pub(super) fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Its bad end; without an id where the request could not be read.
pub(super) fn error(id: Option<&Value>, Error { code, message, data }: &Error) -> Value {
    let mut answer = json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}});
    if let Some(id) = id {
        answer["id"] = id.clone();
    }
    if !data.is_null() {
        answer["error"]["data"] = data.clone();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message_or_an_error_that_says_why() {
        let code = |body: &str| parse(body.as_bytes()).map(drop).map_err(|error| error.code);
        assert_eq!(code("{"), Err(PARSE_ERROR));
        for wrong in ["[]", "1", "{}", r#"{"jsonrpc":"2.0"}"#, r#"{"jsonrpc":"2.0","method":"m","id":null}"#] {
            assert_eq!(code(wrong), Err(INVALID_REQUEST), "{wrong}");
        }
        assert_eq!(parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(Message::Response));
        let note = Message::Notification { method: "n".to_owned() };
        assert_eq!(parse(br#"{"jsonrpc":"2.0","method":"n"}"#), Ok(note));
    }
}
