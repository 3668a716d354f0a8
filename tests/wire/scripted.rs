//! An API server that does exactly what the test says, byte by byte, and tells what it was asked.
//!
//! Each request that arrives becomes an [`Asked`], which holds its socket. The test answers it, streams into it, lets it wait or
//! breaks it. So a test reads as a conversation, and *what was asked next* is a fact that can be waited for:
//!
//! ```text
//! let mut stream = server.next().await.stream().await;   // 200, chunked, open
//! stream.line(&added("a", 5)).await;
//! stream.cut();                                          // no last chunk: the connection is gone
//! assert_eq!(server.next().await.what(), "watch since 5");
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// Within this everything happens that happens at all.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The server.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: UnboundedReceiver<Asked>,
    /// Arrived while another request was waited for.
    passed_over: VecDeque<Asked>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(listen(socket, tell.clone()));
            }
        });
        Self { url, asked, passed_over: VecDeque::new() }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.passed_over.pop_front() {
            Some(asked) => asked,
            None => self.arrival().await,
        }
    }

    /// The next request to this path; others wait.
    pub(crate) async fn next_to(&mut self, path: &str) -> Asked {
        if let Some(index) = self.passed_over.iter().position(|asked| asked.path == path) {
            return self.passed_over.remove(index).unwrap();
        }
        loop {
            let asked = self.arrival().await;
            if asked.path == path {
                return asked;
            }
            self.passed_over.push_back(asked);
        }
    }

    /// Whether no request has arrived that was not looked at.
    pub(crate) fn was_asked_nothing_more(&self) -> bool {
        self.asked.is_empty() && self.passed_over.is_empty()
    }

    async fn arrival(&mut self) -> Asked {
        timeout(LONG, self.asked.recv()).await.expect("nothing was asked for a long time").unwrap()
    }
}

/// Reads one request off the socket and hands it to the test, socket and all.
async fn listen(mut socket: TcpStream, tell: UnboundedSender<Asked>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match socket.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut body = bytes.split_off(head_end + 4);
    let mut lines = head.lines();
    let mut request = lines.next().unwrap().split(' ');
    let method = request.next().unwrap().to_owned();
    let target = request.next().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        if socket.read_buf(&mut body).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let _test_is_over = tell.send(Asked { method, path: path.to_owned(), query, headers, socket, tell: tell.clone() });
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    socket: TcpStream,
    tell: UnboundedSender<Asked>,
}

impl Asked {
    /// What it asks for, in a few words. Panics where the parameters don't belong together.
    pub(crate) fn what(&self) -> String {
        let get = |name: &str| self.query.get(name).map(String::as_str);
        let since = get("resourceVersion").map_or(String::new(), |version| format!(" since {version}"));
        let matching = get("resourceVersionMatch");
        if get("watch").is_none() {
            let token = get("continue");
            assert_eq!(matching.is_some(), !since.is_empty(), "a list says how it means its version: {:?}", self.query);
            assert!(token.is_none() || since.is_empty(), "a later page goes by its token alone: {:?}", self.query);
            let page = token.map_or(String::new(), |token| format!(" page {token}"));
            return format!("list {}{since}{page}", get("limit").unwrap_or("all"));
        }
        assert_eq!(get("allowWatchBookmarks"), Some("true"));
        assert!(get("timeoutSeconds").is_some(), "the server is told when to end it");
        if get("sendInitialEvents") == Some("true") {
            assert_eq!(matching, Some("NotOlderThan"));
            format!("stream{since}")
        } else {
            assert_eq!(matching, None, "a watch admits no match rule");
            format!("watch{since}")
        }
    }

    /// For how long it wants to be served.
    pub(crate) fn timeout_seconds(&self) -> u64 {
        self.query["timeoutSeconds"].parse().unwrap()
    }

    /// A header of it; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Answers in full, and listens on the same connection for more.
    pub(crate) async fn answer(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let Self { mut socket, tell, .. } = self;
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        tokio::spawn(listen(socket, tell));
    }

    /// Promises more than this beginning of a body, and breaks off.
    pub(crate) async fn answer_in_part(mut self, status: u16, beginning: &str) {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", beginning.len() + 1);
        self.socket.write_all(format!("{head}{beginning}").as_bytes()).await.unwrap();
    }

    /// Answers with this object.
    pub(crate) async fn json(self, status: u16, body: &Value) {
        self.answer(status, &[("content-type", "application/json")], &body.to_string()).await;
    }

    /// Says that it will say more.
    pub(crate) async fn stream(self) -> Stream {
        let Self { mut socket, tell, .. } = self;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        Stream { socket, tell }
    }

    /// Waits, without a word, until the client hangs up.
    pub(crate) async fn hung_up(self) {
        hung_up(self.socket).await;
    }
}

/// An answer that goes on.
pub(crate) struct Stream {
    socket: TcpStream,
    tell: UnboundedSender<Asked>,
}

impl Stream {
    /// One event, one line, one chunk.
    pub(crate) async fn line(&mut self, event: &Value) {
        self.bytes(format!("{event}\n").as_bytes()).await;
    }

    /// One chunk of anything. A client that has hung up does not get it.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let head = format!("{:x}\r\n", bytes.len());
        let chunk = [head.as_bytes(), bytes, b"\r\n"].concat();
        let _hung_up = self.socket.write_all(&chunk).await;
        let _hung_up = self.socket.flush().await;
    }

    /// Ends it in order.
    pub(crate) async fn end(mut self) {
        self.socket.write_all(b"0\r\n\r\n").await.unwrap();
        tokio::spawn(listen(self.socket, self.tell));
    }

    /// Breaks off in the middle.
    pub(crate) fn cut(self) {}

    /// Breaks off with a reset: what the client has not read yet may be lost, too.
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    /// Waits, without a word, until the client hangs up.
    pub(crate) async fn hung_up(self) {
        hung_up(self.socket).await;
    }
}

async fn hung_up(mut socket: TcpStream) {
    let mut nothing = [0];
    let read = timeout(LONG, socket.read(&mut nothing)).await.expect("the client waits for ever");
    assert!(matches!(read, Ok(0) | Err(_)), "the client has said more on a connection that was still busy");
}
