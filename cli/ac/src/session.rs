//! Sessions: the entries in a kubeconfig that belong to one login on one platform.
//!
//! Entries are recognised by the extension `acp.io/v1`, never by their names: people may rename them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Exit, Result};
use crate::kubeconfig::{Kubeconfig, Section};
use crate::text::Text;

/// The name of the extension that marks entries as ours.
pub const EXTENSION: &str = "acp.io/v1";
/// The name of the hub among a platform's clusters.
pub const GLOBAL: &str = "global";

const CLUSTER_NOTE: &str =
    "This cluster item is managed by ac CLI, to avoid unexpected behavior, do not edit this item.";
const USER_NOTE: &str = "This user item is managed by ac CLI, to avoid unexpected behavior, do not edit this item.";

/// A cluster entry of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEntry {
    /// The entry's name in the kubeconfig.
    pub entry: String,
    /// The cluster's name on the platform.
    pub cluster: String,
    /// The session's name.
    pub session: String,
    /// The platform's address.
    pub platform_url: String,
    /// Whether this is the hub.
    pub is_global: bool,
}

/// A context that uses one of our clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextEntry {
    /// The context's name.
    pub name: String,
    /// The cluster entry it names.
    pub cluster_entry: String,
    /// The user entry it names.
    pub user_entry: String,
    /// The namespace, when set.
    pub namespace: Option<String>,
}

/// One login on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name chosen at login.
    pub name: String,
    /// The platform's address, without a final slash.
    pub platform_url: String,
    /// The user's name on the platform.
    pub username: String,
    /// The user entry's name.
    pub user_entry: String,
    /// Its clusters, the hub first, then by name.
    pub clusters: Vec<ClusterEntry>,
    /// The contexts on those clusters.
    pub contexts: Vec<ContextEntry>,
}

/// What `login` and `sync` know about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCluster {
    /// The cluster's name on the platform.
    pub name: String,
    /// Its address through the platform.
    pub server: String,
    /// What it is for.
    pub description: String,
}

/// How the server's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trust {
    /// A PEM bundle; none means the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Whether anything at all is accepted.
    pub insecure: bool,
}

/// Our extension's fields, when the entry has it.
pub fn extension(entry: &Value) -> Option<&Value> {
    let items = entry["extensions"].as_array()?;
    items.iter().find(|item| item["name"] == EXTENSION).map(|item| &item["extension"])
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Every session of the kubeconfig, by name.
pub fn all(config: &Kubeconfig) -> Vec<Session> {
    let mut sessions: BTreeMap<(String, String), Session> = BTreeMap::new();
    for (entry, user) in config.entries(Section::Users) {
        let Some(info) = extension(&user) else { continue };
        let (name, platform_url) = (text(info, "sessionName"), text(info, "platformUrl"));
        sessions.entry((name.clone(), platform_url.clone())).or_insert_with(|| Session {
            name,
            platform_url,
            username: text(info, "username"),
            user_entry: entry,
            clusters: Vec::new(),
            contexts: Vec::new(),
        });
    }
    let contexts = config.entries(Section::Contexts);
    for (entry, cluster) in config.entries(Section::Clusters) {
        let Some(info) = extension(&cluster) else { continue };
        let Some(session) = sessions.get_mut(&(text(info, "sessionName"), text(info, "platformUrl"))) else { continue };
        session.contexts.extend(contexts.iter().filter(|(_, context)| context["cluster"] == entry.as_str()).map(
            |(name, context)| ContextEntry {
                name: name.clone(),
                cluster_entry: entry.clone(),
                user_entry: text(context, "user"),
                namespace: context["namespace"].as_str().filter(|n| !n.is_empty()).map(str::to_owned),
            },
        ));
        session.clusters.push(ClusterEntry {
            entry,
            cluster: text(info, "clusterName"),
            session: session.name.clone(),
            platform_url: session.platform_url.clone(),
            is_global: info["isGlobal"].as_bool().unwrap_or(false),
        });
    }
    let mut sessions: Vec<Session> = sessions.into_values().collect();
    for session in &mut sessions {
        session.clusters.sort_by(|a, b| (!a.is_global, &a.cluster).cmp(&(!b.is_global, &b.cluster)));
    }
    sessions
}

/// The session that the context belongs to.
pub fn of_context(config: &Kubeconfig, context: &str) -> Option<Session> {
    let cluster = config.entry(Section::Contexts, context)?["cluster"].as_str()?.to_owned();
    all(config).into_iter().find(|session| session.clusters.iter().any(|known| known.entry == cluster))
}

/// The named session, or the one in use.
pub fn find(config: &Kubeconfig, name: Option<&str>) -> Result<Session> {
    match name {
        Some(name) => all(config)
            .into_iter()
            .find(|session| session.name == name)
            .ok_or_else(|| Error::told(Text::NoSuchSession { session: name.to_owned() }).hint(Text::HintSessions {})),
        None => config.current_context().and_then(|context| of_context(config, &context)).ok_or_else(|| {
            match all(config).is_empty() {
                true => Error::told(Text::NoSessions {}).hint(Text::HintLogin {}).exit(Exit::NeedsLogin),
                false => Error::told(Text::NoCurrentSession {}).hint(Text::HintSessions {}),
            }
        }),
    }
}

impl Session {
    /// The entry of the named cluster. The entry's own name is understood as well, as kubectl's `--cluster` takes it.
    pub fn cluster(&self, name: &str) -> Option<&ClusterEntry> {
        self.clusters.iter().find(|known| known.cluster == name || known.entry == name)
    }

    /// The context to use for a cluster: ours by name if it exists, else any other on it.
    pub fn context_on(&self, cluster: &ClusterEntry) -> Option<&ContextEntry> {
        let ours = context_name(&self.name, &cluster.cluster);
        let mut candidates =
            self.contexts.iter().filter(|c| c.cluster_entry == cluster.entry && c.user_entry == self.user_entry);
        candidates.clone().find(|context| context.name == ours).or_else(|| candidates.next())
    }

    /// The cluster that the context uses.
    pub fn cluster_of(&self, context: &str) -> Option<&ClusterEntry> {
        let context = self.contexts.iter().find(|known| known.name == context)?;
        self.clusters.iter().find(|known| known.entry == context.cluster_entry)
    }
}

/// `<session>/<cluster>`.
pub fn context_name(session: &str, cluster: &str) -> String {
    format!("{session}/{cluster}")
}

/// Everything one login writes.
pub struct Entries<'a> {
    /// The session's name.
    pub session: &'a str,
    /// The platform's address, without a final slash.
    pub platform_url: &'a str,
    /// The user's name.
    pub username: &'a str,
    /// What goes into the user entry as credentials.
    pub credentials: Option<Value>,
    /// How to check the server; `None` leaves what is written.
    pub trust: Option<&'a Trust>,
    /// The platform's clusters.
    pub clusters: &'a [KnownCluster],
}

impl Entries<'_> {
    /// Brings the kubeconfig's entries of this session up to date; answers what came and went.
    pub fn write(&self, config: &mut Kubeconfig) -> Result<Changes> {
        let old = all(config).into_iter().find(|s| s.name == self.session && s.platform_url == self.platform_url);
        let user_entry = match &old {
            Some(session) => session.user_entry.clone(),
            None => format!("acp:{}:user", self.session),
        };
        self.claim(config, Section::Users, &user_entry)?;
        config.update(Section::Users, &user_entry, |user| {
            if let Some(credentials) = self.credentials.as_ref().and_then(Value::as_object) {
                user.remove("token");
                user.remove("exec");
                user.extend(credentials.clone());
            }
            let info = json!({"platformUrl": self.platform_url, "sessionName": self.session,
                "username": self.username, "note": USER_NOTE});
            set_extension(user, info);
        });
        let mut changes = Changes::default();
        let known = |name: &str| old.as_ref().and_then(|session| session.cluster(name));
        for cluster in self.clusters {
            let entry = match known(&cluster.name) {
                Some(known) => known.entry.clone(),
                None => format!("acp:{}:{}", self.session, cluster.name),
            };
            self.claim(config, Section::Clusters, &entry)?;
            config.update(Section::Clusters, &entry, |map| self.cluster_entry(map, cluster));
            let has_context = old.as_ref().is_some_and(|s| s.contexts.iter().any(|c| c.cluster_entry == entry));
            if !has_context {
                let context = context_name(self.session, &cluster.name);
                if config.entry(Section::Contexts, &context).is_some_and(|c| c["cluster"] != entry.as_str()) {
                    return Err(not_ours(Section::Contexts, &context));
                }
                config.update(Section::Contexts, &context, |map| {
                    map.insert("cluster".to_owned(), entry.as_str().into());
                    map.insert("user".to_owned(), user_entry.as_str().into());
                });
            }
            if known(&cluster.name).is_none() {
                changes.added.push(cluster.name.clone());
            }
        }
        if let Some(session) = &old {
            for gone in session.clusters.iter().filter(|c| !self.clusters.iter().any(|now| now.name == c.cluster)) {
                remove_cluster(config, session, gone);
                changes.removed.push(gone.cluster.clone());
            }
        }
        Ok(changes)
    }

    /// An entry under our name that is not marked as ours belongs to somebody else.
    fn claim(&self, config: &Kubeconfig, section: Section, name: &str) -> Result<()> {
        match config.entry(section, name) {
            Some(entry) if extension(&entry).is_none() => Err(not_ours(section, name)),
            _ => Ok(()),
        }
    }

    fn cluster_entry(&self, map: &mut Map<String, Value>, cluster: &KnownCluster) {
        map.insert("server".to_owned(), cluster.server.as_str().into());
        if let Some(trust) = self.trust {
            map.remove("certificate-authority");
            map.remove("certificate-authority-data");
            map.remove("insecure-skip-tls-verify");
            if trust.insecure {
                map.insert("insecure-skip-tls-verify".to_owned(), true.into());
            } else if let Some(pem) = &trust.ca_pem {
                use base64::Engine;
                let data = base64::engine::general_purpose::STANDARD.encode(pem);
                map.insert("certificate-authority-data".to_owned(), data.into());
            }
        }
        let info = json!({"isGlobal": cluster.name == GLOBAL, "platformUrl": self.platform_url,
            "sessionName": self.session, "clusterName": cluster.name, "description": cluster.description,
            "note": CLUSTER_NOTE});
        set_extension(map, info);
    }
}

fn not_ours(section: Section, name: &str) -> Error {
    Error::told(Text::EntryNotOurs { section: section.list().to_owned(), name: name.to_owned() })
}

/// What writing a session's entries changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Clusters that were not known before.
    pub added: Vec<String>,
    /// Clusters that are gone from the platform.
    pub removed: Vec<String>,
}

fn set_extension(entry: &mut Map<String, Value>, info: Value) {
    let list = entry.entry("extensions").or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    match list.iter_mut().find(|item| item["name"] == EXTENSION) {
        Some(item) => item["extension"] = info,
        None => list.push(json!({"name": EXTENSION, "extension": info})),
    }
}

fn remove_cluster(config: &mut Kubeconfig, session: &Session, cluster: &ClusterEntry) {
    for context in session.contexts.iter().filter(|context| context.cluster_entry == cluster.entry) {
        config.remove(Section::Contexts, &context.name);
        config.clear_current_context(&context.name);
    }
    config.remove(Section::Clusters, &cluster.entry);
}

/// Removes all of a session's entries.
pub fn remove(config: &mut Kubeconfig, session: &Session) {
    for cluster in &session.clusters {
        remove_cluster(config, session, cluster);
    }
    config.remove(Section::Users, &session.user_entry);
}

/// How the session's entries check the server now.
pub fn trust_of(config: &Kubeconfig, session: &Session) -> Result<Trust> {
    let Some(entry) = session.clusters.first().and_then(|c| config.entry(Section::Clusters, &c.entry)) else {
        return Ok(Trust::default());
    };
    trust_in(&entry)
}

/// How a cluster entry checks its server.
pub fn trust_in(entry: &Value) -> Result<Trust> {
    let unreadable = |name: &str| Error::told(Text::CouldNotReadFile { path: name.to_owned() });
    let ca_pem = if let Some(data) = entry["certificate-authority-data"].as_str().filter(|data| !data.is_empty()) {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|error| unreadable("certificate-authority-data").because(error))?;
        Some(String::from_utf8(bytes).map_err(|error| unreadable("certificate-authority-data").because(error))?)
    } else if let Some(path) = entry["certificate-authority"].as_str().filter(|path| !path.is_empty()) {
        Some(std::fs::read_to_string(path).map_err(|error| unreadable(path).because(error))?)
    } else {
        None
    };
    Ok(Trust { ca_pem, insecure: entry["insecure-skip-tls-verify"].as_bool().unwrap_or(false) })
}

#[cfg(test)]
mod tests;
