//! Any JSON, in the form that is the same for the same value: keys sorted, no spaces.
//!
//! It is written while the JSON is read, without a tree of values between: a tree takes up to ninety times the size of its
//! text, and a megabyte of text may come from somebody who knows that. Only the [members](Members) of an object have to be
//! kept until they are sorted.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::members::Members;

/// The canonical text of some JSON.
#[derive(Debug)]
pub(super) struct Canonical(pub(super) String);

impl<'de> Deserialize<'de> for Canonical {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Writer(&mut text).deserialize(deserializer)?;
        Ok(Self(text))
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes the canonical text of what it reads behind a text.
struct Writer<'a>(&'a mut String);

impl Writer<'_> {
    fn write(self, value: &str) {
        self.0.push_str(value);
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.write(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.write(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.write(&serde_json::Value::from(value).to_string());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.write(&quoted(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write("null");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self(text) = self;
        text.push('[');
        while list.next_element_seed(Writer(text))?.is_some() {
            text.push(',');
        }
        if text.ends_with(',') {
            text.pop();
        }
        text.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut members = Members::default();
        members.read(&mut map)?;
        let Self(text) = self;
        text.push('{');
        for (place, (key, value)) in members.sorted().enumerate() {
            text.push_str(if place == 0 { "" } else { "," });
            text.push_str(&quoted(key));
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        Ok(())
    }
}

impl Members {
    /// Reads all of an object.
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        while map.next_key_seed(Key(&mut self.keys))?.is_some() {
            map.next_value_seed(Writer(&mut self.values))?;
            self.end();
        }
        Ok(())
    }
}

/// Writes a key behind a text, as it is.
struct Key<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        self.0.push_str(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// As a list of pairs of texts it took three times as much, without counting the texts.
    #[test]
    fn a_megabyte_of_tiny_members_takes_a_few_megabytes() {
        struct Counted(usize);
        impl<'de> Visitor<'de> for Counted {
            type Value = usize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
                let mut members = Members::default();
                members.read(&mut map)?;
                assert_eq!(members.len(), self.0);
                Ok(members.bytes())
            }
        }
        let count = (1 << 20) / 5;
        let json = format!("{{{}}}", vec![r#""":0"#; count].join(","));
        let taken = serde_json::Deserializer::from_str(&json).deserialize_map(Counted(count)).unwrap();
        assert!(taken < 5 << 20, "{taken} bytes");
    }

    #[test]
    fn two_members_with_one_key_are_two() {
        let Canonical(text) = serde_json::from_str(r#"{"a":[2,[]],"":{},"a":[1]}"#).unwrap();
        assert_eq!(text, r#"{"":{},"a":[1],"a":[2,[]]}"#);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_of_a_value_is_the_sorted_one(value in any_json()) {
            let Canonical(text) = serde_json::from_str(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            // This crate's `Value` keeps its keys sorted.
            prop_assert_eq!(text, value.to_string());
        }
    }
}
