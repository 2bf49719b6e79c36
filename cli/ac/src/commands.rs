//! The commands, one module each, and what they share.

pub mod api_resources;
pub mod apply;
pub mod authority;
pub mod certificates;
pub mod clusters;
pub mod completion;
pub mod delete;
pub mod exec;
pub mod files;
pub mod fleet;
pub mod get;
pub mod identity;
pub mod kubectl;
pub mod listing;
pub mod login;
pub mod logs;
pub mod merge;
pub mod nodes;
pub mod policy;
pub mod projects;
pub mod rights;
pub mod search;
pub mod second_factor;
pub mod session;
pub mod sign_in;
pub mod sort;
pub mod support;
pub mod upgrade;
pub mod version;
pub mod watch;

use std::ffi::OsString;

use serde_json::Value;

use crate::args::Global;
use crate::connect::{Connector, Selection, Target};
use crate::discovery::{Discovery, Resource};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::Endpoint;
use crate::kubeconfig;
use crate::output::table::harmless;
use crate::resource::{Routed, routed, routing_note};
use crate::session::GLOBAL;
use crate::text::Text;
use crate::ui::Ui;

/// What every command gets.
pub struct Cx {
    /// The surroundings.
    pub env: Environment,
    /// The person.
    pub ui: Ui,
    /// The way to servers.
    pub connector: Connector,
    /// The flags that every command understands.
    pub global: Global,
    /// The whole command line, the program's name first.
    pub arguments: Vec<OsString>,
}

impl Cx {
    /// Puts it together.
    pub fn new(env: Environment, ui: Ui, global: &Global, arguments: Vec<OsString>) -> Result<Self> {
        let timeout = match global.request_timeout.as_deref() {
            None | Some("0") => None,
            Some(text) => {
                let bad = || Error::usage(Text::BadDuration { text: text.to_owned() });
                Some(crate::args::duration(text).ok_or_else(bad)?).filter(|timeout| !timeout.is_zero())
            }
        };
        let explicit = global.config.as_deref().or(global.kubeconfig.as_deref());
        let paths = kubeconfig::paths(&env, explicit);
        let selection = Selection {
            session: global.session.clone(),
            cluster: global.cluster.clone(),
            context: global.context.clone(),
            namespace: global.namespace.clone(),
            verbosity: global.verbosity,
            timeout,
        };
        let connector = Connector { env: env.clone(), paths, selection };
        Ok(Self { env, ui, connector, global: global.clone(), arguments })
    }

    /// The platform of the session in force.
    pub async fn platform(&self) -> Result<Endpoint> {
        self.connector.platform(&self.connector.session()?).await
    }

    /// The cluster to work on, opened.
    pub async fn open(&self) -> Result<Opened> {
        self.open_target(self.connector.target()?).await
    }

    /// The cluster to work on; resources of the hub go to the hub, with the published note, unless `--cluster` said
    /// where.
    pub async fn open_routed(&self, routed: Option<Routed>) -> Result<Opened> {
        let mut target = self.connector.target()?;
        if let (Some(routed), Some(session), None) = (routed, target.session.clone(), &self.global.cluster) {
            if target.cluster_name != GLOBAL {
                self.ui.raw_note(&routing_note(routed.plural));
                // Who may not list the hub among his clusters may still see some of its objects.
                target = self.connector.on_platform(&self.connector.config()?, &session, GLOBAL)?;
            }
            if let (Some(namespace), None) = (routed.namespace, &self.global.namespace) {
                target.namespace = namespace.to_owned();
            }
        }
        self.open_target(target).await
    }

    /// A cluster of the session in force, opened.
    pub async fn open_target(&self, target: Target) -> Result<Opened> {
        let endpoint = self.connector.endpoint(&target).await?;
        Ok(Opened { target, endpoint })
    }
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Opened {
    /// Which cluster.
    pub target: Target,
    /// Its server.
    pub endpoint: Endpoint,
}

impl Opened {
    /// What the server has.
    pub async fn discovery(&self, cx: &Cx) -> Result<Discovery> {
        let server = self.target.cluster["server"].as_str().unwrap_or_default();
        Discovery::open(&cx.env, &self.endpoint, server).await
    }
}

/// The resources that a word means. A bare word for one of the hub's own resources has no other meaning.
pub async fn meant(discovery: &mut Discovery, word: &str) -> Result<Vec<Resource>> {
    if let Some(known) = routed(word).filter(|_| !word.contains('.')) {
        let full = format!("{}.{}", known.plural, known.qualified_group);
        if let Ok(resource) = discovery.find(&full).await {
            return Ok(vec![resource]);
        }
    }
    discovery.find_all(word).await
}

/// `deployment.apps/web`.
pub fn printed_name(resource: &Resource, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{}", resource.printed(), harmless(name))
}
