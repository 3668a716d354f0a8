//! Whole lines out of chunks that may end anywhere.

use bytes::{Buf, Bytes, BytesMut};

/// Collects chunks and returns whole lines.
///
/// Invariants: `buffer` holds the bytes that were not returned as part of a line yet; its first `searched` bytes
/// contain no newline, so a long line that arrives in many chunks is searched once, not once per chunk.
///
/// A line is handed out as a slice of the buffer it arrived in: no copy, no allocation.
#[derive(Debug)]
pub struct Lines {
    buffer: BytesMut,
    searched: usize,
    limit: usize,
}

/// A line exceeded the limit. What follows in the stream can't be assumed to be the start of another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the watch is longer than {limit} bytes")]
pub struct LineTooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

impl Lines {
    /// An object in etcd has at most about 1.5 MiB; a line ten times as long is not an object.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

    /// A decoder that refuses lines of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, limit }
    }

    /// Takes the next chunk of the stream, of any size, ending anywhere.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line without its line end, or `None` until more bytes arrive. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`], and then again on every call: the stream has to be abandoned.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        loop {
            let Some(newline) = self.find_newline() else {
                return if self.buffer.len() > self.limit { Err(LineTooLong { limit: self.limit }) } else { Ok(None) };
            };
            if newline > self.limit {
                return Err(LineTooLong { limit: self.limit });
            }
            let mut line = self.buffer.split_to(newline);
            self.buffer.advance(1);
            self.searched = 0;
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if !line.is_empty() {
                return Ok(Some(line.freeze()));
            }
        }
    }

    fn find_newline(&mut self) -> Option<usize> {
        let found = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        let newline = found.map(|offset| self.searched + offset);
        if newline.is_none() {
            self.searched = self.buffer.len();
        }
        newline
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next_line().unwrap())
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_whole_only_with_its_end() {
        let mut lines = Lines::default();
        lines.push(b"{\"a\":");
        assert_eq!(drain(&mut lines), [""; 0]);
        assert_eq!(lines.buffer.len(), 5);
        lines.push(b"1}\n{\"b\"");
        assert_eq!(drain(&mut lines), ["{\"a\":1}"]);
        assert_eq!(lines.buffer.len(), 4);
    }

    #[test]
    fn carriage_returns_and_empty_lines_are_not_events() {
        let mut lines = Lines::default();
        lines.push(b"\r\n\none\r\n\n\r\ntwo\n");
        assert_eq!(drain(&mut lines), ["one", "two"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let mut lines = Lines::new(4);
        lines.push(b"1234\n");
        assert_eq!(drain(&mut lines), ["1234"]);
        lines.push(b"12345\n");
        assert_eq!(lines.next_line(), Err(LineTooLong { limit: 4 }));
    }

    #[test]
    fn by_default_the_largest_object_of_etcd_passes_and_ten_times_as_much_does_not() {
        let object = vec![b'x'; 3 << 19];
        let mut lines = Lines::default();
        lines.push(&object);
        lines.push(b"\n");
        assert_eq!(lines.next_line().unwrap().unwrap().len(), object.len());
        (0..11).for_each(|_| lines.push(&object));
        assert!(lines.next_line().is_err());
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit_and_not_collected() {
        let mut lines = Lines::new(1024);
        for _ in 0..16 {
            lines.push(&[b'x'; 64]);
            assert_eq!(lines.next_line(), Ok(None));
        }
        lines.push(b"x");
        assert_eq!(lines.next_line(), Err(LineTooLong { limit: 1024 }));
    }

    #[test]
    fn lines_of_one_chunk_share_its_memory() {
        let mut lines = Lines::default();
        lines.push(b"first\nsecond\n");
        let first = lines.next_line().unwrap().unwrap();
        let second = lines.next_line().unwrap().unwrap();
        assert_eq!(first.as_ptr() as usize + b"first\n".len(), second.as_ptr() as usize);
    }

    proptest! {
        #[test]
        fn where_the_chunks_are_cut_changes_nothing(
            texts in proptest::collection::vec("[a-zäß🦀 {}\"]{1,40}", 0..12),
            cuts in proptest::collection::vec(1_usize..23, 1..60),
        ) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| format!("{text}\n").into_bytes()).collect();
            let mut lines = Lines::default();
            let (mut rest, mut seen) = (stream.as_slice(), Vec::new());
            for cut in cuts.into_iter().cycle() {
                let (chunk, tail) = rest.split_at(cut.min(rest.len()));
                lines.push(chunk);
                seen.extend(drain(&mut lines));
                rest = tail;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(seen, texts);
            prop_assert!(lines.buffer.is_empty());
        }
    }
}
