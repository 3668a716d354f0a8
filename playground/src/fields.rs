//! Provisional: replaced by managedFields.
use crate::schema::Cause;
use serde_json::Value;
/// List types.
#[derive(Debug, Default)]
pub struct Schema;
impl Schema {
    /// Built-in.
    pub fn builtin(_kind: &str) -> Self {
        Self
    }
    /// From OpenAPI.
    pub fn from_openapi(_schema: &Value) -> Self {
        Self
    }
}
/// Conflict.
pub type Conflict = Cause;
/// Why an apply fails.
#[derive(Debug)]
pub enum ApplyError {
    /// Conflicts.
    Conflicts(Vec<Conflict>),
    /// Invalid.
    Invalid(String),
}
/// Applies.
#[allow(clippy::too_many_arguments)]
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    _manager: &str,
    _force: bool,
    _schema: &Schema,
    _api_version: &str,
    _subresource: Option<&str>,
    _now: &str,
) -> Result<Value, ApplyError> {
    let mut merged = live.cloned().unwrap_or(Value::Null);
    crate::patch::merge(&mut merged, config);
    Ok(merged)
}
/// Tracks.
pub fn track_update(
    _old: Option<&Value>,
    new: Value,
    _manager: &str,
    _schema: &Schema,
    _api_version: &str,
    _subresource: Option<&str>,
    _now: &str,
) -> Value {
    new
}
