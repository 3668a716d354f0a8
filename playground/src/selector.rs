//! Label and field selectors: parsed once, matched against what the store keeps beside each object.
//!
//! Grammar and semantics are those of `k8s.io/apimachinery/pkg/labels` and `.../fields`: a requirement on a key that is
//! missing holds for `!=`, `notin` and `!key`, and fails for the rest.

mod labels;

use std::collections::BTreeMap;

use crate::storage::Object;

/// What a list or watch is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<LabelRule>,
    fields: Vec<FieldRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LabelRule {
    key: String,
    test: LabelTest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTest {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRule {
    label: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Parses both selectors; either may be empty. The error is a message for a 400.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        Ok(Self { labels: labels::parse(labels)?, fields: parse_fields(fields)? })
    }

    /// True where everything matches.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that it selects, where it selects by `metadata.name`.
    pub fn name(&self) -> Option<&str> {
        let named = |rule: &&FieldRule| rule.label == "metadata.name" && rule.equal && !rule.value.is_empty();
        self.fields.iter().find(named).map(|rule| rule.value.as_str())
    }

    /// The first field label that `known` does not hold, beyond name and namespace.
    pub fn unknown_field(&self, known: &[(String, String)]) -> Option<&str> {
        let labels = self.fields.iter().map(|rule| rule.label.as_str());
        labels
            .filter(|label| !matches!(*label, "metadata.name" | "metadata.namespace"))
            .find(|label| !known.iter().any(|(known, _)| known == label))
    }

    /// Does the object match?
    pub fn matches(&self, object: &Object) -> bool {
        self.labels.iter().all(|rule| rule.matches(&object.labels))
            && self.fields.iter().all(|rule| rule.matches(object))
    }
}

impl LabelRule {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            LabelTest::In(values) => value.is_some_and(|value| values.contains(value)),
            LabelTest::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            LabelTest::Exists => value.is_some(),
            LabelTest::Absent => value.is_none(),
            LabelTest::Greater(bound) => number().is_some_and(|number| number > *bound),
            LabelTest::Less(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl FieldRule {
    fn matches(&self, object: &Object) -> bool {
        let value = match self.label.as_str() {
            "metadata.name" => object.key.name.as_str(),
            "metadata.namespace" => object.key.namespace.as_str(),
            label => {
                let field = object.fields.iter().find(|(known, _)| known == label);
                field.map_or("", |(_, value)| value.as_str())
            }
        };
        (value == self.value) == self.equal
    }
}

fn parse_fields(text: &str) -> Result<Vec<FieldRule>, String> {
    let mut rules = Vec::new();
    for part in terms(text).into_iter().filter(|part| !part.is_empty()) {
        let operator = ["!=", "==", "="].into_iter().filter_map(|operator| Some((part.find(operator)?, operator)));
        // The first operator counts, and of two at one place the longer one.
        let Some((at, operator)) = operator.min_by_key(|(at, operator)| (*at, 2 - operator.len())) else {
            return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
        };
        let value = unescape(&part[at + operator.len()..])?;
        // Nothing equal to nothing holds for everything.
        if at > 0 || !value.is_empty() {
            rules.push(FieldRule { label: part[..at].to_owned(), value, equal: operator != "!=" });
        }
    }
    Ok(rules)
}

/// The parts between commas that no backslash stands before.
fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// A value without its backslashes; what separates must have one before it.
fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                Some(other) => return Err(format!("invalid field selector: invalid escape sequence: \\{other}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => {
                let code = u32::from(character);
                return Err(format!("invalid field selector: unescaped character in value: {code}"));
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::Selector;
    use crate::storage::{Draft, Key, Store};

    fn matches(labels: &str, fields: &str) -> bool {
        let value = json!({"metadata": {"name": "x", "labels": {"app": "web", "n": "5"}}});
        let draft = Draft { value, managed: Bytes::new(), fields: vec![("status.phase".into(), "Running".into())] };
        let object = Store::default().commit("pods", &Key::new("a", "x"), None, draft).unwrap();
        Selector::parse(labels, fields).unwrap().matches(&object)
    }

    #[test]
    fn label_selectors_follow_the_grammar_of_kubernetes() {
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,n=5", true),
            ("app!=web", false),
            ("gone!=web", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("gone notin (a)", true),
            ("app", true),
            ("!app", false),
            ("!gone", true),
            ("n>4", true),
            ("n<5", false),
        ] {
            assert_eq!(matches(selector, ""), expected, "{selector}");
        }
    }

    #[test]
    fn field_selectors_know_name_namespace_and_what_the_kind_offers() {
        assert!(matches("", "metadata.name=x,metadata.namespace!=b"));
        assert!(matches("", "status.phase=Running"));
        assert!(!matches("", "status.phase!=Running"));
        let selector = Selector::parse("", "spec.unknown=1").unwrap();
        assert_eq!(selector.unknown_field(&[]), Some("spec.unknown"));
    }

    #[test]
    fn nonsense_is_an_error_and_not_an_empty_selector() {
        for nonsense in ["a b", "=x", "app in web", "n>many"] {
            assert!(Selector::parse(nonsense, "").is_err(), "{nonsense}");
        }
        assert!(Selector::parse("", "metadata.name").is_err());
        assert!(Selector::parse("", "a=b=c").unwrap_err().contains("unescaped character in value: 61"));
    }

    #[test]
    fn a_field_selector_escapes_what_separates() {
        assert!(!matches("", "metadata.name=x\\,y"));
        assert!(matches("", "metadata.name!=x\\,y"));
        assert!(matches("", "="));
    }
}
