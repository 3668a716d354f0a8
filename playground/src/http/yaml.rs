//! Values as YAML, as the API server writes it: `sigs.k8s.io/yaml`, which is go-yaml's second version on a JSON value.
//!
//! Keys are sorted, lists are not indented below their key, and a string is bare where
//! nobody can take it for something else. Long lines break at spaces behind the 80th column; nobody reads them
//! otherwise, but whoever compares answers sees the same text.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Behind this column a line breaks at the next space.
const WIDTH: usize = 80;

/// The document of a value.
pub(super) fn document(value: &Value) -> String {
    let mut writer = Writer { text: String::new(), column: 0 };
    match value {
        Value::Object(members) if !members.is_empty() => writer.members(members, 0),
        Value::Array(items) if !items.is_empty() => writer.items(items, 0),
        scalar => writer.scalar(scalar, 0),
    }
    if !writer.text.ends_with('\n') {
        writer.text.push('\n');
    }
    writer.text
}

struct Writer {
    text: String,
    /// How many characters stand on the line that is being written.
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// The first member stands where the writer is, the others on lines of their own.
    fn members(&mut self, members: &Map<String, Value>, indent: usize) {
        // Not a sort: this order has circles, which a sort may refuse to go round.
        let mut sorted: Vec<(&String, &Value)> = Vec::with_capacity(members.len());
        for member in members {
            let at = sorted.partition_point(|known| before(known.0, member.0));
            sorted.insert(at, member);
        }
        for (at, (name, value)) in sorted.into_iter().enumerate() {
            if at > 0 {
                self.line(indent);
            }
            // A key is never broken, so it is written as if the line had no end.
            self.put(&key(name));
            self.put(":");
            match value {
                Value::Object(below) if !below.is_empty() => {
                    self.line(indent + 2);
                    self.members(below, indent + 2);
                }
                Value::Array(below) if !below.is_empty() => {
                    self.line(indent);
                    self.items(below, indent);
                }
                scalar => {
                    self.put(" ");
                    self.scalar(scalar, indent + 2);
                }
            }
        }
    }

    fn items(&mut self, items: &[Value], indent: usize) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.line(indent);
            }
            self.put("- ");
            match item {
                Value::Object(below) if !below.is_empty() => self.members(below, indent + 2),
                Value::Array(below) if !below.is_empty() => self.items(below, indent + 2),
                scalar => self.scalar(scalar, indent + 2),
            }
        }
    }

    /// `indent`: of the lines that it may go on in.
    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::String(text) => match style(text) {
                Style::Plain => self.folded(text, indent),
                Style::Single => {
                    self.put("'");
                    self.folded(&text.replace('\'', "''"), indent);
                    self.put("'");
                }
                Style::Double => {
                    self.put("\"");
                    self.folded(&escaped(text), indent);
                    self.put("\"");
                }
                Style::Literal => self.literal(text, indent),
            },
            Value::Object(_) => self.put("{}"),
            Value::Array(_) => self.put("[]"),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.put(&value.to_string()),
        }
    }

    /// A text that breaks at single spaces, once its line is long enough.
    fn folded(&mut self, text: &str, indent: usize) {
        let characters: Vec<char> = text.chars().collect();
        for (at, character) in characters.iter().enumerate() {
            let around = (at.checked_sub(1).and_then(|at| characters.get(at)), characters.get(at + 1));
            let alone = matches!(around, (Some(before), Some(after)) if *before != ' ' && *after != ' ');
            if *character == ' ' && alone && self.column > WIDTH {
                self.line(indent);
            } else {
                self.put(character.encode_utf8(&mut [0; 4]));
            }
        }
    }

    /// Lines as they are. `-` and `+` say how many line breaks are at the end: none, or more than one.
    fn literal(&mut self, text: &str, indent: usize) {
        let body = text.trim_end_matches('\n');
        let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
        let chomping = match text.len() - body.len() {
            0 => "-",
            1 if !body.is_empty() => "",
            _ => "+",
        };
        self.put("|");
        self.put(hint);
        self.put(chomping);
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.line(if line.is_empty() { 0 } else { indent });
            self.put(line);
        }
    }
}

/// How a string is written.
#[derive(Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str) -> Style {
    let printable = |character: char| {
        let known = !character.is_control() && character != '\u{feff}' && u32::from(character) <= 0xffff;
        character == '\n' || known
    };
    if !text.chars().all(printable) || is_something_else(text) {
        return Style::Double;
    }
    if text.contains('\n') {
        let space_before_break = text.contains(" \n") || text.ends_with(' ');
        return if space_before_break { Style::Double } else { Style::Literal };
    }
    if is_plain(text) { Style::Plain } else { Style::Single }
}

fn key(name: &str) -> String {
    match style(name) {
        Style::Plain => name.to_owned(),
        Style::Single => format!("'{}'", name.replace('\'', "''")),
        Style::Double | Style::Literal => format!("\"{}\"", escaped(name)),
    }
}

/// What bare would be read as a truth, as nothing, as a number or a time.
fn is_something_else(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "+.inf", "-.inf"];
    // `true`, `True` and `TRUE`, but not `tRUE`.
    let shape = |word: &str| {
        let mut capitalized = word.to_owned();
        if let Some(first) = capitalized.find(char::is_alphabetic) {
            capitalized[first..=first].make_ascii_uppercase();
        }
        text == word || text == capitalized || text == word.to_ascii_uppercase()
    };
    let is_word = WORDS.into_iter().any(shape) || matches!(text, ".nan" | ".NaN" | ".NAN");
    is_word || is_number(text) || is_time(text)
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return false;
    }
    let digits = unsigned.replace('_', "");
    let of_radix = |prefix: &str, radix: u32| {
        let digits = digits.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
    };
    let decimal = digits.chars().all(|character| matches!(character, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    of_radix("0x", 16)
        || of_radix("0b", 2)
        || of_radix("0o", 8)
        || is_sexagesimal(&digits)
        || decimal && digits.parse::<f64>().is_ok()
}

/// `190:20:30`, as YAML 1.1 had it: digits below 60 behind each colon.
fn is_sexagesimal(digits: &str) -> bool {
    let mut parts = digits.split(':');
    let whole = parts.next().is_some_and(|first| first.chars().all(|digit| digit.is_ascii_digit()));
    let mut parts = parts.peekable();
    let below_sixty = |part: &str| matches!(part.len(), 1 | 2) && part.parse::<u8>().is_ok_and(|number| number < 60);
    whole && parts.peek().is_some() && parts.all(below_sixty)
}

/// A date, or a date and a time: with a zone behind a `T`, without one behind a space.
fn is_time(text: &str) -> bool {
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>, values: std::ops::RangeInclusive<u32>| {
        let digits = text.chars().all(|digit| digit.is_ascii_digit()) && lengths.contains(&text.len());
        digits && text.parse().is_ok_and(|number| values.contains(&number))
    };
    let clock = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let parts: Vec<&str> = whole.split(':').collect();
        let [hours, minutes, seconds] = parts.as_slice() else { return false };
        let in_range = number(hours, 1..=2, 0..=23) && number(minutes, 1..=2, 0..=59) && number(seconds, 1..=2, 0..=59);
        in_range && fraction.chars().all(|digit| digit.is_ascii_digit())
    };
    let zoned = |text: &str| match (text.strip_suffix('Z'), text.rfind(['+', '-'])) {
        (Some(bare), _) => clock(bare),
        (None, Some(at)) => {
            let zone = text[at + 1..].split_once(':');
            clock(&text[..at]) && zone.is_some_and(|(h, m)| number(h, 2..=2, 0..=23) && number(m, 2..=2, 0..=59))
        }
        (None, None) => false,
    };
    let at = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, rest) = text.split_at(at);
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let dated = number(year, 4..=4, 0..=9999) && number(month, 1..=2, 1..=12) && number(day, 1..=2, 1..=31);
    dated
        && match rest.chars().next() {
            None => true,
            Some(' ') => clock(&rest[1..]),
            Some(_) => zoned(&rest[1..]),
        }
}

fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    let second = characters.next();
    let indicates = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '-' | '?' | ':' => second.is_none_or(|second| second == ' '),
        _ => false,
    };
    let separates = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    let framed = text.starts_with(' ') || text.ends_with(' ') || text.starts_with("---") || text.starts_with("...");
    !(indicates || separates || framed)
}

fn escaped(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{1b}' => quoted.push_str("\\e"),
            '\u{85}' => quoted.push_str("\\N"),
            '\u{feff}' => quoted.push_str("\\uFEFF"),
            control if control.is_control() => _ = write!(quoted, "\\x{:02X}", u32::from(control)),
            beyond if u32::from(beyond) > 0xffff => _ = write!(quoted, "\\U{:08X}", u32::from(beyond)),
            other => quoted.push(other),
        }
    }
    quoted
}

/// go-yaml's order of keys: letters after everything else, and numbers by their value. Not transitive.
fn before(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let Some(at) = one.iter().zip(&other).position(|(left, right)| left != right) else {
        return one.len() < other.len();
    };
    let (left, right) = (one[at], other[at]);
    match (left.is_alphabetic(), right.is_alphabetic()) {
        (true, true) => left < right,
        (true, false) => false,
        (false, true) => true,
        (false, false) => {
            // A nought within a number counts; one at its beginning does not.
            let begun = one[..at].iter().rev().take_while(|digit| digit.is_ascii_digit()).any(|digit| *digit != '0');
            let lead = u64::from(begun && (left == '0' || right == '0'));
            let number = |text: &[char]| {
                let digits: Vec<u32> = text.iter().map_while(|digit| digit.to_digit(10)).collect();
                let value = |sum: u64, digit: &u32| sum.saturating_mul(10).saturating_add(u64::from(*digit));
                (digits.iter().fold(lead, value), digits.len())
            };
            (number(&one[at..]), left) < (number(&other[at..]), right)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::document;

    /// The real server's answer to a request for the same values.
    #[test]
    fn a_string_is_written_as_the_api_server_writes_it() {
        let values: Value = serde_json::from_str(include_str!("yaml/values.json")).unwrap();
        let (written, wanted) = (document(&values), include_str!("yaml/values.yaml"));
        for (written, wanted) in written.lines().zip(wanted.lines()) {
            assert_eq!(written, wanted);
        }
        assert_eq!(written, wanted);
    }

    #[test]
    fn lists_stand_below_their_key_and_what_is_empty_stays_on_its_line() {
        let value = json!({"b": [[1, 2], {"x": null, "a": [true]}, []], "a": {}, "c": 1.5});
        let wanted = "a: {}\nb:\n- - 1\n  - 2\n- a:\n  - true\n  x: null\n- []\nc: 1.5\n";
        assert_eq!(document(&value), wanted);
    }
}
