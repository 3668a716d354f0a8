//! Searches for bytes of which [`properties::mcpserver`] does not hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use properties::{mcpserver, recordings, target};

fuzz_target!(
    init: target("mcpserver").write_seeds(&recordings::root().join("fuzz/corpus/mcpserver")),
    |bytes: &[u8]| mcpserver::holds(bytes)
);
