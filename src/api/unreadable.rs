//! What is wrong with a spec, and in which field.
//!
//! serde reports what is wrong and in which column, but not in which field, and the reader of a condition sees no
//! columns. So when a spec can't be read, each of its fields is tried alone (next to the fields that every spec needs),
//! then each field of the one that fails, and so on down to the innermost. This is slow, but it runs only once for each
//! such state of an object.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Error, Value};

use super::spec::MCPServerSpec;

/// Whether a part of a spec can be read if everything else is right.
type Fits<'a> = dyn Fn(&Value) -> Result<(), Error> + 'a;

/// `spec.port: invalid type: string "http", expected i32`.
pub(super) fn explain(spec: &str, error: &Error) -> String {
    locate("spec", spec, error, &fits)
}

fn locate(place: &str, text: &str, error: &Error, fits: &Fits<'_>) -> String {
    let fields: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
    for (name, value) in fields {
        let alone = |value: Value| Value::Object([(name.clone(), value)].into_iter().collect());
        if let Err(error) = fits(&alone(value.clone())) {
            return locate(&format!("{place}.{name}"), &value.to_string(), &error, &|part| fits(&alone(part.clone())));
        }
    }
    format!("{place}: {}", without_column(error))
}

/// Without the column: the reader of the message does not see the JSON.
fn without_column(error: &Error) -> String {
    let text = error.to_string();
    let column = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&column).unwrap_or(&text).to_owned()
}

fn fits(part: &Value) -> Result<(), Error> {
    let mut spec = serde_json::json!({"image": ""});
    if let (Some(spec), Some(part)) = (spec.as_object_mut(), part.as_object()) {
        spec.extend(part.clone());
    }
    MCPServerSpec::deserialize(spec).map(drop)
}
