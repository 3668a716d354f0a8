//! The properties that `make fuzz` searches to break, held against all seeds and some variations of them.
//!
//! No search: that takes minutes, and a fuzzer. But whatever it has found once is a seed, and stays mended.

#[path = "../fuzz/properties/lib.rs"]
pub mod properties;

use std::collections::BTreeSet;
use std::path::Path;
use std::{fmt, fs};

use proptest::prelude::*;
use proptest::sample::Index;

use properties::{TARGETS, Target, recordings, target};

/// A change to some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Put(Index, u8),
    Insert(Index, &'static str),
    Cut(Index, Index),
    Repeat(Index, Index),
    End(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let words =
        ["{", "}", "[", "]", "\"", "\\", "\n", "\r\n", ",", ":", "null", "-1", "1e999", "\\ud800", "\u{0}", "ü", "~~~"];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (any::<Index>(), prop::sample::select(words.to_vec())).prop_map(|(at, word)| Edit::Insert(at, word)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Cut(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        any::<Index>().prop_map(Edit::End),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let range = |one: &Index, other: &Index| place(one).min(place(other))..place(one).max(place(other));
        match self {
            Self::Put(at, byte) => {
                let at = place(at);
                bytes.splice(at..bytes.len().min(at + 1), [*byte]);
            }
            Self::Insert(at, word) => {
                let at = place(at);
                bytes.splice(at..at, word.bytes());
            }
            Self::Cut(from, to) => drop(bytes.drain(range(from, to))),
            Self::Repeat(from, to) => {
                let range = range(from, to);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Self::End(at) => bytes.truncate(place(at)),
        }
    }
}

/// Bytes that are mostly text.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One of the seeds, changed a little.
fn variation(target: &Target) -> impl Strategy<Value = Bytes> + use<> {
    (prop::sample::select(target.seeds()), prop::collection::vec(edit(), 0..5)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        Bytes(bytes)
    })
}

#[test]
fn every_property_holds_of_nothing_and_of_all_of_its_seeds() {
    for Target { name, holds, recorded: _ } in &TARGETS {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("seeds-{}-{name}", std::process::id()));
        target(name).write_seeds(&folder);
        let seeds = recordings::files(&folder, "");
        assert!(seeds.len() >= 8, "{name} has {} seeds", seeds.len());
        holds(b"");
        for seed in seeds {
            println!("{}", seed.display());
            holds(&recordings::read(&seed));
        }
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn every_property_is_one_that_is_searched() {
    let fuzz = recordings::root().join("fuzz");
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let stem = |file: &std::path::PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let targets: BTreeSet<String> = recordings::files(&fuzz.join("targets"), ".rs").iter().map(stem).collect();
    assert_eq!(targets, names);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let makefile = fs::read_to_string(recordings::root().join("Makefile")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        assert!(
            makefile.lines().any(|line| line.starts_with("FUZZ_TARGETS") && line.split(' ').any(|word| word == name))
        );
    }
    for folder in fs::read_dir(fuzz.join("seeds")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "nobody reads fuzz/seeds/{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn where_a_watch_is_cut_makes_no_difference(Bytes(bytes) in variation(target("watch"))) {
        (target("watch").holds)(&bytes);
    }

    #[test]
    fn whatever_the_webhook_is_asked_it_answers_that(Bytes(bytes) in variation(target("admission"))) {
        (target("admission").holds)(&bytes);
    }

    #[test]
    fn whatever_a_server_answers_its_check_ends_with_one_line(Bytes(bytes) in variation(target("mcp"))) {
        (target("mcp").holds)(&bytes);
    }

    #[test]
    fn what_can_be_decoded_can_be_built(Bytes(bytes) in variation(target("mcpserver"))) {
        (target("mcpserver").holds)(&bytes);
    }
}
