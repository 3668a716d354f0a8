//! EndpointSlices: stored as the controller makes them.

use super::field::{default as fill, list_mut};
use serde_json::Value;

/// Fills in each port: clients read the name of one that has none.
pub(super) fn default(slice: &mut Value) {
    for port in list_mut(slice, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}
