//! The grammar of label selectors, with the words of its errors (`k8s.io/apimachinery/pkg/labels`).
//!
//! ```text
//! selector    = [ requirement *( "," requirement ) ]
//! requirement = "!" key | key | key ( "=" | "==" | "!=" | ">" | "<" ) [ value ] | key ( "in" | "notin" ) "(" values ")"
//! values      = [ value ] *( "," [ value ] )
//! ```
//!
//! `in` and `notin` are operators where one may stand, and words everywhere else. What the grammar lets pass must still
//! be a label's key and value.

use std::collections::BTreeSet;

use super::{LabelRule, LabelTest};
use crate::builtin::names;

const SYMBOLS: &str = "=!(),<>";
const OPERATORS: [&str; 9] = ["!", "=", "==", "!=", "(", ")", ",", "<", ">"];
const EXPECTED_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Parses a selector; the error is the API server's message.
pub(super) fn parse(text: &str) -> Result<Vec<LabelRule>, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut rules = Vec::new();
    loop {
        match parser.peek() {
            "" => return Ok(rules),
            token if is_word(token) || token == "!" => {}
            token => return Err(format!("found '{token}', expected: !, identifier, or 'end of string'")),
        }
        rules.push(parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.next() {
            "" => return Ok(rules),
            "," => {
                let token = parser.peek();
                if !is_word(token) && token != "!" {
                    return Err(format!("found '{token}', expected: identifier after ','"));
                }
            }
            token => return Err(format!("found '{token}', expected: ',' or 'end of string'")),
        }
    }
}

/// Words and operators, in order; the longest operator wins.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let len = if SYMBOLS.contains(first) {
            let run = rest.find(|c| !SYMBOLS.contains(c)).unwrap_or(rest.len());
            (1..=run).rev().find(|len| OPERATORS.contains(&&rest[..*len])).unwrap_or(run)
        } else {
            rest.find(|c| SYMBOLS.contains(c) || is_space(c)).unwrap_or(rest.len())
        };
        tokens.push(&rest[..len]);
        rest = rest[len..].trim_start_matches(is_space);
    }
    tokens
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(token: &str) -> bool {
    !token.is_empty() && !token.starts_with(|c| SYMBOLS.contains(c))
}

/// Where the reading stands. The end is an empty token, as often as it is asked for.
struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<LabelRule, String> {
        let negated = self.peek() == "!";
        if negated {
            self.next();
        }
        let key = self.next();
        if !is_word(key) {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let faults = names::qualified(key);
        if !faults.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", faults.join("; ")));
        }
        let rule = |test| Ok(LabelRule { key: key.to_owned(), test });
        // A negation takes no operator: what follows is found by whoever asked for the requirement.
        if negated || matches!(self.peek(), "" | ",") {
            return rule(if negated { LabelTest::Absent } else { LabelTest::Exists });
        }
        match self.next() {
            "in" => rule(LabelTest::In(checked(key, self.values()?)?)),
            "notin" => rule(LabelTest::NotIn(checked(key, self.values()?)?)),
            "=" | "==" => rule(LabelTest::In(checked(key, [self.value()?].into())?)),
            "!=" => rule(LabelTest::NotIn(checked(key, [self.value()?].into())?)),
            ">" => rule(LabelTest::Greater(number(self.value()?)?)),
            "<" => rule(LabelTest::Less(number(self.value()?)?)),
            other => Err(format!("found '{other}', expected: {EXPECTED_OPERATORS}")),
        }
    }

    fn value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek(), "" | ",") {
            return Ok("");
        }
        match self.next() {
            word if is_word(word) => Ok(word),
            other => Err(format!("found '{other}', expected: identifier")),
        }
    }

    /// What stands in parentheses; no value at all is the empty one.
    fn values(&mut self) -> Result<BTreeSet<&'a str>, String> {
        match self.next() {
            "(" => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        if self.peek() == ")" {
            self.next();
            return Ok([""].into());
        }
        if !is_word(self.peek()) && self.peek() != "," {
            return Err(format!("found '{}', expected: ',', ')' or identifier", self.peek()));
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                "," => {
                    if values.is_empty() || matches!(self.peek(), "," | ")") {
                        values.insert("");
                    }
                    if self.peek() == ")" {
                        self.next();
                        return Ok(values);
                    }
                }
                word if is_word(word) => {
                    values.insert(word);
                    match self.peek() {
                        "," => {}
                        ")" => {
                            self.next();
                            return Ok(values);
                        }
                        other => return Err(format!("found '{other}', expected: ',' or ')'")),
                    }
                }
                other => return Err(format!("found '{other}', expected: ',', or identifier")),
            }
        }
    }
}

fn checked(key: &str, values: BTreeSet<&str>) -> Result<Vec<String>, String> {
    let fault = |(at, value): (usize, &&str)| {
        let faults = names::label_value(value);
        (!faults.is_empty()).then(|| format!("values[{at}][{key}]: Invalid value: {value:?}: {}", faults.join("; ")))
    };
    let faults: Vec<_> = values.iter().enumerate().filter_map(fault).collect();
    match faults.as_slice() {
        [] => Ok(values.into_iter().map(str::to_owned).collect()),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

fn number(value: &str) -> Result<i64, String> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    value.parse().map_err(|_| format!("values[0]: Invalid value: {value:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_cannot_be_read_is_told_in_the_servers_words() {
        for (selector, wanted) in [
            ("=", "found '=', expected: !, identifier, or 'end of string'"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("app=x,", "found '', expected: identifier after ','"),
            ("app=a=b", "found '=', expected: ',' or 'end of string'"),
            ("!app=x", "found '=', expected: ',' or 'end of string'"),
            ("app=x y", "found 'y', expected: ',' or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("app in x", "unable to parse requirement: found 'x' expected: '('"),
            ("app in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("app=!x", "unable to parse requirement: found '!', expected: identifier"),
            (
                "app>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must \
                 be an integer",
            ),
        ] {
            assert_eq!(parse(selector).unwrap_err(), wanted, "{selector}");
        }
    }

    #[test]
    fn keys_and_values_must_be_those_of_labels() {
        for selector in ["-a=b", "a/b/c=d", "app=_x", "app=x;y", "app='x'", &format!("app={}", "z".repeat(64))] {
            let why = parse(selector).unwrap_err();
            assert!(why.starts_with("unable to parse requirement: "), "{selector}: {why}");
            assert!(why.contains("Invalid value: "), "{selector}: {why}");
        }
    }

    #[test]
    fn operators_are_words_where_no_operator_may_stand() {
        for selector in ["in", "notin", "app in (in)", "app in ()", "app in (a,,b)", "app=", "app == x , ! tier"] {
            assert!(parse(selector).is_ok(), "{selector}");
        }
    }
}
