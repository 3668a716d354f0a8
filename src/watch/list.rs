//! The items of a LIST, read from its body without ever holding the whole list.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::object::ResourceVersion;

/// Cuts `{"kind":…,"metadata":…,"items":[{…},{…}]}` into its items as the bytes arrive.
///
/// It does not parse. It follows strings and brackets, which is enough to know where an item of the
/// top-level `items` array begins and ends; a real parser reads the item afterwards. The rest, the envelope, is a few
/// hundred bytes and is kept for [`finish`](Self::finish).
///
/// ```text
/// depth   0 │ 1                      │ 2      │ 3 …
///           { "metadata": {…}, "items": [ {item} , {item} ] }
/// ```
///
/// The order of the envelope's fields differs: built-in kinds put `metadata` before `items`, custom resources put it
/// after them.
///
/// Invariant: `item` is empty unless `place` is `Place::Item`.
#[derive(Debug)]
pub struct ListSplitter {
    place: Place,
    depth: usize,
    string: StringState,
    envelope: Vec<u8>,
    item: Vec<u8>,
    limit: usize,
}

/// Which part of the body the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Envelope,
    /// In `items`, between two of them.
    Between,
    Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// The metadata of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// The state that the list shows.
    pub resource_version: ResourceVersion,
    /// The token for the next page; empty on the last page.
    #[serde(rename = "continue", default)]
    pub continue_token: String,
}

/// The body is not a complete list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It ended early, or closes more than it opened.
    #[error("the list is cut short or malformed")]
    Malformed,
    /// An item, or the envelope, is larger than the limit.
    #[error("a part of the list is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The envelope can't be read.
    #[error("the list's metadata can't be read: {0}")]
    Envelope(#[from] serde_json::Error),
}

impl ListSplitter {
    /// A splitter that refuses items of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            place: Place::Envelope,
            depth: 0,
            string: StringState::Outside,
            envelope: Vec::new(),
            item: Vec::new(),
            limit,
        }
    }

    /// Takes the next chunk of the body and passes each item that it completes to `each`.
    ///
    /// # Errors
    ///
    /// [`ListError::TooLong`] or [`ListError::Malformed`]; the list then has to be abandoned.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), ListError> {
        for &byte in chunk {
            match self.place {
                Place::Item => self.item.push(byte),
                Place::Envelope => self.envelope.push(byte),
                Place::Between => {}
            }
            if self.item.len().max(self.envelope.len()) > self.limit {
                return Err(ListError::TooLong { limit: self.limit });
            }
            if !self.follow_string(byte) {
                self.follow_bracket(byte, &mut each)?;
            }
        }
        Ok(())
    }

    /// Ends the body and returns the list's metadata.
    ///
    /// # Errors
    ///
    /// The body was not a complete list.
    pub fn finish(self) -> Result<ListMeta, ListError> {
        #[derive(Deserialize)]
        struct Envelope {
            metadata: ListMeta,
            #[serde(default)]
            items: Option<Vec<IgnoredAny>>,
        }
        if self.depth != 0 || self.envelope.is_empty() {
            return Err(ListError::Malformed);
        }
        let Envelope { metadata, items } = serde_json::from_slice(&self.envelope)?;
        // Items that were not recognized as such, because their key is written as `"\u0069tems"`: a list that is taken for
        // empty would delete everything.
        if items.is_some_and(|items| !items.is_empty()) {
            return Err(ListError::Malformed);
        }
        Ok(metadata)
    }

    /// Follows string literals. Returns true if the byte belongs to one, so that brackets inside strings don't count.
    fn follow_string(&mut self, byte: u8) -> bool {
        let (next, in_string) = match (self.string, byte) {
            (StringState::Outside, b'"') => (StringState::Inside, true),
            (StringState::Outside, _) => (StringState::Outside, false),
            (StringState::Inside, b'\\') => (StringState::Escaped, true),
            (StringState::Inside, b'"') => (StringState::Outside, true),
            (StringState::Inside | StringState::Escaped, _) => (StringState::Inside, true),
        };
        self.string = next;
        in_string
    }

    fn follow_bracket(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) -> Result<(), ListError> {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                match (self.place, self.depth) {
                    (Place::Envelope, 2) if byte == b'[' && self.opens_items() => self.place = Place::Between,
                    (Place::Between, 3) => {
                        self.place = Place::Item;
                        self.item.push(byte);
                    }
                    _ => {}
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or(ListError::Malformed)?;
                match (self.place, self.depth) {
                    (Place::Item, 2) => {
                        each(&self.item);
                        self.item.clear();
                        self.place = Place::Between;
                    }
                    (Place::Between, 1) => {
                        self.envelope.push(byte);
                        self.place = Place::Envelope;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the `[` just collected is the value of the envelope's own `items`.
    fn opens_items(&self) -> bool {
        let before = self.envelope[..self.envelope.len() - 1].trim_ascii_end();
        let key = before.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        // A key that only ends with these characters, such as `"a\"items"`, has something else before them.
        let before = key.and_then(|key| key.strip_suffix(b"\"items\"")).map(<[u8]>::trim_ascii_end);
        before.is_some_and(|before| before.ends_with(b"{") || before.ends_with(b","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn split(body: &[u8], chunk: usize) -> Result<(Vec<Value>, ListMeta), ListError> {
        let mut splitter = ListSplitter::new(1 << 20);
        let mut items = Vec::new();
        for chunk in body.chunks(chunk) {
            splitter.push(chunk, |item| items.push(serde_json::from_slice(item).unwrap()))?;
        }
        Ok((items, splitter.finish()?))
    }

    #[test]
    fn the_metadata_may_come_before_or_after_the_items() {
        for body in [
            r#"{"kind":"DeploymentList","metadata":{"resourceVersion":"7","continue":"tok"},"items":[{"a":1},{"b":[{}]}]}"#,
            r#"{"apiVersion":"v1","items" : [ {"a":1} , {"b":[{}]} ],"kind":"X","metadata":{"continue":"tok","resourceVersion":"7"}}"#,
        ] {
            let (items, meta) = split(body.as_bytes(), 3).unwrap();
            assert_eq!(items, [json!({"a": 1}), json!({"b": [{}]})]);
            assert_eq!((meta.resource_version.as_str(), meta.continue_token.as_str()), ("7", "tok"));
        }
    }

    #[test]
    fn brackets_and_quotes_in_strings_do_not_count() {
        let body = br#"{"metadata":{"resourceVersion":"1"},"items":[{"s":"]}\"\\"},{"items":["{"]}]}"#;
        let (items, _) = split(body, 1).unwrap();
        assert_eq!(items, [json!({"s": "]}\"\\"}), json!({"items": ["{"]})]);
    }

    #[test]
    fn an_array_of_another_name_holds_no_items() {
        let body = br#"{"notitems":[{"a":1}],"metadata":{"resourceVersion":"1","items":[{"b":2}]},"items":[]}"#;
        let (items, _) = split(body, 5).unwrap();
        assert_eq!(items, [Value::Null; 0]);
    }

    /// Found while the properties for fuzzing were written: these items were taken for those of the list.
    #[test]
    fn a_key_that_only_ends_like_items_is_another_key() {
        let body = br#"{"metadata":{"resourceVersion":"1"},"a\"items":[{"a":1}], "items" :[{"b":2}]}"#;
        assert_eq!(split(body, 1).unwrap().0, [json!({"b": 2})]);
    }

    /// Found while the properties for fuzzing were written: such a list was taken for an empty one.
    #[test]
    fn a_list_whose_items_are_not_recognized_is_refused_and_not_empty() {
        let body = br#"{"metadata":{"resourceVersion":"1"},"\u0069tems":[{"a":1}]}"#;
        assert!(matches!(split(body, 5), Err(ListError::Malformed)));
        let nothing = br#"{"metadata":{"resourceVersion":"1"},"items":null}"#;
        assert_eq!(split(nothing, 5).unwrap().0, [Value::Null; 0]);
    }

    #[test]
    fn half_a_list_is_an_error() {
        let body = br#"{"metadata":{"resourceVersion":"1"},"items":[{"a":1},{"b":2}]}"#;
        for end in 0..body.len() {
            let half = split(&body[..end], 7);
            assert!(matches!(half, Err(ListError::Malformed)), "{}", String::from_utf8_lossy(&body[..end]));
        }
        assert!(matches!(split(b"}", 1), Err(ListError::Malformed)));
    }

    #[test]
    fn an_item_past_the_limit_is_refused() {
        let mut splitter = ListSplitter::new(64);
        let body = format!(r#"{{"items":[{{"a":"{}"}}]}}"#, "x".repeat(100));
        assert!(matches!(splitter.push(body.as_bytes(), |_| ()), Err(ListError::TooLong { limit: 64 })));
    }

    #[test]
    fn an_item_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let push = |item: &str| {
            let body = format!(r#"{{"items":[{item}],"metadata":{{"resourceVersion":"1"}}}}"#);
            let mut sizes = Vec::new();
            ListSplitter::new(64).push(body.as_bytes(), |item| sizes.push(item.len())).map(|()| sizes)
        };
        let item = |size: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(size - 8));
        assert_eq!(push(&item(64)).unwrap(), [64]);
        assert!(matches!(push(&item(65)), Err(ListError::TooLong { limit: 64 })));
    }

    proptest! {
        #[test]
        fn where_the_body_is_cut_changes_nothing(names in proptest::collection::vec("[a-z{}\\[\\]\"\\\\ä]{0,12}", 0..8), chunk in 1_usize..40) {
            let expected: Vec<Value> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
            let body = json!({"metadata": {"resourceVersion": "3"}, "items": expected.clone()}).to_string();
            let (items, _) = split(body.as_bytes(), chunk).unwrap();
            prop_assert_eq!(items, expected);
        }
    }
}
