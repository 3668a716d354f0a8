//! The smallest object, for tests: metadata and nothing else.

use crate::object::{DEPLOYMENTS, Meta, Object, Resource};

#[derive(Debug, PartialEq)]
pub(super) struct Thing(pub(super) Meta);

impl Object for Thing {
    const RESOURCE: Resource = DEPLOYMENTS;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    fn meta(&self) -> &Meta {
        &self.0
    }
}
