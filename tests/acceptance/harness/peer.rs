//! Something else at the other end of the line: a server with few words, and a line that can go dead.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{World, scratch_file};

/// Listens for as long as it lives, and leads there by a kubeconfig.
pub(crate) struct Peer {
    pub(crate) kubeconfig: PathBuf,
    dead: watch::Sender<bool>,
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
        Self::listen(move |mut near, mut dead| {
            let address = address.clone();
            async move {
                let Ok(mut far) = TcpStream::connect(address).await else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    // Both ends stay open, and nothing passes any more.
                    () = async { drop(dead.wait_for(|dead| *dead).await) } => std::future::pending().await,
                }
            }
        })
        .await
    }

    /// From now on nothing passes, in no direction, and nobody is told.
    pub(crate) fn go_dead(&self) {
        self.dead.send_replace(true);
    }

    async fn listen<F>(serve: impl Fn(TcpStream, watch::Receiver<bool>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = write_kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        let (dead, is_dead) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, is_dead.clone()));
            }
        });
        Self { kubeconfig, dead, _tasks: tasks }
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
