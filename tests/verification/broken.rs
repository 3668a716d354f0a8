//! A server that does exactly what the test says, and remembers what it was asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `POST /mcp`.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Asked {
    /// The method in the body, or the one of HTTP.
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_else(|| self.line.split(' ').next().unwrap())
    }
}

/// What it does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and stays.
    Stay(Vec<u8>),
    /// Sends the first, and the others for ever.
    Forever(Vec<u8>, Vec<u8>),
    /// Sends a byte at a time, with pauses.
    Drip(Vec<u8>),
    /// Sends these bytes after a while, and closes.
    Late(Vec<u8>),
    /// Closes with a reset.
    Reset,
}

/// An answer with a length.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    let mut answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(answer, "{name}: {value}\r\n").unwrap();
    }
    Act::Send(format!("{answer}\r\n{body}").into_bytes())
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// A result for the request.
pub(crate) fn result(asked: &Asked, headers: &[(&str, &str)], result: &Value) -> Act {
    let body = serde_json::json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": result});
    reply(200, &[&[JSON], headers].concat(), &body.to_string())
}

/// Bytes with the head of an answer before them that has no length.
pub(crate) fn headed(media: &str, more: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n{more}\r\n{body}").into_bytes()
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    written: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen, act) = (listener.local_addr().unwrap(), Arc::<Seen>::default(), Arc::new(act));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (act, seen) = (Arc::clone(&act), Arc::clone(&shared));
                seen.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    serve(socket, &*act, &seen).await;
                    seen.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().unwrap().clone()
    }

    pub(crate) fn methods(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.method().to_owned()).collect()
    }

    /// How many bytes it could write.
    pub(crate) fn written(&self) -> usize {
        self.seen.written.load(Ordering::SeqCst)
    }

    /// Waits until nobody is connected any more.
    pub(crate) async fn is_left_alone(&self) {
        let left = async {
            while self.seen.connections.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::LONG, left).await.expect("a connection stays open");
    }
}

async fn serve(mut socket: TcpStream, act: &(impl Fn(&Asked) -> Act + Sync), seen: &Seen) {
    let Some(asked) = read(&mut socket).await else { return };
    let act = act(&asked);
    seen.asked.lock().unwrap().push(asked);
    let write = async |socket: &mut TcpStream, bytes: &[u8]| {
        let written = socket.write_all(bytes).await;
        seen.written.fetch_add(bytes.len(), Ordering::SeqCst);
        written.is_ok()
    };
    match act {
        Act::Send(bytes) => {
            write(&mut socket, &bytes).await;
        }
        Act::Stay(bytes) => {
            write(&mut socket, &bytes).await;
            let _until_it_leaves = socket.read(&mut [0]).await;
        }
        Act::Forever(head, again) => {
            let mut going = write(&mut socket, &head).await;
            while going {
                going = write(&mut socket, &again).await;
            }
        }
        Act::Drip(bytes) => {
            for byte in bytes {
                if !write(&mut socket, &[byte]).await {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
        Act::Late(bytes) => {
            sleep(Duration::from_millis(50)).await;
            write(&mut socket, &bytes).await;
        }
        Act::Reset => socket.set_zero_linger().unwrap(),
    }
}

/// One request. `None` if it is incomplete.
async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Asked { line, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}
