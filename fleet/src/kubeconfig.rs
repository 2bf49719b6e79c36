//! Kubeconfigs from people, who may not be friends.
//!
//! A kubeconfig can name programs to run and files to read. The hub does neither, and it does not drop such parts
//! silently: the sender would believe that they count.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::access::{Access, Login, certificate};
use crate::error::Cause;

/// The largest that is read.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    kind: Option<String>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<ClusterEntry>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<UserEntry>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<ContextEntry>,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: Option<String>,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<IgnoredAny>,
    insecure_skip_tls_verify: Option<bool>,
    proxy_url: Option<IgnoredAny>,
    tls_server_name: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    client_certificate: Option<IgnoredAny>,
    client_key: Option<IgnoredAny>,
    #[serde(rename = "tokenFile")]
    token_file: Option<IgnoredAny>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    #[serde(rename = "as")]
    as_user: Option<IgnoredAny>,
    as_uid: Option<IgnoredAny>,
    as_groups: Option<IgnoredAny>,
    as_user_extra: Option<IgnoredAny>,
    username: Option<IgnoredAny>,
    password: Option<IgnoredAny>,
}

/// How people get a kubeconfig that has everything in it.
const FLATTEN: &str = "give what `kubectl config view --raw --minify --flatten` prints";

/// What the current context of a kubeconfig says.
pub(crate) fn parse(text: &str) -> Result<Access, Cause> {
    let whole = |message: String| Cause::new("kubeconfig", message);
    if text.len() > MAX_BYTES {
        return Err(whole(format!("must be no more than {MAX_BYTES} bytes")));
    }
    // The parser's texts may quote the input, and the input holds secrets.
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        whole(format!("not a kubeconfig: it cannot be decoded{}; {FLATTEN}", place.unwrap_or_default()))
    })?;
    if let Some(kind) = file.kind.as_deref().filter(|kind| *kind != "Config") {
        let kind: String = kind.chars().take(64).collect();
        return Err(whole(format!("not a kubeconfig: its kind is {kind:?} and must be Config; {FLATTEN}")));
    }
    let (clusters, users) = (file.clusters.unwrap_or_default(), file.users.unwrap_or_default());
    // Every entry is looked at, and not only those that the context names: what is refused is the file.
    for (index, entry) in clusters.iter().enumerate() {
        refuse_cluster(index, entry)?;
    }
    for (index, entry) in users.iter().enumerate() {
        refuse_user(index, entry)?;
    }
    let contexts = file.contexts.unwrap_or_default();
    let context = match (file.current_context.as_deref().filter(|name| !name.is_empty()), &contexts[..]) {
        (Some(name), contexts) => only(contexts.iter().filter(|context| context.name == name)),
        (None, [single]) => Some(single),
        (None, _) => None,
    };
    let context =
        context.ok_or_else(|| Cause::new("kubeconfig.current-context", "must name exactly one of the contexts"))?;
    let names = context.context.as_ref().ok_or_else(|| whole("the context is empty".into()))?;
    let cluster = only(clusters.iter().filter(|cluster| cluster.name == names.cluster))
        .and_then(|cluster| cluster.cluster.as_ref())
        .ok_or_else(|| Cause::new("kubeconfig.clusters", "the context must name exactly one cluster"))?;
    let user = only(users.iter().filter(|user| user.name == names.user))
        .and_then(|user| user.user.as_ref())
        .ok_or_else(|| Cause::new("kubeconfig.users", "the context must name exactly one user"))?;
    access(cluster, user)
}

fn access(cluster: &ClusterEntry, user: &UserEntry) -> Result<Access, Cause> {
    let authority = cluster.certificate_authority_data.as_deref().unwrap_or_default();
    if authority.is_empty() {
        let message = "is required: the hub trusts no cluster without its authority";
        return Err(Cause::new("kubeconfig.clusters.certificate-authority-data", message));
    }
    let authority = pem(authority, "kubeconfig.clusters.certificate-authority-data")?;
    let login = match (&user.token, &user.client_certificate_data, &user.client_key_data) {
        (Some(token), _, _) if !token.is_empty() => Login::Bearer(token.clone()),
        (_, Some(chain), Some(key)) => certificate(
            pem(chain, "kubeconfig.users.client-certificate-data")?,
            pem(key, "kubeconfig.users.client-key-data")?,
        )
        .map_err(|bad| Cause::new("kubeconfig.users.client-certificate-data", bad.message))?,
        _ => return Err(Cause::new("kubeconfig.users", "must hold a token, or a client certificate with its key")),
    };
    let server = cluster.server.as_deref().unwrap_or_default();
    Access::new(server, &authority, login).map_err(|bad| {
        let field = match bad.part {
            "server" => "kubeconfig.clusters.server",
            "caData" => "kubeconfig.clusters.certificate-authority-data",
            _ => "kubeconfig.users.token",
        };
        Cause::new(field, bad.message)
    })
}

const FILES: &str = "the hub reads no files; give the data itself, as `kubectl config view --raw --flatten` does";

fn refuse_cluster(index: usize, entry: &NamedCluster) -> Result<(), Cause> {
    let Some(cluster) = &entry.cluster else { return Ok(()) };
    let refused = [
        ("certificate-authority", cluster.certificate_authority.is_some(), FILES),
        ("proxy-url", cluster.proxy_url.is_some(), "proxies are refused; give an address that the hub reaches itself"),
        (
            "insecure-skip-tls-verify",
            cluster.insecure_skip_tls_verify == Some(true),
            "the cluster must be verified; give its certificate-authority-data instead",
        ),
        ("tls-server-name", cluster.tls_server_name.is_some(), "the certificate must name the server's own address"),
    ];
    refuse(&format!("kubeconfig.clusters[{index}].cluster"), &refused)
}

fn refuse_user(index: usize, entry: &NamedUser) -> Result<(), Cause> {
    let Some(user) = &entry.user else { return Ok(()) };
    let impersonates =
        [&user.as_user, &user.as_uid, &user.as_groups, &user.as_user_extra].into_iter().any(Option::is_some);
    let refused = [
        ("exec", user.exec.is_some(), "the hub runs no exec plugin; give a token or a client certificate"),
        (
            "auth-provider",
            user.auth_provider.is_some(),
            "the hub runs no auth provider; give a token or a client certificate",
        ),
        ("tokenFile", user.token_file.is_some(), "the hub reads no files; give the token itself"),
        ("client-certificate", user.client_certificate.is_some(), FILES),
        ("client-key", user.client_key.is_some(), FILES),
        ("as", impersonates, "the hub impersonates people itself; give a credential that may"),
        (
            "username",
            user.username.is_some() || user.password.is_some(),
            "passwords are refused; give a token or a client certificate",
        ),
    ];
    refuse(&format!("kubeconfig.users[{index}].user"), &refused)
}

fn refuse(path: &str, refused: &[(&str, bool, &str)]) -> Result<(), Cause> {
    match refused.iter().find(|(_, present, _)| *present) {
        Some((field, _, message)) => Err(Cause::new(format!("{path}.{field}"), *message)),
        None => Ok(()),
    }
}

pub(crate) fn pem(encoded: &str, field: &str) -> Result<String, Cause> {
    let text: String = encoded.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|_| Cause::new(field, "must be base64"))?;
    String::from_utf8(bytes).map_err(|_| Cause::new(field, "must be PEM in base64"))
}

fn only<'a, T>(mut items: impl Iterator<Item = &'a T>) -> Option<&'a T> {
    match (items.next(), items.next()) {
        (Some(item), None) => Some(item),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
