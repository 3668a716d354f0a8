//! What is wrong with an object, in the words of an API server.
//!
//! A cause is an entry of `Status.details.causes`, and the message of the Status is made of all of
//! them. Clients match on these words (a test that waits for "Required value" does), so their form is
//! kept to the letter, `field.Error` of k8s.io/apimachinery.

use std::fmt;

use serde_json::Value;

/// One entry of `Status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What kind of fault: `FieldValueRequired`, `FieldValueInvalid` ...
    pub reason: String,
    /// Where, `spec.containers[0].image`; `<nil>` for the object itself.
    pub field: String,
    /// What: `Required value`, `Invalid value: 0: must be greater than 0`.
    pub message: String,
}

impl Cause {
    fn new(reason: &str, field: impl Into<String>, message: String, detail: &str) -> Self {
        let message = if detail.is_empty() { message } else { format!("{message}: {detail}") };
        Self { reason: reason.to_owned(), field: field.into(), message }
    }

    /// A value that is not what it must be; it is shown as it displays, a JSON value as JSON.
    pub fn invalid(field: impl Into<String>, value: impl fmt::Display, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}"), detail)
    }

    /// The same of an object or a list, whose value is not shown.
    pub fn invalid_whole(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, "Invalid value".to_owned(), detail)
    }

    /// A value of another type.
    pub fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: {value}"), detail)
    }

    /// A value that must be there.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueRequired", field, "Required value".to_owned(), detail)
    }

    /// A value that must not be there.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, "Forbidden".to_owned(), detail)
    }

    /// A value that must be there once only.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"), "")
    }

    /// The same of an object or a list, whose value is not shown.
    pub fn duplicate_whole(field: impl Into<String>) -> Self {
        Self::new("FieldValueDuplicate", field, "Duplicate value".to_owned(), "")
    }

    /// A value that is not among the supported ones.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<_> = supported.iter().map(|value| Value::from(value.as_str()).to_string()).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self::new("FieldValueNotSupported", field, format!("Unsupported value: {value}"), &detail)
    }

    /// A text of more than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {max} {unit}");
        Self::new("FieldValueTooLong", field, "Too long".to_owned(), &detail)
    }

    /// A list or map of more than `max` items.
    pub fn too_many(field: impl Into<String>, actual: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        Self::new("FieldValueTooMany", field, format!("Too many: {actual}"), &detail)
    }

    /// Whether rules can't be evaluated over the object any more: its shape is not what they expect.
    pub(super) fn blocks_rules(&self) -> bool {
        ["FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"]
            .contains(&self.reason.as_str())
            || self.reason == "FieldValueTypeInvalid"
    }
}

/// `spec.image: Required value`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The message of a Status of reason `Invalid`: `MCPServer.mcp.mcp.dev "x" is invalid: spec.image:
/// Required value`; several causes stand in brackets, the same one once.
pub fn message(kind_group: &str, name: &str, causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = cause.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let name = Value::from(name);
    match texts.as_slice() {
        [only] => format!("{kind_group} {name} is invalid: {only}"),
        several => format!("{kind_group} {name} is invalid: [{}]", several.join(", ")),
    }
}

/// Where in an object, as it grows on the way down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    pub(super) fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// As the messages name it: nothing for the object itself.
    pub(super) fn bare(&self) -> &str {
        &self.0
    }
}

impl From<&Place> for String {
    fn from(place: &Place) -> Self {
        place.to_string()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn causes_are_printed_as_the_server_prints_them() {
        let cases = [
            (Cause::required("a", ""), "a: Required value"),
            (Cause::invalid("a", json!(-1), "no"), "a: Invalid value: -1: no"),
            (Cause::invalid("a", json!("x"), "no"), "a: Invalid value: \"x\": no"),
            (Cause::invalid_whole("a", "no"), "a: Invalid value: no"),
            (Cause::invalid(Place::default(), &Value::Null, "no"), "<nil>: Invalid value: null: no"),
            (Cause::duplicate("a[1]", &json!({"k": 1})), "a[1]: Duplicate value: {\"k\":1}"),
            (Cause::too_long("a", 1), "a: Too long: may not be more than 1 byte"),
            (Cause::too_many("a", 4, 3), "a: Too many: 4: must have at most 3 items"),
            (
                Cause::not_supported("a", &json!("z"), &["x".to_owned(), "y".to_owned()]),
                "a: Unsupported value: \"z\": supported values: \"x\", \"y\"",
            ),
        ];
        for (cause, wanted) in cases {
            assert_eq!(cause.to_string(), wanted);
        }
    }

    #[test]
    fn a_message_brackets_several_causes_and_says_each_once() {
        let (a, b) = (Cause::required("a", ""), Cause::required("b", ""));
        assert_eq!(message("K.g", "x", std::slice::from_ref(&a)), "K.g \"x\" is invalid: a: Required value");
        assert_eq!(
            message("K.g", "x", &[a.clone(), b, a]),
            "K.g \"x\" is invalid: [a: Required value, b: Required value]"
        );
    }
}
