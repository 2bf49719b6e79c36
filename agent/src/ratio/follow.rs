//! Knows the ratios that there are, and tells them the cluster's.

use std::pin::pin;
use std::time::Duration;

use api_types::tenancy::NamespaceResourceRatio;
use futures::StreamExt;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use lib_telemetry::chain;
use serde_json::json;
use tokio::time::timeout;

use super::Ratios;
use super::book::Book;

/// For one exchange with the cluster.
const DEADLINE: Duration = Duration::from_secs(5);
/// After a status that could not be written.
const AGAIN: Duration = Duration::from_secs(60);

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the cluster did not answer in time")]
    Deadline,
    #[error("could not write the status of NamespaceResourceRatio {0}/{1}")]
    Write(String, String, #[source] Box<kube::Error>),
}

/// Whether the kind is not there yet: the hub defines it when the cluster joins.
fn is_undefined(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

impl Ratios {
    pub(super) async fn follow(&self) {
        let all: Api<NamespaceResourceRatio> = Api::all(self.client.clone());
        let mut events = pin!(watcher(all, Config::default()).default_backoff());
        let (mut listed, mut failing) = (Book::default(), false);
        while let Some(event) = events.next().await {
            if let Some(error) = event.as_ref().err().filter(|error| !failing && !is_undefined(error)) {
                tracing::warn!(error = %chain(error), "could not follow overcommit ratios");
            }
            failing = event.is_err();
            match event {
                Ok(Event::Init) => listed = Book::default(),
                Ok(Event::InitApply(ratio)) => listed.put(&ratio),
                Ok(Event::InitDone) => drop(self.known.send_replace(Ok(std::mem::take(&mut listed)))),
                Ok(Event::Apply(ratio)) => self.change(|book| book.put(&ratio)),
                Ok(Event::Delete(ratio)) => self.change(|book| book.remove(&ratio)),
                // It is tried again; what was known counts until then.
                Err(error) => drop(self.known.send_if_modified(|known| {
                    if let Err(why) = known {
                        *why = chain(&error).to_string();
                    }
                    known.is_err()
                })),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Book)) {
        self.known.send_modify(|known| {
            if let Ok(book) = known {
                change(book);
            }
        });
    }

    /// Writes into the status of each ratio what the cluster's is.
    pub(super) async fn report(&self) {
        let mut known = self.known.subscribe();
        loop {
            let book = known.borrow_and_update().clone();
            let told = match &book {
                Ok(book) => self.tell(book).await,
                Err(_) => Ok(()),
            };
            let pause = match told {
                Ok(()) => Duration::MAX,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "ratios do not say what the cluster's is");
                    AGAIN
                }
            };
            // Whether something changed or the time is over, all is looked at again.
            let _ = timeout(pause, known.changed()).await;
        }
    }

    /// One that cannot be written keeps no other from it.
    async fn tell(&self, book: &Book) -> Result<(), Error> {
        let status = book.inherited();
        // What is not said is taken away.
        let status = json!({"status": {"clusterCPU": status.cluster_cpu, "clusterMemory": status.cluster_memory}});
        let mut told = Ok(());
        for (namespace, name) in book.behind() {
            let api: Api<NamespaceResourceRatio> = Api::namespaced(self.client.clone(), &namespace);
            let (params, patch) = (PatchParams::default(), Patch::Merge(&status));
            let written = timeout(DEADLINE, api.patch_status(&name, &params, &patch)).await;
            match written.map_err(|_| Error::Deadline)? {
                Ok(_) => {}
                // It is gone, and that will be heard of.
                Err(kube::Error::Api(refused)) if refused.code == 404 => {}
                Err(error) => told = Err(Error::Write(namespace, name, Box::new(error))),
            }
        }
        told
    }
}
