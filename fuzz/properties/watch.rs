//! A watch and a list, from bytes to objects.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use smooth_operator::api::MCPServer;
use smooth_operator::mcpserver::children::{Deployment, Secret, Service};
use smooth_operator::mcpserver::extras::{Budget, Extra};
use smooth_operator::mcpserver::pods::Pod;
use smooth_operator::object::Object;
use smooth_operator::watch::{Event, Identity, Lines, ListMeta, ListSplitter};

use super::chunks::cuttings;
use super::recordings::{exchanges, streams};

/// Shorter than most lines.
const TIGHT: usize = 200;

/// The lines of a stream, and whether it is given up because of one that is too long.
#[derive(Debug, PartialEq)]
struct Read {
    lines: Vec<Vec<u8>>,
    too_long: bool,
}

/// Bytes are read as the lines of a watch, each line as an event, each object as each kind; and all of it as one list.
pub fn holds(bytes: &[u8]) {
    for limit in [Lines::DEFAULT_LIMIT, TIGHT] {
        let expected = split(bytes, limit);
        for pieces in cuttings(bytes) {
            assert_eq!(read(&pieces, limit), expected);
        }
    }
    for line in split(bytes, usize::MAX).lines {
        event(&line);
    }
    list(bytes);
}

/// The simplest way to do it, for somebody who has everything at once.
fn split(mut rest: &[u8], limit: usize) -> Read {
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        if end > limit {
            return Read { lines, too_long: true };
        }
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
        rest = &rest[end + 1..];
    }
    Read { lines, too_long: rest.len() > limit }
}

fn read(pieces: &[&[u8]], limit: usize) -> Read {
    let mut decoder = Lines::new(limit);
    let (mut lines, mut unfinished) = (Vec::new(), 0);
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_line() {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => {
                    assert!(decoder.next_line().is_err(), "what follows a line that is too long is no line");
                    return Read { lines, too_long: true };
                }
            }
        }
        unfinished = match piece.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => piece.len() - end - 1,
            None => unfinished + piece.len(),
        };
        assert!(unfinished <= limit, "{unfinished} bytes of one line are kept");
    }
    Read { lines, too_long: false }
}

fn event(line: &[u8]) {
    let object = match Event::decode(line) {
        Ok(Event::Added(object) | Event::Modified(object) | Event::Deleted(object)) => object.get(),
        Ok(Event::Error(status)) => {
            let _shown = (status.to_string(), status.is_gone(), status.is_version_too_large());
            return;
        }
        Ok(Event::Bookmark { .. }) | Err(_) => return,
    };
    assert!(within(object.as_bytes(), line), "the object is not copied");
    one::<MCPServer>(object);
    one::<Deployment>(object);
    one::<Service>(object);
    one::<Secret>(object);
    one::<Pod>(object);
    one::<Extra<Budget>>(object);
}

fn within(part: &[u8], whole: &[u8]) -> bool {
    let Range { start, end } = part.as_ptr_range();
    whole.as_ptr_range().start <= start && end <= whole.as_ptr_range().end
}

/// Whatever is decoded of an object, it is the same object.
fn one<K: Object>(object: &str) {
    let Ok(decoded) = K::decode(object) else { return };
    let Identity { key, uid, resource_version } =
        Identity::decode(object).expect("whoever reads it all reads who it is");
    let meta = decoded.meta();
    assert_eq!((&key, &uid, &resource_version), (&meta.key, &meta.uid, &meta.resource_version));
}

/// The list splitter looks at brackets only. What it makes of them is the same however they arrive, and where it takes
/// something for a list, a real parser finds the same items in it.
fn list(bytes: &[u8]) {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default, borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    for limit in [Lines::DEFAULT_LIMIT, TIGHT] {
        let [(items, meta), ref others @ ..] = cuttings(bytes).map(|pieces| list_of(&pieces, limit));
        for other in others {
            assert_eq!(*other, (items.clone(), meta.clone()));
        }
        let (Some(_), Ok(list)) = (meta, serde_json::from_slice::<List<'_>>(bytes)) else { continue };
        let expected = list.items.into_iter().flatten().map(RawValue::get);
        let expected: Vec<&str> = expected.filter(|item| item.starts_with(['{', '['])).collect();
        let items: Vec<&str> = items.iter().map(|item| std::str::from_utf8(item).expect("an item is text")).collect();
        assert_eq!(items, expected);
    }
}

fn list_of(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, Option<ListMeta>) {
    let mut splitter = ListSplitter::new(limit);
    let mut items = Vec::new();
    for piece in pieces {
        if splitter.push(piece, |item| items.push(item.to_owned())).is_err() {
            return (items, None);
        }
    }
    assert!(items.iter().all(|item| item.len() <= limit));
    let meta = splitter.finish().ok();
    (items, meta)
}

/// Streams, and lists, of all kinds. Of a long stream a few pairs of lines: a search in half a megabyte takes for ever.
pub fn recorded() -> Vec<Vec<u8>> {
    let pairs = |stream: &Vec<u8>| -> Vec<Vec<u8>> {
        let lines: Vec<&[u8]> = stream.split_inclusive(|byte| *byte == b'\n').collect();
        lines.chunks(2).step_by(1 + lines.len() / 16).map(<[&[u8]]>::concat).collect()
    };
    let mut seeds: Vec<Vec<u8>> =
        ["watch", "rollout"].into_iter().flat_map(streams).flat_map(|it| pairs(&it)).collect();
    for group in ["mcpservers", "deployments", "secrets", "services"] {
        for exchange in exchanges(group) {
            let body = &exchange["response"]["body"];
            if body["items"].is_array() {
                seeds.push(body.to_string().into_bytes());
            }
        }
    }
    seeds
}
