//! Something else at the other end of the line: a server with few words, and a line that can go dead or be cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{World, scratch_file};

/// What passes on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Everything,
    /// Nothing, and nobody is told.
    Nothing,
    /// Nothing, and whoever is there or comes is hung up on.
    Nobody,
}

/// Listens for as long as it lives, and leads there by a kubeconfig.
pub(crate) struct Peer {
    pub(crate) kubeconfig: PathBuf,
    line: watch::Sender<Line>,
    /// How many came while nobody was let through.
    sent_away: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// A server that answers each path with a code and a body.
    pub(crate) async fn answering(answer: fn(path: &str) -> (u16, Value)) -> Self {
        Self::listen(move |mut stream, _| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (code, body) = answer(path.split('?').next().unwrap_or_default());
            let body = body.to_string();
            let head = format!("HTTP/1.1 {code} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // Whoever hangs up before the answer does without it.
            _ = stream.write_all((head + &body).as_bytes()).await;
        })
        .await
    }

    /// A line to a world's playground.
    pub(crate) async fn line_to(world: &World) -> Self {
        let url = world.playground.as_ref().expect("a playground").url();
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self::listen(move |mut near, mut line| {
            let address = address.clone();
            async move {
                let Ok(mut far) = TcpStream::connect(address).await else { return };
                let changed = async { line.wait_for(|line| *line != Line::Everything).await.map(|line| *line) };
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    changed = changed => match changed {
                        // Both ends stay open, and nothing passes any more.
                        Ok(Line::Nothing) => std::future::pending().await,
                        Ok(Line::Nobody | Line::Everything) | Err(_) => {}
                    },
                }
            }
        })
        .await
    }

    /// From now on nothing passes, in no direction, and nobody is told.
    pub(crate) fn go_dead(&self) {
        self.line.send_replace(Line::Nothing);
    }

    /// From now on nobody is at the other end.
    pub(crate) fn hang_up(&self) {
        self.line.send_replace(Line::Nobody);
    }

    /// As if nothing had happened.
    pub(crate) fn come_back(&self) {
        self.line.send_replace(Line::Everything);
    }

    /// How many came while nobody was at the other end.
    pub(crate) fn sent_away(&self) -> usize {
        self.sent_away.load(Ordering::Relaxed)
    }

    async fn listen<F>(serve: impl Fn(TcpStream, watch::Receiver<Line>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = write_kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        let (line, passes) = watch::channel(Line::Everything);
        let sent_away = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&sent_away);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if *passes.borrow() == Line::Nobody {
                    counter.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                connections.spawn(serve(stream, passes.clone()));
            }
        });
        Self { kubeconfig, line, sent_away, _tasks: tasks }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.kubeconfig);
    }
}

/// A kubeconfig that leads to `server`.
pub(crate) fn write_kubeconfig(server: &str) -> PathBuf {
    let file = scratch_file("kubeconfig");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
    });
    // JSON is YAML.
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    file
}
