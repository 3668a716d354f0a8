//! A certificate in two files, which somebody else renews.
//!
//! cert-manager writes a Secret, and the kubelet mounts it: the files are links into a directory that is replaced as a
//! whole. Notifications about such files are an art of their own (the watched link never changes, its target
//! disappears), and the dates of the files say little. So the files are simply read every few seconds, and their
//! contents compared: two kilobytes, against a certificate that is renewed weeks before it expires.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::{Pair, PairError, Slot};

/// How often the files are read.
const PERIOD: Duration = Duration::from_secs(10);
/// The most that is read of a file, in bytes.
const LARGEST: u64 = 256 * 1024;

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate chain in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// The files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file can't be read.
    #[error("{}: {source}; is the Secret with the certificate mounted there?", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The files are not a certificate with its key.
    #[error("{} and {}: {source}", .files.certificate.display(), .files.key.display())]
    Unusable {
        /// The files.
        files: Files,
        /// What is wrong with them.
        source: PairError,
    },
}

impl Files {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`FilesError`]
    pub fn read(&self) -> Result<Pair, FilesError> {
        let (certificate, key) = (text(&self.certificate)?, text(&self.key)?);
        Pair::read(&certificate, &key).map_err(|source| FilesError::Unusable { files: self.clone(), source })
    }

    /// Puts the certificate into `slot` whenever the files have changed; they contained `last` before. Files that can't
    /// be used change nothing: they may be half written, and the next look is soon.
    pub async fn follow(self, slot: Slot, mut last: Pair) {
        let mut complaint = String::new();
        loop {
            sleep(PERIOD).await;
            match self.read() {
                Ok(pair) => {
                    complaint.clear();
                    if pair != last {
                        slot.put(&pair);
                        last = pair;
                        tracing::info!(file = %self.certificate.display(), "the certificate was renewed");
                    }
                }
                Err(error) if error.to_string() != complaint => {
                    complaint = error.to_string();
                    tracing::warn!(%error, "the certificate can't be read again; the last one is still used");
                }
                Err(_said_already) => {}
            }
        }
    }
}

fn text(file: &Path) -> Result<String, FilesError> {
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(LARGEST).read_to_string(&mut text));
    read.map_err(|source| FilesError::Unreadable { file: file.to_owned(), source })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use tokio_rustls::rustls::sign::CertifiedKey;

    use super::*;

    /// A directory of this test's own, which goes away with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("smooth-operator-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        fn files(&self) -> Files {
            Files { certificate: self.0.join("tls.crt"), key: self.0.join("tls.key") }
        }

        fn write(&self, pair: &Pair) {
            std::fs::write(self.files().certificate, pair.certificate()).unwrap();
            std::fs::write(self.files().key, pair.key()).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn made() -> Pair {
        Pair::make(&["localhost".to_owned()], Timestamp::now(), Duration::from_secs(3600)).unwrap().0
    }

    fn shown(slot: &Slot) -> Arc<CertifiedKey> {
        slot.shown().expect("a certificate")
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_replaced_when_its_files_change_and_only_by_a_good_one() {
        let (scratch, slot) = (Scratch::new("renewed"), Slot::default());
        let (first, second) = (made(), made());
        scratch.write(&first);
        slot.put(&scratch.files().read().unwrap());
        let following = tokio::spawn(scratch.files().follow(slot.clone(), first.clone()));

        // Between the two writes of somebody who renews them.
        std::fs::write(scratch.files().certificate, second.certificate()).unwrap();
        sleep(3 * PERIOD).await;
        assert_eq!(shown(&slot).cert, first.loaded().cert);
        std::fs::write(scratch.files().key, second.key()).unwrap();
        sleep(2 * PERIOD).await;
        assert_eq!(shown(&slot).cert, second.loaded().cert);
        std::fs::remove_file(scratch.files().key).unwrap();
        sleep(2 * PERIOD).await;
        assert_eq!(shown(&slot).cert, second.loaded().cert);
        following.abort();
    }

    #[test]
    fn an_error_names_the_file_and_quotes_nothing() {
        let scratch = Scratch::new("errors");
        let missing = scratch.files().read().unwrap_err().to_string();
        assert!(missing.contains("tls.crt") && missing.contains("mounted"), "{missing}");
        scratch.write(&made());
        std::fs::write(scratch.files().key, "hunter2").unwrap();
        let error = scratch.files().read().unwrap_err();
        assert!(error.to_string().contains("no private key"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
