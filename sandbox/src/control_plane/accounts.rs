//! The `default` service account and the root certificate in every namespace.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    cache::Informer,
    cache::{Key, Kind},
    clock::Clock,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::is_deleting,
    queue::Queue,
};

const ACCOUNT: &str = "default";
pub(crate) const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_FILE: &str = "ca.crt";

pub(super) fn start(cluster: &Cluster, root_ca: Option<String>) {
    let queue = Arc::new(Queue::new(&Clock::default()));
    let wake = queue.clone();
    cluster.namespaces.on_change(move |_, new| {
        if let Some(namespace) = new {
            wake.add(crate::meta::name(&**namespace).to_owned());
        }
    });
    follow(&cluster.accounts, &queue, ACCOUNT);
    follow(&cluster.root_cas, &queue, ROOT_CA);
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        cluster.namespaces.synced().await;
        cluster.accounts.synced().await;
        cluster.root_cas.synced().await;
        let (cluster, root_ca) = (&cluster, root_ca.as_deref());
        controller::run("serviceaccounts", queue, 4, token, |name| reconcile(cluster, root_ca, name)).await;
    });
}

/// Looks at a namespace again when the object of that name in it changes.
fn follow<K: Kind>(informer: &Informer<K>, queue: &Arc<Queue<String>>, name: &'static str) {
    let queue = queue.clone();
    informer.on_change(move |old, new| {
        if let Some(object) = new.or(old).filter(|object| crate::meta::name(&***object) == name) {
            queue.add(crate::meta::namespace(&**object).to_owned());
        }
    });
}

async fn reconcile(cluster: &Cluster, root_ca: Option<&str>, namespace: String) -> Result<Next, Error> {
    if cluster.namespaces.get(&Key::new("", &namespace)).is_none_or(|found| is_closing(&found)) {
        return Ok(None);
    }
    if cluster.accounts.get(&Key::new(&namespace, ACCOUNT)).is_none() {
        let account = ServiceAccount { metadata: named(&namespace, ACCOUNT), ..ServiceAccount::default() };
        unless_exists(cluster.accounts.create(&namespace, &account).await)?;
    }
    if let Some(root_ca) = root_ca {
        publish(cluster, &namespace, root_ca).await?;
    }
    Ok(None)
}

async fn publish(cluster: &Cluster, namespace: &str, root_ca: &str) -> Result<(), Error> {
    let data: BTreeMap<_, _> = [(ROOT_CA_FILE.to_owned(), root_ca.to_owned())].into();
    match cluster.root_cas.get(&Key::new(namespace, ROOT_CA)) {
        None => {
            let note = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                        such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                        distributions of Kubernetes clusters.";
            let mut metadata = named(namespace, ROOT_CA);
            metadata.annotations = Some([("kubernetes.io/description".to_owned(), note.to_owned())].into());
            let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
            unless_exists(cluster.root_cas.create(namespace, &map).await)
        }
        Some(map) if map.data.as_ref() != Some(&data) => {
            let mut right = (*map).clone();
            right.data = Some(data);
            cluster.root_cas.update(&map, &right).await.map(|_| ())
        }
        Some(_) => Ok(()),
    }
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() }
}

pub(super) fn is_closing(namespace: &Namespace) -> bool {
    is_deleting(namespace)
        || namespace.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Terminating"))
}

/// Someone else made it: the watch brings it.
fn unless_exists<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
