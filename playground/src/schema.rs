//! Provisional: replaced by the structural schema.
use serde_json::Value;
/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Reason.
    pub reason: String,
    /// Field.
    pub field: String,
    /// Message.
    pub message: String,
}
/// A schema.
#[derive(Debug)]
pub struct Structural(Value);
impl Structural {
    /// Reads it.
    pub fn from_crd_version(version: &Value) -> Result<Self, Vec<Cause>> {
        Ok(Self(version["schema"]["openAPIV3Schema"].clone()))
    }
    /// Sets defaults.
    pub fn default(&self, value: &mut Value) {
        fill(&self.0, value);
    }
    /// Removes what is unknown.
    pub fn prune(&self, _value: &mut Value) -> Vec<String> {
        Vec::new()
    }
    /// Validates.
    pub fn validate(&self, _new: &Value, _old: Option<&Value>) -> Vec<Cause> {
        Vec::new()
    }
}
fn fill(schema: &Value, value: &mut Value) {
    let (Some(properties), Some(map)) = (schema["properties"].as_object(), value.as_object_mut()) else { return };
    for (name, schema) in properties {
        if let (None, Some(default)) = (map.get(name), schema.get("default")) {
            map.insert(name.clone(), default.clone());
        }
        if let Some(value) = map.get_mut(name) {
            fill(schema, value);
        }
    }
}
