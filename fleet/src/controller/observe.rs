//! The only reads: what can be seen of a cluster just now. A cluster that cannot be seen is an observation too.

use std::time::Duration;

use api_types::cluster::{AgentTrust, Cluster, Connection};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use lib_names::ClusterName;
use lib_telemetry::chain;
use tokio::time::{Instant, timeout};
use tunnel_protocol::{ApiHealth, Health, Trusted, Webhooks};

use crate::authority;
use crate::error::ProbeError;
use crate::plan::certificates::{Holds, Whose};
use crate::plan::identity::Claim;
use crate::plan::{Link, Observed, Told, clock, follows_rights};
use crate::platform;
use crate::probe::{self, Probe};
use crate::registration::known_key;
use crate::{Caller, Inner, NAMESPACE};

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(4);

/// How long a right that the hub has in a cluster is not asked for again.
const GIVEN: Duration = Duration::from_secs(5 * 60);

pub(super) async fn observe(inner: &Inner, cluster: &Cluster) -> Observed {
    let mut seen = see(inner, cluster).await;
    if let Some(Told { identity, .. }) = seen.told_mut()
        && let Some(uid) = identity.uid.take()
    {
        *identity = inner.identities().claim(uid, cluster);
    }
    seen
}

async fn see(inner: &Inner, cluster: &Cluster) -> Observed {
    let Ok(name) = cluster.name_any().parse::<ClusterName>() else {
        return waiting("InvalidName", "The name is not one of a cluster.");
    };
    if name.is_global() {
        let mut seen = by_address(Link::InProcess, probe::ask(&inner.hub_itself(), LOOK).await);
        if let Some(told) = seen.told_mut() {
            told.survey = Some(inner.surveys.of(name.as_str()));
        }
        if let Observed::Well { webhooks, .. } = &mut seen
            && let Some(Webhooks { quota, ratio }) = inner.webhooks.get().map(|health| health.borrow().clone())
        {
            *webhooks = (Some(quota), Some(ratio));
        }
        return seen;
    }
    match Connection::of(cluster) {
        Some(Connection::Tunnel) => through_tunnel(inner, cluster, &name).await,
        Some(Connection::Direct) => match inner.refresh_direct(cluster).await {
            Ok(api) => {
                let mut seen = by_address(Link::Direct, probe::ask(&api, LOOK).await);
                if let Some(told) = seen.told_mut() {
                    told.certificate = inner.directs.holds(&cluster.name_any());
                    told.survey = Some(inner.surveys.of(name.as_str()));
                }
                seen
            }
            Err(error) => waiting("NoCredential", &format!("There is no usable credential: {}.", chain(&error))),
        },
        Some(Connection::InProcess) | None => {
            waiting("NotConnected", "The cluster was neither imported nor registered.")
        }
    }
}

async fn through_tunnel(inner: &Inner, cluster: &Cluster, name: &ClusterName) -> Observed {
    if !matches!(inner.sessions.connection(name), tunnel_hub::Connection::Connected { .. }) {
        return match known_key(cluster) {
            None => unregistered(inner, cluster).await,
            Some(_) if is_left_behind(inner, cluster) => lost(
                "AuthorityNotTrusted",
                &format!(
                    "The agent was away while the hub's authority was replaced, and trusts none that is left. A new registration \
                     gives it the authority: ac register cluster {name} --again."
                ),
            ),
            Some(_) => lost("TunnelClosed", "The agent is not connected."),
        };
    }
    let sent = Timestamp::now();
    let asked = probe::ask_agent(inner, name, LOOK).await;
    let answered = Timestamp::now();
    let asked = match asked {
        Ok(mut health) => {
            if let Some(has) = health.trust.take() {
                health.trust = Some(authority::tell(inner, name, has).await);
            }
            if let Some(has) = health.address.take() {
                health.address = Some(platform::tell(inner, name, &inner.wanted_address(cluster), has).await);
            }
            Ok(health)
        }
        failed => failed,
    };
    let told = |health: &Health| Told {
        trust: health.trust.clone().map(|Trusted { authorities, issuer, message }| AgentTrust {
            authorities,
            issuer,
            message,
        }),
        address: health.address.clone(),
        clock: clock::offset(health.unix_time, sent, answered),
        agent: Some(health.agent_version.clone()),
        identity: claim(health.api.uid.clone()),
        certificate: health
            .certificate_expires
            .and_then(|seconds| Some(Holds { whose: Whose::Agent, until: Timestamp::from_second(seconds).ok()? })),
        survey: health.survey.clone(),
    };
    match asked.map(|health| (told(&health), health)) {
        Ok((told, Health { api: ApiHealth { ready: true, version: Some(version), nodes, .. }, quota, ratio, .. })) => {
            Observed::Well { link: Link::Tunnel, version, nodes, follows: None, webhooks: (quota, ratio), told }
        }
        Ok((told, health)) => {
            let message = health.api.message.unwrap_or_else(|| "The API server is not ready.".to_owned());
            Observed::Sick { link: Link::Tunnel, message, told }
        }
        // The tunnel may have closed meanwhile, or the agent does not answer: nothing is known.
        Err(error) => lost("AgentSilent", &chain(&error).to_string()),
    }
}

/// Whether the agent has said that it trusts none of the authorities that there are now.
fn is_left_behind(inner: &Inner, cluster: &Cluster) -> bool {
    let trust = cluster.status.as_ref().and_then(|status| status.agent_trust.as_ref());
    let now = authority::written(&inner.authorities.now().pins());
    trust.is_some_and(|trust| !trust.authorities.iter().any(|pin| now.contains(pin)))
}

/// Whether the hub may see in a cluster when rights change. The answer costs a cluster more than the rest of a look, and a
/// yes rarely becomes a no.
#[derive(Default)]
pub(super) struct Rights {
    /// Until when the last yes counts, and for which generation of the object: whoever changes that wants to know.
    given: Option<(Instant, Option<i64>)>,
}

impl Rights {
    pub(super) async fn follow(&mut self, inner: &Inner, cluster: &Cluster, name: &ClusterName) -> Option<bool> {
        let generation = cluster.metadata.generation;
        if self.given.is_some_and(|(until, of)| Instant::now() < until && of == generation) {
            return Some(true);
        }
        let follows = follows(inner, name).await;
        self.given = (follows == Some(true)).then(|| (Instant::now() + GIVEN, generation));
        follows
    }
}

/// Asks the cluster; `None` if it does not say. On the hub it may, by what is laid at each start.
async fn follows(inner: &Inner, name: &ClusterName) -> Option<bool> {
    if name.is_global() {
        return None;
    }
    let reviews: Api<SelfSubjectRulesReview> = Api::all(Caller::hub_in(name).client_of(&inner.briefly(name)));
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(NAMESPACE.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..Default::default() };
    match timeout(LOOK, reviews.create(&PostParams::default(), &review)).await {
        Ok(Ok(answer)) => answer.status.and_then(|status| follows_rights(&status)),
        Ok(Err(error)) => {
            tracing::debug!(cluster = %name, error = %chain(&error), "could not ask a cluster for the hub's rights");
            None
        }
        Err(_) => None,
    }
}

/// No agent has spent the token yet. Once it has expired, waiting longer is of no use, and that is worth saying.
async fn unregistered(inner: &Inner, cluster: &Cluster) -> Observed {
    match inner.token_expiry(&cluster.name_any()).await {
        Ok(Some(expires)) if expires <= Timestamp::now() => waiting(
            "RegistrationExpired",
            &format!(
                "The registration token expired at {expires:.0}. A new one: ac register cluster {} --again.",
                cluster.name_any()
            ),
        ),
        Ok(_) => waiting("WaitingForAgent", "No agent has connected yet."),
        Err(error) => waiting("WaitingForAgent", &format!("No agent has connected yet ({}).", chain(&error))),
    }
}

fn by_address(link: Link, asked: Result<Probe, ProbeError>) -> Observed {
    match asked {
        Ok(Probe { ready, version, nodes, uid, clock }) => {
            let told = Told { clock, identity: claim(uid), ..Told::default() };
            match ready {
                Ok(()) => Observed::Well { link, version, nodes, follows: None, webhooks: (None, None), told },
                Err(message) => Observed::Sick { link, message, told },
            }
        }
        Err(error @ (ProbeError::Unreachable(_) | ProbeError::Deadline)) => {
            lost("Unreachable", &chain(&error).to_string())
        }
        Err(error) => Observed::Sick { link, message: chain(&error).to_string(), told: Told::default() },
    }
}

/// Before the other clusters were looked at.
fn claim(uid: Option<String>) -> Claim {
    Claim { uid: uid.filter(|uid| !uid.is_empty()), ..Claim::default() }
}

fn waiting(reason: &'static str, message: &str) -> Observed {
    Observed::Waiting { reason, message: message.to_owned() }
}

fn lost(reason: &'static str, message: &str) -> Observed {
    Observed::Lost { reason, message: message.to_owned() }
}
