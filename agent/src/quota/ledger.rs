//! What the cluster holds of projects' quotas: read, counted and swapped, in this order.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use api_types::tenancy::{GROUP, PROJECT, ProjectQuotaSpec, ProjectQuotaStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ResourceQuota};
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectList};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenancy_quota::{
    Amounts, Awaited, BadAmount, Book, Change, Holding, Namespace, Refused, Reservation, read_amounts, status,
};
use tokio::sync::Mutex;

/// How often a verdict is made again because somebody else was quicker.
const RACES: usize = 32;
/// Verdicts of one project take turns here, so that they do not spend their tries on each other. Projects that fall into
/// the same slot wait needlessly, but the number of slots is bounded.
const SLOTS: u64 = 32;
/// Objects on one page.
const PAGE: u32 = 500;

/// Why a verdict, or a count, was not possible.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("could not {doing}")]
    Api {
        doing: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("ProjectQuota {0} cannot be read")]
    Malformed(String, #[source] serde_json::Error),
    #[error("ProjectQuota {0} cannot be counted")]
    ProjectAmount(String, #[source] BadAmount),
    #[error("ResourceQuota {0}/{1} cannot be counted")]
    Amount(String, String, #[source] BadAmount),
    #[error("ProjectQuota {0} changes faster than it can be counted")]
    Contended(String),
}

/// Why a write may not be.
#[derive(Debug)]
pub(super) enum Denied {
    Refused(Refused),
    Unknown(Error),
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Unknown(error)
    }
}

/// A ProjectQuota as it was read.
struct Noted {
    object: DynamicObject,
    hard: Amounts,
    status: ProjectQuotaStatus,
    reservations: Vec<Reservation>,
}

impl Noted {
    fn read(object: DynamicObject) -> Result<Self, Error> {
        let name = object.name_any();
        let spec: ProjectQuotaSpec = part(&object, "spec").map_err(|error| Error::Malformed(name.clone(), error))?;
        let status: ProjectQuotaStatus =
            part(&object, "status").map_err(|error| Error::Malformed(name.clone(), error))?;
        let wrong = |error| Error::ProjectAmount(name.clone(), error);
        let hard = read_amounts(&spec.hard).map_err(wrong)?;
        let reservations =
            status.reservations.iter().map(Reservation::read).collect::<Result<_, _>>().map_err(wrong)?;
        Ok(Self { object, hard, status, reservations })
    }

    fn is_joined_by(&self, namespace: &str, now: Timestamp) -> bool {
        let joins = |r: &Reservation| r.namespace == namespace && r.awaited == Awaited::Joining && r.until > now;
        self.reservations.iter().any(joins)
    }
}

fn part<T: DeserializeOwned + Default>(object: &DynamicObject, name: &str) -> Result<T, serde_json::Error> {
    let written = object.data.get(name).cloned();
    written.map_or_else(|| Ok(T::default()), serde_json::from_value)
}

/// What is stored, after a ProjectQuota was read.
struct Stored {
    /// By project.
    namespaces: BTreeMap<String, BTreeMap<String, Namespace>>,
    /// Of all namespaces.
    holdings: Vec<Holding>,
}

impl Stored {
    fn book(&self, noted: &Noted, now: Timestamp) -> Book {
        let project = noted.object.name_any();
        let namespaces = self.namespaces.get(&project).cloned().unwrap_or_default();
        let under_way: HashSet<&str> = noted.reservations.iter().map(|r| &*r.namespace).collect();
        let concerns = |of: &str| namespaces.contains_key(of) || under_way.contains(of);
        let holdings: Vec<Holding> = self.holdings.iter().filter(|h| concerns(&h.namespace)).cloned().collect();
        Book::open(&project, noted.hard.clone(), namespaces, holdings, noted.reservations.clone(), now)
    }
}

/// What a count has found.
pub(super) struct Counted {
    /// Whether somebody changed something meanwhile, so that it has to be counted again.
    pub(super) again: bool,
    /// When the first of what is under way ends.
    pub(super) next: Option<Timestamp>,
}

pub(super) struct Ledger {
    client: Client,
    quotas: Api<DynamicObject>,
    hold: SignedDuration,
    turns: Vec<Mutex<()>>,
}

impl Ledger {
    pub(super) fn new(client: Client, hold: Duration) -> Self {
        let hold = SignedDuration::try_from(hold).unwrap_or(SignedDuration::MAX);
        let turns = (0..SLOTS).map(|_| Mutex::new(())).collect();
        Self { quotas: Api::all_with(client.clone(), &project_quotas()), client, hold, turns }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The project to which a namespace belongs now.
    pub(super) async fn project_of(&self, namespace: &str) -> Result<Option<String>, Error> {
        let namespaces: Api<NamespaceObject> = Api::all(self.client.clone());
        let found = namespaces.get_metadata_opt(namespace).await.map_err(failed("read the namespace"))?;
        Ok(found.and_then(|found| found.labels().get(PROJECT).cloned()).filter(|project| !project.is_empty()))
    }

    /// Judges a write in a project, and keeps room for it unless it is a trial.
    pub(super) async fn reserve(&self, project: &str, change: &Change, trial: bool) -> Result<(), Denied> {
        let _turn = self.turns[slot(project)].lock().await;
        for _ in 0..RACES {
            let Some(noted) = self.quota(project).await? else {
                // A project that has no bounds has one that says so. On the hub every project has a namespace of its own,
                // in which nothing runs, also if the hub is none of its clusters.
                let missing = Refused::NotInPlace { project: project.to_owned() };
                let passes = !change.grows() || change.is_in(project);
                return if passes { Ok(()) } else { Err(Denied::Refused(missing)) };
            };
            let stored = self.stored(Some(project)).await?;
            let now = Timestamp::now();
            let mut book = stored.book(&noted, now);
            let keeps = book.reserve(change, now + self.hold).map_err(Denied::Refused)?;
            if !keeps || trial || self.swap(noted, &book, now).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(project.to_owned()).into())
    }

    /// The other projects that a namespace is being put into just now.
    pub(super) async fn joined_by(&self, namespace: &str, but: Option<&str>) -> Result<Vec<String>, Error> {
        let now = Timestamp::now();
        let noted = self.all().await?;
        let joined = noted.iter().filter(|noted| noted.is_joined_by(namespace, now));
        Ok(joined.map(|noted| noted.object.name_any()).filter(|name| Some(&**name) != but).collect())
    }

    /// What is under way in a namespace, by what is noted at a project.
    pub(super) async fn under_way(&self, project: &str, namespace: &str) -> Result<Vec<Reservation>, Error> {
        let noted = self.quota(project).await?;
        let all = noted.map(|noted| noted.reservations).unwrap_or_default();
        let here = all.into_iter().filter(|r| r.namespace == namespace && r.awaited != Awaited::Joining);
        Ok(here.collect())
    }

    /// The ResourceQuotas of a namespace.
    pub(super) async fn holdings(&self, namespace: &str) -> Result<Vec<Holding>, Error> {
        let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        let pages = pages(|params| {
            let api = api.clone();
            async move { api.list(&params).await }
        });
        pages.await.map_err(failed("list the namespace's quotas"))?.iter().map(holding).collect()
    }

    /// Counts all projects anew, and writes what has changed.
    pub(super) async fn recount(&self) -> Result<Counted, Error> {
        let mut counted = Counted { again: false, next: None };
        let all = self.all().await?;
        if all.is_empty() {
            return Ok(counted);
        }
        let stored = self.stored(None).await?;
        let now = Timestamp::now();
        for noted in all {
            let book = stored.book(&noted, now);
            counted.next = counted.next.into_iter().chain(book.reservations().iter().map(|r| r.until)).min();
            counted.again |= !self.swap(noted, &book, now).await?;
        }
        Ok(counted)
    }

    /// Writes the status if it says something else, over what was read only. `false` if that is no longer there.
    async fn swap(&self, mut noted: Noted, book: &Book, now: Timestamp) -> Result<bool, Error> {
        let next = status(book, &noted.status, noted.object.metadata.generation, now);
        if next == noted.status {
            return Ok(true);
        }
        let name = noted.object.name_any();
        let value = serde_json::to_value(&next).map_err(|error| Error::Malformed(name.clone(), error))?;
        // What others have put beside it stays.
        let written = noted.object.data["status"].as_object().cloned().unwrap_or_default();
        let known = ["hard", "used", "reservations", "conditions", "observedGeneration"];
        let mut merged: serde_json::Map<String, Value> =
            written.into_iter().filter(|(key, _)| !known.contains(&&**key)).collect();
        merged.extend(value.as_object().cloned().unwrap_or_default());
        noted.object.data["status"] = Value::Object(merged);
        match self.quotas.replace_status(&name, &PostParams::default(), &noted.object).await {
            Ok(_) => Ok(true),
            // Another has written, or it is gone.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(failed("write the project's quota")(error)),
        }
    }

    async fn quota(&self, project: &str) -> Result<Option<Noted>, Error> {
        let found = self.quotas.get_opt(project).await.map_err(failed("read the project's quota"))?;
        found.map(Noted::read).transpose()
    }

    /// All ProjectQuotas. Those that cannot be read are told and left out: who writes there is refused.
    async fn all(&self) -> Result<Vec<Noted>, Error> {
        let listed = pages(|params| {
            let quotas = self.quotas.clone();
            async move { quotas.list(&params).await }
        });
        let objects = match listed.await {
            // The kind is not there yet: no project is.
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            listed => listed.map_err(failed("list the projects' quotas"))?,
        };
        let read = objects.into_iter().map(Noted::read).filter_map(|read| {
            read.inspect_err(|error| tracing::warn!(error = %lib_telemetry::chain(error), "left a quota out")).ok()
        });
        Ok(read.collect())
    }

    /// What is stored now, of one project or of all.
    async fn stored(&self, project: Option<&str>) -> Result<Stored, Error> {
        let namespaces: Api<NamespaceObject> = Api::all(self.client.clone());
        let selector = project.map_or_else(|| PROJECT.to_owned(), |project| format!("{PROJECT}={project}"));
        let listed = pages(|params| {
            let (namespaces, params) = (namespaces.clone(), params.labels(&selector));
            async move { namespaces.list_metadata(&params).await }
        });
        let mut by_project: BTreeMap<String, BTreeMap<String, Namespace>> = BTreeMap::new();
        for namespace in listed.await.map_err(failed("list the project's namespaces"))? {
            let Some(project) = namespace.labels().get(PROJECT) else { continue };
            let terminating = namespace.metadata.deletion_timestamp.is_some();
            let of = by_project.entry(project.clone()).or_default();
            of.insert(namespace.name_any(), Namespace { terminating });
        }
        let quotas: Api<ResourceQuota> = Api::all(self.client.clone());
        let listed = pages(|params| {
            let quotas = quotas.clone();
            async move { quotas.list(&params).await }
        });
        let belonging: HashSet<&str> = by_project.values().flat_map(|each| each.keys().map(String::as_str)).collect();
        let belongs =
            |quota: &ResourceQuota| quota.metadata.namespace.as_deref().is_some_and(|n| belonging.contains(n));
        let listed = listed.await.map_err(failed("list the quotas of namespaces"))?;
        let read = listed.iter().map(|quota| (belongs(quota), holding(quota)));
        // One that counts nowhere may be what it likes.
        let holdings = read.filter(|(belongs, read)| *belongs || read.is_ok());
        let holdings = holdings.map(|(_, read)| read).collect::<Result<_, _>>()?;
        Ok(Stored { namespaces: by_project, holdings })
    }
}

/// The kind, which may not be there.
pub(super) fn project_quotas() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", "ProjectQuota"), "projectquotas")
}

/// A ResourceQuota, as far as its project is concerned.
pub(super) fn holding(quota: &ResourceQuota) -> Result<Holding, Error> {
    let (namespace, name) = (quota.namespace().unwrap_or_default(), quota.name_any());
    let spec = quota.spec.as_ref();
    let scopes = spec.and_then(|spec| spec.scopes.as_ref()).is_some_and(|scopes| !scopes.is_empty());
    let selector = spec.and_then(|spec| spec.scope_selector.as_ref());
    let selects = selector.and_then(|s| s.match_expressions.as_ref()).is_some_and(|list| !list.is_empty());
    let written = spec.and_then(|spec| spec.hard.clone()).unwrap_or_default();
    let hard = read_amounts(&written).map_err(|error| Error::Amount(namespace.clone(), name.clone(), error))?;
    let uid = quota.uid().unwrap_or_default();
    let version = quota.resource_version().unwrap_or_default();
    Ok(Holding { namespace, name, uid, version, hard, scoped: scopes || selects })
}

/// All of a list, page by page, as it is now.
async fn pages<K, F>(list: impl Fn(ListParams) -> F) -> Result<Vec<K>, kube::Error>
where
    K: Clone,
    F: Future<Output = Result<ObjectList<K>, kube::Error>>,
{
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let params = ListParams { limit: Some(PAGE), continue_token: token, ..ListParams::default() };
        let page = list(params).await?;
        all.extend(page.items);
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

fn failed(doing: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Api { doing, source: Box::new(source) }
}

fn slot(project: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    project.hash(&mut hasher);
    usize::try_from(hasher.finish() % SLOTS).unwrap_or_default()
}
