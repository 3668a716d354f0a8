//! JSON with the members of all objects the other way round: other bytes that say the same.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Deeper than this nothing is turned round.
const DEEPEST: usize = 64;

/// The same value in another order of keys; `None` if it is not JSON, or if an object has a key twice: then the order
/// decides which of the two is meant. Numbers and texts stay as they were written.
pub fn turned(json: &str) -> Option<String> {
    turn(json, DEEPEST)
}

fn turn(json: &str, deepest: usize) -> Option<String> {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
    match json.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(json).ok()?;
            let keys: BTreeSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
            let turned = |(key, value): &(String, &RawValue)| {
                Some(format!("{}:{}", Value::from(key.as_str()), turn(value.get(), deepest.checked_sub(1)?)?))
            };
            let all: Option<Vec<String>> = members.iter().rev().map(turned).collect();
            all.filter(|all| all.len() == keys.len()).map(|all| format!("{{{}}}", all.join(",")))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let all: Option<Vec<String>> = items.iter().map(|item| turn(item.get(), deepest.checked_sub(1)?)).collect();
            all.map(|all| format!("[{}]", all.join(",")))
        }
        _ => serde_json::from_str::<&RawValue>(json).ok().map(|json| json.get().to_owned()),
    }
}

/// The members of an object, in the order in which they are written.
struct Members<'json>(Vec<(String, &'json RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}
