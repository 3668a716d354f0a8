//! What is wrong with a spec, and in which field.
//!
//! serde says what is wrong, and the column. A person who looks at a condition sees no columns, and a spec has more than one
//! number in it. So where a whole spec can't be read, each of its fields is tried alone, beside what a spec can't do without; then
//! each of the fields of the one that fails; and so on down to where the trouble is. That is slow, and happens once for each such
//! state of an object.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Error, Value};

use super::spec::MCPServerSpec;

/// Says whether a part of a spec could be read if all else were as it should be.
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

/// Nobody sees the JSON that the column counts in.
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
