//! Takes the platform out of a member that leaves, and lets go of it.
//!
//! # Flow
//!
//! Each look is a round: what is there is deleted, in an order in which nothing is blocked, and no right goes before it was
//! used. What is not there is no error, so a round that broke off is simply begun anew. Once a round has found nothing, the
//! status says that the last step is due, and only then is it done: with it the agent goes, and whoever comes after a crash
//! finds nobody to ask.
//!
//! What people run there is not touched, nor are namespaces, nodes, and the definitions of kinds that people may use.

use std::time::Duration;

use api_types::cluster::{Cluster, Connection};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde_json::json;
use tokio::time::timeout;

use crate::plan::Observed;
use crate::plan::removal::{self, Cleared, Next, Removing};
use crate::traces::{self, REMOVAL_USER, Trace, Which};
use crate::{Caller, Inner};

/// How long one round may take. What it has not come to, the next one does.
const ROUND: Duration = Duration::from_secs(30);
/// Objects that are deleted at the same time.
const AT_ONCE: usize = 8;
/// Objects on one page. The answers to the hub's own questions have a bound.
const PAGE: u32 = 100;

/// What came of a look at a cluster that leaves.
pub(super) enum Leave {
    /// Nothing more is asked of it.
    Gone,
    /// There is more to do.
    Not(Removing),
}

pub(super) async fn leave(inner: &Inner, cluster: &Cluster, observed: &Observed, another: bool) -> Leave {
    let next = removal::next(cluster, observed, another, has_twin(inner, cluster));
    let is_last = match next {
        Next::Forget => return Leave::Gone,
        Next::Wait(removing) => return Leave::Not(removing),
        Next::Clear => false,
        Next::ClearAll => true,
    };
    let Ok(name) = cluster.name_any().parse::<ClusterName>() else { return Leave::Gone };
    let mut cleared = Cleared::default();
    let round = Round::new(inner, cluster, &name);
    if timeout(ROUND, round.clear(is_last, &mut cleared)).await.is_err() {
        cleared.away = Some(format!("it took more than {} s", ROUND.as_secs()));
    }
    match is_last && cleared.away.is_none() {
        // What is refused now was refused before, or the right to it has gone with the rest.
        true => Leave::Gone,
        false if is_last => Leave::Not(removal::still_last(cluster)),
        false => Leave::Not(removal::after(cluster, &cleared, Timestamp::now())),
    }
}

/// Under another name the same cluster stays, and needs what is there.
fn has_twin(inner: &Inner, cluster: &Cluster) -> bool {
    let uid = |cluster: &Cluster| Some(cluster.status.as_ref()?.identity.as_ref()?.uid.clone());
    let Some(shown) = uid(cluster) else { return false };
    let others = inner.store.state();
    let mut others = others.iter().filter(|other| other.metadata.uid != cluster.metadata.uid);
    others.any(|other| other.metadata.deletion_timestamp.is_none() && uid(other).as_ref() == Some(&shown))
}

/// Why something was not taken away.
enum Failure {
    /// The cluster does not want it.
    Refused(String),
    /// It did not answer as it should.
    Away(kube::Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 400..=403 | 405 | 422) => Self::Refused(status.message),
            error => Self::Away(error),
        }
    }
}

/// What is not there is as it should be.
fn unless_gone<T>(result: Result<T, kube::Error>) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

struct Round<'a> {
    inner: &'a Inner,
    connection: Option<Connection>,
    /// For what came by registration, or by the hub's own credential.
    own: Client,
    /// For what other parts of the hub have put there.
    others: Client,
}

impl<'a> Round<'a> {
    fn new(inner: &'a Inner, cluster: &Cluster, name: &ClusterName) -> Self {
        let (api, connection) = (inner.briefly(name), Connection::of(cluster));
        let own = match connection {
            // Whoever imported it gave a credential, which has laid the roles as well.
            Some(Connection::Direct) => api.client(),
            _ => Caller::part(REMOVAL_USER).client_of(&api),
        };
        let others = Caller::part(inner.config.member_traces.user).client_of(&api);
        Self { inner, connection, own, others }
    }

    async fn clear(&self, is_last: bool, cleared: &mut Cleared) {
        if let Err(error) = self.try_clear(is_last, cleared).await {
            cleared.away = Some(chain(&error).to_string());
        }
    }

    async fn try_clear(&self, is_last: bool, cleared: &mut Cleared) -> Result<(), kube::Error> {
        let rights = &self.inner.config.member_rights;
        let is_dialled = self.connection == Some(Connection::Direct);
        if !is_dialled {
            // First of all: while they are there and nobody serves them, people's writes are refused.
            for trace in traces::webhooks() {
                self.note(&trace, delete(&self.own, &trace).await, cleared)?;
            }
        }
        for object in &self.inner.config.member_traces.objects {
            let trace = Trace::of(object);
            self.note(&trace, delete(&self.others, &trace).await, cleared)?;
        }
        let admins = traces::admins();
        self.note(&admins, delete(&self.own, &admins).await, cleared)?;
        match (is_dialled, is_last) {
            (true, false) => {}
            (true, true) => {
                for trace in traces::of_import(rights) {
                    self.note(&trace, delete(&self.own, &trace).await, cleared)?;
                }
            }
            (false, _) => self.hand_over(&traces::of_agent(rights), cleared).await?,
        }
        if is_last && !is_dialled {
            let root = traces::root();
            self.note(&root, delete(&self.own, &root).await, cleared)?;
        }
        Ok(())
    }

    /// Makes all of these belong to the role that goes last.
    async fn hand_over(&self, traces: &[Trace], cleared: &mut Cleared) -> Result<(), kube::Error> {
        let root = traces::root();
        let owner = match patch(&self.own, &root, &json!({})).await {
            Ok(Some(owner)) => owner,
            // Without it nothing else is to be had either.
            Ok(None) => {
                self.note(&root, Err(Failure::Refused("there is no such role".to_owned())), cleared)?;
                return traces
                    .iter()
                    .try_for_each(|trace| self.note(trace, Err(Failure::Refused(String::new())), cleared));
            }
            Err(failure) => {
                self.note(&root, Err(failure), cleared)?;
                return traces
                    .iter()
                    .try_for_each(|trace| self.note(trace, Err(Failure::Refused(String::new())), cleared));
            }
        };
        let owners = json!({"metadata": {"ownerReferences": [{
            "apiVersion": root.resource.api_version, "kind": root.resource.kind, "name": REMOVAL_USER,
            "uid": owner.metadata.uid,
        }]}});
        for trace in traces {
            let patched = patch(&self.own, trace, &owners).await;
            // It goes with its owner, so it is nothing that was found and is gone.
            self.note(trace, patched.map(|_| 0), cleared)?;
        }
        Ok(())
    }

    fn note(&self, trace: &Trace, result: Result<usize, Failure>, cleared: &mut Cleared) -> Result<(), kube::Error> {
        match result {
            Ok(found) => cleared.found += found,
            Err(Failure::Refused(why)) => {
                cleared.refused.push(trace.said());
                cleared.why.get_or_insert(why);
            }
            Err(Failure::Away(error)) => return Err(error),
        }
        Ok(())
    }
}

fn api_of(client: &Client, trace: &Trace) -> Api<DynamicObject> {
    match &trace.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &trace.resource),
        None => Api::all_with(client.clone(), &trace.resource),
    }
}

/// Deletes what is there, and says how much that was.
async fn delete(client: &Client, trace: &Trace) -> Result<usize, Failure> {
    match &trace.which {
        Which::Named(name) => {
            let gone = unless_gone(api_of(client, trace).delete(name, &DeleteParams::background()).await)?;
            Ok(usize::from(gone.is_some()))
        }
        Which::Labelled { labels, name } => {
            let mut page = ListParams::default().labels(labels).limit(PAGE);
            if let Some(name) = name {
                page = page.fields(&format!("metadata.name={name}"));
            }
            delete_all(client, trace, &page).await
        }
    }
}

async fn delete_all(client: &Client, trace: &Trace, page: &ListParams) -> Result<usize, Failure> {
    let mut found = 0;
    loop {
        let Some(list) = unless_gone(api_of(client, trace).list_metadata(page).await)? else { return Ok(found) };
        // Those that are going wait for somebody else.
        let doomed: Vec<_> = list.items.into_iter().filter(|item| item.metadata.deletion_timestamp.is_none()).collect();
        if doomed.is_empty() {
            return Ok(found);
        }
        let mut gone = stream::iter(doomed)
            .map(|item| async move {
                let namespace = item.namespace();
                let one = Trace { namespace, which: Which::Named(item.name_any()), resource: trace.resource.clone() };
                let deleted = api_of(client, &one).delete(&item.name_any(), &DeleteParams::background()).await;
                unless_gone(deleted).map(|_| 1)
            })
            .buffer_unordered(AT_ONCE);
        while let Some(one) = gone.next().await {
            found += one?;
        }
    }
}

/// Changes the metadata of an object, if it is there. What else it holds is not asked for.
async fn patch(
    client: &Client,
    trace: &Trace,
    patch: &serde_json::Value,
) -> Result<Option<kube::core::PartialObjectMeta<DynamicObject>>, Failure> {
    let Which::Named(name) = &trace.which else { return Ok(None) };
    let patched = api_of(client, trace).patch_metadata(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    unless_gone(patched)
}
