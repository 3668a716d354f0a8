//! Leases (`coordination.k8s.io/v1`).

use serde_json::{Value, json};

use super::field::{Causes, int};

/// Checks a Lease. A Lease without holder or times is fine: nobody has it.
pub(super) fn validate(lease: &Value, causes: &mut Causes) {
    let spec = &lease["spec"];
    if let Some(seconds) = int(spec, "leaseDurationSeconds").filter(|s| *s <= 0) {
        let field = "spec.leaseDurationSeconds";
        causes.invalid(field, &json!(seconds), "must be greater than 0");
    }
    causes.non_negative("spec.leaseTransitions", int(spec, "leaseTransitions"));
}
