//! `smooth-operator crd`.

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

use crate::api::crd;

/// Prints the definition. A reader that closes the pipe early, `head` say, has seen enough.
///
/// # Errors
///
/// Standard output can't be written.
pub fn print() -> anyhow::Result<()> {
    let yaml = crd::yaml().context("the CRD can't be written as YAML")?;
    match std::io::stdout().write_all(yaml.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output can't be written"),
    }
}
