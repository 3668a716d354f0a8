//! Searches for bytes of which [`properties::mcp`] does not hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use properties::{mcp, recordings, target};

fuzz_target!(
    init: target("mcp").write_seeds(&recordings::root().join("fuzz/corpus/mcp")),
    |bytes: &[u8]| mcp::holds(bytes)
);
