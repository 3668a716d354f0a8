//! A certificate with its private key: read from PEM, made, verified.
//!
//! To find out whether a certificate is still good, one would usually parse it and compare its dates. Here the question
//! is put as the client on the other end puts it: would somebody who trusts *these* authorities accept *this* certificate
//! for *this* name at *that* time? The same library that verifies certificates in a handshake answers. It can't disagree
//! with the dates, and it also notices a wrong name or a foreign authority.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore};

/// A certificate is valid from this long before it is made, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);
/// Where a certificate begins and ends in a text with several.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate chain with its private key. Nothing here prints the key.
#[derive(Clone)]
pub struct Pair {
    /// The chain in PEM, the certificate itself first.
    certificate: String,
    /// The private key in PEM.
    key: String,
    /// Both, ready for handshakes.
    loaded: Arc<CertifiedKey>,
}

/// The texts are not a certificate with its key. The message says which and why, and quotes nothing.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// There is no certificate in the first text.
    #[error("there is no certificate in PEM")]
    Certificate,
    /// There is no key in the second one.
    #[error("there is no private key in PEM")]
    Key,
    /// They don't belong together, or their kind is not supported.
    #[error("the certificate and the key don't fit: {0}")]
    Mismatch(rustls::Error),
    /// The name is no DNS name.
    #[error("{0:?} is not a DNS name")]
    Name(String),
    /// No certificate can be made.
    #[error("a certificate can't be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Pair {
    /// Reads a certificate chain and its private key.
    ///
    /// # Errors
    ///
    /// [`PairError`]: they are unreadable, or don't belong together.
    pub fn read(certificate: &str, key: &str) -> Result<Self, PairError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(PairError::Certificate)?;
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_quotes_the_key| PairError::Key)?;
        let loaded = CertifiedKey::from_der(chain, der, &default_provider()).map_err(PairError::Mismatch)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), loaded: Arc::new(loaded) })
    }

    /// Makes a certificate for `names` that is valid from now on for `lifetime`, and the authority that vouches for it
    /// and for nothing else.
    ///
    /// # Errors
    ///
    /// [`PairError::Making`]: a name is no DNS name, or the system has no random numbers.
    pub fn make(names: &[String], now: Timestamp, lifetime: Duration) -> Result<(Self, Authority), PairError> {
        let since_epoch = Duration::from_secs(now.as_second().try_into().unwrap_or_default());
        let epoch = date_time_ymd(1970, 1, 1);
        let dated = |mut params: CertificateParams, subject: String| {
            params.not_before = epoch + since_epoch.saturating_sub(BACKDATED);
            params.not_after = epoch + (since_epoch + lifetime);
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, subject);
            params
        };
        // Two authorities in one bundle are easier to tell apart by different names.
        let mut params = dated(CertificateParams::default(), format!("smooth-operator-ca@{}", now.as_second()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(params, authority_key);

        let mut params = dated(CertificateParams::new(names)?, "smooth-operator".to_owned());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        let pair = Self::read(&certificate, &key.serialize_pem())?;
        Ok((pair, Authority::read(&authority).ok_or(PairError::Certificate)?))
    }

    /// The chain in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key in PEM: to be stored, never to be shown.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What a handshake needs.
    pub fn loaded(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.loaded)
    }

    /// Whether somebody who trusts `authorities` accepts this certificate for `name` at this time.
    pub fn is_accepted<'a>(
        &self,
        authorities: impl IntoIterator<Item = &'a Authority>,
        name: &ServerName<'_>,
        at: Timestamp,
    ) -> bool {
        is_accepted(&self.loaded.cert, authorities, name, at)
    }
}

/// Whether somebody who trusts `authorities` accepts this chain for `name` at this time.
pub(super) fn is_accepted<'a>(
    chain: &[CertificateDer<'_>],
    authorities: impl IntoIterator<Item = &'a Authority>,
    name: &ServerName<'_>,
    at: Timestamp,
) -> bool {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        // One that can't be used vouches for nothing.
        _ = roots.add(authority.der.clone());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build();
    let Ok(seconds) = at.as_second().try_into() else { return false };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let Some((certificate, intermediates)) = chain.split_first() else { return false };
    verifier.is_ok_and(|verifier| verifier.verify_server_cert(certificate, intermediates, name, &[], at).is_ok())
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key == other.key
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(..)")
    }
}

/// The certificate of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// Reads one certificate in PEM. Nothing may stand before it: this text will be shown to everybody, and a key must
    /// not slip in.
    fn read(text: &str) -> Option<Self> {
        let text = Some(text.trim()).filter(|text| text.starts_with(BEGIN))?;
        let der = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        Some(Self { pem: format!("{text}\n"), der })
    }

    /// Reads a text with several of them, and nothing else; `None` if there is none, or something else.
    pub fn read_all(text: &str) -> Option<Vec<Self>> {
        let blocks = text.trim().split_inclusive(END).map(Self::read);
        blocks.collect::<Option<Vec<Self>>>().filter(|found| !found.is_empty())
    }

    /// The certificate in PEM, with a line break at its end.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    fn name(text: &str) -> ServerName<'_> {
        ServerName::try_from(text).unwrap()
    }

    fn made() -> (Pair, Authority) {
        Pair::make(&["hook.ops.svc".to_owned()], now(), 90 * DAY).unwrap()
    }

    #[test]
    fn what_was_made_is_accepted_for_its_name_its_time_and_by_its_authority_alone() {
        let ((pair, authority), (_, stranger)) = (made(), made());
        let at = |time| pair.is_accepted([&authority], &name("hook.ops.svc"), time);
        let minute = Duration::from_secs(60);
        for (time, expected) in [
            (now(), true),
            (now() - BACKDATED + minute, true),
            (now() - BACKDATED - minute, false),
            (now() + 90 * DAY - minute, true),
            (now() + 90 * DAY + minute, false),
        ] {
            assert_eq!(at(time), expected, "{time}");
        }
        assert!(!pair.is_accepted([&authority], &name("hook.other.svc"), now()));
        assert!(!pair.is_accepted([&stranger], &name("hook.ops.svc"), now()));
        assert!(!pair.is_accepted([], &name("hook.ops.svc"), now()));
        assert!(pair.is_accepted([&stranger, &authority], &name("hook.ops.svc"), now()));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (pair, authority) = made();
        assert_eq!(Pair::read(pair.certificate(), pair.key()).unwrap(), pair);
        let (_, other) = made();
        let both = format!("{}{}", authority.pem(), other.pem());
        assert_eq!(Authority::read_all(&both), Some(vec![authority, other]));
    }

    #[test]
    fn a_key_of_another_certificate_and_garbage_are_refused_without_a_word_of_them() {
        let ((one, authority), (other, _)) = (made(), made());
        assert!(matches!(Pair::read(one.certificate(), other.key()), Err(PairError::Mismatch(_))));
        assert!(matches!(Pair::read("", one.key()), Err(PairError::Certificate)));
        assert!(matches!(Pair::read(one.key(), one.key()), Err(PairError::Certificate)));
        let error = Pair::read(one.certificate(), "hunter2").unwrap_err();
        assert!(matches!(error, PairError::Key) && !format!("{error} {error:?}").contains("hunter2"));
        for text in [
            "",
            "garbage",
            &format!("{}garbage", authority.pem()),
            one.key(),
            &format!("{}{}", one.key(), authority.pem()),
        ] {
            assert_eq!(Authority::read_all(text), None);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let (pair, _) = made();
        let secret = pair.key().lines().nth(1).unwrap().to_owned();
        assert!(!format!("{pair:?}").contains(&secret));
    }
}
