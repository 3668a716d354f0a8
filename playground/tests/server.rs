//! The server over a real socket: what only a connection can show.

use playground::{Options, Playground};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(playground: &Playground) -> TcpStream {
    let url = playground.url();
    TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap()
}

async fn send(stream: &mut TcpStream, head: &str, body: &str) {
    let request = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until the text has come, or the connection ends.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

const WATCH: &str = "GET /api/v1/namespaces?watch=true&resourceVersion=0";

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let playground = Playground::start(Options::default()).await.unwrap();
    let mut stream = connect(&playground).await;
    for _ in 0..2 {
        send(&mut stream, "GET /readyz", "").await;
        assert!(read_until(&mut stream, "\r\n\r\nok").await.starts_with("HTTP/1.1 200"));
    }
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    send(&mut stream, "POST /api/v1/namespaces/default/configmaps", &object.to_string()).await;
    assert!(read_until(&mut stream, "\"uid\"").await.starts_with("HTTP/1.1 201"));
    playground.stop().await;
}

#[tokio::test]
async fn a_cut_watch_has_no_last_chunk_and_a_stopped_one_has() {
    let playground = Playground::start(Options::default()).await.unwrap();
    for (cut, clean) in [(true, false), (false, true)] {
        let mut stream = connect(&playground).await;
        send(&mut stream, WATCH, "").await;
        assert!(read_until(&mut stream, "kube-system").await.contains("ADDED"));
        if cut {
            playground.cluster().cut_watches();
        } else {
            playground.stop_serving();
        }
        let rest = read_until(&mut stream, "\r\n0\r\n\r\n").await;
        assert_eq!(rest.ends_with("0\r\n\r\n"), clean, "{rest:?}");
    }
    playground.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let playground = Playground::start(Options::default()).await.unwrap();
    let mut stream = connect(&playground).await;
    let long = " ".repeat(playground::http::MAX_BODY + 1);
    let head = "POST /api/v1/namespaces/default/configmaps";
    let request = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", long.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    // The server answers and closes before it has read all: writing may fail then.
    let _ = stream.write_all(long.as_bytes()).await;
    assert!(read_until(&mut stream, "RequestEntityTooLarge").await.starts_with("HTTP/1.1 413"));
    playground.stop().await;
}

#[tokio::test]
async fn the_kubeconfig_leads_to_the_server() {
    let playground = Playground::start(Options::default()).await.unwrap();
    let kubeconfig: Value = serde_saphyr::from_str(&playground.kubeconfig()).unwrap();
    assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], playground.url());
    assert_eq!(kubeconfig["current-context"], "playground");
    playground.stop().await;
}
