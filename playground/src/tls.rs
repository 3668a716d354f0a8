//! HTTPS: an authority of the playground's own, a certificate for the server, and certificates by which clients are known.
//!
//! ```text
//!            signs                                  handshake
//!  authority ------> the server's certificate     <-----------  whoever trusts the authority (kubeconfig)
//!      |
//!      +-----------> a client's certificate, and remembers whose it is
//! ```
//!
//! Kubernetes reads user and groups off a certificate's subject. Here the authority remembers what it has issued, and to
//! whom: its key never leaves the process, so no other certificate passes the handshake, and no X.509 needs to be
//! read. The subject still names the user, for people.
//!
//! kubectl sends tokens and certificates over HTTPS only; over plain HTTP it is nobody.
//!
//! Keys are the one thing whose chance comes from the operating system instead of the seed. Certificates don't expire.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::auth::User;

/// What a server in a cluster is called, beside its address.
const NAMES: [&str; 4] = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// Signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    /// By certificate: whose it is.
    issued: Mutex<BTreeMap<Vec<u8>, User>>,
}

/// What proves somebody to be somebody, in PEM.
pub(crate) struct ClientCertificate {
    certificate: String,
    key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub(crate) fn new() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = named("playground-ca");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let pem = certificate.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, certificate: certificate.der().clone(), pem, issued: Mutex::default() })
    }

    /// What a server at this address shows, and how it looks at what clients show. They need not show anything.
    pub(crate) fn acceptor(&self, address: IpAddr) -> io::Result<TlsAcceptor> {
        let mut params = CertificateParams::new(NAMES.map(str::to_owned)).map_err(io::Error::other)?;
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        let others = loopback.into_iter().filter(|other| *other != address);
        params.subject_alt_names.extend(others.chain([address]).map(SanType::IpAddress));
        params.distinguished_name = named("kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;

        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(io::Error::other)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// A certificate by which this user is known from now on.
    pub(crate) fn issue(&self, user: &User) -> io::Result<ClientCertificate> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&user.name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.insert(certificate.der().to_vec(), user.clone());
        Ok(ClientCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Whose certificate that is. It has passed the handshake already.
    pub(crate) fn owner(&self, certificate: &CertificateDer<'_>) -> Option<User> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(certificate.as_ref()).cloned()
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The same as a kubeconfig bears it.
    pub(crate) fn data(&self) -> String {
        STANDARD.encode(&self.pem)
    }
}

impl ClientCertificate {
    /// A kubeconfig's user, as YAML of the flow style.
    pub(crate) fn user(&self) -> String {
        let Self { certificate, key } = self;
        let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
        format!("{{client-certificate-data: {certificate:?}, client-key-data: {key:?}}}")
    }
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
