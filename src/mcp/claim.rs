//! What a server says of itself, made fit to be shown.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A short text that a server claims: its name, a version, the message of an error.
///
/// It ends up in logs, in Events and on terminals, so it is one line of at most 80 characters. Whatever could move a
/// cursor, break a line, or hide or reverse what stands beside it is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim(Box<str>);

impl Claim {
    /// How many characters are kept.
    pub const LONGEST: usize = 80;

    /// The text, cut and cleaned.
    pub fn new(text: &str) -> Self {
        let mut characters = text.trim().chars();
        let mut kept: String = characters.by_ref().take(Self::LONGEST).map(shown).collect();
        if characters.next().is_some() {
            kept.pop();
            kept.push('…');
        }
        Self(kept.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Claim {
    /// A long text is cut where it lies, without a copy.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Claim;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Claim, E> {
                Ok(Claim::new(text))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

fn shown(character: char) -> char {
    match character {
        c if c.is_whitespace() && !is_line_end(c) && !c.is_control() => ' ',
        c if c.is_control() || is_line_end(c) || is_invisible(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters without a shape of their own: soft hyphens, joiners, marks of direction, tags.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_one_short_line_that_moves_no_cursor() {
        for (said, shown) in [
            ("gofetch", "gofetch"),
            ("  Größe — 東京 \t", "Größe — 東京"),
            ("a\nlevel=error msg=forged", "a\u{fffd}level=error msg=forged"),
            ("\u{1b}[2J", "\u{fffd}[2J"),
            ("user\u{202e}nimda", "user\u{fffd}nimda"),
            ("a\u{200b}b\u{2028}c\u{a0}d\u{85}e", "a\u{fffd}b\u{fffd}c d\u{fffd}e"),
            ("", ""),
        ] {
            assert_eq!(Claim::new(said).as_str(), shown);
        }
    }

    #[test]
    fn a_claim_is_cut_at_characters_and_says_so() {
        let exactly = "ü".repeat(Claim::LONGEST);
        assert_eq!(Claim::new(&exactly).as_str(), exactly);
        let cut = Claim::new(&"ü".repeat(1 << 20));
        assert_eq!(cut.as_str().chars().count(), Claim::LONGEST);
        assert!(cut.as_str().ends_with('…'));
        let read: Claim = serde_json::from_str(&format!("{:?}", "x".repeat(1000))).unwrap();
        assert_eq!(read.as_str().chars().count(), Claim::LONGEST);
    }
}
