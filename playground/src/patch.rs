//! Provisional: replaced by the patch types.
use serde_json::Value;
/// Why a patch fails.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);
/// Merge patch.
pub fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}
/// JSON patch.
pub fn json_patch(target: &Value, ops: &Value) -> Result<Value, Error> {
    let ops: json_patch::Patch = serde_json::from_value(ops.clone()).map_err(|error| Error(error.to_string()))?;
    let mut target = target.clone();
    json_patch::patch(&mut target, &ops).map_err(|error| Error(error.to_string()))?;
    Ok(target)
}
/// Strategic merge.
pub fn strategic(target: &Value, patch: &Value, _schema: &crate::fields::Schema) -> Result<Value, Error> {
    let mut target = target.clone();
    merge(&mut target, patch);
    Ok(target)
}
