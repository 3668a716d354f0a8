//! Searches for bytes of which [`properties::watch`] does not hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use properties::{recordings, target, watch};

fuzz_target!(
    init: target("watch").write_seeds(&recordings::root().join("fuzz/corpus/watch")),
    |bytes: &[u8]| watch::holds(bytes)
);
