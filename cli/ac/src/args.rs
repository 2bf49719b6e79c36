//! The command line. Help, completions and their translations all come from here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ui::ColorChoice;

mod identity;
mod nodes;
mod tenancy;

pub use identity::*;
pub use nodes::*;
pub use tenancy::*;

/// kubectl for a whole fleet: sign in to a platform once, then work on any of its clusters
#[derive(Clone, Debug, Parser)]
#[command(name = "ac", version, propagate_version = false, disable_version_flag = true, max_term_width = 120)]
#[command(after_help = "Every other kubectl command works too: ac passes it to the kubectl found on PATH.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command understands.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Session to use instead of the current one
    #[arg(long, global = true, value_name = "SESSION")]
    pub session: Option<String>,
    /// Cluster to use instead of the current one
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    /// Kubeconfig context to use instead of the current one
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Namespace to use
    #[arg(long, short = 'n', global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Kubeconfig file to use; for import cluster, the file to import
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Configuration file to use
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Leave out notes on standard error
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Show requests: 6 one line each, 8 with headers
    #[arg(long = "v", short = 'v', global = true, default_value_t = 0, value_name = "LEVEL")]
    pub verbosity: u8,
    /// How long to wait for an answer, such as 10s; 0 is the default of 60s
    #[arg(long, global = true, value_name = "DURATION")]
    pub request_timeout: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Sign in to a platform and set up its clusters
    Login(Login),
    /// End a session and remove what it set up
    Logout(Logout),
    /// Show who you are
    Whoami(Whoami),
    /// List or end sessions on the platform, your own or, as an administrator, those of others
    Sessions(Sessions),
    /// List, create or revoke API tokens
    Tokens(Tokens),
    /// Show, set up or remove your second factor
    #[command(subcommand)]
    SecondFactor(SecondFactor),
    /// Commands for administrators of the platform
    #[command(subcommand)]
    Adm(Adm),
    /// Say who may do what, and why
    #[command(subcommand)]
    #[command(after_help = "can-i, whoami and reconcile are kubectl's.")]
    Auth(Auth),
    /// Find objects in all clusters
    Search(Search),
    /// Show or change the current namespace
    Namespace {
        /// Namespace to switch to
        name: Option<String>,
    },
    /// Sessions, clusters and contexts
    #[command(subcommand)]
    Config(Config),
    /// Show versions
    Version(Version),
    /// Print a completion script
    Completion {
        /// Shell to write for
        #[arg(value_enum)]
        shell: Shell,
    },
    /// List objects
    Get(Get),
    /// Create or change objects from files
    Apply(Apply),
    /// Delete objects
    Delete(Delete),
    /// Print a container's logs
    #[command(visible_alias = "log")]
    Logs(Logs),
    /// Run a command in a container
    Exec(Exec),
    /// List what kinds of objects the server has
    ApiResources(ApiResources),
    /// Bring an existing cluster into the platform
    #[command(subcommand)]
    Import(Import),
    /// Let a cluster join the platform by itself
    #[command(subcommand)]
    Register(Register),
    /// Extra commands found on PATH
    #[command(subcommand)]
    Plugin(Plugin),
    /// Print the session's token for kubectl
    #[command(hide = true)]
    GetToken(GetToken),
    /// Anything else is kubectl's or a plugin's.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Clone, Debug, Args)]
pub struct Login {
    /// Platform address; AC_LOGIN_PLATFORM_URL
    pub url: Option<String>,
    /// Session name; AC_LOGIN_SESSION
    #[arg(long, value_name = "SESSION")]
    pub name: Option<String>,
    /// User name; AC_LOGIN_USERNAME
    #[arg(long)]
    pub username: Option<String>,
    /// Password; others on this machine can see it, so prefer --password-stdin
    #[arg(long, conflicts_with_all = ["password_stdin", "token_stdin"])]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "token_stdin")]
    pub password_stdin: bool,
    /// Read the code of the second factor from standard input; the password then comes from AC_LOGIN_PASSWORD
    #[arg(long, conflicts_with_all = ["password_stdin", "token_stdin"])]
    pub code_stdin: bool,
    /// Read a token from standard input instead of signing in
    #[arg(long)]
    pub token_stdin: bool,
    /// Sign in with a browser on another device, by a code
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin", "code_stdin", "token_stdin", "idp"])]
    pub device_code: bool,
    /// Identity provider that knows you; those with a sign-in page of their own open in the browser
    #[arg(long, value_name = "ID", conflicts_with = "token_stdin")]
    pub idp: Option<String>,
    /// PEM file with the platform's certificate authority
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// SHA-256 fingerprint of the platform's certificate authority
    #[arg(long, value_name = "SHA256")]
    pub ca_fingerprint: Option<String>,
    /// Do not check the platform's certificate; anyone in between can then read your password
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
    /// Write the token into the kubeconfig instead of a private cache
    #[arg(long)]
    pub token_in_kubeconfig: bool,
}

/// Whose token: all that a kubeconfig's user entry says, or what is missing from the session in force.
#[derive(Clone, Debug, Args)]
pub struct GetToken {
    /// Platform that issued the token
    #[arg(long, value_name = "URL", requires = "username")]
    pub platform_url: Option<String>,
    /// User of the platform
    #[arg(long, requires = "platform_url")]
    pub username: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Logout {
    /// End every session
    #[arg(long)]
    pub all: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Whoami {
    /// Print the current context only
    #[arg(long = "show-context", short = 'c')]
    pub show_context: bool,
    /// Print the server's address only
    #[arg(long)]
    pub show_server: bool,
    /// Print the token only
    #[arg(long = "show-token", short = 't')]
    pub show_token: bool,
    /// Output format: json or yaml
    #[arg(long, short, conflicts_with_all = ["show_context", "show_server", "show_token"])]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Config {
    /// List sessions
    GetSessions,
    /// Switch to another session
    UseSession {
        /// Session to switch to
        name: String,
    },
    /// Switch to another cluster of the session
    UseCluster {
        /// Cluster to switch to
        name: String,
    },
    /// Bring the session's clusters up to date
    Sync {
        /// Every session
        #[arg(long)]
        all: bool,
    },
    /// The rest is kubectl's.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Clone, Debug, Args)]
pub struct Version {
    /// Show the client's version only
    #[arg(long)]
    pub client: bool,
    /// Output format: json or yaml
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
    /// PowerShell
    Powershell,
}

/// Which clusters of the fleet to read from.
#[derive(Clone, Debug, Default, Args)]
pub struct Fleet {
    /// Read from these clusters
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with_all = ["cluster", "all_clusters"])]
    pub clusters: Vec<String>,
    /// Read from every cluster of the session
    #[arg(long, conflicts_with = "cluster")]
    pub all_clusters: bool,
    /// Succeed even if some clusters failed
    #[arg(long)]
    pub ignore_errors: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Get {
    /// TYPE [NAME...], TYPE/NAME..., or several types with commas
    #[arg(value_name = "TYPE")]
    pub resources: Vec<String>,
    /// Output format: wide, json, yaml, name, tsv, jsonpath=..., custom-columns=...
    #[arg(long, short)]
    pub output: Option<String>,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Field selector
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// Print, then watch for changes
    #[arg(long, short = 'w')]
    pub watch: bool,
    /// Watch for changes without printing first
    #[arg(long)]
    pub watch_only: bool,
    /// Show the kind of each change
    #[arg(long)]
    pub output_watch_events: bool,
    /// No line of column names
    #[arg(long)]
    pub no_headers: bool,
    /// Show labels as the last column
    #[arg(long)]
    pub show_labels: bool,
    /// Show the kind before each name
    #[arg(long)]
    pub show_kind: bool,
    /// A column for each of these labels
    #[arg(long, short = 'L', value_name = "LABEL", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// Show managed fields in JSON and YAML
    #[arg(long)]
    pub show_managed_fields: bool,
    /// Succeed when a named object does not exist
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Sort by a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    pub sort_by: Option<String>,
    /// Ask for lists in pieces of this size
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub chunk_size: u32,
    #[command(flatten)]
    pub fleet: Fleet,
}

/// Where a command that writes stops short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Not at all
    #[default]
    None,
    /// Before sending anything
    Client,
    /// Before storing anything
    Server,
}

#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// File, folder, or - for standard input
    #[arg(long, short = 'f', value_name = "FILE", required = true)]
    pub filename: Vec<String>,
    /// Look into folders of folders
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Let the server merge and track who owns which field
    #[arg(long)]
    pub server_side: bool,
    /// Take over fields that others own; with --server-side
    #[arg(long, requires = "server_side")]
    pub force_conflicts: bool,
    /// Who owns the fields; kubectl-client-side-apply, or kubectl with --server-side
    #[arg(long, value_name = "NAME")]
    pub field_manager: Option<String>,
    /// Stop before sending or before storing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
    /// Output format: json, yaml or name
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Delete {
    /// TYPE NAME..., TYPE/NAME..., or a type with -l or --all
    #[arg(value_name = "TYPE")]
    pub resources: Vec<String>,
    /// File, folder, or - for standard input
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "resources")]
    pub filename: Vec<String>,
    /// Look into folders of folders
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Field selector
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// Every object of the type
    #[arg(long)]
    pub all: bool,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Succeed when an object does not exist
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Seconds a pod gets to end; below 0 leaves it to the object
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    pub grace_period: i64,
    /// Signal at once that it should end
    #[arg(long)]
    pub now: bool,
    /// Delete without waiting for a confirmation from the node
    #[arg(long)]
    pub force: bool,
    /// What happens to dependants: background, orphan or foreground
    #[arg(long, default_value = "background", num_args = 0..=1, default_missing_value = "background", require_equals = true)]
    pub cascade: String,
    /// Wait until it is gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub wait: bool,
    /// How long to wait until it is gone; 0 is a week
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    pub timeout: String,
    /// Stop before sending or before storing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
    /// Output format: name
    #[arg(long, short)]
    pub output: Option<String>,
    /// Remove a cluster without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// POD or TYPE/NAME
    #[arg(value_name = "POD", required_unless_present = "selector", conflicts_with = "selector")]
    pub resource: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER", conflicts_with = "container")]
    pub positional_container: Option<String>,
    /// Container
    #[arg(long, short)]
    pub container: Option<String>,
    /// All containers of a pod
    #[arg(long, conflicts_with_all = ["container", "positional_container"])]
    pub all_containers: bool,
    /// Of all pods with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// The pod and the container before each line
    #[arg(long)]
    pub prefix: bool,
    /// How many logs may be followed at once
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub max_log_requests: usize,
    /// Follow as new lines come
    #[arg(long, short)]
    pub follow: bool,
    /// Of the container before this one
    #[arg(long, short)]
    pub previous: bool,
    /// Times before each line
    #[arg(long)]
    pub timestamps: bool,
    /// Only this many of the latest lines; below 0 all, as without a selector; with one 10
    #[arg(long, allow_negative_numbers = true, value_name = "LINES")]
    pub tail: Option<i64>,
    /// Only what is newer, such as 5m
    #[arg(long, value_name = "DURATION")]
    pub since: Option<String>,
    /// Only what is newer than this time
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub since_time: Option<String>,
    /// Only this many bytes
    #[arg(long, value_name = "BYTES")]
    pub limit_bytes: Option<u64>,
}

#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// POD or TYPE/NAME
    #[arg(value_name = "POD")]
    pub resource: String,
    /// Container
    #[arg(long, short)]
    pub container: Option<String>,
    /// Pass standard input on
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Standard input is a terminal
    #[arg(long, short = 't')]
    pub tty: bool,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct ApiResources {
    /// Output format: wide or name
    #[arg(long, short)]
    pub output: Option<String>,
    /// Only this group
    #[arg(long, value_name = "GROUP")]
    pub api_group: Option<String>,
    /// Only those in namespaces, or only the others
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub namespaced: Option<bool>,
    /// Only those that support these verbs
    #[arg(long, value_delimiter = ',')]
    pub verbs: Vec<String>,
    /// Only those in these categories
    #[arg(long, value_delimiter = ',')]
    pub categories: Vec<String>,
    /// No line of column names
    #[arg(long)]
    pub no_headers: bool,
    /// Do not ask the server again
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub cached: Option<bool>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Import {
    /// Import a cluster by its kubeconfig, or by address, certificate authority and token
    Cluster(ImportCluster),
}

#[derive(Clone, Debug, Args)]
pub struct ImportCluster {
    /// Name of the cluster on the platform
    pub name: String,
    /// Address of the cluster's API server
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// PEM file with the cluster's certificate authority
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Read the token from standard input
    #[arg(long)]
    pub token_stdin: bool,
    /// Name to show to people
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    /// Check the connection only
    #[arg(long)]
    pub dry_run: bool,
    /// Output format: json or yaml
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Register {
    /// Get the command that lets a cluster join
    Cluster(RegisterCluster),
}

#[derive(Clone, Debug, Args)]
pub struct RegisterCluster {
    /// Name of the cluster on the platform
    pub name: String,
    /// Name to show to people
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    /// Get the command again for a registered cluster; the one before is worth nothing from then on
    #[arg(long, conflicts_with = "display_name")]
    pub again: bool,
    /// Where the platform is for the cluster's network, when that is another address than its own: https://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub platform_url: Option<String>,
    /// Output format: yaml prints the manifest instead of the command
    #[arg(long, short)]
    pub output: Option<String>,
    /// Wait until the cluster has joined
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, default_value = "10m", value_name = "DURATION")]
    pub timeout: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Plugin {
    /// List plugins
    List {
        /// Names without folders
        #[arg(long)]
        name_only: bool,
    },
}

/// kubectl's durations: `90s`, `5m`, `1h30m`, or bare seconds.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(std::time::Duration::from_secs(seconds));
    }
    let (mut total, mut digits) = (0f64, String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() || c == '.' {
            digits.push(c);
            continue;
        }
        let scale = match (c, chars.peek()) {
            ('m', Some('s')) => {
                chars.next();
                0.001
            }
            ('h', _) => 3600.0,
            ('m', _) => 60.0,
            ('s', _) => 1.0,
            _ => return None,
        };
        total += digits.parse::<f64>().ok()? * scale;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then(|| std::time::Duration::try_from_secs_f64(total).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        for (text, expect) in [
            ("90", Some(90_000)),
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1.5m", Some(90_000)),
            ("0s", Some(0)),
            ("", None),
            ("5x", None),
            ("5m3", None),
            ("-5m", None),
        ] {
            assert_eq!(duration(text), expect.map(Duration::from_millis), "{text}");
        }
    }
}
