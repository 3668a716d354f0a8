//! `smooth-operator crd`.

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

use crate::api::crd;

/// Prints the definition. If the reader closes the pipe early, as `head` does, that is not an error.
///
/// # Errors
///
/// Standard output can't be written to.
pub fn print() -> anyhow::Result<()> {
    let yaml = crd::yaml().context("the CRD can't be written as YAML")?;
    match std::io::stdout().write_all(yaml.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to standard output"),
    }
}
