//! All servers of a cluster, and the lever that changes their tools.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::behaviour::Behaviour;
use super::listener::converse;
use super::server::{Report, Shared};

/// How many bytes may be under way, each way, on a connection without a socket.
const UNDER_WAY: usize = 64 << 10;

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
    open: Mutex<BTreeMap<SocketAddr, Open>>,
}

#[derive(Debug)]
struct Open {
    server: Shared,
    /// Where it is reached without a socket.
    door: Option<InnerDoor>,
}

/// What carries the connections of a server that has no socket.
#[derive(Debug, Clone)]
pub(crate) struct InnerDoor {
    /// Ends all of them.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Servers {
    /// All that listen, by address.
    pub fn list(&self) -> Vec<Report> {
        let open: Vec<Shared> = self.open().values().map(|open| Arc::clone(&open.server)).collect();
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

    /// A connection to the server at this address, without any socket, where pods are
    /// [reached so](crate::controllers::Listening::InProcess).
    ///
    /// # Errors
    ///
    /// As the kernel would say it: nobody listens there.
    pub fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        let open = self.open();
        let Some(Open { server, door: Some(InnerDoor { stop, tasks }) }) = open.get(&address) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (here, there) = tokio::io::duplex(UNDER_WAY);
        if server.behaviour() != Behaviour::HangsUp {
            let (stop, connection) = (stop.clone(), converse(there, Arc::clone(server)));
            tasks.spawn(async move { stop.run_until_cancelled(connection).await });
        }
        Ok(here)
    }

    pub(crate) fn add(&self, server: Shared, door: Option<InnerDoor>) {
        self.open().insert(server.address(), Open { server, door });
    }

    /// Forgets this server, and none that has come to its address since.
    pub(crate) fn remove(&self, server: &Shared) {
        let mut open = self.open();
        if open.get(&server.address()).is_some_and(|known| Arc::ptr_eq(&known.server, server)) {
            open.remove(&server.address());
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
