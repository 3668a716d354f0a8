//! What Go says of a text that is not JSON (`encoding/json`, scanner.go).
//!
//! Clients show these words to people. The text is read once more only where the real reader has refused it, with a stack
//! of its own, so that no depth of nesting is too deep.

/// The words for what is wrong with this text; `None`, where Go would find nothing wrong.
pub(crate) fn complaint(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { rest: text };
    match scanner.document() {
        Ok(()) => None,
        Err(End) => Some("unexpected end of JSON input".to_owned()),
        Err(At(byte, context)) => Some(format!("invalid character {} {context}", quoted(byte))),
    }
}

enum Fault {
    End,
    At(u8, &'static str),
}

use Fault::{At, End};

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Object,
    Array,
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        let mut open: Vec<Inside> = Vec::new();
        loop {
            // A value begins here.
            match self.past_space()? {
                b'{' => {
                    self.advance();
                    if self.past_space()? != b'}' {
                        self.key()?;
                        open.push(Inside::Object);
                        continue;
                    }
                    self.advance();
                }
                b'[' => {
                    self.advance();
                    if self.past_space()? != b']' {
                        open.push(Inside::Array);
                        continue;
                    }
                    self.advance();
                }
                first => self.scalar(first)?,
            }
            // And has ended here; perhaps with it what it is in.
            loop {
                let Some(inside) = open.last().copied() else { return self.end() };
                match (inside, self.past_space()?) {
                    (Inside::Object, b',') => {
                        self.advance();
                        self.past_space()?;
                        self.key()?;
                        break;
                    }
                    (Inside::Array, b',') => {
                        self.advance();
                        break;
                    }
                    (Inside::Object, b'}') | (Inside::Array, b']') => {
                        self.advance();
                        open.pop();
                    }
                    (Inside::Object, other) => return Err(At(other, "after object key:value pair")),
                    (Inside::Array, other) => return Err(At(other, "after array element")),
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.past_space() {
            Err(_) => Ok(()),
            Ok(byte) => Err(At(byte, "after top-level value")),
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            b'"' => self.string()?,
            other => return Err(At(other, "looking for beginning of object key string")),
        }
        match self.past_space()? {
            b':' => {
                self.advance();
                Ok(())
            }
            other => Err(At(other, "after object key")),
        }
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string(),
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

    fn string(&mut self) -> Result<(), Fault> {
        self.advance();
        loop {
            match self.peek()? {
                b'"' => {
                    self.advance();
                    return Ok(());
                }
                b'\\' => {
                    self.advance();
                    match self.peek()? {
                        b'u' => {
                            self.advance();
                            for _ in 0..4 {
                                match self.peek()? {
                                    digit if digit.is_ascii_hexdigit() => self.advance(),
                                    other => return Err(At(other, "in \\u hexadecimal character escape")),
                                }
                            }
                        }
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.advance(),
                        other => return Err(At(other, "in string escape code")),
                    }
                }
                control if control < 0x20 => return Err(At(control, "in string literal")),
                _ => self.advance(),
            }
        }
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
        byte => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::complaint;

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
    fn of_json_nothing_is_said_however_deep_it_is() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["{\"a\": [1, -2.5e3, true, null, \"\\u00e9\"], \"b\": {}}", "0", &deep] {
            assert_eq!(complaint(text.as_bytes()), None);
        }
    }
}
