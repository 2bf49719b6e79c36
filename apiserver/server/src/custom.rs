//! Serves custom resources as their definitions come, change and go.
//!
//! One task follows the definitions. For each it decides names and conditions
//! (a pure function of the `crd` crate), writes them, and serves the versions
//! of those that are established. A definition that is being deleted is served
//! until its objects are gone; then its finalizer is taken off.

use std::collections::HashMap;
use std::sync::Arc;

use api_meta::{Object, Status};
use apiserver_registry::{DeleteOptions, Entry, Registry, Served, Swapped};
use lib_drain::Drain;
use tokio_util::sync::CancellationToken;

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(crate) struct CustomResources {
    registry: Registry,
    definitions: Arc<Served>,
    /// What is served at the moment, by definition: its plural and group.
    serving: HashMap<String, (String, String)>,
    /// Owns the waits for objects that go later.
    drain: Drain,
}

impl CustomResources {
    pub(crate) fn new(registry: Registry, drain: Drain) -> Option<Self> {
        let definitions = registry.catalog().find("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
        Some(Self { registry, definitions, serving: HashMap::new(), drain })
    }

    /// Serves what is defined already, then follows changes until `stop`.
    pub(crate) async fn start(
        mut self,
    ) -> Result<impl FnOnce(CancellationToken) -> futures::future::BoxFuture<'static, ()>, Status> {
        let Some(collection) = self.definitions.collection.clone() else { return Err(Status::no_such_resource()) };
        let (entries, mut changes) = collection.subscribe();
        for entry in entries {
            self.observe(entry).await;
        }
        Ok(move |stop: CancellationToken| -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move {
                loop {
                    let change = tokio::select! {
                        () = stop.cancelled() => return,
                        change = changes.recv() => change,
                    };
                    let Some(change) = change else {
                        let (entries, newer) = collection.subscribe();
                        changes = newer;
                        for entry in entries {
                            self.observe(entry).await;
                        }
                        continue;
                    };
                    match (&change.now, &change.before) {
                        (Some(entry), _) => self.observe(entry.clone()).await,
                        (None, Some(entry)) => self.withdraw(entry.name()).await,
                        (None, None) => {}
                    }
                }
            })
        })
    }

    async fn observe(&mut self, entry: Arc<Entry>) {
        if let Err(status) = self.try_observe(&entry).await {
            tracing::warn!(definition = entry.name(), error = %status, "a custom resource could not be served");
        }
    }

    async fn try_observe(&mut self, entry: &Entry) -> Result<(), Status> {
        let Ok(mut current) = self.registry.get_cached(&self.definitions, "", entry.name()) else { return Ok(()) };
        // What others hold already decides which names are free.
        let others: Vec<Object> = self
            .definitions
            .collection
            .iter()
            .flat_map(|c| c.list(""))
            .filter(|e| e.name() != entry.name())
            .filter_map(|e| e.object().ok())
            .collect();
        let decided = apiserver_crd::establish(&current.object, &others);
        // Served first: whoever sees that a definition is established may use it.
        if apiserver_crd::is_established(&decided) {
            let resources = apiserver_crd::resources(&decided).map_err(Status::internal)?;
            let text = |path: &[&str]| decided.str_at(path).unwrap_or_default().to_owned();
            let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
            self.registry.catalog().serve(&group, &plural, resources).await?;
            self.serving.insert(entry.name().to_owned(), (group, plural));
        }
        if decided != current.object {
            match self.registry.replace(&self.definitions, &current, decided).await? {
                Swapped::Done(object) => current.object = object,
                // The newer state arrives as a change of its own.
                Swapped::Lost(_) => return Ok(()),
            }
        }
        if current.object.deletion_timestamp().is_some() {
            self.clean(entry.name()).await?;
        }
        Ok(())
    }

    /// Deletes the objects of a definition that goes, then lets it go.
    async fn clean(&mut self, name: &str) -> Result<(), Status> {
        if let Some((group, plural)) = self.serving.get(name).cloned()
            && let Some(served) = self.registry.catalog().find_any_version(&group, &plural)
            && let Some(collection) = served.collection.clone()
        {
            for entry in collection.list("") {
                if let Ok(current) = self.registry.get_cached(&served, entry.namespace(), entry.name()) {
                    self.registry.delete(&served, current, &DeleteOptions::default()).await?;
                }
            }
            if !collection.is_empty() {
                let (registry, definitions, name) = (self.registry.clone(), self.definitions.clone(), name.to_owned());
                // Objects with finalizers go later; the definition follows the last of them.
                let owner = self.drain.clone();
                self.drain.spawn(async move {
                    let (left, mut changes) = collection.subscribe();
                    let mut empty = left.is_empty();
                    while !empty {
                        tokio::select! {
                            () = owner.finishing() => return,
                            change = changes.recv() => if change.is_none() { break },
                        }
                        empty = collection.is_empty();
                    }
                    if let Err(status) = release(&registry, &definitions, &name).await {
                        tracing::warn!(definition = %name, error = %status, "a definition could not be released");
                    }
                });
                return Ok(());
            }
        }
        release(&self.registry, &self.definitions, name).await
    }

    async fn withdraw(&mut self, name: &str) {
        if let Some((group, plural)) = self.serving.remove(name) {
            self.registry.catalog().withdraw(&group, &plural).await;
        }
    }
}

/// Takes our finalizer off.
async fn release(registry: &Registry, definitions: &Served, name: &str) -> Result<(), Status> {
    for _ in 0..16 {
        let Ok(current) = registry.get_cached(definitions, "", name) else { return Ok(()) };
        let mut new = current.object.clone();
        let left: Vec<String> = new.finalizers().into_iter().filter(|f| *f != FINALIZER).map(str::to_owned).collect();
        new.set_finalizers(left);
        match registry.replace_or_finish(definitions, &current, new).await? {
            Swapped::Done(_) | Swapped::Lost(None) => return Ok(()),
            Swapped::Lost(Some(_)) => {}
        }
    }
    Err(Status::modified(&definitions.group_resource(), name))
}
