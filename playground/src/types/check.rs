//! Is this JSON of the kind at all? What Go's decoder would refuse, with its words.
//!
//! A field of the wrong type never reaches validation: the decoder answers 400.

use std::fmt;

use serde_json::Value;

use super::{Field, Holds, Type, Types};
use crate::builtin::quantity;

/// The first mistake that Go's decoder would stop at. What the table does not know, it takes.
pub(crate) fn check(object: &Value) -> Result<(), String> {
    let Some(id) = Types::get().of(object) else { return Ok(()) };
    let Some(members) = object.as_object() else { return Ok(()) };
    members.iter().try_for_each(|(name, value)| match Types::get().field(id, name) {
        Some((holder, field)) => Place { holder, above: None, name }.check(&field.holds, value),
        None => Ok(()),
    })
}

/// The same of metadata by themselves: those of a custom resource, which the table does not know otherwise.
pub(crate) fn check_metadata(metadata: &Value) -> Result<(), String> {
    let (types, id) = (Types::get(), Types::get().metadata());
    metadata.as_object().into_iter().flatten().try_for_each(|(name, value)| match types.field(id, name) {
        Some((holder, field)) => Place { holder, above: None, name }.check(&field.holds, value),
        None => Ok(()),
    })
}

/// Go's decoder makes the empty text of a label or annotation that is null.
pub(crate) fn null_is_empty_text(metadata: &mut Value) {
    for name in ["labels", "annotations"] {
        let entries = metadata.get_mut(name).and_then(Value::as_object_mut).into_iter().flatten();
        for (_, value) in entries.filter(|(_, value)| value.is_null()) {
            *value = Value::String(String::new());
        }
    }
}

/// What Go calls a JSON value.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Where in an object, without indexes and keys. It is printed for a mistake, and most objects have none.
struct Place<'a> {
    /// The struct that the field belongs to.
    holder: &'static Type,
    /// The field that holds the struct.
    above: Option<&'a Place<'a>>,
    /// The field.
    name: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder: _, above, name } = self;
        match above {
            Some(above) => write!(f, "{above}.{name}"),
            None => f.write_str(name),
        }
    }
}

impl Place<'_> {
    fn check(&self, holds: &Holds, value: &Value) -> Result<(), String> {
        match (holds, value) {
            (_, Value::Null)
            | (Holds::Fields, _)
            | (Holds::Text | Holds::IntOrString, Value::String(_))
            | (Holds::Bool, Value::Bool(_)) => Ok(()),
            (Holds::Int32, _) => self.number(value, holds, i64::from(i32::MIN), i64::from(i32::MAX)),
            (Holds::Int64, _) => self.number(value, holds, i64::MIN, i64::MAX),
            (Holds::Bytes, Value::String(text)) => base64(text),
            (Holds::Time, Value::String(text)) => time(text, "2006-01-02T15:04:05Z07:00"),
            (Holds::MicroTime, Value::String(text)) => time(text, "2006-01-02T15:04:05.000000Z07:00"),
            (Holds::IntOrString, _) => self.number(value, &Holds::Int32, i64::from(i32::MIN), i64::from(i32::MAX)),
            (Holds::Quantity, _) => check_quantity(value),
            (Holds::Struct(id), Value::Object(members)) => {
                members.iter().try_for_each(|(name, value)| match Types::get().field(*id, name) {
                    Some((holder, Field { holds, .. })) => {
                        Place { holder, above: Some(self), name }.check(holds, value)
                    }
                    None => Ok(()),
                })
            }
            (Holds::List(item), Value::Array(items)) => items.iter().try_for_each(|value| self.check(item, value)),
            (Holds::Map(item), Value::Object(entries)) => {
                entries.values().try_for_each(|value| self.check(item, value))
            }
            _ => Err(self.mismatch(value, holds)),
        }
    }

    fn number(&self, value: &Value, holds: &Holds, min: i64, max: i64) -> Result<(), String> {
        let Value::Number(number) = value else { return Err(self.mismatch(value, holds)) };
        match number.as_i64() {
            Some(n) if (min..=max).contains(&n) => Ok(()),
            _ => Err(self.unfit(&format!("number {number}"), holds)),
        }
    }

    fn mismatch(&self, value: &Value, holds: &Holds) -> String {
        self.unfit(json_kind(value), holds)
    }

    fn unfit(&self, found: &str, holds: &Holds) -> String {
        let holder = self.holder.short_name();
        format!("json: cannot unmarshal {found} into Go struct field {holder}.{self} of type {}", go_type(holds))
    }
}

fn go_type(holds: &Holds) -> String {
    match holds {
        Holds::Text => "string".to_owned(),
        Holds::Bool => "bool".to_owned(),
        Holds::Int32 => "int32".to_owned(),
        Holds::Int64 => "int64".to_owned(),
        Holds::Bytes => "[]uint8".to_owned(),
        Holds::Time => "v1.Time".to_owned(),
        Holds::MicroTime => "v1.MicroTime".to_owned(),
        Holds::IntOrString => "intstr.IntOrString".to_owned(),
        Holds::Quantity => "resource.Quantity".to_owned(),
        Holds::Fields => "v1.FieldsV1".to_owned(),
        Holds::Struct(id) => Types::get().named(*id).go_name().to_owned(),
        Holds::List(item) => format!("[]{}", go_type(item)),
        Holds::Map(item) if **item == Holds::Quantity => "v1.ResourceList".to_owned(),
        Holds::Map(item) => format!("map[string]{}", go_type(item)),
    }
}

fn time(text: &str, layout: &str) -> Result<(), String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    let (layout, text) = (Value::from(layout), Value::from(text));
    Err(format!("parsing time {text} as {layout}: cannot parse {text} as \"2006\""))
}

fn base64(text: &str) -> Result<(), String> {
    use base64::Engine;
    let Err(error) = base64::engine::general_purpose::STANDARD.decode(text) else {
        return Ok(());
    };
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
        base64::DecodeError::InvalidLength(length) => length - length % 4,
        base64::DecodeError::InvalidPadding => text.trim_end_matches('=').len(),
    };
    Err(format!("illegal base64 data at input byte {at}"))
}

fn check_quantity(value: &Value) -> Result<(), String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(quantity::COMPLAINT.to_owned()),
    };
    match quantity::Quantity::parse(&text) {
        Some(_) => Ok(()),
        None => Err(quantity::COMPLAINT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::check as check_object;
    use serde_json::{Value, json};

    /// Of a `kind` (with its version).
    fn check(kind: &str, object: &Value) -> Result<(), String> {
        let (api_version, kind) = kind.rsplit_once('.').unwrap();
        let mut object = object.clone();
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        check_object(&object)
    }

    #[test]
    fn a_number_where_a_text_belongs_is_named_as_go_names_it() {
        for (object, field) in [
            (
                json!({"spec": {"replicas": "two"}}),
                "string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"replicas": 1.5}}),
                "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": "x"}}}}),
                "string into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"image": 1}]}}}}),
                "number into Go struct field Container.spec.template.spec.containers.image of type string",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
        ] {
            let expected = format!("json: cannot unmarshal {field}");
            assert_eq!(check("apps/v1.Deployment", &object).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_secret_whose_data_is_no_base64_is_refused() {
        let object = json!({"data": {"a": "not base64"}});
        assert_eq!(check("v1.Secret", &object).unwrap_err(), "illegal base64 data at input byte 3");
    }

    #[test]
    fn quantities_may_be_numbers() {
        let spec = json!({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1x"}}}]});
        let object = json!({"spec": spec});
        assert!(check("v1.Pod", &object).unwrap_err().starts_with("quantities"));
    }

    #[test]
    fn ports_may_be_names() {
        for (port, good) in [(json!("http"), true), (json!(80), true), (json!(true), false)] {
            let object = json!({"spec": {"ports": [{"targetPort": port}]}});
            assert_eq!(check("v1.Service", &object).is_ok(), good, "{port}");
        }
    }
}
