//! The certificate that handshakes show, replaceable at any time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use super::Pair;

/// A place for one certificate. Clones share it. While it is empty, handshakes fail.
///
/// A connection keeps the certificate that it began with; each new one gets the newest.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Arc<CertifiedKey>>>>);

impl Slot {
    /// Shows this certificate from now on.
    pub fn put(&self, pair: &Pair) {
        *self.lock() = Some(pair.loaded());
    }

    /// Whether there is no certificate yet.
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// What turns connections into TLS connections with this certificate. It speaks HTTP/1.1 and asks for no client
    /// certificates.
    ///
    /// # Errors
    ///
    /// The crypto library does not support the protocol versions; it does.
    pub fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// What handshakes show.
    #[cfg(test)]
    pub(super) fn shown(&self) -> Option<Arc<CertifiedKey>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.lock().clone()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Slot(empty)" } else { "Slot(filled)" })
    }
}
