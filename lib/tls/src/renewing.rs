//! A server's certificate that is replaced before it expires, while the server runs.
//!
//! There is no timer: every handshake looks at the clock. So a machine that slept, or whose clock was wrong at first, is
//! right with the next connection, and there is nothing to start or to stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::server_config_with;
use crate::{Authorities, Authority, ClientVerification, Credential, Error, Leaf};

type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// As [`server_config`](crate::server_config), for a server that `authority` certifies under these names for as long as
/// it runs.
pub fn renewing_server_config(
    authority: Arc<Authority>,
    names: Vec<String>,
    clients: &ClientVerification,
    alpn: &[&[u8]],
) -> Result<ServerConfig, Error> {
    let renewing = Renewing::new(authority, names, Box::new(SystemTime::now))?;
    server_config_with(Arc::new(renewing), clients, alpn)
}

/// The same of a server whose authority may be about to be replaced. Clients without a certificate are accepted, those with
/// one if any of the authorities has issued it.
///
/// A client that says whom it knows is shown the certificate of the authority that signs, if it knows that one. Others see
/// that of the [elder](Authorities::elder): until that one is retired, nobody is turned away who was away meanwhile.
pub fn rotating_server_config(
    authorities: &Authorities,
    names: Vec<String>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, Error> {
    let rotating = Rotating::new(authorities, names)?;
    let clients = ClientVerification::Optional(authorities.bundle_pem());
    server_config_with(Arc::new(rotating), &clients, alpn)
}

#[derive(Debug)]
struct Rotating {
    signing: Renewing,
    /// Of the elder, if that is another one.
    elder: Option<Renewing>,
}

impl Rotating {
    fn new(authorities: &Authorities, names: Vec<String>) -> Result<Self, Error> {
        let (signing, elder) = (authorities.signing(), authorities.elder());
        let renewing =
            |authority: &Arc<Authority>| Renewing::new(authority.clone(), names.clone(), Box::new(SystemTime::now));
        let elder = (!Arc::ptr_eq(signing, elder)).then(|| renewing(elder)).transpose()?;
        Ok(Self { signing: renewing(signing)?, elder })
    }
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let knows = |authority: &Authority| {
            client
                .certificate_authorities()
                .is_some_and(|known| known.iter().any(|name| name.as_ref() == authority.name()))
        };
        match &self.elder {
            Some(elder) if !knows(&self.signing.authority) => elder.resolve(client),
            _ => self.signing.resolve(client),
        }
    }
}

struct Renewing {
    authority: Arc<Authority>,
    leaf: Leaf,
    clock: Clock,
    current: Mutex<Credential>,
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewing").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

impl Renewing {
    fn new(authority: Arc<Authority>, names: Vec<String>, clock: Clock) -> Result<Self, Error> {
        let leaf = Leaf::Server(names);
        let current = Mutex::new(authority.issue_at(&leaf, clock())?);
        Ok(Self { authority, leaf, clock, current })
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // One assignment under the lock: a panic leaves nothing half done.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        // It begins in the future if it was issued by a clock that has been put right since.
        if current.is_due(now) || now < current.validity().not_before {
            match self.authority.issue_at(&self.leaf, now) {
                Ok(next) => *current = next,
                Err(error) => {
                    tracing::error!(error = %lib_telemetry::chain(&error), "could not renew a server's certificate");
                }
            }
        }
        Some(current.certified_key())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::certificate::{Validity, parse};
    use crate::{Trust, client_config};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct Server {
        config: Arc<ServerConfig>,
        trust: Trust,
        clock: Arc<Mutex<SystemTime>>,
    }

    impl Server {
        fn start(at: SystemTime) -> Self {
            let authority = Arc::new(Authority::generate("test authority", at).unwrap());
            let trust = Trust::bundle(authority.certificate_pem()).unwrap();
            let clock = Arc::new(Mutex::new(at));
            let read = clock.clone();
            let clock_of_server: Clock = Box::new(move || *read.lock().unwrap());
            let renewing = Renewing::new(authority, vec!["localhost".into()], clock_of_server).unwrap();
            let config = server_config_with(Arc::new(renewing), &ClientVerification::None, &[]).unwrap();
            Self { config: Arc::new(config), trust, clock }
        }

        /// Lets a client in at that time, by the server's clock, and says for how long the certificate holds that it saw.
        async fn meet(&self, at: SystemTime) -> Validity {
            *self.clock.lock().unwrap() = at;
            let (near, far) = tokio::io::duplex(64 * 1024);
            let client = client_config(&self.trust, None, &[]).unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let (accepted, connected) = tokio::join!(
                TlsAcceptor::from(self.config.clone()).accept(far),
                TlsConnector::from(Arc::new(client)).connect(name, near)
            );
            accepted.unwrap();
            let stream = connected.unwrap();
            Validity::of(&parse(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap()).unwrap()
        }
    }

    #[tokio::test]
    async fn case_85_a_running_server_renews_its_certificate() {
        // Clients judge by the true time, so the server's life lies before it.
        let now = SystemTime::now();
        let server = Server::start(now - 300 * DAY);
        let first = server.meet(now - 299 * DAY).await;
        assert_eq!(server.meet(now - 100 * DAY).await, first, "it is not replaced before its time");
        let second = server.meet(now - 50 * DAY).await;
        assert!(second.not_after > first.not_after, "{first:?} {second:?}");
        assert_eq!(server.meet(now).await, second);
    }

    #[tokio::test]
    async fn a_clock_that_was_wrong_is_forgiven() {
        let now = SystemTime::now();
        let server = Server::start(now);
        let first = server.meet(now).await;
        // Further back than certificates allow for.
        let second = server.meet(now - DAY / 2).await;
        assert!(second.not_before < first.not_before);
    }
}
