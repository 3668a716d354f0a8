//! The least HTTP client that will do: its own cost must not hide the server's.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::Error;

/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";
/// The media type of a merge patch.
pub(crate) const MERGE: &str = "application/merge-patch+json";
/// The media type of server-side apply.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// A connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream) })
    }

    /// Sends a request and reads its answer's body. An answer that is no success is an error.
    pub(crate) async fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<Vec<u8>, Error> {
        self.ask(method, path, kind, body).await?;
        let (status, length) = self.head().await?;
        let mut answer = vec![0; length.ok_or("an answer without a length")?];
        self.stream.read_exact(&mut answer).await?;
        if !(200..300).contains(&status) {
            return Err(format!("{method} {path}: {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(answer)
    }

    /// Opens a watch; this connection does nothing else from then on.
    pub(crate) async fn watch(mut self, path: &str) -> Result<Watch, Error> {
        self.ask("GET", path, "", "").await?;
        let (status, _) = self.head().await?;
        if status != 200 {
            return Err(format!("watching {path}: {status}").into());
        }
        Ok(Watch { stream: self.stream, line: Vec::new() })
    }

    async fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<(), Error> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nuser-agent: bench\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        Ok(self.stream.get_mut().write_all(request.as_bytes()).await?)
    }

    /// The status, and the length of the body where it is told.
    async fn head(&mut self) -> Result<(u16, Option<usize>), Error> {
        let (mut status, mut length, mut line) = (None, None, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the connection broke".into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                return Ok((status.ok_or("an answer without a status")?, length));
            }
            match (status, text.split_once(": ")) {
                (None, _) => status = text.split(' ').nth(1).and_then(|code| code.parse().ok()),
                (Some(_), Some(("content-length", value))) => length = value.parse().ok(),
                (Some(_), _) => {}
            }
        }
    }
}

/// An open watch.
pub(crate) struct Watch {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Watch {
    /// The next line that holds a change. Events end with a newline and so do the lines around a chunk, which are short
    /// and no JSON.
    pub(crate) async fn next(&mut self) -> Result<&[u8], Error> {
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
                return Err("the watch has ended".into());
            }
            if self.line.starts_with(b"{") {
                return Ok(&self.line);
            }
        }
    }
}
