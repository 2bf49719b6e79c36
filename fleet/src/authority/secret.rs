//! The hub's authorities in a Secret of its cluster, which all replicas follow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt as _};
use lib_telemetry::chain;
use lib_tls::{Authorities, Authority, Error as TlsError, Other};

use super::{AuthorityStore, KeepError, Kept};
use crate::NAMESPACE;

/// What it is called. Whoever may update it may take steps.
pub const AUTHORITY_SECRET: &str = "acp-hub-authority";

/// The one that signs, as in every Secret of that type; and the other, by what it is.
const SIGNING: &str = "tls";
const NEXT: &str = "next";
const FORMER: &str = "former";

/// Authorities in a Secret.
pub struct SecretAuthorities {
    api: Api<Secret>,
    common_name: String,
}

impl SecretAuthorities {
    /// In the platform's namespace. `common_name` is what the first one is called.
    pub fn new(client: Client, common_name: &str) -> Self {
        Self { api: Api::namespaced(client, NAMESPACE), common_name: common_name.to_owned() }
    }

    async fn get(&self) -> Result<Option<Secret>, KeepError> {
        self.api.get_opt(AUTHORITY_SECRET).await.map_err(failed("read"))
    }
}

fn failed(doing: &'static str) -> impl FnOnce(kube::Error) -> KeepError {
    move |source| KeepError::Store { doing, source: source.into() }
}

fn secret(authorities: &Authorities) -> Secret {
    let other = authorities.other().map(|other| match other {
        Other::Next(authority) => (NEXT, authority),
        Other::Former(authority) => (FORMER, authority),
    });
    let all = std::iter::once((SIGNING, authorities.signing())).chain(other);
    let data = all.flat_map(|(name, authority)| {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        [
            (format!("{name}.crt"), bytes(authority.certificate_pem())),
            (format!("{name}.key"), bytes(&authority.key_pem())),
        ]
    });
    Secret {
        metadata: ObjectMeta { name: Some(AUTHORITY_SECRET.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn read(secret: &Secret) -> Result<Kept, TlsError> {
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let text = |key: String| String::from_utf8(data.get(&key)?.0.clone()).ok();
    let authority = |name: &str| {
        let (certificate, key) = text(format!("{name}.crt")).zip(text(format!("{name}.key")))?;
        Some(Authority::from_pem(&certificate, &key).map(Arc::new))
    };
    let signing = authority(SIGNING).ok_or(TlsError::Pem { expected: "a certificate and its key" })??;
    let next = authority(NEXT).transpose()?.map(Other::Next);
    let former = authority(FORMER).transpose()?.map(Other::Former);
    let authorities = match (next, former) {
        (None, None) => Authorities::alone(signing),
        (Some(other), None) | (None, Some(other)) => Authorities::with(signing, other)?,
        (Some(_), Some(_)) => return Err(TlsError::Malformed("there is a next and a former authority")),
    };
    Ok(Kept { authorities, version: secret.resource_version().unwrap_or_default() })
}

#[async_trait]
impl AuthorityStore for SecretAuthorities {
    /// Of several that start at once, all get the same.
    async fn load(&self) -> Result<Kept, KeepError> {
        if let Some(kept) = self.get().await? {
            return read(&kept).map_err(KeepError::Damaged);
        }
        let fresh = Authority::generate(&self.common_name, SystemTime::now()).map_err(KeepError::Damaged)?;
        let made = secret(&Authorities::alone(Arc::new(fresh)));
        let kept = match self.api.create(&PostParams::default(), &made).await {
            Ok(kept) => kept,
            Err(kube::Error::Api(status)) if status.code == 409 => self.get().await?.unwrap_or_default(),
            Err(error) => return Err(failed("make")(error)),
        };
        read(&kept).map_err(KeepError::Damaged)
    }

    async fn replace(&self, next: &Authorities, version: &str) -> Result<(), KeepError> {
        let mut secret = secret(next);
        secret.metadata.resource_version = Some(version.to_owned());
        match self.api.replace(AUTHORITY_SECRET, &PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(KeepError::Changed),
            Err(error) => Err(failed("replace")(error)),
        }
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let only = watcher::Config::default().fields(&format!("metadata.name={AUTHORITY_SECRET}"));
        let events = watcher(self.api.clone(), only).default_backoff();
        let changes = events.map(|event| {
            if let Err(error) = event {
                tracing::warn!(error = %chain(&error), "could not follow the Secret of the hub's authorities");
            }
        });
        changes.boxed()
    }
}

#[cfg(test)]
mod tests {
    use lib_tls::Step;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let signing = Arc::new(Authority::generate("hub", SystemTime::now()).unwrap());
        let mut at = Authorities::alone(signing);
        for step in [Step::Introduce, Step::Switch, Step::Back, Step::Switch, Step::Retire] {
            at = at.after(step, SystemTime::now()).unwrap();
            let kept = read(&secret(&at)).unwrap().authorities;
            assert_eq!((kept.pins(), kept.elder().pin()), (at.pins(), at.elder().pin()), "{step:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_no_authority() {
        let signing = Arc::new(Authority::generate("hub", SystemTime::now()).unwrap());
        let introduced = Authorities::alone(signing).after(Step::Introduce, SystemTime::now()).unwrap();
        let without = |key: &str| {
            let mut secret = secret(&introduced);
            secret.data.as_mut().unwrap().remove(key);
            secret
        };
        assert!(read(&without("tls.key")).is_err() && read(&Secret::default()).is_err());
        let mut both = secret(&introduced);
        let data = both.data.as_mut().unwrap();
        for part in ["crt", "key"] {
            let copied = data[&format!("next.{part}")].clone();
            data.insert(format!("former.{part}"), copied);
        }
        assert!(read(&both).is_err());
    }
}
