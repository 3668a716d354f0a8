//! Fields that the operator passes on without reading them.
//!
//! Tolerations, affinities, volumes: Kubernetes has dozens of types for them, and each release adds fields. An operator
//! that decodes them into the types of its own day drops every field that it does not know yet, in silence, and fails
//! on a quantity written as a number. Nothing of that is needed to put them where they belong.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value that is described by the schema of `T`, and passed on as it was written.
///
/// Invariant: `json` can be read as a [`Value`]. JSON alone is not enough for that: a number may be too large, or
/// the whole too deep.
pub struct Verbatim<T> {
    json: Box<RawValue>,
    described_by: PhantomData<fn() -> T>,
}

impl<T> Verbatim<T> {
    /// The value.
    pub fn value(&self) -> Value {
        // It was read once already.
        serde_json::from_str(self.json.get()).unwrap_or_default()
    }
}

impl<'de, T> Deserialize<'de> for Verbatim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::from_str::<Value>(json.get()).map_err(D::Error::custom)?;
        Ok(Self { json, described_by: PhantomData })
    }
}

impl<T> Serialize for Verbatim<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Verbatim<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T> Clone for Verbatim<T> {
    fn clone(&self) -> Self {
        Self { json: self.json.clone(), described_by: PhantomData }
    }
}

impl<T> PartialEq for Verbatim<T> {
    fn eq(&self, other: &Self) -> bool {
        self.json.get() == other.json.get()
    }
}

impl<T> Eq for Verbatim<T> {}

/// Without the value: the environment of a container may contain what nobody should read in a log.
impl<T> fmt::Debug for Verbatim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.json.get().len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_keeps_what_no_type_knows_and_shows_nothing_of_it() {
        let text = r#"[{"name":"TOKEN","value":"sesame","aFieldOfTheFuture":0.50}]"#;
        let verbatim: Verbatim<Vec<k8s_openapi::api::core::v1::EnvVar>> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&verbatim).unwrap(), text);
        assert_eq!(verbatim.value(), json!([{"name": "TOKEN", "value": "sesame", "aFieldOfTheFuture": 0.5}]));
        assert!(!format!("{verbatim:?}").contains("sesame"));
    }

    /// Found while the properties for fuzzing were written: such a value was decoded, and passed on as null.
    #[test]
    fn what_can_not_be_passed_on_is_not_decoded_either() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (json, why) in [("[1e999]", "number out of range"), (deep.as_str(), "recursion limit exceeded")] {
            let error = serde_json::from_str::<Verbatim<Vec<String>>>(json).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
