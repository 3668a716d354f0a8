//! Roles that are there from the start, and roles that are put together from others.
//!
//! What the clusterrole-aggregation controller does in a real cluster happens here within the write: whoever reads `view`
//! after a role was labelled for it finds its rules there.

use std::sync::Arc;

use serde_json::Value;

use super::commit::Live;
use super::write::WriteOptions;
use super::{Cluster, admit};
use crate::auth;
use crate::status::Status;

const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const AGGREGATOR: &str = "clusterrole-aggregation-controller";

impl Cluster {
    pub(super) fn create_standard_roles(&self) {
        let roles = auth::roles().into_iter().map(|role| (ROLES, role));
        for (resource, object) in roles.chain(auth::bindings().into_iter().map(|binding| (BINDINGS, binding))) {
            let made = self.create(resource, "", object, "kube-apiserver");
            debug_assert!(made.is_ok(), "{made:?}");
        }
    }

    /// Gives each aggregated role the rules of those that it selects.
    ///
    /// One that selects another aggregated one needs that one's new rules, so there are rounds until nothing changes: as
    /// many at most as there are roles. More would only be needed by roles that select each other in a circle; they are
    /// left as they are, where Kubernetes goes on for ever.
    pub(super) fn aggregate_roles(&self) {
        let rounds = self.list(ROLES, None).len();
        for _ in 0..rounds {
            let all = self.list(ROLES, None);
            let mut changed = false;
            for role in &all {
                let Some(rules) = auth::aggregated(role, &all) else { continue };
                let rules = if rules.is_empty() { Value::Null } else { Value::Array(rules) };
                if role["rules"] != rules {
                    // Refused where it is gone or was written meanwhile: then the next round sees what it is now.
                    changed |= self.set_rules(role, &rules).is_ok();
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Writes without what follows a write: that would be this, again.
    fn set_rules(&self, role: &Arc<Value>, rules: &Value) -> Result<(), Status> {
        let target = self.target(ROLES, "", role["metadata"]["name"].as_str().unwrap_or_default())?;
        let options = WriteOptions::by(AGGREGATOR);
        let context = self.context(&target, None, &options);
        let found = self.store().get(&target.stored.table(), &target.key);
        let found = found.ok_or_else(|| Status::not_found(&target.resource, &target.key.name))?;
        let live = Live::of(&found);
        let mut object = (*live.value).clone();
        object["rules"] = rules.clone();
        let (next, _) = admit::update(&context, &live, object)?;
        let stored = self.store_draft(&target, Some(&found), next);
        stored.map(drop).map_err(|_| Status::modified(&target.resource, &target.key.name))
    }
}
