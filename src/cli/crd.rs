//! `smooth-operator crd`.

use anyhow::Context as _;

use crate::api::crd;

/// Prints the definition.
///
/// # Errors
///
/// Standard output can't be written to.
pub fn print() -> anyhow::Result<()> {
    super::print(&crd::yaml().context("the CRD can't be written as YAML")?)
}
