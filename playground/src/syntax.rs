//! JSON as Go sees it (`encoding/json`, scanner.go): what it says of a text that is none, and which fields it is given
//! twice.
//!
//! The words are part of the API: clients show them to people, and `fieldValidation` speaks of fields that are given
//! twice. `serde_json`, which decodes, neither words its errors that way nor tells of duplicates; so a text is
//! scanned once more where it has been refused, and where somebody writes. The scanner keeps its own stack, and no more
//! of it than Go would.

use std::collections::BTreeSet;

use serde_json::Value;

/// The value of a JSON text; the error is what Go would say.
pub(crate) fn decode(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| complaint(text).unwrap_or_else(|| error.to_string()))
}

/// The words for what is wrong with this text; `None`, where Go would find nothing wrong.
pub(crate) fn complaint(text: &[u8]) -> Option<String> {
    match Scanner::new(text).document() {
        Ok(()) => None,
        Err(End) => Some("unexpected end of JSON input".to_owned()),
        Err(TooDeep) => Some("exceeded max depth".to_owned()),
        Err(At(byte, context)) => Some(format!("invalid character {} {context}", quoted(byte))),
    }
}

/// The fields that are given more than once, `spec.image`, `spec.list[0].name`, in the order in which they are found.
pub(crate) fn duplicates(text: &[u8]) -> Vec<String> {
    let mut scanner = Scanner::new(text);
    // A text that is no JSON has been refused before.
    let _ = scanner.document();
    scanner.twice
}

/// How many objects and lists may be open at once.
const DEEPEST: usize = 10_000;

enum Fault {
    End,
    TooDeep,
    At(u8, &'static str),
}

use Fault::{At, End, TooDeep};

/// An object or a list that is being read.
enum Open<'a> {
    Object {
        /// All names so far, `name` among them.
        names: BTreeSet<&'a [u8]>,
        /// The last one.
        name: &'a [u8],
    },
    Array {
        /// Of the element that is being read.
        index: usize,
    },
}

struct Scanner<'a> {
    rest: &'a [u8],
    /// From the outermost to the innermost.
    open: Vec<Open<'a>>,
    twice: Vec<String>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { rest: text, open: Vec::new(), twice: Vec::new() }
    }

    fn document(&mut self) -> Result<(), Fault> {
        loop {
            let inside = self.begin()?;
            if !inside && !self.go_on()? {
                return self.end();
            }
        }
    }

    /// A value begins here. True where it is an object or list whose first value comes next.
    fn begin(&mut self) -> Result<bool, Fault> {
        match self.past_space()? {
            b'{' => {
                self.enter(Open::Object { names: BTreeSet::new(), name: b"" })?;
                if self.past_space()? != b'}' {
                    return self.key().map(|()| true);
                }
                self.leave();
            }
            b'[' => {
                self.enter(Open::Array { index: 0 })?;
                if self.past_space()? != b']' {
                    return Ok(true);
                }
                self.leave();
            }
            first => self.scalar(first)?,
        }
        Ok(false)
    }

    /// A value has ended here; perhaps with it what it is in. True where another one comes.
    fn go_on(&mut self) -> Result<bool, Fault> {
        while let Some(open) = self.open.last_mut() {
            let (in_object, end, expected) = match open {
                Open::Object { .. } => (true, b'}', "after object key:value pair"),
                Open::Array { index } => {
                    *index += 1;
                    (false, b']', "after array element")
                }
            };
            match self.past_space()? {
                b',' => {
                    self.advance();
                    if in_object {
                        self.past_space()?;
                        self.key()?;
                    }
                    return Ok(true);
                }
                byte if byte == end => self.leave(),
                other => return Err(At(other, expected)),
            }
        }
        Ok(false)
    }

    fn enter(&mut self, what: Open<'a>) -> Result<(), Fault> {
        if self.open.len() == DEEPEST {
            return Err(TooDeep);
        }
        self.advance();
        self.open.push(what);
        Ok(())
    }

    fn leave(&mut self) {
        self.advance();
        self.open.pop();
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.past_space() {
            Err(_) => Ok(()),
            Ok(byte) => Err(At(byte, "after top-level value")),
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        let key = match self.peek()? {
            b'"' => self.string()?,
            other => return Err(At(other, "looking for beginning of object key string")),
        };
        match self.past_space()? {
            b':' => self.advance(),
            other => return Err(At(other, "after object key")),
        }
        let Some(Open::Object { names, name }) = self.open.last_mut() else { return Ok(()) };
        *name = key;
        if !names.insert(key) {
            let path = self.path();
            if !self.twice.contains(&path) {
                self.twice.push(path);
            }
        }
        Ok(())
    }

    /// Where the scanner is.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Object { names: _, name } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&String::from_utf8_lossy(name));
                }
                Open::Array { index } => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        path
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(&[
                (b'r', "in literal true (expecting 'r')"),
                (b'u', "in literal true (expecting 'u')"),
                (b'e', "in literal true (expecting 'e')"),
            ]),
            b'f' => self.word(&[
                (b'a', "in literal false (expecting 'a')"),
                (b'l', "in literal false (expecting 'l')"),
                (b's', "in literal false (expecting 's')"),
                (b'e', "in literal false (expecting 'e')"),
            ]),
            b'n' => self.word(&[
                (b'u', "in literal null (expecting 'u')"),
                (b'l', "in literal null (expecting 'l')"),
                (b'l', "in literal null (expecting 'l')"),
            ]),
            other => Err(At(other, "looking for beginning of value")),
        }
    }

    fn word(&mut self, letters: &[(u8, &'static str)]) -> Result<(), Fault> {
        self.advance();
        for (wanted, context) in letters {
            match self.peek()? {
                byte if byte == *wanted => self.advance(),
                other => return Err(At(other, context)),
            }
        }
        Ok(())
    }

    /// The text between quotes, with what is escaped as it stands.
    fn string(&mut self) -> Result<&'a [u8], Fault> {
        self.advance();
        let text = self.rest;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                control if control < 0x20 => return Err(At(control, "in string literal")),
                _ => self.advance(),
            }
        }
        let length = text.len() - self.rest.len();
        self.advance();
        Ok(&text[..length])
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.advance();
        match self.peek()? {
            b'u' => self.advance(),
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {
                self.advance();
                return Ok(());
            }
            other => return Err(At(other, "in string escape code")),
        }
        for _ in 0..4 {
            match self.peek()? {
                digit if digit.is_ascii_hexdigit() => self.advance(),
                other => return Err(At(other, "in \\u hexadecimal character escape")),
            }
        }
        Ok(())
    }

    /// A number may end with the text, where it may end at all.
    fn number(&mut self) -> Result<(), Fault> {
        if self.peek()? == b'-' {
            self.advance();
        }
        match self.peek()? {
            b'0' => self.advance(),
            b'1'..=b'9' => self.digits(),
            other => return Err(At(other, "in numeric literal")),
        }
        if self.rest.first() == Some(&b'.') {
            self.advance();
            match self.peek()? {
                b'0'..=b'9' => self.digits(),
                other => return Err(At(other, "after decimal point in numeric literal")),
            }
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            self.advance();
            if matches!(self.peek()?, b'+' | b'-') {
                self.advance();
            }
            match self.peek()? {
                b'0'..=b'9' => self.digits(),
                other => return Err(At(other, "in exponent of numeric literal")),
            }
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.rest.first().is_some_and(u8::is_ascii_digit) {
            self.advance();
        }
    }

    fn past_space(&mut self) -> Result<u8, Fault> {
        while matches!(self.rest.first(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.advance();
        }
        self.peek()
    }

    fn peek(&self) -> Result<u8, Fault> {
        self.rest.first().copied().ok_or(End)
    }

    fn advance(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }
}

/// A byte as Go quotes it, taken for a character of Latin-1.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        byte if byte < 0x20 || byte == 0x7f => format!("'\\x{byte:02x}'"),
        // What Unicode has no picture for.
        byte @ (0x80..=0xa0 | 0xad) => format!("'\\u{byte:04x}'"),
        byte => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::{complaint, duplicates};

    #[test]
    fn what_is_wrong_is_said_in_gos_words() {
        for (text, words) in [
            ("{bad", "invalid character 'b' looking for beginning of object key string"),
            ("{\"a\":1", "unexpected end of JSON input"),
            ("apiVersion", "invalid character 'a' looking for beginning of value"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("[truth]", "invalid character 't' in literal true (expecting 'e')"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
            ("", "unexpected end of JSON input"),
        ] {
            assert_eq!(complaint(text.as_bytes()).as_deref(), Some(words), "{text}");
        }
    }

    #[test]
    fn of_json_nothing_is_said_unless_it_is_deeper_than_go_goes() {
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for text in ["{\"a\": [1, -2.5e3, true, null, \"\\u00e9\"], \"b\": {}}", "0", &deep(10_000)] {
            assert_eq!(complaint(text.as_bytes()), None);
        }
        assert_eq!(complaint(deep(10_001).as_bytes()).as_deref(), Some("exceeded max depth"));
    }

    #[test]
    fn fields_that_are_given_twice_are_named_once_each() {
        let text = r#"{"spec":{"a":1,"a":2,"a":3,"list":[{"b":1},{"b":1,"b":2}]},"spec":{}}"#;
        assert_eq!(duplicates(text.as_bytes()), ["spec.a", "spec.list[1].b", "spec"]);
    }
}
