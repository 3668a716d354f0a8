//! How a pod is reached.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection to a pod.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens connections. Clones are handles to the same one.
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn(SocketAddr) -> Dialing + Send + Sync>);

impl Dialer {
    /// One that does what `dial` does: a test has pods that no network leads to.
    pub fn new<D, S>(dial: impl Fn(SocketAddr) -> D + Send + Sync + 'static) -> Self
    where
        D: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream + 'static,
    {
        Self(Arc::new(move |address| {
            let dialing = dial(address);
            Box::pin(async move { Ok(Box::new(dialing.await?) as Box<dyn Stream>) })
        }))
    }

    /// The network.
    pub fn tcp() -> Self {
        Self::new(async |address| {
            let stream = TcpStream::connect(address).await?;
            // Without it a small body could wait for the acknowledgement of the head.
            let _only_slower = stream.set_nodelay(true);
            Ok(stream)
        })
    }

    pub(super) fn dial(&self, address: SocketAddr) -> Dialing {
        (self.0)(address)
    }
}

impl Default for Dialer {
    fn default() -> Self {
        Self::tcp()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dialer")
    }
}
