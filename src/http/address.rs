//! The address to listen on, in the notation of the command line.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;
use tokio::net::TcpListener;

/// An address to listen on, in the notation of controller-runtime's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// `0`: don't listen.
    Disabled,
    /// `:8080`: this port on all interfaces.
    All(u16),
    /// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`: this host and port.
    Host(String),
}

/// The text is not a [`BindAddress`].
#[derive(Debug, Error)]
#[error("`{0}` is not a valid address to listen on: use `:port` for all interfaces, `host:port`, or `0` to disable it")]
pub struct AddressError(String);

/// Listening failed.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}; choose another address with {flag}, or disable it with {flag}=0")]
pub struct BindError {
    /// The address.
    address: BindAddress,
    /// The flag that sets the address.
    flag: &'static str,
    /// The system's error.
    source: io::Error,
}

impl FromStr for BindAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if text == "0" {
            return Ok(Self::Disabled);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        match host {
            "" => Ok(Self::All(port)),
            // `::1:8080` is itself an IPv6 address, so the brackets are not optional.
            host if host.contains(':') && text.parse::<SocketAddr>().is_err() => Err(wrong()),
            _ => Ok(Self::Host(text.to_owned())),
        }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("0"),
            Self::All(port) => write!(f, ":{port}"),
            Self::Host(address) => f.write_str(address),
        }
    }
}

impl BindAddress {
    pub(super) async fn bind(&self, flag: &'static str) -> Result<Option<(TcpListener, SocketAddr)>, BindError> {
        let failed = |source| BindError { address: self.clone(), flag, source };
        let listener = match self {
            Self::Disabled => return Ok(None),
            Self::All(port) => bind_all(*port).await,
            Self::Host(address) => TcpListener::bind(address).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some((listener, address)))
    }
}

/// Binds the IPv6 wildcard address, which also accepts IPv4 connections; where there is no IPv6, the IPv4 one.
async fn bind_all(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        // With these errors the problem is the port, not the protocol.
        Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => Err(error),
        Err(_no_ipv6) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        Ok(listener) => Ok(listener),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_like_the_flags_of_controller_runtime() {
        let host = |address: &str| BindAddress::Host(address.to_owned());
        for (text, address) in [
            ("0", BindAddress::Disabled),
            (":8080", BindAddress::All(8080)),
            (":0", BindAddress::All(0)),
            ("127.0.0.1:8080", host("127.0.0.1:8080")),
            ("[::1]:8080", host("[::1]:8080")),
            ("localhost:8080", host("localhost:8080")),
        ] {
            assert_eq!(text.parse::<BindAddress>().unwrap(), address);
            assert_eq!(address.to_string(), text, "it is written as it is read");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_valid_forms() {
        for text in ["", "8080", "localhost", ":", ":http", ":65536", "::1:8080", "1.2.3.4:"] {
            let error = text.parse::<BindAddress>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("host:port"), "{error}");
        }
    }
}
