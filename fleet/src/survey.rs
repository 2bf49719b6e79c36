//! Looks at clusters without an agent: at the hub itself, and at those that are reached at their address.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api_types::cluster::Connection;
use futures::FutureExt;
use kube::ResourceExt;
use lib_kubernetes::ClusterApi;
use lib_names::ClusterName;
use tokio::sync::watch;
use tunnel_protocol::Survey;

use crate::Inner;

/// What was found of each cluster last.
#[derive(Default)]
pub(crate) struct Surveys(Mutex<BTreeMap<String, (String, watch::Receiver<Survey>)>>);

impl Surveys {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (String, watch::Receiver<Survey>)>> {
        // Every change is one insertion or removal: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is known of a cluster that was not looked at yet.
    pub(crate) fn of(&self, cluster: &str) -> Survey {
        self.lock().get(cluster).map(|(_, found)| found.borrow().clone()).unwrap_or_default()
    }

    /// The object of that uid is gone; there may be another of its name.
    fn forget(&self, cluster: &str, uid: &str) {
        let mut surveys = self.lock();
        if surveys.get(cluster).is_some_and(|(of, _)| of == uid) {
            surveys.remove(cluster);
        }
    }
}

/// Looks at a cluster until it is dropped.
pub(crate) async fn follow(inner: &Inner, name: &str, uid: &str) {
    let (found, finding) = watch::channel(Survey::default());
    inner.surveys.lock().insert(name.to_owned(), (uid.to_owned(), finding));
    let place = Place { inner, name, uid };
    fleet_survey::keep(|| place.api().boxed(), &found).await;
}

/// Is left when the cluster is.
struct Place<'a> {
    inner: &'a Inner,
    name: &'a str,
    uid: &'a str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.inner.surveys.forget(self.name, self.uid);
    }
}

impl Place<'_> {
    /// The API of a cluster that this hub is to look at: another replica looks at others, and an agent at its own.
    async fn api(&self) -> Option<ClusterApi> {
        let Self { inner, name, uid } = self;
        let cluster = inner.cluster(name).filter(|cluster| cluster.uid().as_deref() == Some(uid))?;
        if !inner.replicas.owns(name) || cluster.spec.paused == Some(true) {
            return None;
        }
        if *name == ClusterName::GLOBAL {
            return Some(inner.hub.clone());
        }
        match Connection::of(&cluster) {
            Some(Connection::Direct) if !inner.strangers.has(&cluster) => inner.direct(&cluster).await.ok(),
            _ => None,
        }
    }
}
