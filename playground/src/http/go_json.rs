//! JSON as Go's `encoding/json` sees it: what it says of text that is no JSON, and which fields are given twice.
//!
//! The words are part of the API: people read them in kubectl, and `fieldValidation` speaks of fields that are given
//! twice. Nothing is decoded here; that is `serde_json`'s work, which neither words its errors that way nor tells of
//! duplicates.

use std::collections::BTreeSet;

/// What is wrong with a text that is no JSON.
pub(super) fn fault(text: &[u8]) -> String {
    let mut scanner = Scanner::new(text);
    scanner.document().err().unwrap_or_else(|| "unexpected end of JSON input".to_owned())
}

/// The fields that are given more than once, `spec.image`, `spec.list[0].name`, in the order in which they are found.
pub(super) fn duplicates(text: &[u8]) -> Vec<String> {
    let mut scanner = Scanner::new(text);
    // What can't be read to its end has been refused before.
    let _ = scanner.document();
    scanner.duplicates
}

/// Nothing that a person writes is nested deeper, and no stack is safe without a bound.
const DEEPEST: usize = 500;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    path: String,
    duplicates: Vec<String>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0, path: String::new(), duplicates: Vec::new() }
    }

    fn document(&mut self) -> Result<(), String> {
        self.value()?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn unexpected(&self, context: &str) -> String {
        let Some(byte) = self.text.get(self.at) else { return "unexpected end of JSON input".to_owned() };
        let shown = match byte {
            b'\'' => "\\'".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            other => format!("\\x{other:02x}"),
        };
        format!("invalid character '{shown}' {context}")
    }

    fn value(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.depth == DEEPEST {
            return Err("exceeded max depth".to_owned());
        }
        self.depth += 1;
        self.at += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }

    fn object(&mut self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.unexpected("after object key"));
            }
            let here = self.path.len();
            self.path.push_str(if here == 0 { "" } else { "." });
            self.path.push_str(&name);
            if !names.insert(name) && !self.duplicates.contains(&self.path) {
                self.duplicates.push(self.path.clone());
            }
            self.value()?;
            self.path.truncate(here);
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.unexpected("after object key:value pair"));
            }
        }
    }

    fn array(&mut self) -> Result<(), String> {
        if self.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            let here = self.path.len();
            self.path.extend(["[", &index.to_string(), "]"]);
            self.value()?;
            self.path.truncate(here);
            if self.take(b']') {
                break;
            }
            if !self.take(b',') {
                return Err(self.unexpected("after array element"));
            }
        }
        Ok(())
    }

    fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    /// The text between quotes, with what is escaped as it stands.
    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    if !matches!(
                        self.text.get(self.at),
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u')
                    ) {
                        return Err(self.unexpected("in string escape code"));
                    }
                    self.at += 1;
                }
                Some(0..=0x1f) | None => return Err(self.unexpected("in string literal")),
                Some(_) => self.at += 1,
            }
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        self.at += 1;
        Ok(text)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        for wanted in word.bytes() {
            if self.text.get(self.at) != Some(&wanted) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(wanted))));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        let start = self.at;
        while matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected(context)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{duplicates, fault};

    #[test]
    fn what_is_no_json_is_told_in_gos_words() {
        for (text, wanted) in [
            ("", "unexpected end of JSON input"),
            (r#"{"a":"#, "unexpected end of JSON input"),
            ("hello", "invalid character 'h' looking for beginning of value"),
            (r#"{"a":1} x"#, "invalid character 'x' after top-level value"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("nul1", "invalid character '1' in literal null (expecting 'l')"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ] {
            assert_eq!(fault(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn fields_that_are_given_twice_are_named_once_each() {
        let text = r#"{"spec":{"a":1,"a":2,"a":3,"list":[{"b":1},{"b":1,"b":2}]},"spec":{}}"#;
        assert_eq!(duplicates(text.as_bytes()), ["spec.a", "spec.list[1].b", "spec"]);
    }
}
