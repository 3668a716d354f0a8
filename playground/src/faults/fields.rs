//! Taking a JSON object apart so that whatever is wrong with it is named by its path.

use serde_json::{Map, Value};
use tokio::time::Duration;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) why: String,
}

/// The fields of an object. Those that were asked for are known; [`end`](Self::end) complains of all others.
pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(path: impl Into<String>, value: &'a Value) -> Result<Self, Wrong> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map, known: Vec::new() }),
            other => Err(Wrong { field: path, why: format!("{other} is no object") }),
        }
    }

    /// The full name of a field.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn wrong(&self, name: &str, why: impl Into<String>) -> Wrong {
        Wrong { field: self.path(name), why: why.into() }
    }

    pub(super) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Wrong> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, format!("{value} is no string")))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, Wrong> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| self.wrong(name, format!("{value} is no whole number from 0 on")))
    }

    pub(super) fn small_number(&mut self, name: &'static str) -> Result<Option<u32>, Wrong> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        let small = u32::try_from(number).map_err(|_| self.wrong(name, format!("{number} is too large")))?;
        Ok(Some(small))
    }

    pub(super) fn probability(&mut self, name: &'static str) -> Result<Option<f64>, Wrong> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let probability = value.as_f64().filter(|probability| (0.0..=1.0).contains(probability));
        probability.map(Some).ok_or_else(|| self.wrong(name, format!("{value} is no probability from 0 to 1")))
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        duration(text).map(Some).ok_or_else(|| self.wrong(name, no_duration(text)))
    }

    /// A field that must be there, as one of these.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Result<Option<T>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let mut names = Vec::new();
        for (choice, meaning) in choices {
            if choice == text {
                return Ok(Some(meaning));
            }
            names.push(choice);
        }
        Err(self.wrong(name, format!("{text:?} is none of {}", names.join(", "))))
    }

    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Wrong> {
        value.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// Complains of fields that nobody asked for.
    pub(super) fn end(self) -> Result<(), Wrong> {
        match self.map.keys().find(|name| !self.known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.wrong(name, format!("is unknown here; known are {}", self.known.join(", ")))),
        }
    }
}

/// `50ms`, `5s`, `2m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// The complaint about a text that isn't one.
pub(super) fn no_duration(text: &str) -> String {
    format!("{text:?} is no duration such as 50ms, 5s or 2m")
}

/// The text of a duration.
pub(super) fn duration_text(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
