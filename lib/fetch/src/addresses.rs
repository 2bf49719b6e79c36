//! Connecting, and only to where one may.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;

/// At which addresses servers may be; the default is anywhere.
#[derive(Clone)]
pub struct Addresses(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name is nobody's.
    #[error(transparent)]
    Resolve(io::Error),
    /// It is where nobody may be called.
    #[error("it is at {0}, which may not be asked")]
    Forbidden(IpAddr),
    /// Nobody answers there.
    #[error(transparent)]
    Connect(io::Error),
}

impl Addresses {
    /// Those of which `allowed` says so. It sees what a name was resolved to; an IPv4 address in IPv6's clothes comes as
    /// IPv4.
    pub fn only(allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allowed))
    }

    /// Connects to the first address of a host that can be reached, of those that may be. There is no deadline here.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unreachable> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.map_err(Unreachable::Resolve)?.collect();
        let mut why = Unreachable::Resolve(io::ErrorKind::NotFound.into());
        for address in found {
            let ip = address.ip().to_canonical();
            if !(self.0)(ip) {
                why = Unreachable::Forbidden(ip);
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = Unreachable::Connect(error),
            }
        }
        Err(why)
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::only(|_| true)
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Addresses(…)")
    }
}
