//! A value held against its schema.
//!
//! The order of the checks and the words of the messages are those of kube-openapi's validator. What
//! does not differ from the old object is not complained of: an object that was stored before a schema
//! became stricter can still be changed elsewhere ("ratcheting").

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::cause::{Cause, Place};
use super::node::{Additional, Node};

/// Everything that is wrong with a value. `under` stands before the field of each cause, not in its
/// message: that is how the status subresource prints.
pub(super) fn check(node: &Node, new: &Value, old: Option<&Value>, under: &Place) -> Vec<Cause> {
    let check = Check { under: under.clone() };
    check.value(node, new, old, &Place::default())
}

struct Check {
    under: Place,
}

impl Check {
    fn value(&self, node: &Node, new: &Value, old: Option<&Value>, at: &Place) -> Vec<Cause> {
        if old == Some(new) {
            return Vec::new();
        }
        let mut causes: Vec<_> = self.type_of(node, new, at).into_iter().collect();
        if new.is_null() {
            causes.extend(self.allowed(node, new, at));
            return causes;
        }
        causes.extend(self.junctors(node, new, at));
        match new {
            Value::String(text) => {
                causes.extend(self.text(node, text, at));
                causes.extend(self.format(node, text, at));
            }
            Value::Number(_) => causes.extend(self.number(node, new, at)),
            Value::Array(items) => causes.extend(self.items(node, items, old, at)),
            Value::Object(_) | Value::Bool(_) | Value::Null => {}
        }
        causes.extend(self.allowed(node, new, at));
        if let Value::Object(members) = new {
            causes.extend(self.members(node, members, old, at));
        }
        causes
    }

    fn field(&self, at: &Place) -> Place {
        if at.bare().is_empty() {
            return self.under.clone();
        }
        match at.bare().strip_prefix('.').unwrap_or(at.bare()) {
            bare if bare.starts_with('[') => Place::new(&format!("{}{bare}", self.under.bare())),
            bare => self.under.child(bare),
        }
    }

    fn invalid(&self, at: &Place, value: &Value, says: &str) -> Cause {
        Cause::invalid(self.field(at), value, &format!("{} in body should {says}", at.bare()))
    }

    fn type_of(&self, node: &Node, value: &Value, at: &Place) -> Option<Cause> {
        let (types, format) = (node.types(), node.checked_format());
        let wrong = |wanted: &str, got: &str| {
            let says = format!("{} in body must be of type {wanted}: \"{got}\"", at.bare());
            Some(Cause::wrong_type(self.field(at), &Value::from(got), &says))
        };
        let (got, got_format) = type_name(value);
        if got == "null" {
            let refused = !types.is_empty() && !node.nullable;
            return refused.then(|| wrong(&types.join(","), got)).flatten();
        }
        if types.is_empty() && format.is_empty() {
            return None;
        }
        let numeric = types.contains(&"number") || types.contains(&"integer");
        let whole = value.as_f64().is_some_and(is_whole);
        let fits = types.contains(&got)
            || (got == "integer" && types.contains(&"number"))
            || (got == "number" && whole && types.contains(&"integer"));
        let plain = ["string", "array"].contains(&got);
        if !plain && !format.is_empty() && !fits {
            return wrong(format, got_format);
        }
        if plain && !format.is_empty() && !numeric {
            return None;
        }
        if fits { None } else { wrong(&types.join(","), got) }
    }

    /// allOf, anyOf, oneOf, not.
    fn junctors(&self, node: &Node, value: &Value, at: &Place) -> Vec<Cause> {
        let each = |nodes: &[Node]| -> Vec<Vec<Cause>> {
            nodes.iter().map(|node| self.value(node, value, None, at)).collect()
        };
        let mut causes = Vec::new();
        let mut say = |says: &str| {
            let at = Value::from(at.bare());
            causes.push(Cause::invalid(&self.under, Value::from(""), &format!("{at} must {says}")));
        };
        let any = each(&node.any_of);
        let mut details = Vec::new();
        if !any.is_empty() && !any.iter().any(Vec::is_empty) {
            say("validate at least one schema (anyOf)");
            details.extend(fewest(any));
        }
        let one = each(&node.one_of);
        let valid = one.iter().filter(|causes| causes.is_empty()).count();
        if !one.is_empty() && valid == 0 {
            say("validate one and only one schema (oneOf). Found none valid");
            details.extend(fewest(one));
        } else if valid > 1 {
            say(&format!("validate one and only one schema (oneOf). Found {valid} valid alternatives"));
        }
        let all = each(&node.all_of);
        let valid = all.iter().filter(|causes| causes.is_empty()).count();
        if valid < all.len() {
            say(if valid == 0 {
                "validate all the schemas (allOf). None validated"
            } else {
                "validate all the schemas (allOf)"
            });
            details.extend(all.into_iter().flatten());
        }
        if node.not.as_deref().is_some_and(|not| self.value(not, value, None, at).is_empty()) {
            say("not validate the schema (not)");
        }
        causes.extend(details);
        causes
    }

    /// Length and pattern; the first one that fails is told.
    fn text(&self, node: &Node, text: &str, at: &Place) -> Option<Cause> {
        let (value, length) = (Value::from(text), text.chars().count() as u64);
        if let Some(max) = node.max_length.filter(|max| length > *max) {
            return Some(Cause::too_long(self.field(at), max));
        }
        if let Some(min) = node.min_length.filter(|min| length < *min) {
            return Some(self.invalid(at, &value, &format!("be at least {min} chars long")));
        }
        let matches = node.text.as_ref().is_none_or(|pattern| pattern.is_valid(&value));
        (!matches).then(|| self.invalid(at, &value, &format!("match '{}'", node.pattern)))
    }

    fn format(&self, node: &Node, text: &str, at: &Place) -> Option<Cause> {
        let fits = node.known_format.as_ref().is_none_or(|format| format.fits(text));
        let value = Value::from(text);
        let says = format!("{} in body must be of type {}: {value}", at.bare(), node.format);
        (!fits).then(|| Cause::wrong_type(self.field(at), &value, &says))
    }

    fn number(&self, node: &Node, value: &Value, at: &Place) -> Vec<Cause> {
        let number = value.as_f64().unwrap_or_default();
        let mut causes = Vec::new();
        let format = node.checked_format();
        let misfit = match format {
            "int32" => !(is_whole(number) && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)),
            "int64" => !is_whole(number),
            _ => false,
        };
        if misfit {
            let says = format!("Checked value must be of type integer with format {format} in {}", at.bare());
            causes.push(Cause::invalid(&self.under, Value::from(""), &says));
        }
        let mut bound = |broken: bool, says: String| {
            if broken {
                causes.push(self.invalid(at, value, &says));
            }
        };
        if let Some(factor) = node.multiple_of {
            let times = number / factor;
            bound(times.fract().abs() > f64::EPSILON, format!("be a multiple of {}", plain(factor)));
        }
        if let Some(min) = node.minimum {
            let (broken, than) = if node.exclusive_minimum {
                (number <= min, "greater than")
            } else {
                (number < min, "greater than or equal to")
            };
            bound(broken, format!("be {than} {}", plain(min)));
        }
        if let Some(max) = node.maximum {
            let (broken, than) = if node.exclusive_maximum {
                (number >= max, "less than")
            } else {
                (number > max, "less than or equal to")
            };
            bound(broken, format!("be {than} {}", plain(max)));
        }
        causes
    }

    fn items(&self, node: &Node, items: &[Value], old: Option<&Value>, at: &Place) -> Vec<Cause> {
        let mut causes = Vec::new();
        if let Some(below) = &node.items {
            for (index, item) in items.iter().enumerate() {
                let old = node.same_item(old, item);
                causes.extend(self.value(below, item, old, &at.index(index)));
            }
        }
        if let Some(min) = node.min_items.filter(|min| (items.len() as u64) < *min) {
            causes.push(self.invalid(at, &Value::from(items.len()), &format!("have at least {min} items")));
        }
        if let Some(max) = node.max_items.filter(|max| items.len() as u64 > *max) {
            causes.push(Cause::too_many(self.field(at), items.len(), max));
        }
        causes
    }

    fn allowed(&self, node: &Node, value: &Value, at: &Place) -> Option<Cause> {
        if node.allowed.is_empty() || (!value.is_null() && node.allowed.contains(value)) {
            return None;
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let supported: Vec<_> = node.allowed.iter().map(text).collect();
        Some(Cause::not_supported(self.field(at), value, &supported))
    }

    fn members(&self, node: &Node, members: &Map<String, Value>, old: Option<&Value>, at: &Place) -> Vec<Cause> {
        let mut causes = Vec::new();
        let size = members.len();
        if let Some(min) = node.min_properties.filter(|min| (size as u64) < *min) {
            causes.push(self.invalid(at, &Value::from(size), &format!("have at least {min} properties")));
        }
        if let Some(max) = node.max_properties.filter(|max| size as u64 > *max) {
            causes.push(Cause::too_many(self.field(at), size, max));
        }
        let closed = matches!(node.additional_properties, Some(Additional::Allowed(false)));
        for (name, value) in members {
            let old = old.and_then(|old| old.get(name));
            match node.member(name) {
                Some(below) => {
                    causes.extend(self.value(below, value, old, &at.child(name)));
                }
                None if closed => {
                    let says = format!("{}.{name} in body is a forbidden property", at.bare());
                    causes.push(Cause::invalid(self.field(at), Value::from(name.as_str()), &says));
                }
                None => {}
            }
        }
        let missing = node.required.iter().filter(|name| !members.contains_key(*name));
        let missing: BTreeSet<_> = missing.collect();
        causes.extend(missing.into_iter().map(|name| Cause::required(self.field(&at.child(name)), "")));
        causes
    }
}

/// Whether a number is an integer, which whatever is larger than the largest one is not.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9.3e18
}

/// Of several ways to fail, the one that came closest.
fn fewest(failures: Vec<Vec<Cause>>) -> Vec<Cause> {
    failures.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// The type and the format that a JSON value has by itself.
fn type_name(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

/// A bound as Go prints it: `5` rather than `5.0`.
fn plain(number: f64) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(schema: &Value, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut node: Node = serde_json::from_value(schema.clone()).unwrap();
        node.compile().unwrap();
        check(&node, new, old, &Place::default()).iter().map(Cause::to_string).collect()
    }

    fn field(schema: &Value) -> Value {
        json!({"type": "object", "properties": {"f": schema}})
    }

    #[test]
    fn types_and_keywords_of_numbers_complain_in_the_servers_words() {
        let cases = [
            (
                json!({"type": "integer"}),
                json!("x"),
                "f: Invalid value: \"string\": f in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "string"}),
                json!(1),
                "f: Invalid value: \"integer\": f in body must be of type string: \"integer\"",
            ),
            (
                json!({"type": "integer"}),
                json!(1.5),
                "f: Invalid value: \"number\": f in body must be of type integer: \"number\"",
            ),
            (
                json!({"type": "object"}),
                json!(null),
                "f: Invalid value: \"null\": f in body must be of type object: \"null\"",
            ),
            (
                json!({"type": "integer", "format": "int32"}),
                json!({}),
                "f: Invalid value: \"\": f in body must be of type int32: \"\"",
            ),
            (
                json!({"x-kubernetes-int-or-string": true}),
                json!(true),
                "f: Invalid value: \"boolean\": f in body must be of type integer,string: \"boolean\"",
            ),
            (
                json!({"type": "integer", "minimum": 0}),
                json!(-1),
                "f: Invalid value: -1: f in body should be greater than or equal to 0",
            ),
            (
                json!({"type": "integer", "maximum": 9}),
                json!(10),
                "f: Invalid value: 10: f in body should be less than or equal to 9",
            ),
            (
                json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
                json!(1),
                "f: Invalid value: 1: f in body should be greater than 1",
            ),
            (
                json!({"type": "integer", "multipleOf": 2}),
                json!(3),
                "f: Invalid value: 3: f in body should be a multiple of 2",
            ),
            (
                json!({"type": "integer", "format": "int32"}),
                json!(3_000_000_000_u64),
                "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in f",
            ),
        ];
        for (schema, value, wanted) in cases {
            let got = checked(&field(&schema), &json!({"f": value}), None);
            assert_eq!(got, [wanted], "{schema}");
        }
    }

    #[test]
    fn keywords_of_texts_lists_and_objects_complain_in_the_servers_words() {
        let cases = [
            (
                json!({"type": "string", "minLength": 1}),
                json!(""),
                "f: Invalid value: \"\": f in body should be at least 1 chars long",
            ),
            (json!({"type": "string", "maxLength": 2}), json!("abc"), "f: Too long: may not be more than 2 bytes"),
            (
                json!({"type": "string", "pattern": "^a$"}),
                json!("b"),
                "f: Invalid value: \"b\": f in body should match '^a$'",
            ),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                json!("c"),
                "f: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                json!({"type": "integer", "enum": [1, 2]}),
                json!(3),
                "f: Unsupported value: 3: supported values: \"1\", \"2\"",
            ),
            (
                json!({"type": "string", "format": "date-time"}),
                json!("now"),
                "f: Invalid value: \"now\": f in body must be of type date-time: \"now\"",
            ),
            (json!({"type": "array", "maxItems": 1}), json!([1, 2]), "f: Too many: 2: must have at most 1 item"),
            (
                json!({"type": "array", "minItems": 1}),
                json!([]),
                "f: Invalid value: 0: f in body should have at least 1 items",
            ),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                json!(["a", 1]),
                "f[1]: Invalid value: \"integer\": f[1] in body must be of type string: \"integer\"",
            ),
            (json!({"type": "object", "required": ["g"]}), json!({}), "f.g: Required value"),
            (
                json!({"type": "object", "maxProperties": 1}),
                json!({"a": 1, "b": 2}),
                "f: Too many: 2: must have at most 1 item",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                json!({"k": 1}),
                "f.k: Invalid value: \"integer\": f.k in body must be of type string: \"integer\"",
            ),
            (
                json!({"type": "string", "not": {"enum": ["a"]}}),
                json!("a"),
                "<nil>: Invalid value: \"\": \"f\" must not validate the schema (not)",
            ),
        ];
        for (schema, value, wanted) in cases {
            let got = checked(&field(&schema), &json!({"f": value}), None);
            assert_eq!(got, [wanted], "{schema}");
        }
    }

    #[test]
    fn what_fits_is_not_complained_of() {
        let cases = [
            (json!({"type": "integer"}), json!(1.0)),
            (json!({"type": "number"}), json!(1)),
            (json!({"type": "string", "nullable": true}), json!(null)),
            (json!({"x-kubernetes-int-or-string": true}), json!("50%")),
            (json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}), json!(5)),
            (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, {"a": null}])),
            (json!({"type": "string", "format": "unheard-of"}), json!("x")),
            (json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), json!({"a": 1})),
        ];
        for (schema, value) in cases {
            assert_eq!(checked(&field(&schema), &json!({"f": value}), None), [""; 0], "{schema}");
        }
    }

    #[test]
    fn a_junctor_that_fails_says_so_and_why() {
        let schema = field(&json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}));
        let none = "<nil>: Invalid value: \"\": \"f\" must validate one and only one schema (oneOf). Found none valid";
        assert_eq!(checked(&schema, &json!({"f": {}}), None), [none, "f.a: Required value"]);
        let both = "<nil>: Invalid value: \"\": \"f\" must validate one and only one schema (oneOf). Found 2 valid alternatives";
        assert_eq!(checked(&schema, &json!({"f": {"a": 1, "b": 1}}), None), [both]);
    }

    #[test]
    fn what_was_wrong_before_and_is_unchanged_may_stay() {
        let schema = json!({
            "type": "object",
            "properties": {
                "f": {"type": "string", "maxLength": 1},
                "l": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                    "items": {"type": "object", "properties": {"v": {"type": "string", "maxLength": 1}}},
                },
            },
        });
        let old = json!({"f": "long", "l": [{"k": "1", "v": "long"}]});
        let new = json!({"f": "long", "g": 1, "l": [{"k": "2", "v": "x"}, {"k": "1", "v": "long"}]});
        assert_eq!(checked(&schema, &new, Some(&old)), [""; 0]);
        let worse = json!({"f": "longer", "l": []});
        assert_eq!(checked(&schema, &worse, Some(&old)), ["f: Too long: may not be more than 1 byte"]);
    }
}
