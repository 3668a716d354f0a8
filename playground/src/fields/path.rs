//! One step of a path into an object, as managed fields write it.
//!
//! A list item is named by its keys or its value, never by its place: whoever inserts an item before
//! it must not move what others own. On the wire a step is a string with a prefix that tells its kind:
//!
//! ```text
//! f:replicas                      a field
//! k:{"name":"mcp-server"}         the list item with these keys, sorted by name
//! v:"example.com/finalizer"       the list item that is this value
//! i:0                             the list item at this place (read, never written)
//! ```

use std::fmt;

use serde_json::{Map, Value};

/// One step from a value to something inside it.
///
/// Keys and values are kept as their JSON text, whose object members serde_json sorts: equal steps
/// are equal strings. Steps are ordered as the names that stand for them in FieldsV1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The member of an object.
    Field(String),
    /// The item at a place.
    Index(usize),
    /// The item of a list that has these keys, as a JSON object.
    Key(String),
    /// The item of a set, as JSON.
    Value(String),
}

impl Step {
    /// The step to a member of an object.
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The step to the list item with these keys.
    pub fn key(keys: Map<String, Value>) -> Self {
        Self::Key(Value::Object(keys).to_string())
    }

    /// The step to a value of a set.
    pub fn value(value: &Value) -> Self {
        Self::Value(value.to_string())
    }

    /// Reads a member name of FieldsV1; `None` where it has no known prefix or a broken rest.
    pub fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::field(rest)),
            "k" => Some(Self::key(serde_json::from_str(rest).ok()?)),
            "v" => Some(Self::value(&serde_json::from_str(rest).ok()?)),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    /// Writes the member name that stands for this step in FieldsV1, with its quotes.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        let (kind, rest) = match self {
            Self::Field(name) => (b"\"f:", name.as_str()),
            Self::Key(keys) => (b"\"k:", keys.as_str()),
            Self::Value(value) => (b"\"v:", value.as_str()),
            Self::Index(index) => {
                text.extend_from_slice(format!("\"i:{index}\"").as_bytes());
                return;
            }
        };
        text.extend_from_slice(kind);
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if rest.bytes().all(is_plain) {
            text.extend_from_slice(rest.as_bytes());
        } else {
            // Without the opening quote, which stands before the kind.
            let quoted = Value::from(rest).to_string();
            text.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
        text.push(b'"');
    }
}

/// As the API server prints it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

/// A whole path as the API server prints it: `.spec.template.spec.containers[name="x"].image`.
pub(super) fn print(path: &[Step]) -> String {
    path.iter().map(Step::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(step: &Step) -> String {
        let mut text = Vec::new();
        step.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_step_reads_back_what_it_writes_and_prints_as_the_server_does() {
        let cases = [
            ("f:spec", ".spec"),
            ("f:app.kubernetes.io/name", ".app.kubernetes.io/name"),
            (r#"k:{"name":"x"}"#, r#"[name="x"]"#),
            (r#"k:{"containerPort":8080,"protocol":"TCP"}"#, r#"[containerPort=8080,protocol="TCP"]"#),
            (r#"v:"a/b""#, r#"[="a/b"]"#),
            ("i:3", "[3]"),
        ];
        for (wire, printed) in cases {
            let step = Step::decode(wire).unwrap();
            assert_eq!(written(&step), Value::from(wire).to_string());
            assert_eq!(step.to_string(), printed);
        }
    }

    #[test]
    fn keys_are_sorted_whatever_order_they_come_in() {
        let step = Step::decode(r#"k:{"protocol":"TCP","containerPort":80}"#).unwrap();
        assert_eq!(written(&step), r#""k:{\"containerPort\":80,\"protocol\":\"TCP\"}""#);
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for wire in ["", "spec", "x:y", "k:{", "k:1", "v:", "i:-1"] {
            assert_eq!(Step::decode(wire), None, "{wire}");
        }
    }
}
