//! Provisional: replaced by the built-in kinds.
use crate::{resources::Resource, schema::Cause};
use serde_json::Value;
/// Defaults and validates.
pub fn prepare(_resource: &Resource, _new: &mut Value, _old: Option<&Value>) -> Result<(), Vec<Cause>> {
    Ok(())
}
