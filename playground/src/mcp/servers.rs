//! All servers of a cluster, and the lever that changes their tools.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::{Report, Shared};

/// How often the tools of which images were changed: by a part of the image's name, which is empty for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Arc<Mutex<BTreeMap<String, u64>>>);

impl Changes {
    fn add(&self, image: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(image.to_owned()).or_default() += 1;
    }

    /// How often those of this image were.
    pub(super) fn of(&self, image: &str) -> u64 {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().filter(|(part, _)| image.contains(part.as_str())).map(|(_, count)| count).sum()
    }
}

/// What listens for pods right now.
#[derive(Debug, Default)]
pub struct Servers {
    changes: Changes,
    open: Mutex<BTreeMap<SocketAddr, Shared>>,
}

impl Servers {
    /// All that listen, by address.
    pub fn list(&self) -> Vec<Report> {
        let open: Vec<Shared> = self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        open.iter().map(|server| server.report()).collect()
    }

    /// From now on servers whose image's name contains this list another tool, without any change of their pods. The empty
    /// text means all.
    pub fn change_tools(&self, image: &str) {
        self.changes.add(image);
    }

    pub(crate) fn changes(&self) -> Changes {
        self.changes.clone()
    }

    pub(crate) fn add(&self, server: Shared) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(server.address(), server);
    }

    /// Forgets this server, and none that has come to its address since.
    pub(crate) fn remove(&self, server: &Shared) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&server.address()).is_some_and(|known| Arc::ptr_eq(known, server)) {
            open.remove(&server.address());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_tools_reaches_the_images_that_are_meant() {
        let servers = Servers::default();
        let changes = servers.changes();
        servers.change_tools("one");
        servers.change_tools("");
        assert_eq!((changes.of("image-one:1"), changes.of("image-two:1")), (2, 1));
    }
}
