//! The watches that feed the index.

use std::sync::Arc;
use std::time::Instant;

use api_types::PLATFORM_NAMESPACE;
use api_types::auth::{AccessTokenInfo, DisableToken, DisableUser, Group, SecurityPolicy, User as UserObject};
use api_types::dex::{Connector, OAuth2Client};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use lib_drain::Drain;
use lib_telemetry::chain;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::tables::{CredentialSecrets, LockSecret, SessionSecrets, Table};
use super::{Concerns, Index};
use crate::locks;
use crate::objects::{CREDENTIALS_LABEL, SESSION_LABEL};

/// Follows everything; completes when all of it was listed once.
pub(crate) fn all(client: &Client, drain: &Drain, index: &Arc<Index>) -> impl Future<Output = bool> + use<> {
    let everywhere = || watcher::Config::default();
    let namespaced = PLATFORM_NAMESPACE;
    let secrets = || Api::<Secret>::namespaced(client.clone(), namespaced);
    let ready = [
        follow::<UserObject>(Api::all(client.clone()), everywhere(), drain, index),
        follow::<Group>(Api::all(client.clone()), everywhere(), drain, index),
        follow::<DisableUser>(Api::all(client.clone()), everywhere(), drain, index),
        follow::<DisableToken>(Api::all(client.clone()), everywhere(), drain, index),
        follow::<AccessTokenInfo>(Api::namespaced(client.clone(), namespaced), everywhere(), drain, index),
        follow::<SecurityPolicy>(Api::all(client.clone()), everywhere(), drain, index),
        follow::<Connector>(Api::namespaced(client.clone(), namespaced), everywhere(), drain, index),
        follow::<OAuth2Client>(Api::namespaced(client.clone(), namespaced), everywhere(), drain, index),
        follow::<CredentialSecrets>(secrets(), everywhere().labels(CREDENTIALS_LABEL), drain, index),
        follow::<LockSecret>(secrets(), everywhere().labels(locks::LABEL), drain, index),
        follow::<SessionSecrets>(secrets(), everywhere().labels(SESSION_LABEL), drain, index),
    ];
    async move {
        for mut ready in ready {
            if ready.wait_for(|ready| *ready).await.is_err() {
                return false;
            }
        }
        true
    }
}

fn follow<T: Table>(
    api: Api<T::Object>,
    config: watcher::Config,
    drain: &Drain,
    index: &Arc<Index>,
) -> watch::Receiver<bool>
where
    T::Object: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let (ready, loaded) = watch::channel(false);
    let index = index.clone();
    let finishing = drain.token().clone();
    drain.spawn(async move {
        tokio::select! {
            () = feed::<T>(api, config, ready, &index) => {}
            () = finishing.cancelled() => {}
        }
    });
    loaded
}

async fn feed<T: Table>(api: Api<T::Object>, config: watcher::Config, ready: watch::Sender<bool>, index: &Index)
where
    T::Object: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut began = Instant::now();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => began = Instant::now(),
            // What a list names is judged when the list is complete.
            Ok(Event::InitApply(object)) => drop(T::put(&mut index.write(), object)),
            Ok(Event::InitDone) => {
                index.change(|state| {
                    T::listed(state, began);
                    Concerns::Everybody
                });
                ready.send_replace(true);
            }
            Ok(Event::Apply(object)) => index.change(|state| T::put(state, object)),
            Ok(Event::Delete(object)) => index.change(|state| T::gone(state, &object)),
            Err(error) => {
                tracing::warn!(kind = %T::Object::kind(&()), error = %chain(&error), "could not follow what identity depends on");
            }
        }
    }
}
