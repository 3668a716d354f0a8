//! Searches for bytes of which [`properties::admission`] does not hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use properties::{admission, recordings, target};

fuzz_target!(
    init: target("admission").write_seeds(&recordings::root().join("fuzz/corpus/admission")),
    |bytes: &[u8]| admission::holds(bytes)
);
