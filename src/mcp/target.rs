//! Who is asked.

use std::net::SocketAddr;

use http::HeaderValue;
use http::uri::PathAndQuery;
use thiserror::Error;

/// Where a server is asked: one pod's address, and the names by which its clients know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address that is dialed.
    pub(super) address: SocketAddr,
    pub(super) host: HeaderValue,
    pub(super) path: PathAndQuery,
}

/// A host or a path can't be sent.
#[derive(Debug, Error)]
#[error("{0:?} can't be a {1} of an HTTP request")]
pub struct InvalidTarget(String, &'static str);

impl Target {
    /// `address` is a pod's, and not the Service's: session affinity would lead every check to the same pod.
    ///
    /// `host` is the authority in the URL that clients use. Many servers accept only the `Host` that they know, against
    /// DNS rebinding. With the pod's address in it a server could refuse the check and serve its clients, or the
    /// other way round.
    ///
    /// # Errors
    ///
    /// `host` or `path` contains what no request may contain.
    pub fn new(address: SocketAddr, host: &str, path: &str) -> Result<Self, InvalidTarget> {
        let no = |what| move || InvalidTarget(if what == "path" { path } else { host }.to_owned(), what);
        let valid_host = HeaderValue::from_str(host).ok().filter(|_| !host.is_empty());
        let valid_path = path.parse().ok().filter(|_| path.starts_with('/'));
        Ok(Self { address, host: valid_host.ok_or_else(no("host"))?, path: valid_path.ok_or_else(no("path"))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_or_path_that_could_forge_a_request_is_refused() {
        let address = SocketAddr::from(([10, 0, 0, 1], 8080));
        assert!(Target::new(address, "fetch.default.svc:8080", "/mcp").is_ok());
        for (host, path) in
            [("", "/mcp"), ("a\r\nb: c", "/mcp"), ("a", "mcp"), ("a", ""), ("a", "/m cp\r\n"), ("a", "*")]
        {
            assert!(Target::new(address, host, path).is_err(), "{host:?} {path:?}");
        }
        let error = Target::new(address, "a", "mcp").unwrap_err();
        assert_eq!(error.to_string(), r#""mcp" can't be a path of an HTTP request"#);
    }
}
