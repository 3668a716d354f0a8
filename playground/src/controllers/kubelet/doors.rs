//! What listens for the pods: one listener for each TCP port of a container that runs; or, within this process, none.
//!
//! ```text
//!   container runs -------> bound, before the pod's status says so: who sees it ready can reach it
//!   restarted ------------> another server, without the sessions of the one before
//!   ended, pod deleted ---> closed, with all its connections
//! ```
//!
//! The number is bounded, since each costs a file descriptor. A pod beyond the bound stays without, for its life, and an
//! Event says so; its probes pass.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::Cluster;
use crate::controllers::meta::{int, name, namespace, text, uid};
use crate::controllers::recorder::Word;
use crate::mcp::listener::{bind, serve};
use crate::mcp::{About, Behaviour, InnerDoor, Server};

/// A container that is to be listened for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    container: String,
    image: String,
    restarts: i64,
}

/// A listener. Dropping it closes it.
#[derive(Debug)]
struct Door {
    wanted: Wanted,
    cluster: Cluster,
    server: Arc<Server>,
    _stop: DropGuard,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.cluster.servers().remove(&self.server);
    }
}

/// What came of the wish to listen.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is to be said, by container.
    pub(super) words: Vec<(String, Word)>,
    /// Whether it is worth trying again.
    pub(super) again: bool,
}

/// All listeners.
#[derive(Debug)]
pub(super) struct Doors {
    cluster: Cluster,
    /// How many sockets there may be, at most; `None`: there are none, and no bound.
    sockets: Option<usize>,
    /// By the pod's uid and the port. No map is empty.
    open: BTreeMap<String, BTreeMap<u16, Door>>,
    /// How many they are.
    count: usize,
    /// The connections of all of them.
    seats: Arc<Semaphore>,
    /// The tasks, for whoever waits for their end.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Doors {
    /// On at most so many sockets, or without any. They all end by `stop`, and `tasks` has them.
    pub(super) fn new(cluster: Cluster, sockets: Option<usize>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let seats = Arc::new(Semaphore::new((sockets.unwrap_or_default() / 2).clamp(64, 4096)));
        Self { cluster, sockets, open: BTreeMap::new(), count: 0, seats, tasks, stop }
    }

    /// Opens and closes what a pod with this status needs.
    pub(super) fn settle(&mut self, pod: &Value, status: &Value, address: Ipv4Addr) -> Outcome {
        let wanted = wanted(pod, status);
        let mut open = self.take(uid(pod));
        open.retain(|port, door| wanted.get(port) == Some(&door.wanted));
        let mut outcome = Outcome::default();
        for (port, wanted) in wanted {
            if open.contains_key(&port) {
                continue;
            }
            let at = SocketAddr::from((address, port));
            if let Some(most) = self.sockets.filter(|most| self.count + open.len() >= *most) {
                let message = format!("Nothing listens on {at}: at most {most} ports of pods are listened on");
                outcome.words.push((wanted.container, Word::warning("NotListening", message)));
                continue;
            }
            match self.door(pod, at, &wanted) {
                Ok(door) => drop(open.insert(port, door)),
                Err(error) => {
                    let message = format!("Nothing listens on {at}: {error}");
                    outcome.words.push((wanted.container, Word::warning("NotListening", message)));
                    outcome.again = true;
                }
            }
        }
        if !open.is_empty() {
            self.count += open.len();
            self.open.insert(uid(pod).to_owned(), open);
        }
        outcome
    }

    fn door(&self, pod: &Value, address: SocketAddr, wanted: &Wanted) -> std::io::Result<Door> {
        let listener = self.sockets.map(|_| bind(address)).transpose()?;
        let about = About {
            address,
            namespace: namespace(pod).to_owned(),
            pod: name(pod).to_owned(),
            container: wanted.container.clone(),
            image: wanted.image.clone(),
        };
        let session_prefix = format!("{}-{}", uid(pod), wanted.restarts);
        let server = Arc::new(Server::new(about, &session_prefix, self.cluster.servers().changes()));
        let stop = self.stop.child_token();
        let inner = InnerDoor { stop: stop.clone(), tasks: self.tasks.clone() };
        self.cluster.servers().add(Arc::clone(&server), listener.is_none().then_some(inner));
        if let Some(listener) = listener {
            self.tasks.spawn(serve(listener, Arc::clone(&server), Arc::clone(&self.seats), stop.clone()));
        }
        Ok(Door { wanted: wanted.clone(), cluster: self.cluster.clone(), server, _stop: stop.drop_guard() })
    }

    /// Closes all that a pod has.
    pub(super) fn close(&mut self, uid: &str) {
        drop(self.take(uid));
    }

    fn take(&mut self, uid: &str) -> BTreeMap<u16, Door> {
        let open = self.open.remove(uid).unwrap_or_default();
        self.count -= open.len();
        open
    }

    /// Closes all of pods that are no more.
    pub(super) fn keep(&mut self, living: impl Fn(&str) -> bool) {
        self.open.retain(|uid, _| living(uid));
        self.count = self.open.values().map(BTreeMap::len).sum();
    }
}

/// What is to be listened for, by port: the TCP ports of the containers that run and whose image listens. Where two
/// containers have the same port, the first has it.
fn wanted(pod: &Value, status: &Value) -> BTreeMap<u16, Wanted> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let statuses = list(&status["containerStatuses"]);
    let mut wanted = BTreeMap::new();
    for container in list(&pod["spec"]["containers"]) {
        let (name, image) = (text(&container, &["name"]), text(&container, &["image"]));
        let status = statuses.iter().find(|status| text(status, &["name"]) == name);
        let Some(status) = status.filter(|status| status["state"]["running"].is_object()) else { continue };
        if !Behaviour::of(image).listens() {
            continue;
        }
        let restarts = int(status, &["restartCount"]);
        for port in list(&container["ports"]).iter().filter(|port| is_tcp(port)) {
            if let Ok(port) = NonZeroU16::try_from(u16::try_from(int(port, &["containerPort"])).unwrap_or(0)) {
                let one = Wanted { container: name.to_owned(), image: image.to_owned(), restarts };
                wanted.entry(port.get()).or_insert(one);
            }
        }
    }
    wanted
}

fn is_tcp(port: &Value) -> bool {
    matches!(text(port, &["protocol"]), "" | "TCP")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ports(image: &str, state: &Value) -> Vec<u16> {
        let ports = json!([{"containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}]);
        let pod = json!({"spec": {"containers": [{"name": "c", "image": image, "ports": ports}]}});
        let status = json!({"containerStatuses": [{"name": "c", "state": state, "restartCount": 0}]});
        wanted(&pod, &status).into_keys().collect()
    }

    #[test]
    fn only_the_tcp_ports_of_running_containers_whose_image_listens_are_listened_on() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        assert_eq!(ports("any:1", &running), [8080]);
        assert_eq!(ports("any:1", &json!({"waiting": {"reason": "CrashLoopBackOff"}})), Vec::<u16>::new());
        assert_eq!(ports("not-listening:1", &running), Vec::<u16>::new());
        assert_eq!(ports("unreachable:1", &running), Vec::<u16>::new());
    }
}
