//! What a session is and where we are in it: `whoami`, `namespace`, `config get-sessions|use-session|use-cluster`,
//! and the token for kubectl.

use jiff::Timestamp;
use serde_json::Value;

use super::Cx;
use super::listing::{format_of_one, joined, text};
use super::login::activate;
use crate::args::{GetToken, Whoami};
use crate::credentials::{self, Owner};
use crate::error::{Error, Result};
use crate::kubeconfig::{Kubeconfig, Section};
use crate::output::human_duration;
use crate::output::table::{align, harmless};
use crate::platform;
use crate::session::{self, GLOBAL};
use crate::text::{Lang, Text};

/// Lists sessions in the published columns.
pub fn get_sessions(cx: &Cx) -> Result<i32> {
    let config = cx.connector.config()?;
    let sessions = session::all(&config);
    if sessions.is_empty() {
        cx.ui.note(&Text::NoSessions {});
        return Ok(0);
    }
    let current = config.current_context();
    let mut lines = vec![["CURRENT", "SESSION", "PLATFORM", "USER", "CLUSTERS"].map(str::to_owned).to_vec()];
    lines.extend(sessions.iter().map(|session| {
        let is_current = current.as_deref().is_some_and(|context| session.cluster_of(context).is_some());
        vec![
            if is_current { "*" } else { "" }.to_owned(),
            session.name.clone(),
            session.platform_url.clone(),
            harmless(&session.username),
            session.clusters.len().to_string(),
        ]
    }));
    cx.ui.out(&align(&lines, &mut Vec::new()))?;
    Ok(0)
}

/// Switches to a session, on the hub unless `--cluster` says otherwise.
pub fn use_session(cx: &Cx, name: &str) -> Result<i32> {
    let wanted = cx.global.cluster.as_deref();
    let context = Kubeconfig::edit(&cx.connector.paths, |config| {
        let session = session::find(config, Some(name))?;
        let first = session.clusters.first().map(|cluster| cluster.cluster.clone());
        let default = if session.cluster(GLOBAL).is_some() { Some(GLOBAL.to_owned()) } else { first };
        let cluster = wanted.map(str::to_owned).or(default).unwrap_or_else(|| GLOBAL.to_owned());
        activate(config, name, &cluster, cx.global.namespace.as_deref())
    })?;
    cx.ui.out_line(format!("Switched to session \"{name}\"."))?;
    cx.ui.out_line(format!("Context \"{context}\" activated."))?;
    Ok(0)
}

/// Switches to another cluster of the session in use.
pub fn use_cluster(cx: &Cx, cluster: &str) -> Result<i32> {
    let context = Kubeconfig::edit(&cx.connector.paths, |config| {
        let session = session::find(config, cx.global.session.as_deref())?;
        activate(config, &session.name, cluster, cx.global.namespace.as_deref())
    })?;
    cx.ui.out_line(format!("Switched to context \"{context}\"."))?;
    Ok(0)
}

/// Shows or changes the namespace of the context in force, or of the one that the flags select.
pub fn namespace(cx: &Cx, wanted: Option<&str>) -> Result<i32> {
    let target = cx.connector.target()?;
    let cluster_name = &target.cluster_name;
    let context = target.context.ok_or_else(|| {
        Error::told(Text::NoContextFor { cluster: cluster_name.clone() })
            .hint(Text::HintUseCluster { cluster: cluster_name.clone() })
    })?;
    if let Some(namespace) = wanted {
        if !platform::is_label(namespace) {
            return Err(Error::usage(Text::BadNamespace { namespace: namespace.to_owned() }));
        }
        Kubeconfig::edit(&cx.connector.paths, |config| {
            config.update(Section::Contexts, &context, |map| {
                map.insert("namespace".to_owned(), namespace.into());
            });
            Ok(())
        })?;
        cx.ui.out_line(format!("Now using namespace \"{namespace}\" in context \"{context}\"."))?;
        return Ok(0);
    }
    let entry = cx.connector.config()?.entry(Section::Contexts, &context).unwrap_or_default();
    let mut text = match entry["namespace"].as_str().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("You are currently in namespace \"{namespace}\".\n\n"),
        None => "You are currently in namespace \"default\" (no namespace set in context).\n\n".to_owned(),
    };
    text.push_str(&format!("Context:   {context}\n"));
    text.push_str(&format!("Cluster:   {}\n", entry["cluster"].as_str().unwrap_or_default()));
    text.push_str(&format!("Server:    {}\n", target.cluster["server"].as_str().unwrap_or_default()));
    if let Some(session) = &target.session {
        text.push_str(&format!("Platform:  {}/\n", session.platform_url));
        text.push_str(&format!("Session:   {}\n", session.name));
    }
    cx.ui.out(&text)?;
    Ok(0)
}

/// Says who we are, asking the platform.
pub async fn whoami(cx: &Cx, args: &Whoami) -> Result<i32> {
    if args.show_context || args.show_server || args.show_token {
        return whoami_part(cx, args).await;
    }
    let format = format_of_one(args.output.as_deref(), false)?;
    let session = cx.connector.session()?;
    let current = platform::current(&cx.connector.platform(&session).await?).await?;
    if let Some(format) = format {
        cx.ui.out(&format.object(&current)?)?;
        return Ok(0);
    }
    cx.ui.out_line(text(&current["username"]))?;
    for detail in details(&current, cx.ui.lang(), Timestamp::now()) {
        cx.ui.note(&detail);
    }
    Ok(0)
}

/// What else there is to say about a session, to people. Older platforms say less.
fn details(current: &Value, lang: Lang, now: Timestamp) -> Vec<Text> {
    let mut details = Vec::new();
    if current["groups"].as_array().is_some_and(|groups| !groups.is_empty()) {
        details.push(Text::WhoGroups { groups: joined(&current["groups"], ", ") });
    }
    let provider = &current["provider"];
    if provider.is_object() {
        let name = if provider["name"].is_string() { &provider["name"] } else { &provider["id"] };
        details.push(Text::WhoProvider { provider: text(name) });
    }
    if let Some(end) = current["expirationTimestamp"].as_str().and_then(|end| end.parse::<Timestamp>().ok()) {
        let left = std::time::Duration::try_from(end.duration_since(now)).unwrap_or_default();
        details.push(Text::WhoEnds { end: format!("{end} ({})", human_duration(left)) });
    }
    if let Some(used) = current["secondFactor"].as_bool() {
        let used = if used { Text::Yes {} } else { Text::No {} };
        details.push(Text::WhoSecondFactor { used: used.render(lang) });
    }
    details
}

async fn whoami_part(cx: &Cx, args: &Whoami) -> Result<i32> {
    let target = cx.connector.target()?;
    if args.show_context {
        cx.ui.out_line(target.context.as_deref().unwrap_or_default())?;
    }
    if args.show_server {
        cx.ui.out_line(target.cluster["server"].as_str().unwrap_or_default())?;
    }
    if args.show_token {
        let session = cx.connector.session()?;
        let bearer = credentials::bearer_for(&cx.connector, &session, &target.user, Timestamp::now()).await?;
        cx.ui.out_line(bearer.token)?;
    }
    Ok(0)
}

/// Hands kubectl the session's token. kubectl does not say which kubeconfig it reads, so its user entry says it all.
pub async fn get_token(cx: &Cx, args: GetToken) -> Result<i32> {
    let owner = match (&cx.global.session, args.platform_url, args.username) {
        (Some(session), Some(platform_url), Some(username)) => {
            Owner { session: session.clone(), platform_url, username }
        }
        _ => Owner::of(&cx.connector.session()?),
    };
    let request = cx.env.var("KUBERNETES_EXEC_INFO");
    cx.ui.out_line(credentials::exec_credential(&cx.connector, &owner, request, Timestamp::now()).await?)?;
    Ok(0)
}
