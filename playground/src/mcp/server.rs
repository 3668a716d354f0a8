//! One server: what it is, its sessions, its open streams, and what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::answer;
use super::behaviour::Behaviour;
use super::reply::{Content, Push, Reply};
use super::servers::Changes;
use super::sessions::Sessions;
use super::tools::World;

/// How much of what it was asked a server remembers; the oldest goes.
const LONGEST_LOG: usize = 1000;
/// How many answers may wait in a stream; beyond it the reader is taken for gone.
const DEEPEST_STREAM: usize = 64;

/// Whose server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) address: SocketAddr,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) image: String,
}

/// A request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// `POST`, `GET`, `DELETE`.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The method in the body, such as `tools/list`; empty where there is none.
    pub rpc: String,
    /// The answer's; 0 for none.
    pub status: u16,
}

/// What a server is and what has happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its pod's namespace.
    pub namespace: String,
    /// Its pod's name.
    pub pod: String,
    /// Its container's name.
    pub container: String,
    /// The image that says how it behaves.
    pub image: String,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// How many sessions are open.
    pub sessions: usize,
    /// The last thousand requests, oldest first.
    pub requests: Vec<Exchange>,
}

impl Report {
    /// As `/playground/servers` shows it.
    pub(crate) fn to_value(&self) -> Value {
        let Self { address, namespace, pod, container, image, behaviour, sessions, requests } = self;
        let requests = requests.iter().map(|Exchange { method, path, rpc, status }| {
            json!({"method": method, "path": path, "rpc": rpc, "status": status})
        });
        json!({
            "address": address.to_string(),
            "namespace": namespace,
            "pod": pod,
            "container": container,
            "image": image,
            "behaviour": behaviour.word(),
            "sessions": sessions,
            "requests": requests.collect::<Vec<_>>(),
        })
    }
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    about: About,
    behaviour: Behaviour,
    changes: Changes,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sessions: Sessions,
    /// The open streams of sessions. One of the deprecated transport is its session.
    streams: BTreeMap<String, mpsc::Sender<Bytes>>,
    log: VecDeque<Exchange>,
}

/// An answer with its stream at hand.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) reply: Reply,
    /// What comes after the first bytes of a session's stream.
    pub(super) more: Option<mpsc::Receiver<Bytes>>,
}

impl Server {
    /// `uid` is what makes its sessions' ids its own.
    pub(crate) fn new(about: About, uid: &str, changes: Changes) -> Self {
        let state = State { sessions: Sessions::new(uid), streams: BTreeMap::new(), log: VecDeque::new() };
        Self { behaviour: Behaviour::of(&about.image), about, changes, state: Mutex::new(state) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.about.address
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.behaviour
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Answered {
        let world = World::new(&self.about.image, self.changes.of(&self.about.image));
        let mut state = self.state();
        state.forget_the_gone(self.behaviour);
        let reply = answer(self.behaviour, &mut state.sessions, &world, request);
        state.remember(request, &reply);
        if let Some(Push { session, bytes }) = &reply.push {
            state.push(session, bytes.clone());
        }
        let more = match &reply.content {
            Content::Stream { session: Some(session), .. } => {
                let (to, more) = mpsc::channel(DEEPEST_STREAM);
                state.streams.insert(session.clone(), to);
                Some(more)
            }
            Content::Stream { session: None, .. }
            | Content::Whole(_)
            | Content::Slow(_)
            | Content::Endless(_)
            | Content::Silence => None,
        };
        Answered { reply, more }
    }

    /// What it is, and what has happened to it.
    pub(crate) fn report(&self) -> Report {
        let mut state = self.state();
        state.forget_the_gone(self.behaviour);
        let About { address, namespace, pod, container, image } = self.about.clone();
        let (sessions, requests) = (state.sessions.len(), state.log.iter().cloned().collect());
        Report { address, namespace, pod, container, image, behaviour: self.behaviour, sessions, requests }
    }
}

impl State {
    /// Streams whose reader has left, or whose session has ended, are closed.
    fn forget_the_gone(&mut self, behaviour: Behaviour) {
        let Self { sessions, streams, log: _ } = self;
        streams.retain(|session, stream| {
            if stream.is_closed() && behaviour == Behaviour::OldSse {
                sessions.end(session);
            }
            !stream.is_closed() && sessions.stage(session).is_some()
        });
    }

    fn push(&mut self, session: &str, bytes: Bytes) {
        let full = self.streams.get(session).is_some_and(|stream| stream.try_send(bytes).is_err());
        if full {
            self.streams.remove(session);
            self.sessions.end(session);
        }
    }

    fn remember(&mut self, request: &Request<Bytes>, reply: &Reply) {
        if self.log.len() >= LONGEST_LOG {
            self.log.pop_front();
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let answered = reply.content != Content::Silence;
        self.log.push_back(Exchange {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            rpc: body["method"].as_str().unwrap_or_default().to_owned(),
            status: if answered { reply.status.as_u16() } else { 0 },
        });
    }
}

/// How a server with this image would answer a GET of this path, as a probe asks; `None`: not at all.
pub(crate) fn answer_to_get(image: &str, path: &str) -> Option<StatusCode> {
    let behaviour = Behaviour::of(image);
    let request = Request::builder().method(Method::GET).uri(path).body(Bytes::new()).ok()?;
    let reply = answer(behaviour, &mut Sessions::new(""), &World::new(image, 0), &request);
    (reply.content != Content::Silence).then_some(reply.status)
}

/// A server behind a handle, as the listener and the list of all have it.
pub(crate) type Shared = Arc<Server>;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(image: &str) -> Server {
        let about = About {
            address: ([127, 0, 0, 1], 1).into(),
            namespace: "n".to_owned(),
            pod: "p".to_owned(),
            container: "c".to_owned(),
            image: image.to_owned(),
        };
        Server::new(about, "uid", Changes::default())
    }

    fn ask(server: &Server, method: Method, uri: &str, body: &str) -> Answered {
        let request = Request::builder().method(method).uri(uri).body(Bytes::from(body.to_owned())).unwrap();
        server.answer(&request)
    }

    #[test]
    fn a_session_of_the_old_transport_ends_with_its_stream() {
        let server = server("speaks-sse");
        let mut opened = ask(&server, Method::GET, "/sse", "");
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        ask(&server, Method::POST, "/messages?sessionId=uid-1", ping);
        let pushed = opened.more.as_mut().unwrap().try_recv().unwrap();
        assert!(String::from_utf8_lossy(&pushed).starts_with("event: message\n"));
        assert_eq!(server.report().sessions, 1);
        drop(opened);
        assert_eq!(server.report().sessions, 0);
        let late = ask(&server, Method::POST, "/messages?sessionId=uid-1", ping);
        assert_eq!(late.reply.status, StatusCode::NOT_FOUND);
        let told: Vec<_> = server.report().requests.into_iter().map(|one| (one.rpc, one.status)).collect();
        assert_eq!(told, [(String::new(), 200), ("ping".to_owned(), 202), ("ping".to_owned(), 404)]);
    }

    #[test]
    fn the_log_forgets_the_oldest() {
        let server = server("speaks-html");
        for at in 0..=LONGEST_LOG {
            ask(&server, Method::GET, &format!("/{at}"), "");
        }
        let requests = server.report().requests;
        assert_eq!((requests.len(), requests[0].path.as_str()), (LONGEST_LOG, "/1"));
    }

    #[test]
    fn a_probe_learns_what_a_get_would() {
        for (image, path, status) in [
            ("any:1", "/healthz", Some(StatusCode::OK)),
            ("any:1", "/mcp", Some(StatusCode::METHOD_NOT_ALLOWED)),
            ("speaks-html", "/mcp", Some(StatusCode::OK)),
            ("speaks-nothing", "/mcp", None),
            ("any:1", "no path", None),
        ] {
            assert_eq!(answer_to_get(image, path), status, "{image} {path}");
        }
    }
}
