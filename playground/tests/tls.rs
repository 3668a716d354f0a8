//! HTTPS: who trusts the playground's authority gets in, and is who their certificate or token says.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use playground::auth::{Authorization, StaticToken, User};
use playground::{Options, Playground};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn start() -> Playground {
    let token = StaticToken { token: "t".into(), user: User::new("jane", &[]) };
    let options = Options { tls: true, authorization: Authorization::Rbac, tokens: vec![token], ..Options::default() };
    Playground::start(options).await.unwrap()
}

/// Asks as a kubeconfig says, and gives the code and the body.
async fn ask(kubeconfig: &str, method: &str, path: &str, body: &str) -> std::io::Result<(u16, Value)> {
    let kubeconfig: Value = serde_saphyr::from_str(kubeconfig).unwrap();
    let (cluster, user) = (&kubeconfig["clusters"][0]["cluster"], &kubeconfig["users"][0]["user"]);
    let data = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&data(&cluster["certificate-authority-data"])) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let config = if user["client-certificate-data"].is_string() {
        let certificates = data(&user["client-certificate-data"]);
        let chain = CertificateDer::pem_slice_iter(&certificates).map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_slice(&data(&user["client-key-data"])).unwrap();
        config.with_client_auth_cert(chain.collect(), key).unwrap()
    } else {
        config.with_no_client_auth()
    };
    let address = cluster["server"].as_str().unwrap().strip_prefix("https://").expect("HTTPS").to_owned();
    let name = ServerName::try_from(address.rsplit_once(':').unwrap().0.to_owned()).unwrap();
    let stream = TcpStream::connect(&address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let token = user["token"].as_str().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{token}Content-Type: application/json\r\nConnection: \
         close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((code, serde_json::from_str(body).unwrap_or(Value::Null)))
}

async fn name(kubeconfig: &str) -> Value {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    ask(kubeconfig, "POST", path, "{}").await.unwrap().1["status"]["userInfo"]["username"].clone()
}

#[tokio::test]
async fn a_client_is_who_its_certificate_or_token_says() {
    let playground = start().await;
    assert_eq!(name(&playground.kubeconfig()).await, "kubernetes-admin");
    assert_eq!(name(&playground.kubeconfig_with_token("t")).await, "jane");
    let joe = playground.kubeconfig_with_certificate(&User::new("joe", &["devs"])).unwrap();
    assert_eq!(name(&joe).await, "joe");
    let (code, answer) = ask(&joe, "GET", "/api/v1/secrets", "").await.unwrap();
    assert_eq!((code, &answer["reason"]), (403, &Value::from("Forbidden")));
    let (code, _) = ask(&playground.kubeconfig(), "GET", "/api/v1/secrets", "").await.unwrap();
    assert_eq!(code, 200);
    playground.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_none() {
    let (playground, other) = (start().await, start().await);
    let server: Value = serde_saphyr::from_str(&playground.kubeconfig()).unwrap();
    let mut stranger: Value = serde_saphyr::from_str(&other.kubeconfig()).unwrap();
    let address = stranger["clusters"][0]["cluster"]["server"].clone();
    stranger["clusters"][0] = server["clusters"][0].clone();
    let answer = ask(&stranger.to_string(), "GET", "/version", "").await;
    assert!(answer.is_err(), "the handshake should have failed: {answer:?}");
    stranger["clusters"][0]["cluster"]["server"] = address;
    stranger["users"][0]["user"] = Value::Null;
    let answer = ask(&stranger.to_string(), "GET", "/version", "").await;
    assert!(answer.is_err(), "nor does a client trust the other's server: {answer:?}");
    playground.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn who_shakes_no_hands_keeps_nobody_from_stopping() {
    let playground = start().await;
    let address = playground.url().strip_prefix("https://").unwrap().to_owned();
    let silent = TcpStream::connect(address).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), playground.stop()).await.expect("it stops");
    drop(silent);
}
