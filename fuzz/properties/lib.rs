//! What has to hold of the decoders, whatever they are fed.
//!
//! A decoder of a stranger's bytes has tests for what somebody has thought of. Here is the rest: each module has one
//! property, a function that takes any bytes and panics where the property does not hold, and the seeds from which a search
//! for such bytes begins: what a real API server has once said (`fixtures/`), and files by hand (`fuzz/seeds`).
//!
//! | property | of | what holds |
//! |---|---|---|
//! | [`watch`] | the lines of a watch, the items of a list | where a chunk ends makes no difference; a line is bounded; two decoders agree whose object it is |
//! | [`admission`] | the webhook's answer | it is an answer to this question, whatever the question |
//! | [`mcp`] | a check of an MCP server | it ends, within its bounds, with one line that moves no cursor |
//! | [`mcpserver`] | the children of an MCPServer | what can be decoded can be built, and the order of keys says nothing |
//!
//! The same functions run in two places: `make fuzz` searches, with libFuzzer; `tests/fuzz.rs`, on stable Rust and without
//! it, runs them on all seeds and some thousand variations at every `make test`, so that neither they nor the seeds rot.

pub mod admission;
pub mod chunks;
pub mod json;
pub mod mcp;
pub mod mcpserver;
pub mod recordings;
pub mod watch;

use std::path::Path;

/// A property, and where to begin to search for what breaks it.
pub struct Target {
    /// Its name, which is also that of the folder of its seeds.
    pub name: &'static str,
    /// Panics if the property does not hold of these bytes.
    pub holds: fn(&[u8]),
    /// Inputs from recordings; those by hand are in `fuzz/seeds`.
    pub recorded: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 4] = [
    Target { name: "watch", holds: watch::holds, recorded: watch::recorded },
    Target { name: "admission", holds: admission::holds, recorded: admission::recorded },
    Target { name: "mcp", holds: mcp::holds, recorded: Vec::new },
    Target { name: "mcpserver", holds: mcpserver::holds, recorded: mcpserver::recorded },
];

/// The target of this name.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("the name of a target")
}

impl Target {
    /// Where to begin: the recordings, and then the files by hand, in the order of their names.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let by_hand = recordings::files(&recordings::root().join("fuzz/seeds").join(self.name), "");
        let mut seeds = (self.recorded)();
        seeds.extend(by_hand.into_iter().map(|file| recordings::read(&file)));
        seeds
    }

    /// Writes each seed into a file of its own, where libFuzzer reads them.
    pub fn write_seeds(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for the seeds");
        for (number, seed) in self.seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a file for a seed");
        }
    }
}
