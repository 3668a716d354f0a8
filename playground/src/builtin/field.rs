//! Reading fields out of JSON, and collecting what is wrong with them.
//!
//! The wording is that of apimachinery's `field.Error`: `Required value: detail`,
//! `Invalid value: <json>: detail`. A missing field reads as Go's zero value, since
//! that is what the rules of Kubernetes are written against.

use serde_json::{Map, Value};

use crate::schema::Cause;

/// The causes found so far, in the order Kubernetes reports them.
#[derive(Debug, Default)]
pub(super) struct Causes(Vec<Cause>);

impl Causes {
    fn push(&mut self, reason: &str, field: &str, message: String) {
        self.0.push(Cause { reason: reason.to_owned(), field: field.to_owned(), message });
    }

    /// Those found by somebody else, behind these.
    pub(super) fn extend(&mut self, Causes(others): Causes) {
        self.0.extend(others);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_result(self) -> Result<(), Vec<Cause>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    pub(super) fn required(&mut self, field: &str, detail: &str) {
        let message = with_detail("Required value", detail);
        self.push("FieldValueRequired", field, message);
    }

    pub(super) fn invalid(&mut self, field: &str, value: &Value, detail: &str) {
        self.invalid_json(field, &value.to_string(), detail);
    }

    pub(super) fn invalid_text(&mut self, field: &str, value: &str, detail: &str) {
        self.invalid_json(field, &quoted(value), detail);
    }

    /// For objects whose JSON Kubernetes writes in the order of a Go struct.
    pub(super) fn invalid_json(&mut self, field: &str, json: &str, detail: &str) {
        let message = with_detail(&format!("Invalid value: {json}"), detail);
        self.push("FieldValueInvalid", field, message);
    }

    /// One cause per complaint about the same text.
    pub(super) fn complaints(&mut self, field: &str, value: &str, complaints: &[String]) {
        for complaint in complaints {
            self.invalid_text(field, value, complaint);
        }
    }

    pub(super) fn not_supported(&mut self, field: &str, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|word| quoted(word)).collect();
        let message = format!("Unsupported value: {}: supported values: {}", quoted(value), list.join(", "));
        self.push("FieldValueNotSupported", field, message);
    }

    pub(super) fn duplicate_json(&mut self, field: &str, json: &str) {
        let message = format!("Duplicate value: {json}");
        self.push("FieldValueDuplicate", field, message);
    }

    pub(super) fn duplicate(&mut self, field: &str, value: &str) {
        self.duplicate_json(field, &quoted(value));
    }

    pub(super) fn not_found(&mut self, field: &str, value: &str) {
        let message = format!("Not found: {}", quoted(value));
        self.push("FieldValueNotFound", field, message);
    }

    pub(super) fn forbidden(&mut self, field: &str, detail: &str) {
        self.push("FieldValueForbidden", field, with_detail("Forbidden", detail));
    }

    pub(super) fn too_long(&mut self, field: &str, limit: usize) {
        let message = format!("Too long: may not be more than {limit} bytes");
        self.push("FieldValueTooLong", field, message);
    }

    pub(super) fn too_many(&mut self, field: &str, actual: usize, limit: usize) {
        let message = format!("Too many: {actual}: must have at most {limit} items");
        self.push("FieldValueTooMany", field, message);
    }

    pub(super) fn non_negative(&mut self, field: &str, value: Option<i64>) {
        if let Some(number) = value.filter(|number| *number < 0) {
            let detail = "must be greater than or equal to 0";
            self.invalid_json(field, &number.to_string(), detail);
        }
    }
}

fn with_detail(text: &str, detail: &str) -> String {
    if detail.is_empty() { text.to_owned() } else { format!("{text}: {detail}") }
}

pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The text at `key`, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements at `key`, none where there is no array.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The same for changing them.
pub(super) fn list_mut<'a>(value: &'a mut Value, key: &str) -> &'a mut [Value] {
    value.get_mut(key).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The number at `key`, if there is one.
pub(super) fn int(value: &Value, key: &str) -> Option<i64> {
    value.get(key).and_then(Value::as_i64)
}

/// The entries of the object at `key`, none where there is no object.
pub(super) fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// Sets `key` where it is absent.
pub(super) fn default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.entry(key).or_insert_with(|| value.into());
    }
}

/// The object at `key`, made empty where it is absent; `None` where something else is.
pub(super) fn child<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let child = object.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new()));
    child.is_object().then_some(child)
}

/// JSON with the keys of the outermost objects in the order of `keys`, as Go writes a struct.
pub(super) fn struct_json(value: &Value, keys: &[&str]) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| struct_json(item, keys)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => {
            let known = keys.iter().filter_map(|key| map.get(*key).map(|v| (*key, v)));
            let rest = map.iter().map(|(key, v)| (key.as_str(), v));
            let rest = rest.filter(|(key, _)| !keys.contains(key));
            let members: Vec<String> = known.chain(rest).map(|(key, v)| format!("{}:{v}", quoted(key))).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// What a check finds, for the tests: `spec.replicas: Required value`.
#[cfg(test)]
pub(super) fn found(check: impl FnOnce(&mut Causes)) -> Vec<String> {
    let mut causes = Causes::default();
    check(&mut causes);
    causes.0.iter().map(ToString::to_string).collect()
}
