//! Any JSON, in the form that is the same for the same value: keys sorted, no spaces.
//!
//! It is written while the JSON is read, without a tree of values between: a tree takes up to ninety times the size of its
//! text, and a megabyte of text may come from somebody who knows that. Nor are the members of an object kept as texts of
//! their own until they are sorted. A member may be five bytes, `"":0,`, and two texts take fifty. So all keys of an
//! object are one text, all values another, and a member is where it lies in both:
//!
//! ```text
//!  {"b": 1, "a": [true]}      keys    b a         members  0..1, 0..1
//!                                     0 1                  1..2, 1..7
//!                             values  1 [true]
//!                                     0 1
//! ```

use std::fmt;

use serde::de::{self, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

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
        while members.read(&mut map)? {}
        members.write_to(self.0);
        Ok(())
    }
}

/// The members of an object.
#[derive(Default)]
struct Members {
    /// All keys, one after the other, as they are.
    keys: String,
    /// All values, one after the other, in their canonical form.
    values: String,
    /// Where each member ends in both; it begins where the one before it ends.
    ends: Vec<(u32, u32)>,
}

impl Members {
    /// Reads the next one, if there is one.
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<bool, A::Error> {
        let Self { keys, values, ends } = self;
        if map.next_key_seed(Key(keys))?.is_none() {
            return Ok(false);
        }
        map.next_value_seed(Writer(values))?;
        let end = |text: &str| u32::try_from(text.len()).map_err(A::Error::custom);
        ends.push((end(keys)?, end(values)?));
        Ok(true)
    }

    /// Writes them behind `text`, in the order of their keys. Of two with the same key both are written, in the order of
    /// their values.
    fn write_to(&self, text: &mut String) {
        let mut order: Vec<u32> = (0..).take(self.ends.len()).collect();
        order.sort_unstable_by_key(|index| self.member(*index));
        text.push('{');
        for (place, index) in order.into_iter().enumerate() {
            let (key, value) = self.member(index);
            text.push_str(if place == 0 { "" } else { "," });
            text.push_str(&quoted(key));
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
    }

    fn member(&self, index: u32) -> (&str, &str) {
        let index = index as usize;
        let (key, value) = index.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
        let (key_end, value_end) = self.ends[index];
        (&self.keys[key as usize..key_end as usize], &self.values[value as usize..value_end as usize])
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

    /// It took thirty.
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
                while members.read(&mut map)? {}
                assert_eq!(members.ends.len(), self.0);
                let Members { keys, values, ends } = members;
                Ok(keys.capacity() + values.capacity() + ends.capacity() * size_of::<(u32, u32)>())
            }
        }
        let count = (1 << 20) / 5;
        let json = format!("{{{}}}", vec![r#""":0"#; count].join(","));
        let taken = serde_json::Deserializer::from_str(&json).deserialize_map(Counted(count)).unwrap();
        assert!(taken < 3 << 20, "{taken} bytes");
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
