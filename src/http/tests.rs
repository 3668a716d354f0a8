//! The tests use real sockets on the loopback interface, and so real time: they wait for facts. Only the test which
//! checks that *nothing* arrives has to wait for a moment.

use std::str::FromStr as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::telemetry::Metrics;

mod secure;

/// The longest time that a test waits for a fact.
const PATIENCE: Duration = Duration::from_secs(20);

/// Limits that no test reaches. Each test changes the limit that it is about.
const LOOSE: Limits = Limits { head_time: HOUR, body_time: HOUR, connection_time: HOUR, ..LIMITS };
const HOUR: Duration = Duration::from_secs(3600);
/// Enough for those who behave, on this machine.
const SHORT: Duration = Duration::from_millis(20);

/// A running server with the limits of a test.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(site: impl Site, limits: Limits) -> Self {
        Self::start_changed(site, limits, |server| server).await
    }

    async fn start_changed(site: impl Site, limits: Limits, change: impl FnOnce(Server) -> Server) -> Self {
        let mut server = change(Server::bind(&loopback(), "--test", site).await.unwrap().unwrap());
        server.limits = limits;
        let (address, stop) = (server.local_addr(), CancellationToken::new());
        let task = tokio::spawn(server.run(stop.clone()));
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and returns the complete answer.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(&request("GET", path)).await
    }
}

fn loopback() -> BindAddress {
    BindAddress::from_str("127.0.0.1:0").unwrap()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: operator\r\n\r\n")
}

/// Everything that arrives on `stream` until the server closes it; a reset counts as a close.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes the connection");
    String::from_utf8(bytes).unwrap()
}

fn status(response: &str) -> &str {
    response.lines().next().unwrap_or("(closed)")
}

#[tokio::test]
async fn healthz_and_readyz_answer_ok() {
    let server = Running::start(Health::new(), LIMITS).await;
    for path in ["/healthz", "/readyz"] {
        let response = server.get(path).await;
        assert_eq!(status(&response), "HTTP/1.1 200 OK");
        assert!(response.contains("content-type: text/plain; charset=utf-8\r\n") && response.ends_with("\r\n\r\nok"));
    }
}

#[tokio::test]
async fn readyz_fails_with_the_name_of_the_check_that_does() {
    let health = Health::new().with_check("informers-synced", || Err("pods".to_owned()));
    let server = Running::start(health, LIMITS).await;
    let response = server.get("/readyz?verbose").await;
    assert_eq!(status(&response), "HTTP/1.1 500 Internal Server Error");
    assert!(response.contains("[-]informers-synced failed: pods"), "{response}");
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let metrics = Metrics::new();
    metrics.queue("mcpserver").added(3);
    let server = Running::start(metrics, LIMITS).await;
    let response = server.get("/metrics").await;
    assert_eq!(status(&response), "HTTP/1.1 200 OK");
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(response.contains(content_type), "{response}");
    assert!(response.contains("workqueue_adds_total{name=\"mcpserver\"} 3\n") && response.ends_with("# EOF\n"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = Running::start(Health::new(), LIMITS).await;
    let response = server.exchange(&request("HEAD", "/healthz")).await;
    assert_eq!(status(&response), "HTTP/1.1 200 OK");
    assert!(response.contains("content-length: 2\r\n") && response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn other_methods_are_refused_with_405_and_other_paths_with_404() {
    let server = Running::start(Health::new(), LIMITS).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = server.exchange(&request(method, "/healthz")).await;
        assert_eq!(status(&response), "HTTP/1.1 405 Method Not Allowed");
        assert!(response.contains("allow: GET, HEAD\r\n"), "{response}");
    }
    assert_eq!(status(&server.get("/metrics").await), "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn what_is_no_http_gets_400() {
    let server = Running::start(Health::new(), LIMITS).await;
    assert_eq!(status(&server.exchange("hello?\r\n\r\n").await), "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let server = Running::start(Health::new(), LIMITS).await;
    let mut stream = server.connect().await;
    let head = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(LIMITS.head_bytes));
    // The server may answer and close before it has read everything.
    _ = stream.write_all(head.as_bytes()).await;
    let response = rest(&mut stream).await;
    assert_eq!(status(&response), "HTTP/1.1 431 Request Header Fields Too Large");
}

#[tokio::test]
async fn who_sends_no_request_in_time_is_disconnected() {
    let server = Running::start(Health::new(), Limits { head_time: Duration::from_millis(20), ..LOOSE }).await;
    for beginning in ["", "GET /healthz HTTP/1.1\r\nx-slow"] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let response = rest(&mut stream).await;
        assert!(!response.contains("200"), "{response}");
    }
}

#[tokio::test]
async fn a_connection_ends_after_its_time_even_if_nobody_reads_the_answer() {
    /// More than fits into the socket's buffers.
    struct Endless;
    impl Site for Endless {
        fn answer(&self, _path: &str, _query: Option<&str>) -> Option<Answer> {
            Some(Answer::text(StatusCode::OK, "x".repeat(64 * 1024 * 1024)))
        }
    }
    let server = Running::start(Endless, Limits { connection_time: Duration::from_millis(200), ..LOOSE }).await;
    let mut greedy = server.connect().await;
    greedy.write_all(request("GET", "/").as_bytes()).await.unwrap();
    let mut status = [0; 12];
    timeout(PATIENCE, greedy.read_exact(&mut status)).await.expect("an answer").unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    // At the stop, an answer that is under way is waited for.
    server.stop.cancel();
    timeout(PATIENCE, server.task).await.expect("its time is up").unwrap();
}

#[tokio::test]
async fn one_request_per_connection() {
    let server = Running::start(Health::new(), LIMITS).await;
    let response = server.exchange(&request("GET", "/healthz").repeat(2)).await;
    assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
}

/// Eight silent connections were enough to keep everybody else out for ten seconds, again and again.
#[tokio::test]
async fn however_many_are_silent_whoever_asks_is_answered() {
    let server = Running::start(Health::new(), Limits { connections: 8, patience: SHORT, ..LOOSE }).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        for beginning in ["", "GET /healthz HTTP/1.1\r\nx-slow"] {
            let mut stream = server.connect().await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            silent.push(stream);
        }
        assert!(server.get("/healthz").await.ends_with("ok"));
    }
    assert_eq!(rest(&mut silent[0]).await, "", "the oldest has made room");
    let mut last = silent.pop().unwrap();
    last.write_all(b": x\r\n\r\n").await.unwrap();
    assert!(rest(&mut last).await.ends_with("ok"), "there was no need to send the newest away");
}

/// A site that waits for the test before it answers.
struct Gate {
    asked: Arc<Notify>,
    open: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Site for Gate {
    fn answer(&self, _path: &str, _query: Option<&str>) -> Option<Answer> {
        self.asked.notify_one();
        self.open.lock().unwrap().recv().unwrap();
        // Too long for the socket's buffers: sending it takes more than this one poll.
        Some(Answer::text(StatusCode::OK, "through".repeat(1024 * 1024)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stop_frees_the_port_and_lets_a_request_in_flight_finish() {
    let (open, gate) = std::sync::mpsc::channel();
    let asked = Arc::new(Notify::new());
    let site = Gate { asked: Arc::clone(&asked), open: std::sync::Mutex::new(gate) };
    let server = Running::start(site, LIMITS).await;
    let mut stream = server.connect().await;
    stream.write_all(request("GET", "/").as_bytes()).await.unwrap();
    asked.notified().await;
    server.stop.cancel();
    let port_is_free = async {
        while TcpListener::bind(server.address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, port_is_free).await.expect("the next process may listen while this one finishes");
    open.send(()).unwrap();
    assert!(rest(&mut stream).await.ends_with(&"through".repeat(1024 * 1024)));
    server.task.await.unwrap();
}

#[tokio::test]
async fn the_stop_does_not_wait_for_silent_connections() {
    let server = Running::start(Health::new(), LIMITS).await;
    let mut silent = server.connect().await;
    assert!(server.get("/healthz").await.ends_with("ok"), "by now the silent one was accepted, too");
    server.stop.cancel();
    timeout(LIMITS.head_time / 2, server.task).await.expect("no waiting for its time to run out").unwrap();
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_address_and_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let result = Server::bind(&address.parse().unwrap(), "--health-bind-address", Health::new()).await;
    let error = result.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.contains("in use") && error.contains("--health-bind-address=0"), "{error}");
}

#[tokio::test]
async fn zero_means_no_server_at_all() {
    let result = Server::bind(&BindAddress::Disabled, "--health-bind-address", Health::new()).await;
    assert!(result.unwrap().is_none());
}

#[tokio::test]
async fn a_bare_port_means_all_interfaces() {
    let server = Server::bind(&BindAddress::All(0), "--test", Health::new()).await.unwrap().unwrap();
    let address = server.local_addr();
    assert!(address.ip().is_unspecified());
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.run(stop.clone()));
    let mut stream = TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
    stream.write_all(request("GET", "/healthz").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("ok"));
    stop.cancel();
    task.await.unwrap();
}
