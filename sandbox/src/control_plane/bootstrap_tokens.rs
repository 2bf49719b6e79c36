//! Takes away bootstrap tokens whose time is over (upstream: `tokencleaner`).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher;

use crate::{
    cache::{Deletion, Informer},
    clock::Clock,
    cluster::Cluster,
    controller,
    meta::{is_deleting, namespace},
    ownership,
    queue::Queue,
};

const NAMESPACE: &str = "kube-system";
const KIND: &str = "bootstrap.kubernetes.io/token";

pub(super) fn start(cluster: &Cluster) {
    // Other Secrets are none of its business, and do not come into its memory.
    let config = watcher::Config::default().fields(&format!("type={KIND}"));
    let secrets: Arc<Informer<Secret>> = Arc::new(Informer::selecting(cluster.client.clone(), config));
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(&secrets, &queue);
    cluster.watch(&secrets);
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        secrets.synced().await;
        let secrets = &secrets;
        controller::run("tokencleaner", queue, 1, token, |key| async move {
            let Some(secret) = secrets.get(&key) else { return Ok(None) };
            let Some(end) = end(&secret) else { return Ok(None) };
            match Duration::try_from(end.duration_since(Timestamp::now())) {
                Ok(left) if !left.is_zero() => Ok(Some(left)),
                _ => secrets.delete(&secret, Deletion::graceful()).await.map(|()| None),
            }
        })
        .await;
    });
}

/// When a token's time is over; `None` for those without an end, and for what is no token. An end that cannot be read
/// has come: nobody can sign in with such a token.
fn end(secret: &Secret) -> Option<Timestamp> {
    let is_token = secret.type_.as_deref() == Some(KIND) && namespace(secret) == NAMESPACE && !is_deleting(secret);
    let expiration = &secret.data.as_ref()?.get("expiration").filter(|_| is_token)?.0;
    if expiration.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(expiration);
    Some(text.parse().unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[track_caller]
    fn check(place: &str, kind: &str, expiration: Option<&str>, expect: Option<&str>) {
        let data = expiration.map(|text| ("expiration".to_owned(), ByteString(text.as_bytes().to_vec())));
        let mut secret =
            Secret { type_: Some(kind.to_owned()), data: Some(data.into_iter().collect()), ..Secret::default() };
        secret.metadata.namespace = Some(place.to_owned());
        assert_eq!(end(&secret), expect.map(|time| time.parse().unwrap()));
    }

    #[test]
    fn tokens_alone_have_an_end() {
        let time = "2026-01-01T00:00:00Z";
        check(NAMESPACE, KIND, Some(time), Some(time));
        check(NAMESPACE, KIND, Some("soon"), Some("1970-01-01T00:00:00Z"));
        check(NAMESPACE, KIND, Some(""), None);
        check(NAMESPACE, KIND, None, None);
        check("default", KIND, Some(time), None);
        check(NAMESPACE, "Opaque", Some(time), None);
    }
}
