//! Registration: the cluster dials the hub.
//!
//! A token buys one certificate, for one cluster, within a day. Only its hash is kept, in a Secret that is deleted by
//! whoever spends it: of two who try, the API server lets one. From then on the cluster is known by its agent's key, for
//! which the agent gets one short-lived certificate after another. Another key needs a token of its own, and an
//! administrator's approval.

use std::time::{Duration, SystemTime};

use api_types::cluster::{AGENT_KEY, Cluster, ClusterSpec, Connection, PLATFORM_URL};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use lib_names::ClusterName;
use lib_telemetry::chain;
use lib_tls::{PeerIdentity, SigningRequest, SpkiPin, Subject};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tunnel_protocol::registration::{CERTIFICATE_LIFE, CertificateRequest, IssuedCertificate};
use tunnel_protocol::{AGENTS_GROUP, PlatformUrl, agent_user, cluster_of_agent};

use crate::authority::written;
use crate::error::{AgentRefused, Cause, Error};
use crate::import::{cluster_name, display_name, object, owned_secret};
use crate::{Caller, Fleet, Inner, manifest, platform};

/// Of a token: the pins of the authorities that were given with it.
const AUTHORITIES: &str = "authorities";

/// How long a token may wait.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What somebody wants to register.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrationRequest {
    /// The cluster's name on the hub.
    #[serde(default)]
    pub name: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Where the hub is for the cluster's network, if that is not the hub's own address: `https://host:port`.
    pub platform_url: Option<String>,
}

/// What may change when a cluster is registered again.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrationAgain {
    /// As in [`RegistrationRequest`]; by default it stays.
    pub platform_url: Option<String>,
}

/// What they need for it. The token is in it, and is not said again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The cluster's name.
    pub name: String,
    /// The token.
    pub token: String,
    /// Until when it may be spent.
    pub expiration_timestamp: Timestamp,
    /// One line to run where the cluster's kubeconfig is.
    pub command: String,
    /// Or this, for `kubectl apply`.
    pub manifest: String,
}

impl Fleet {
    /// Makes a cluster that waits for its agent, and the token for that.
    pub async fn register(&self, caller: &Caller, request: RegistrationRequest) -> Result<Registration, Error> {
        let name = cluster_name(&request.name)?;
        let display_name = display_name(request.display_name)?;
        let url = platform::read(request.platform_url.as_deref())?;
        url.as_ref().map_or(Ok(()), |url| self.check_room(url))?;
        let mut object = object(&name, display_name.as_deref(), Connection::Tunnel, ClusterSpec::default());
        let notes = url.iter().map(|url| (PLATFORM_URL.to_owned(), url.to_string()));
        object.metadata.annotations.get_or_insert_default().extend(notes);
        let cluster = self.create(caller, &name, &object, false).await?;
        let token = match self.issue_token(&cluster).await {
            Ok(token) => token,
            Err(error) => {
                self.take_back(&cluster).await;
                return Err(error);
            }
        };
        tracing::info!(cluster = %name, user = caller.name(), "a cluster may register");
        Ok(self.registration(&name, url.as_ref(), token))
    }

    /// Another token for a cluster that is there; the one before is worth nothing from then on. Who may register a cluster
    /// may do so again. If it has an agent with another key than the one that brings the token, somebody has to approve that.
    pub async fn register_again(
        &self,
        caller: &Caller,
        name: &str,
        request: RegistrationAgain,
    ) -> Result<Registration, Error> {
        let name = cluster_name(name)?;
        let url = platform::read(request.platform_url.as_deref())?;
        url.as_ref().map_or(Ok(()), |url| self.check_room(url))?;
        let fresh = object(&name, None, Connection::Tunnel, ClusterSpec::default());
        match self.create(caller, &name, &fresh, true).await {
            Err(Error::Exists(_)) => {}
            Ok(_) => return Err(Error::Unknown(name)),
            Err(error) => return Err(error),
        }
        let found = self.inner.clusters().get_opt(name.as_str()).await.map_err(Error::hub("look at the cluster"))?;
        let cluster = found.ok_or_else(|| Error::Unknown(name.clone()))?;
        if !expects_agent(&cluster) {
            let message = format!("cluster {name} has no agent: it is the hub itself, imported, or on its way out");
            return Err(Cause::new("name", message).into());
        }
        let url = match (url, platform::url_of(&cluster)) {
            (Some(url), _) => {
                self.set_platform_url(caller, &cluster, &url).await?;
                Some(url)
            }
            (None, Some(Err(bad))) => {
                let message =
                    format!("the annotation {PLATFORM_URL} of cluster {name}: {bad}, or say another URL here");
                return Err(Cause::new("platformUrl", message).into());
            }
            (None, kept) => kept.and_then(Result::ok),
        };
        let token = self.issue_token(&cluster).await?;
        tracing::info!(cluster = %name, user = caller.name(), "a cluster may register again");
        Ok(self.registration(&name, url.as_ref(), token))
    }

    fn registration(
        &self,
        name: &ClusterName,
        url: Option<&PlatformUrl>,
        (token, expires): (String, Timestamp),
    ) -> Registration {
        let hub = url.map_or_else(|| self.inner.config.hub_address.clone(), PlatformUrl::authority);
        let authorities = self.inner.authorities.now();
        let invitation = manifest::Invitation {
            cluster: name,
            token: &token,
            hub: &hub,
            authority_pem: &authorities.bundle_pem(),
            image: &self.inner.config.agent_image,
            rights: &self.inner.config.member_rights,
            egress: None,
        };
        Registration {
            // Whoever says nothing of whom it knows is shown the certificate of this one.
            command: invitation.command(authorities.elder().pin()),
            manifest: invitation.manifest(),
            name: name.to_string(),
            expiration_timestamp: expires,
            token,
        }
    }

    async fn issue_token(&self, cluster: &Cluster) -> Result<(String, Timestamp), Error> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
        let token = token_text(bytes);
        let life = jiff::SignedDuration::try_from(LIFE).unwrap_or(jiff::SignedDuration::ZERO);
        let expires = Timestamp::now().checked_add(life).unwrap_or(Timestamp::MAX);
        let mut secret = owned_secret(cluster, token_name(&cluster.name_any()), "fleet.cpaas.io/registration-token");
        let data = [
            ("hash", hash(&token)),
            ("expires", expires.to_string()),
            ("clusterUID", cluster.uid().unwrap_or_default()),
            (AUTHORITIES, written(&self.inner.authorities.now().pins()).join(",")),
        ];
        secret.data =
            Some(data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect());
        self.put_secret(&secret).await?;
        Ok((token, expires))
    }

    /// Turns a token into a certificate for the key of the request. `from` is where it came from, for those who may have to
    /// approve it.
    pub async fn redeem(
        &self,
        token: &str,
        asked: &CertificateRequest,
        from: &str,
    ) -> Result<IssuedCertificate, AgentRefused> {
        let secret =
            self.inner.secrets().get_opt(&token_name(asked.cluster.as_str())).await.map_err(AgentRefused::hub)?;
        let secret =
            secret.filter(|secret| is_spendable(secret, token, Timestamp::now())).ok_or(AgentRefused::Token)?;
        let cluster = self.expecting(&asked.cluster).await.map_err(|error| match error {
            AgentRefused::NotExpected(_) => AgentRefused::Token,
            error => error,
        })?;
        if text(&secret, "clusterUID") != cluster.uid() {
            return Err(AgentRefused::Token);
        }
        // A request that would not be signed does not cost the token.
        let request = SigningRequest::from_pem(&asked.request).map_err(AgentRefused::Request)?;
        if let Some(forgotten) = self.inner.forgotten_agent(&asked.cluster, request.pin()).await? {
            return Err(forgotten);
        }
        let issued = self.sign(&request, &asked.cluster)?;
        match known_key(&cluster) {
            None => {
                self.spend(&secret).await?;
                self.remember_key(&cluster, request.pin()).await?;
            }
            Some(known) => {
                if known != request.pin() {
                    self.change_key(&cluster, &secret, asked, request.pin(), from).await?;
                }
                self.spend(&secret).await?;
            }
        }
        tracing::info!(cluster = %asked.cluster, key = %request.pin(), "a cluster has registered");
        Ok(issued)
    }

    /// The next certificate for the same key.
    ///
    /// The request is signed with that key, which is proof enough: who sends a request of somebody else again gets a
    /// certificate that only the key's owner can use. So an agent comes back whose certificate has run out long ago. Who
    /// shows none that holds is anybody, and is turned away by what is remembered before a signature is looked at.
    pub async fn renew(
        &self,
        peer: Option<&PeerIdentity>,
        asked: &CertificateRequest,
    ) -> Result<IssuedCertificate, AgentRefused> {
        let cluster = &asked.cluster;
        let key = SigningRequest::claimed_key(&asked.request).map_err(AgentRefused::Request)?;
        let holds = peer.is_some_and(|peer| {
            peer.spki == key && cluster_of_agent(&peer.common_name, &peer.organizations).as_ref() == Ok(cluster)
        });
        if !holds {
            let remembered = self.inner.cluster(cluster.as_str());
            let remembered = remembered.filter(|object| admits_agent(object));
            check_key(&*remembered.ok_or_else(|| AgentRefused::NotExpected(cluster.clone()))?, cluster, key)?;
        }
        let request = SigningRequest::from_pem(&asked.request).map_err(AgentRefused::Request)?;
        let object = self.admit_as_of_now(cluster, request.pin()).await?;
        if holds {
            return self.sign(&request, cluster);
        }
        if object.spec.paused == Some(true) {
            return Err(AgentRefused::Paused(cluster.clone()));
        }
        let issued = self.sign(&request, cluster)?;
        tracing::info!(cluster = %cluster, key = %key, "an agent whose certificate has run out has another one, by its key");
        Ok(issued)
    }

    /// Whether an agent with this key may speak for a cluster.
    ///
    /// What is remembered is enough for a yes: all agents of a hub that restarts ask at once, and the sessions of a cluster
    /// that is removed end when that is seen. It is not enough for a no, as a cluster may have registered just now.
    pub async fn admit(&self, cluster: &ClusterName, key: SpkiPin) -> Result<(), AgentRefused> {
        let remembered = self.inner.cluster(cluster.as_str());
        if remembered.is_some_and(|object| admits_agent(&object) && known_key(&object) == Some(key)) {
            return Ok(());
        }
        self.admit_as_of_now(cluster, key).await.map(drop)
    }

    /// The same by what the hub's API says, which is returned.
    async fn admit_as_of_now(&self, cluster: &ClusterName, key: SpkiPin) -> Result<Cluster, AgentRefused> {
        let object = self.inner.clusters().get_opt(cluster.as_str()).await.map_err(AgentRefused::hub)?;
        let refused = match object.filter(admits_agent) {
            Some(object) => match check_key(&object, cluster, key) {
                Ok(()) => return Ok(object),
                Err(refused) => refused,
            },
            None => AgentRefused::NotExpected(cluster.clone()),
        };
        Err(self.inner.forgotten_agent(cluster, key).await?.unwrap_or(refused))
    }

    async fn expecting(&self, name: &ClusterName) -> Result<Cluster, AgentRefused> {
        let cluster = self.inner.clusters().get_opt(name.as_str()).await.map_err(AgentRefused::hub)?;
        cluster.filter(expects_agent).ok_or_else(|| AgentRefused::NotExpected(name.clone()))
    }

    fn sign(&self, request: &SigningRequest, cluster: &ClusterName) -> Result<IssuedCertificate, AgentRefused> {
        let subject = Subject::new(agent_user(cluster), [AGENTS_GROUP]);
        let authorities = self.inner.authorities.now();
        let signing = authorities.signing();
        let certificate = signing.sign_client(request, &subject, CERTIFICATE_LIFE, SystemTime::now());
        let certificate = certificate.map_err(AgentRefused::Request)?;
        Ok(IssuedCertificate { certificate, authorities: Some(authorities.bundle_pem()) })
    }

    pub(crate) async fn spend(&self, secret: &Secret) -> Result<(), AgentRefused> {
        let params = DeleteParams::default()
            .preconditions(Preconditions { uid: secret.uid(), resource_version: secret.resource_version() });
        match self.inner.secrets().delete(&secret.name_any(), &params).await {
            Ok(_) => Ok(()),
            // Somebody else was first.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(AgentRefused::Token),
            Err(error) => Err(AgentRefused::hub(error)),
        }
    }

    /// Notes the key, unless the cluster has changed into one that has a key or is on its way out.
    async fn remember_key(&self, cluster: &Cluster, key: SpkiPin) -> Result<(), AgentRefused> {
        let name = cluster.name_any();
        let mut current = cluster.clone();
        loop {
            let patch = json!({"metadata": {
                "resourceVersion": current.resource_version(),
                "annotations": {AGENT_KEY: key.to_string()},
            }});
            let patched = self.inner.clusters().patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            match patched {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(AgentRefused::hub(error)),
            }
            let parsed: ClusterName = name.parse().map_err(|_| AgentRefused::Token)?;
            current = self.expecting(&parsed).await?;
            if current.uid() != cluster.uid() || known_key(&current).is_some() {
                return Err(AgentRefused::OtherKey(parsed));
            }
        }
    }

    /// Deletes tokens and credentials of a cluster.
    pub(crate) async fn forget_secrets(&self, cluster: &str) -> Result<(), Error> {
        for name in [token_name(cluster), crate::import::credential_name(cluster)] {
            match self.inner.secrets().delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(Error::hub("delete the cluster's credentials")(error)),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Which authorities came with a cluster's token, by their pins; `None` if there is none that can be spent.
    pub(crate) async fn invited_with(&self, cluster: &str) -> Result<Option<Vec<String>>, kube::Error> {
        let secret = self.secrets().get_opt(&token_name(cluster)).await?;
        let secret = secret.filter(|secret| expiry(secret).is_some_and(|expires| Timestamp::now() < expires));
        Ok(secret.map(|secret| text(&secret, AUTHORITIES).unwrap_or_default().split(',').map(str::to_owned).collect()))
    }

    /// Until when a cluster's token may be spent; `None` when there is none.
    pub(crate) async fn token_expiry(&self, cluster: &str) -> Result<Option<Timestamp>, kube::Error> {
        Ok(self.secrets().get_opt(&token_name(cluster)).await?.as_ref().and_then(expiry))
    }
}

fn expects_agent(cluster: &Cluster) -> bool {
    cluster.metadata.deletion_timestamp.is_none() && Connection::of(cluster) == Some(Connection::Tunnel)
}

/// One that leaves is asked to give back what it has, unless it is forgotten without that.
fn admits_agent(cluster: &Cluster) -> bool {
    let is_gone = cluster.metadata.deletion_timestamp.is_some() && cluster.is_removal_forced();
    !is_gone && Connection::of(cluster) == Some(Connection::Tunnel)
}

fn check_key(object: &Cluster, cluster: &ClusterName, key: SpkiPin) -> Result<(), AgentRefused> {
    match known_key(object) {
        Some(known) if known == key => Ok(()),
        Some(_) => Err(AgentRefused::OtherKey(cluster.clone())),
        None => Err(AgentRefused::NotExpected(cluster.clone())),
    }
}

/// Registered, and with which key. An annotation that is no key is nobody's.
pub(crate) fn known_key(cluster: &Cluster) -> Option<SpkiPin> {
    let text = cluster.metadata.annotations.as_ref()?.get(AGENT_KEY)?;
    match text.parse() {
        Ok(pin) => Some(pin),
        Err(error) => {
            tracing::warn!(cluster = %cluster.name_any(), error = %chain(&error), "the noted key of an agent is damaged");
            None
        }
    }
}

fn is_spendable(secret: &Secret, token: &str, now: Timestamp) -> bool {
    // Both are hashes: how long the comparison takes says nothing about the token.
    let right = text(secret, "hash").is_some_and(|stored| stored == hash(token));
    right && expiry(secret).is_some_and(|expires| now < expires)
}

fn expiry(secret: &Secret) -> Option<Timestamp> {
    text(secret, "expires")?.parse().ok()
}

/// Without a `-`, which a command line would take for an option where a token begins with it.
fn token_text(bytes: [u8; 32]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

fn token_name(cluster: &str) -> String {
    format!("{cluster}-registration")
}

pub(crate) fn hash(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_taken_for_an_option() {
        assert!((0..=255).all(|byte| !token_text([byte; 32]).contains('-')));
    }

    #[test]
    fn case_18_a_token_is_good_for_its_time_only() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let data = [("hash", hash("secret")), ("expires", (now + Duration::from_secs(60)).to_string())];
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect();
        let secret = Secret { data: Some(data), ..Default::default() };
        assert!(is_spendable(&secret, "secret", now));
        assert!(!is_spendable(&secret, "secret", now + Duration::from_secs(60)));
        for other in ["", "Secret", "secret ", "secre"] {
            assert!(!is_spendable(&secret, other, now), "{other:?}");
        }
        assert!(!is_spendable(&Secret::default(), "secret", now));
    }
}
