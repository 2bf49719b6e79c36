//! The commands about rights.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::ListOutput;

/// What somebody would do.
#[derive(Clone, Debug, Args)]
pub struct Action {
    /// Verb, such as get, list, create or delete
    pub verb: String,
    /// RESOURCE[.GROUP], RESOURCE[.GROUP]/NAME, or a path such as /healthz
    pub resource: String,
    /// Name of the object
    pub name: Option<String>,
    /// Part of the object, such as log or exec
    #[arg(long, value_name = "SUBRESOURCE")]
    pub subresource: Option<String>,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Auth {
    /// Say why somebody may do something, or what is missing and who can grant it
    Explain(Explain),
    /// List who can do something
    WhoCan(WhoCan),
    /// The rest is kubectl's.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Clone, Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub action: Action,
    /// User to ask about instead of yourself
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Group to ask about; with --as, one that the user is taken to be in
    #[arg(long = "as-group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Output format: json or yaml
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct WhoCan {
    #[command(flatten)]
    pub action: Action,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Args)]
pub struct Search {
    /// Words, each of which is in the name, the namespace, a label or an image
    pub text: Vec<String>,
    /// Only these kinds, such as Deployment or deployments.apps,jobs
    #[arg(long, value_name = "KIND,...")]
    pub kind: Option<String>,
    /// Only in namespaces of this project
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only what runs an image with this in its name
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Order: name, namespace, cluster, kind or age; a dash before it turns it round
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub sort_by: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    #[command(flatten)]
    pub list: ListOutput,
}
