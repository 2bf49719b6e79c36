//! How an agent comes by its certificate, and keeps it fresh.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryFutureExt;
use lib_backoff::{Backoff, chance};
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_telemetry::chain;
use lib_tls::{Credential, SigningRequest, Subject, Trust};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tunnel_agent::Network;
use tunnel_protocol::registration::{CertificateRequest, REGISTER_PATH, RENEW_PATH};
use tunnel_protocol::{AGENTS_GROUP, agent_user};

use crate::address::HubAddresses;
use crate::hub_client::{Hub, HubError, Proof};
use crate::trust::HubTrust;
use crate::{CredentialStore, StoreError};

/// A registration token. A secret: it is never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// From the text that a person was given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrollError {
    /// There is no valid certificate, and no token to get one.
    #[error("there is no valid certificate, and no registration token")]
    NoToken,
    /// The kept certificate is another cluster's.
    #[error("the kept certificate is for {found}, and not for cluster {cluster}; give the token of a new registration")]
    OtherCluster {
        /// The cluster that the agent is configured for.
        cluster: ClusterName,
        /// Whom the certificate names.
        found: Subject,
    },
    /// The credential could not be loaded or saved.
    #[error("could not use the credential store")]
    Store(#[from] StoreError),
    /// The hub gave none.
    #[error("could not get a certificate")]
    Hub(#[from] HubError),
    /// A key or request could not be made, or the answer is no certificate for it.
    #[error("could not make use of the certificate")]
    Certificate(#[source] lib_tls::Error),
}

/// The waits between attempts when the hub cannot be reached.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// The longest while a person has to decide.
const UNDECIDED: Duration = Duration::from_secs(10);
/// How long the hub may take at a start to say whether it knows the kept certificate.
const CONFIRM: Duration = Duration::from_secs(3);
/// How often the certificate's age is looked at, at least. Clocks jump, and machines sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Between attempts of an agent that the hub has let go.
const LET_GO: Duration = Duration::from_secs(60 * 60);
/// Between attempts to renew, at most; also where a certificate that was just issued looks old by the clock here.
const RENEW_AGAIN: Duration = Duration::from_secs(5 * 60);
/// The same once it has run out: until then there is no tunnel.
const COME_BACK_AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Enroller {
    pub(crate) cluster: ClusterName,
    pub(crate) addresses: Arc<HubAddresses>,
    pub(crate) network: Network,
    pub(crate) trust: Arc<HubTrust>,
    pub(crate) store: Arc<dyn CredentialStore>,
}

impl Enroller {
    /// The hub, as one that these authorities vouch for.
    pub(crate) fn hub(&self, trust: Trust) -> Hub {
        Hub { addresses: self.addresses.to_ask(), network: self.network.clone(), trust }
    }

    fn subject(&self) -> Subject {
        Subject::new(agent_user(&self.cluster), [AGENTS_GROUP])
    }

    /// The kept credential, or a new one for the token. Waits for a hub that cannot be reached; a hub that says no ends
    /// it.
    pub(crate) async fn enroll(&self, token: Option<&Token>) -> Result<Credential, EnrollError> {
        match (self.store.load().await?, token) {
            (Some(kept), token) if is_over(&kept) => self.come_back(&kept, token).await,
            (Some(kept), None) => self.check_subject(&kept).map(|()| kept),
            (Some(kept), Some(token)) => self.confirm(kept, token).await,
            (None, Some(token)) => self.register(token).await,
            (None, None) => Err(EnrollError::NoToken),
        }
    }

    /// A certificate that has run out proves nothing, and its key still does: the hub has noted it for this cluster.
    async fn come_back(&self, kept: &Credential, token: Option<&Token>) -> Result<Credential, EnrollError> {
        tracing::warn!("the kept certificate has expired: asking for another one with its key");
        let renewed = match self.check_subject(kept) {
            Ok(()) => patiently("could not renew the certificate yet", || self.renew(kept)).await,
            Err(other) => Err(other),
        };
        match (renewed, token) {
            (Err(error), Some(token)) => {
                tracing::warn!(error = %chain(&error), "the key of the kept certificate is of no use");
                self.register(token).await
            }
            (renewed, _) => renewed,
        }
    }

    /// With a certificate and a token, the certificate counts while the hub knows it. When the hub does not, or the
    /// certificate is another cluster's, somebody has registered this cluster again, and the token is for that.
    async fn confirm(&self, kept: Credential, token: &Token) -> Result<Credential, EnrollError> {
        if self.check_subject(&kept).is_err() {
            return self.register(token).await;
        }
        match timeout(CONFIRM, self.renew(&kept)).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(EnrollError::Hub(error))) if !error.is_passing() => {
                tracing::warn!(error = %chain(&error), "the hub no longer knows the kept certificate");
                self.register(token).await.or_else(|error| {
                    // The hub may know it again later, as after a restore; a token that was spent is never good again.
                    tracing::warn!(error = %chain(&error), "could not register again");
                    Ok(kept)
                })
            }
            Ok(Err(_)) | Err(_) => Ok(kept),
        }
    }

    async fn register(&self, token: &Token) -> Result<Credential, EnrollError> {
        let (request, key) = SigningRequest::generate(&self.subject()).map_err(EnrollError::Certificate)?;
        let asked = CertificateRequest { cluster: self.cluster.clone(), request };
        let proof = Proof::Token(token);
        let hub = self.hub(self.trust.now());
        let ask = || hub.ask(REGISTER_PATH, &proof, &asked).map_err(EnrollError::from);
        let issued = match patiently("could not register yet", ask).await {
            // A certificate that was lost on its way has spent the token all the same. Then the hub knows the key.
            Err(refused) => hub.ask(RENEW_PATH, &Proof::Key, &asked).await.map_err(|_| refused)?,
            Ok(issued) => issued,
        };
        let credential = Credential::from_pem(issued.certificate, key).map_err(EnrollError::Certificate)?;
        self.check_subject(&credential)?;
        self.store.save(&credential).await?;
        self.hear(issued.authorities).await;
        tracing::info!(cluster = %self.cluster, "registered with the hub");
        Ok(credential)
    }

    /// With a certificate come the authorities, of a hub that says so.
    async fn hear(&self, authorities: Option<String>) {
        if let Some(authorities) = authorities {
            self.trust.take_more(&authorities).await;
        }
    }

    fn check_subject(&self, credential: &Credential) -> Result<(), EnrollError> {
        let found = credential.identity().map_err(EnrollError::Certificate)?.subject();
        match found == self.subject() {
            true => Ok(()),
            false => Err(EnrollError::OtherCluster { cluster: self.cluster.clone(), found }),
        }
    }

    /// Another certificate for the same key. The request is proof of it, and enough where a certificate is none any more.
    pub(crate) async fn renew(&self, current: &Credential) -> Result<Credential, EnrollError> {
        let request = SigningRequest::renew(current).map_err(EnrollError::Certificate)?;
        let asked = CertificateRequest { cluster: self.cluster.clone(), request };
        let shown = if is_over(current) { Proof::Key } else { Proof::Certificate(current) };
        let hub = self.hub(self.trust.now());
        let issued = match hub.ask(RENEW_PATH, &shown, &asked).await {
            // So it looks when the certificate has run out by the hub's clock, or is of an authority that was retired: the
            // hub hangs up on who shows it.
            Err(HubError::Exchange { .. }) if !is_over(current) => hub.ask(RENEW_PATH, &Proof::Key, &asked).await?,
            asked => asked?,
        };
        let next =
            Credential::from_pem(issued.certificate, current.key_pem().to_owned()).map_err(EnrollError::Certificate)?;
        self.check_subject(&next)?;
        self.store.save(&next).await?;
        self.hear(issued.authorities).await;
        Ok(next)
    }

    /// Asks a hub that hangs up for another certificate, in case that is what is missing. Returns its words if it lets this
    /// agent in no more. What cannot be asked is no answer.
    pub(crate) async fn farewell(&self, credential: &watch::Sender<Credential>) -> Option<String> {
        let current = credential.borrow().clone();
        match self.renew(&current).await {
            Err(EnrollError::Hub(error)) => error.farewell().map(str::to_owned),
            Err(_) => None,
            Ok(next) => {
                credential.send_replace(next);
                None
            }
        }
    }

    /// Renews the credential whenever two thirds of its life are over, or another authority signs, until drained.
    pub(crate) async fn keep_fresh(self, credential: watch::Sender<Credential>, drain: Drain) {
        let rounds = async {
            let mut backoff = Backoff::new(FIRST_WAIT);
            let mut due = credential.borrow().validity().renew_by(chance());
            let mut told = self.trust.changes();
            loop {
                let now = SystemTime::now();
                let current = credential.borrow().clone();
                if let Ok(left) = due.duration_since(now)
                    && !left.is_zero()
                    && !self.trust.is_of_another(&current)
                {
                    let _ = timeout(left.min(LOOK_AGAIN), told.changed()).await;
                    continue;
                }
                match self.renew(&current).await {
                    Ok(next) => {
                        tracing::info!(cluster = %self.cluster, "certificate renewed");
                        due = next.validity().renew_by(chance()).max(now + RENEW_AGAIN);
                        // From a replica of the hub that has not heard of a switch yet.
                        let is_late = self.trust.is_of_another(&next);
                        credential.send_replace(next);
                        backoff.reset();
                        if is_late {
                            sleep(COME_BACK_AGAIN).await;
                        }
                    }
                    // Said once, by whoever holds the tunnel.
                    Err(EnrollError::Hub(error)) if error.farewell().is_some() => sleep(LET_GO).await,
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "could not renew the certificate");
                        let longest = if is_over(&current) { COME_BACK_AGAIN } else { RENEW_AGAIN };
                        sleep(backoff.after(longest, chance())).await;
                    }
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = drain.finishing() => {}
        }
    }
}

/// Whether a certificate has run out, by the clock here.
fn is_over(credential: &Credential) -> bool {
    credential.validity().not_after <= SystemTime::now()
}

/// Asks until the hub has said yes or no.
async fn patiently<T, F>(failure: &'static str, mut ask: impl FnMut() -> F) -> Result<T, EnrollError>
where
    F: Future<Output = Result<T, EnrollError>>,
{
    let mut backoff = Backoff::new(FIRST_WAIT);
    loop {
        match ask().await {
            Err(EnrollError::Hub(error)) if error.is_passing() => {
                tracing::warn!(error = %chain(&error), "{failure}");
                let longest = if matches!(error, HubError::Waiting(_)) { UNDECIDED } else { LONGEST_WAIT };
                sleep(backoff.after(longest, chance())).await;
            }
            answer => return answer,
        }
    }
}
