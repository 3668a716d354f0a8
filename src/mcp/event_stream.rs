//! Server-sent events, cut out of a stream of bytes.
//!
//! ```text
//! : a comment⏎
//! event: message⏎
//! data: {"jsonrpc":"2.0",⏎
//! data: "id":1,"result":{}}⏎
//! ⏎                                   <- only now it is an event
//! ```
//!
//! Lines end with CR, LF or both, a chunk may end anywhere, and what stands after the last empty line is no event. The
//! reader has no bound of its own: whoever feeds it counts the bytes. What it holds is never more than it was fed.
//!
//! The format is the [HTML standard's](https://html.spec.whatwg.org/multipage/server-sent-events.html). `id` and `retry`
//! are for clients that reconnect, which this one doesn't.

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// `message` unless the stream says something else.
    pub(super) kind: String,
    /// Its lines, joined.
    pub(super) data: String,
}

/// The unfinished end of a stream.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    line: Vec<u8>,
    /// The last byte was a CR: an LF after it ends no other line.
    after_cr: bool,
    /// At least one line was read: a byte order mark may only stand before it.
    begun: bool,
    kind: String,
    /// The lines of data, each with its end.
    data: String,
}

impl EventStream {
    /// The next event in `input`, which is left with the bytes after it. `None`: all bytes are read.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Event> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            let event = match byte {
                b'\n' if after_cr => None,
                b'\n' | b'\r' => self.line_ended(),
                byte => {
                    self.line.push(byte);
                    None
                }
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn line_ended(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if self.begun { &*line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // A comment, whose field is empty, or a field that is not for us.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let (mut kind, mut data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        // Without any data there is no event; with one empty line of it there is.
        data.pop()?;
        if kind.is_empty() {
            "message".clone_into(&mut kind);
        }
        Some(Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut stream = EventStream::default();
        let mut events = Vec::new();
        for mut chunk in chunks.iter().copied() {
            while let Some(Event { kind, data }) = stream.next(&mut chunk) {
                events.push((kind, data));
            }
        }
        events
    }

    fn event(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn an_event_is_its_lines_of_data_and_ends_with_an_empty_line() {
        let text = b"\xef\xbb\xbf: hello\nid: 1\ndata:\n\nevent: endpoint\ndata: /messages\n\ndata:{\"a\":\ndata:1}\n\nnothing\n\ndata: half";
        assert_eq!(
            events(&[text]),
            [event("message", ""), event("endpoint", "/messages"), event("message", "{\"a\":\n1}")]
        );
    }

    #[test]
    fn lines_end_with_cr_or_lf_or_both() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("event: a{end}data: 1{end}data: 2{end}{end}data: 3{end}{end}");
            assert_eq!(events(&[text.as_bytes()]), [event("a", "1\n2"), event("message", "3")], "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn where_a_chunk_ends_makes_no_difference(text in "(data|event|:|: |\r|\n|x|ü|\u{feff}){0,60}", cut in any::<prop::sample::Index>()) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(events(&[head, tail]), events(&[bytes]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(events(&single), events(&[bytes]));
        }
    }
}
