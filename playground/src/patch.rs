//! The patches that are not an apply: merge patch, JSON patch, strategic merge patch.
//!
//! | content type                             | here             | what it is                              |
//! |------------------------------------------|------------------|-----------------------------------------|
//! | `application/merge-patch+json`           | [`merge()`]      | RFC 7386: lists are replaced            |
//! | `application/json-patch+json`            | [`json_patch()`] | RFC 6902: a list of operations          |
//! | `application/strategic-merge-patch+json` | [`strategic()`]  | Kubernetes': lists are merged by a key  |
//!
//! A patch says what to change; who owns the result is [`fields::track_update`](crate::fields::track_update)'s
//! business.

mod strategic;

use serde_json::Value;

use crate::types;

pub use strategic::strategic;

/// The API server refuses more operations than this in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was refused, in the API server's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is not what its content type says: HTTP 400, reason `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// The patch has too many operations: HTTP 413, reason `RequestEntityTooLarge`.
    #[error("Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooLarge(usize),
    /// The patch does not fit the object: HTTP 422, reason `Invalid`. The server does not say more.
    #[error("the server rejected our request due to an error in our request")]
    Rejected,
    /// The patch lacks what merging needs: HTTP 500, reason `InternalError`.
    #[error("{0}")]
    Unmergeable(String),
}

impl Error {
    /// The HTTP status and the reason that the API server answers with.
    pub fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Malformed(_) => (400, "BadRequest"),
            Self::TooLarge(_) => (413, "RequestEntityTooLarge"),
            Self::Rejected => (422, "Invalid"),
            Self::Unmergeable(_) => (500, "InternalError"),
        }
    }
}

/// Applies a merge patch (RFC 7386): `null` removes, an object is merged, everything else replaces.
pub fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}

/// Applies a JSON patch (RFC 6902). All of it or nothing.
pub fn json_patch(target: &Value, operations: &Value) -> Result<Value, Error> {
    let operations = match operations {
        Value::Null => &[],
        Value::Array(operations) => operations.as_slice(),
        other => {
            return Err(Error::Malformed(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                types::json_kind(other)
            )));
        }
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::TooLarge(operations.len()));
    }
    let mut patch = Vec::new();
    for operation in operations {
        if let Some(why) = operation_fault(operation) {
            return Err(Error::Malformed(format!("invalid operation {operation}: {why}")));
        }
        let read = serde_json::from_value::<json_patch::PatchOperation>(operation.clone());
        patch.push(read.map_err(|error| Error::Malformed(format!("error decoding patch: {error}")))?);
    }
    let mut patched = target.clone();
    json_patch::patch(&mut patched, &patch).map_err(|_| Error::Rejected)?;
    Ok(patched)
}

/// What an operation lacks.
fn operation_fault(operation: &Value) -> Option<&'static str> {
    let op = operation["op"].as_str().unwrap_or_default();
    if !matches!(op, "add" | "remove" | "replace" | "move" | "copy" | "test") {
        return Some("unsupported operation");
    }
    if !operation["path"].is_string() {
        return Some("failed to decode 'path': operation missing path field: missing value");
    }
    let needs_value = matches!(op, "add" | "replace") && operation.get("value").is_none();
    needs_value.then_some("failed to decode 'value': operation, missing value field: missing value")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_removes_with_null_and_replaces_lists() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": ["c", "d"]}), json!({"a": ["c", "d"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}})),
        ];
        for (mut target, patch, wanted) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, wanted, "{patch}");
        }
    }

    #[test]
    fn a_json_patch_is_done_as_a_whole_or_not_at_all() {
        let target = json!({"a": {"b": 1}, "l": [1, 2]});
        let cases = [
            (
                json!([{"op": "replace", "path": "/a/b", "value": 2}, {"op": "add", "path": "/l/-", "value": 3}]),
                Ok(json!({"a": {"b": 2}, "l": [1, 2, 3]})),
            ),
            (json!([{"op": "remove", "path": "/a"}]), Ok(json!({"l": [1, 2]}))),
            (json!([{"op": "test", "path": "/a/b", "value": 7}]), Err((422, "Invalid"))),
            (json!([{"op": "add", "path": "/x/y", "value": 7}]), Err((422, "Invalid"))),
            (json!([{"op": "remove", "path": "/x"}]), Err((422, "Invalid"))),
            (json!([{"op": "jump", "path": "/a"}]), Err((400, "BadRequest"))),
            (json!({"op": "remove"}), Err((400, "BadRequest"))),
        ];
        for (patch, wanted) in cases {
            let got = json_patch(&target, &patch).map_err(|error| error.status());
            assert_eq!(got, wanted, "{patch}");
        }
    }

    #[test]
    fn a_json_patch_of_too_many_operations_is_refused() {
        let one = json!({"op": "test", "path": "/a", "value": 1});
        let patch = Value::Array(vec![one; MAX_OPERATIONS + 1]);
        assert_eq!(json_patch(&json!({"a": 1}), &patch), Err(Error::TooLarge(MAX_OPERATIONS + 1)));
    }
}
