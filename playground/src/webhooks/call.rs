//! One call: connect, shake hands, post, read; all within the timeout, and errors in the words of Go's HTTP client.
//!
//! A connection is made for each call and ends with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};

use super::endpoint::{Endpoint, Reached};

/// The longest answer that is read.
const MAX_ANSWER: usize = 3 << 20;
/// As much of an error's body is shown.
const MAX_SHOWN: usize = 2048;

/// A question that knows its way.
pub(super) struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) timeout: Duration,
    pub(super) body: Bytes,
}

impl Call {
    /// The body of a good answer; else why there is none.
    pub(super) async fn post(self) -> Result<Bytes, String> {
        let Self { endpoint, timeout: limit, body } = self;
        let Endpoint { url, authority, path, server_name, reached, roots } = endpoint;
        let exchange = async {
            let stream = connect(reached).await?;
            let stream = shake_hands(stream, &server_name, roots).await?;
            let request = Request::post(path)
                .header(header::HOST, authority)
                .header(header::USER_AGENT, "kube-apiserver-admission")
                .header(header::ACCEPT, "application/json, */*")
                .header(header::CONTENT_TYPE, "application/json");
            send(stream, request.body(Full::new(body)).map_err(|error| error.to_string())?).await
        };
        let done = timeout(limit, exchange).await.unwrap_or_else(|_| Err("context deadline exceeded".into()));
        let (code, text, body) = done.map_err(|why| format!("Post {url:?}: {why}"))?;
        if (200..=206).contains(&code) { Ok(body) } else { Err(unexpected(code, text, &body)) }
    }
}

async fn connect(reached: Reached) -> Result<TcpStream, String> {
    let (host, port) = match reached {
        Reached::Not(why) => return Err(why),
        Reached::At(host, port) => (host, port),
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect::<Vec<SocketAddr>>);
    let addresses = found.unwrap_or_default();
    let mut last = format!("dial tcp: lookup {host}: no such host");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("dial tcp {address}: connect: {}", plain(&error)),
        }
    }
    Err(last)
}

/// The system's words without its number, and in the lower case that Go has them in.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

async fn shake_hands(stream: TcpStream, name: &str, roots: RootCertStore) -> Result<TlsStream<TcpStream>, String> {
    let tls = |error: &dyn std::fmt::Display| format!("tls: {error}");
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = ServerName::try_from(name.to_owned()).map_err(|error| tls(&error))?;
    TlsConnector::from(Arc::new(config)).connect(server, stream).await.map_err(|error| untrusted(name, &error))
}

/// Why the handshake failed.
fn untrusted(name: &str, error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let x509 = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match inner {
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => plain(error),
        Some(TlsError::InvalidCertificate(fault)) => match fault {
            // Another authority of the same name is just as unknown; Go adds what it has tried.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                x509("certificate signed by unknown authority")
            }
            CertificateError::NotValidForNameContext { presented, .. } => x509(&other_names(name, presented)),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => x509("certificate has expired or is not yet valid"),
            other => x509(&other.to_string()),
        },
        Some(other) => format!("tls: {other}"),
    }
}

/// `presented` are names like `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn other_names(wanted: &str, presented: &[String]) -> String {
    let is_address = wanted.parse::<IpAddr>().is_ok();
    let kind = if is_address { "IpAddress" } else { "DnsName" };
    let of_kind = presented.iter().filter_map(|name| name.strip_prefix(kind));
    let names: Vec<&str> = of_kind.map(|name| name.trim_matches(['(', ')', '"'])).collect();
    match (names.is_empty(), is_address) {
        (true, true) => {
            format!("cannot validate certificate for {wanted} because it doesn't contain any IP SANs")
        }
        (true, false) => format!("certificate is not valid for any names, but wanted to match {wanted}"),
        (false, _) => format!("certificate is valid for {}, not {wanted}", names.join(", ")),
    }
}

/// The status, whether the body is text, and the body.
type Answer = (u16, bool, Bytes);

async fn send(stream: TlsStream<TcpStream>, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        read(response).await
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may be over before the answer is read out of it.
        _ = &mut connection => exchange.await,
    }
}

fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "EOF".to_owned()
    } else {
        error.to_string()
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (parts, body) = response.into_parts();
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let text = media.is_none_or(|media| media.starts_with("text/"));
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Ok((parts.status.as_u16(), text, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(format!("the answer is longer than {MAX_ANSWER} bytes")),
        Err(_) => Err("unexpected EOF".to_owned()),
    }
}

/// What client-go makes of a status that is none of success (`NewGenericServerResponse`).
fn unexpected(code: u16, text: bool, body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]);
    let says = if text { shown.trim() } else { "unknown" };
    match code {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        406 if says.is_empty() || says == "unknown" => {
            "the server was unable to respond with a content type that the client supports".to_owned()
        }
        403 | 406 | 415 => says.to_owned(),
        409 => "the server reported a conflict".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned()
        }
        500.. => format!("an error on the server ({says:?}) has prevented the request from succeeding"),
        _ => format!("the server responded with the status code {code} but did not return more information"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_for_others_names_them() {
        let presented = ["DnsName(\"a.b.svc\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        assert_eq!(other_names("c.d.svc", &presented), "certificate is valid for a.b.svc, not c.d.svc");
        assert_eq!(other_names("10.0.0.2", &presented), "certificate is valid for 10.0.0.1, not 10.0.0.2");
        let without = "cannot validate certificate for 10.0.0.2 because it doesn't contain any IP SANs";
        assert_eq!(other_names("10.0.0.2", &presented[..1]), without);
    }

    #[test]
    fn an_answer_that_is_no_success_is_told_in_words() {
        assert_eq!(unexpected(404, true, b""), "the server could not find the requested resource");
        let failed = "an error on the server (\"boom\") has prevented the request from succeeding";
        assert_eq!(unexpected(500, true, b" boom\n"), failed);
        assert!(unexpected(500, false, b"{}").contains("(\"unknown\")"));
    }
}
