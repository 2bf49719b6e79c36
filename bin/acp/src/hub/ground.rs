//! A Kubernetes that somebody else runs, as the hub's.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use fleet::ClusterApi;
use kube::Config;
use tenancy::guard::identity as identity_of_tenancy;
use tokio::time::timeout;

use super::{Ground, own};
use acp_agent::process;

/// How long the hub's own cluster may take to answer when the hub starts.
const REACH: Duration = Duration::from_secs(15);
/// So much of what is missing is named.
const NAMED: usize = 8;

/// The way into such a cluster.
pub(crate) struct Foreign {
    access: Config,
    from: Origin,
}

enum Origin {
    Kubeconfig(String),
    ServiceAccount,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig(file) => write!(f, "the kubeconfig {file}"),
            Self::ServiceAccount => f.write_str("the Pod's service account"),
        }
    }
}

impl Foreign {
    pub(super) async fn of_kubeconfig(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { access: process::access(path).await?, from: Origin::Kubeconfig(path.display().to_string()) })
    }

    /// The cluster that the hub runs in, if it runs in one. The token is read anew as it is renewed.
    pub(super) fn around() -> anyhow::Result<Self> {
        let access = Config::incluster_env().context(
            "nowhere to keep anything: give --data-dir DIR for a hub on this machine, --kubeconfig FILE for one on a \
             cluster of yours, or run it in a Pod that has a service account",
        )?;
        Ok(Self { access, from: Origin::ServiceAccount })
    }

    pub(super) fn is_around(&self) -> bool {
        matches!(self.from, Origin::ServiceAccount)
    }

    /// Makes the cluster the hub's, or finds that an administrator has done so. Nothing is changed there, or here, before it
    /// is known to work.
    pub(super) async fn open(&self) -> anyhow::Result<Ground> {
        let (from, server) = (&self.from, self.access.cluster_url.clone());
        let api =
            ClusterApi::https(&self.access).with_context(|| format!("could not use the credentials of {from}"))?;
        match timeout(REACH, api.client().apiserver_version()).await {
            Ok(Ok(_)) => {}
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                bail!("the hub's cluster at {server} refused the credentials of {from}: {}", status.message)
            }
            Ok(Err(error)) => {
                return Err(error).with_context(|| format!("could not reach the hub's cluster at {server}"));
            }
            Err(_) => bail!("the hub's cluster at {server} did not answer within {} s", REACH.as_secs()),
        }
        let rights = identity_of_tenancy(true);
        let asking = || format!("could not ask {server} for rights");
        if fleet::missing_rights(&api).await.with_context(asking)?.is_empty() {
            tokio::try_join!(fleet::install(&api), fleet::lay_rights(&api, &rights))
                .with_context(|| format!("could not prepare the hub's cluster at {server}"))?;
        } else {
            let lacking = fleet::lacking(&api, &rights).await.with_context(asking)?;
            if !lacking.is_empty() {
                bail!(
                    "the hub's cluster at {server} is not prepared, and the identity of {from} may not do that; it lacks {}. \
                     Have an administrator apply there what `acp manifests hub` prints",
                    shortened(&lacking)
                );
            }
        }
        let place = own::Ground { services: own::services(api.client()).await, server: Some(server) };
        Ok(Ground { api, embedded: None, place })
    }
}

fn shortened(lacking: &[String]) -> String {
    let named = lacking.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match lacking.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let list = |length: usize| (1..=length).map(|n| format!("r{n}")).collect::<Vec<_>>();
        assert_eq!(shortened(&list(2)), "r1; r2");
        assert_eq!(shortened(&list(8)), "r1; r2; r3; r4; r5; r6; r7; r8");
        assert_eq!(shortened(&list(10)), "r1; r2; r3; r4; r5; r6; r7; r8; and 2 more");
    }
}
