//! Schemas that were read before.
//!
//! One definition is read several times on its way to being served, and by a thousand clusters in one process where tests
//! or a simulation make them. To read one takes as long as to start a cluster, so the last ones are remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{Cause, Structural};

/// So many are remembered.
const MOST: usize = 8;

static KNOWN: Mutex<VecDeque<(Value, Arc<Structural>)>> = Mutex::new(VecDeque::new());

impl Structural {
    /// As [`from_crd_version`](Self::from_crd_version), for one that may have been read before.
    pub fn of_crd_version(version: &Value) -> Result<Arc<Self>, Vec<Cause>> {
        // Only values are held by the lock, so that of a panic in between nothing is left half done.
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, structural)) = known().iter().find(|(known, _)| known == version) {
            return Ok(Arc::clone(structural));
        }
        let structural = Arc::new(Self::from_crd_version(version)?);
        let mut known = known();
        known.push_front((version.clone(), Arc::clone(&structural)));
        known.truncate(MOST);
        Ok(structural)
    }
}
