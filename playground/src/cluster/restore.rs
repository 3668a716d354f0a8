//! Going back in time, as when etcd is restored from a backup.
//!
//! State *and* versions go back: what was written since never happened, and its resourceVersions are given again to other
//! writes. That is what Kubernetes' documentation warns of and what a client can't be told, for an API server knows
//! nothing of it either. All watches break, as they do when an API server is started again.

use std::sync::{Arc, PoisonError};

use super::Cluster;
use super::definitions::{DEFINITIONS, is_established, serve};
use crate::builtin::ClusterIps;
use crate::resources::Registry;
use crate::storage::{Expired, Revision};

impl Cluster {
    /// Restores the state at an older revision; an error where the history does not reach so far back, or the revision
    /// lies ahead.
    pub fn restore(&self, to: Revision) -> Result<(), Expired> {
        self.store().restore(to)?;
        // Before the registry changes, which would end them in good order.
        self.cut_watches();
        let definitions = self.list(DEFINITIONS, None);
        self.set_registry(|registry| {
            *registry = Registry::default();
            for definition in definitions.iter().filter(|definition| is_established(&definition["status"])) {
                serve(registry, definition);
            }
        });
        let services = self.list("services", None);
        *self.ips().lock().unwrap_or_else(PoisonError::into_inner) = ClusterIps::of(services.iter().map(Arc::as_ref));
        self.inner.latest.tell(to);
        let news = self.inner.news.lock().unwrap_or_else(PoisonError::into_inner);
        for table in news.values() {
            table.tell(to);
        }
        Ok(())
    }
}
