//! Where an agent keeps its key and certificate, whom it takes for the hub, and where that is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use lib_tls::{Credential, create_private_dir, write_private};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tunnel_protocol::PlatformUrl;

/// Keeps one credential: the key and the chain together, so that they cannot come apart.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// The credential, if there is one.
    async fn load(&self) -> Result<Option<Credential>, StoreError>;

    /// Replaces it.
    async fn save(&self, credential: &Credential) -> Result<(), StoreError>;

    /// Whom the hub has told to trust, if it has.
    async fn load_told(&self) -> Result<Option<Told>, StoreError>;

    /// Replaces it.
    async fn save_told(&self, told: &Told) -> Result<(), StoreError>;

    /// By which address the hub has told to reach it, if it has.
    async fn load_address(&self) -> Result<Option<KeptAddress>, StoreError>;

    /// Replaces it.
    async fn save_address(&self, kept: &KeptAddress) -> Result<(), StoreError>;

    /// The version of the program that has reached the hub, if one has.
    async fn load_met(&self) -> Result<Option<String>, StoreError>;

    /// Replaces it.
    async fn save_met(&self, program: &str) -> Result<(), StoreError>;

    /// Saves this one if there is none, and returns what is kept then.
    async fn load_or_save(&self, credential: Credential) -> Result<Credential, StoreError> {
        match self.load().await? {
            Some(kept) => Ok(kept),
            None => self.save(&credential).await.map(|()| credential),
        }
    }
}

/// The hub's authorities, as the hub has told them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Their certificates, in PEM.
    pub certificates: String,
    /// The pins of those that the agent was given when it was told. Whoever gives it others has the last word.
    pub given: String,
}

/// By which address the hub is reached, as the hub has told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAddress {
    /// Nothing for the one that the agent was given.
    pub url: Option<PlatformUrl>,
    /// The one that it was given then. Whoever gives it another has the last word.
    pub given: String,
}

/// Why a credential could not be loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file could not be read.
    #[error("could not read {path}", path = .path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("could not keep the credential")]
    Write(#[source] lib_tls::Error),
    /// What is kept is no credential.
    #[error("the kept credential is damaged")]
    Damaged(#[source] Option<lib_tls::Error>),
    /// The member's API refused.
    #[error("could not {doing} the secret {namespace}/{name}")]
    Secret {
        /// The step.
        doing: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Keeps the credential in a file that only its owner may read.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    certificate: String,
    key: String,
}

/// Beside the credential.
const TOLD: &str = "authorities.json";
const ADDRESS: &str = "address.json";
const MET: &str = "met.json";

impl DirectoryStore {
    /// In this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("credential.json")
    }

    fn read<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>, StoreError> {
        match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|_| StoreError::Damaged(None)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read { path, source }),
        }
    }

    fn write(&self, path: &Path, content: &impl Serialize) -> Result<(), StoreError> {
        let json = serde_json::to_vec(content).map_err(|_| StoreError::Damaged(None))?;
        create_private_dir(&self.dir).and_then(|()| write_private(path, &json)).map_err(StoreError::Write)
    }
}

#[async_trait]
impl CredentialStore for DirectoryStore {
    async fn load(&self) -> Result<Option<Credential>, StoreError> {
        let Some(kept) = Self::read::<Kept>(self.path())? else { return Ok(None) };
        Credential::from_pem(kept.certificate, kept.key).map(Some).map_err(|error| StoreError::Damaged(Some(error)))
    }

    async fn save(&self, credential: &Credential) -> Result<(), StoreError> {
        let kept = Kept { certificate: credential.chain_pem().into(), key: credential.key_pem().into() };
        self.write(&self.path(), &kept)
    }

    async fn load_told(&self) -> Result<Option<Told>, StoreError> {
        Self::read(self.dir.join(TOLD))
    }

    async fn save_told(&self, told: &Told) -> Result<(), StoreError> {
        self.write(&self.dir.join(TOLD), told)
    }

    async fn load_address(&self) -> Result<Option<KeptAddress>, StoreError> {
        Self::read(self.dir.join(ADDRESS))
    }

    async fn save_address(&self, kept: &KeptAddress) -> Result<(), StoreError> {
        self.write(&self.dir.join(ADDRESS), kept)
    }

    async fn load_met(&self) -> Result<Option<String>, StoreError> {
        Self::read(self.dir.join(MET))
    }

    async fn save_met(&self, program: &str) -> Result<(), StoreError> {
        self.write(&self.dir.join(MET), &program)
    }
}

/// Keeps the credential in a secret of the member, so that the agent finds it wherever it runs next.
#[derive(Clone)]
pub struct SecretStore {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const GIVEN: &str = "ca.given";
const URL: &str = "hub.url";
const URL_GIVEN: &str = "hub.given";
const PROGRAM: &str = "program";

fn entry(key: &str, text: &str) -> (String, ByteString) {
    (key.to_owned(), ByteString(text.as_bytes().to_vec()))
}

impl SecretStore {
    /// The namespace and name that the agent's manifest gives it rights to.
    pub const DEFAULT: (&str, &str) = ("cpaas-system", "acp-agent-credential");

    /// As [`SecretStore::DEFAULT`], for the authority of the agent's admission webhook.
    pub const ADMISSION: (&str, &str) = ("cpaas-system", "acp-agent-admission");

    /// In this secret.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.into(), name: name.into() }
    }

    fn secret(&self, credential: &Credential) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".into()),
            data: Some([entry(CERTIFICATE, credential.chain_pem()), entry(KEY, credential.key_pem())].into()),
            ..Secret::default()
        }
    }

    /// Replaces these entries in one step, and leaves others alone.
    async fn patch(&self, data: Option<BTreeMap<String, ByteString>>) -> Result<(), StoreError> {
        let patch = Patch::Merge(json!({"data": data}));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await.map(drop).map_err(self.failed("patch"))
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(kube::Error) -> StoreError {
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        move |source| StoreError::Secret { doing, namespace, name, source: Box::new(source) }
    }
}

#[async_trait]
impl CredentialStore for SecretStore {
    async fn load(&self) -> Result<Option<Credential>, StoreError> {
        let secret = self.api.get_opt(&self.name).await.map_err(self.failed("read"))?;
        let Some(data) = secret.and_then(|secret| secret.data) else {
            return Ok(None);
        };
        let text = |key: &str| {
            let bytes = data.get(key).ok_or(StoreError::Damaged(None))?;
            String::from_utf8(bytes.0.clone()).map_err(|_| StoreError::Damaged(None))
        };
        Credential::from_pem(text(CERTIFICATE)?, text(KEY)?).map(Some).map_err(|error| StoreError::Damaged(Some(error)))
    }

    async fn save(&self, credential: &Credential) -> Result<(), StoreError> {
        let secret = self.secret(credential);
        match self.api.get_opt(&self.name).await.map_err(self.failed("read"))? {
            None => self.api.create(&PostParams::default(), &secret).await.map(drop).map_err(self.failed("create")),
            Some(_) => self.patch(secret.data).await,
        }
    }

    /// In the same secret, as the agent may write no other.
    async fn load_told(&self) -> Result<Option<Told>, StoreError> {
        let secret = self.api.get_opt(&self.name).await.map_err(self.failed("read"))?;
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        let told = text(AUTHORITIES).zip(text(GIVEN));
        Ok(told.map(|(certificates, given)| Told { certificates, given }))
    }

    async fn load_met(&self) -> Result<Option<String>, StoreError> {
        let secret = self.api.get_opt(&self.name).await.map_err(self.failed("read"))?;
        let kept = secret.and_then(|secret| secret.data?.remove(PROGRAM));
        Ok(kept.and_then(|program| String::from_utf8(program.0).ok()))
    }

    async fn save_met(&self, program: &str) -> Result<(), StoreError> {
        self.patch(Some([entry(PROGRAM, program)].into())).await
    }

    async fn save_told(&self, told: &Told) -> Result<(), StoreError> {
        self.patch(Some([entry(AUTHORITIES, &told.certificates), entry(GIVEN, &told.given)].into())).await
    }

    async fn load_address(&self) -> Result<Option<KeptAddress>, StoreError> {
        let secret = self.api.get_opt(&self.name).await.map_err(self.failed("read"))?;
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        let Some(given) = text(URL_GIVEN) else { return Ok(None) };
        let url = text(URL).filter(|url| !url.is_empty()).map(|url| url.parse().map_err(|_| StoreError::Damaged(None)));
        Ok(Some(KeptAddress { url: url.transpose()?, given }))
    }

    async fn save_address(&self, kept: &KeptAddress) -> Result<(), StoreError> {
        let url = kept.url.as_ref().map(PlatformUrl::to_string).unwrap_or_default();
        self.patch(Some([entry(URL, &url), entry(URL_GIVEN, &kept.given)].into())).await
    }

    /// Of several that start at once, all get the same.
    async fn load_or_save(&self, credential: Credential) -> Result<Credential, StoreError> {
        if let Some(kept) = self.load().await? {
            return Ok(kept);
        }
        match self.api.create(&PostParams::default(), &self.secret(&credential)).await {
            Ok(_) => Ok(credential),
            Err(kube::Error::Api(status)) if status.code == 409 => self.load().await?.ok_or(StoreError::Damaged(None)),
            Err(error) => Err(self.failed("create")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use lib_tls::{Authority, Leaf, Subject};

    use super::*;

    #[tokio::test]
    async fn a_directory_keeps_it_private() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().join("agent"));
        assert!(store.load().await.unwrap().is_none());
        let authority = Authority::generate("hub", SystemTime::now()).unwrap();
        for user in ["first", "second"] {
            let credential = authority.issue(&Leaf::Client(Subject::new(user, ["g"]))).unwrap();
            store.save(&credential).await.unwrap();
            let kept = store.load().await.unwrap().unwrap();
            assert_eq!((kept.chain_pem(), kept.key_pem()), (credential.chain_pem(), credential.key_pem()));
        }
        let mode = std::fs::metadata(store.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path());
        std::fs::write(store.path(), "{").unwrap();
        assert!(matches!(store.load().await, Err(StoreError::Damaged(None))));
    }
}
