//! The commands about projects, roles and rights.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

use super::{DryRun, ListOutput};

/// How a command that writes one thing ends.
#[derive(Clone, Debug, Default, Args)]
pub struct Write {
    /// Stop before sending or before storing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
    /// Output format: json, yaml or name
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct NewProject {
    /// Name of the project
    #[arg(value_name = "PROJECT")]
    pub name: String,
    /// Most that its namespaces may be given, such as east:limits.cpu=10,pods=50; without a cluster, in each
    #[arg(long, value_name = "[CLUSTER:]KEY=AMOUNT,...")]
    pub quota: Vec<String>,
    /// Name to show to people
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct NewProjectNamespace {
    /// Name of the namespace
    #[arg(value_name = "NAMESPACE")]
    pub name: String,
    /// Project that it belongs to
    #[arg(long, value_name = "PROJECT")]
    pub project: String,
    /// Most that it may use, such as limits.cpu=2,pods=10
    #[arg(long, value_name = "KEY=AMOUNT,...")]
    pub quota: Vec<String>,
    #[command(flatten)]
    pub limits: Limits,
    /// What its Pods may do to their node, by the Pod Security Standards; who may say so, the cluster decides
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub pod_security: Option<PodSecurity>,
    /// Name to show to people
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    #[command(flatten)]
    pub write: Write,
}

/// What a LimitRange says of containers.
#[derive(Clone, Debug, Default, Args)]
pub struct Limits {
    /// Limits of a container that says none, such as cpu=500m,memory=512Mi
    #[arg(long, value_name = "KEY=AMOUNT,...")]
    pub limit_default: Vec<String>,
    /// Requests of a container that says none, such as cpu=100m,memory=128Mi
    #[arg(long, value_name = "KEY=AMOUNT,...")]
    pub limit_default_request: Vec<String>,
    /// Most that a container's limits may be, such as cpu=4,memory=8Gi
    #[arg(long, value_name = "KEY=AMOUNT,...")]
    pub limit_max: Vec<String>,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PodSecurity {
    /// Anything
    Privileged,
    /// Nothing that is known to lead to more rights
    Baseline,
    /// What hardened Pods do
    Restricted,
}

impl PodSecurity {
    /// As labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct DeleteProject {
    /// Name of the project
    #[arg(value_name = "PROJECT")]
    pub name: String,
    /// Delete its namespaces with all that is in them, or with =false keep them; unless said, as the project has it
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub reclaim: Option<bool>,
    /// Delete it without asking for its name
    #[arg(long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: super::Preview,
}

#[derive(Clone, Debug, Args)]
pub struct ProjectClusters {
    /// Name of the project
    #[arg(value_name = "PROJECT")]
    pub name: String,
    /// Most that its namespaces may be given, such as east:limits.cpu=10,pods=50; without a cluster, in each
    #[arg(long, value_name = "[CLUSTER:]KEY=AMOUNT,...")]
    pub quota: Vec<String>,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct RemoveProjectCluster {
    /// Name of the project
    #[arg(value_name = "PROJECT")]
    pub name: String,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct SetProjectQuota {
    /// Name of the project
    #[arg(value_name = "PROJECT")]
    pub name: String,
    /// New bounds; KEY- removes one
    #[arg(value_name = "KEY=AMOUNT|KEY-", required = true)]
    pub bounds: Vec<String>,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// Give users a role in a project, or with --cluster in clusters of it
    AddProjectRoleToUser(ProjectRole),
    /// Give groups a role in a project, or with --cluster in clusters of it
    AddProjectRoleToGroup(ProjectRole),
    /// Take a role in a project from users
    RemoveProjectRoleFromUser(ProjectRole),
    /// Take a role in a project from groups
    RemoveProjectRoleFromGroup(ProjectRole),
    /// Give users a role in the namespace of -n, of a project, in the cluster of --cluster
    AddNamespaceRoleToUser(ProjectRole),
    /// Give groups a role in the namespace of -n, of a project, in the cluster of --cluster
    AddNamespaceRoleToGroup(ProjectRole),
    /// Take a role in the namespace of -n, of a project, in the cluster of --cluster, from users
    RemoveNamespaceRoleFromUser(ProjectRole),
    /// Take a role in the namespace of -n, of a project, in the cluster of --cluster, from groups
    RemoveNamespaceRoleFromGroup(ProjectRole),
    /// Give users a role on the platform, or with --cluster a role in clusters
    AddPlatformRoleToUser(PlatformRole),
    /// Give groups a role on the platform, or with --cluster a role in clusters
    AddPlatformRoleToGroup(PlatformRole),
    /// Take a role on the platform, or with --cluster one in clusters, from users
    RemovePlatformRoleFromUser(PlatformRole),
    /// Take a role on the platform, or with --cluster one in clusters, from groups
    RemovePlatformRoleFromGroup(PlatformRole),
    /// Bind a ClusterRole of the current cluster to users, in the whole cluster
    AddClusterRoleToUser(ClusterRole),
    /// Bind a ClusterRole of the current cluster to groups, in the whole cluster
    AddClusterRoleToGroup(ClusterRole),
    /// Unbind a ClusterRole of the current cluster from users
    RemoveClusterRoleFromUser(ClusterRole),
    /// Unbind a ClusterRole of the current cluster from groups
    RemoveClusterRoleFromGroup(ClusterRole),
    /// Bind a role of the current cluster to users, in one namespace
    AddRoleToUser(LocalRole),
    /// Bind a role of the current cluster to groups, in one namespace
    AddRoleToGroup(LocalRole),
    /// Unbind a role in one namespace of the current cluster from users
    RemoveRoleFromUser(LocalRole),
    /// Unbind a role in one namespace of the current cluster from groups
    RemoveRoleFromGroup(LocalRole),
    /// List who can do something
    WhoCan(WhoCan),
}

#[derive(Clone, Debug, Args)]
pub struct ProjectRole {
    /// Role, such as project-admin-system
    pub role: String,
    /// Users by e-mail address, or groups by name
    #[arg(value_name = "NAME", required = true)]
    pub subjects: Vec<String>,
    /// Project that it is about
    #[arg(long, value_name = "PROJECT")]
    pub project: String,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct PlatformRole {
    /// Role, such as platform-auditor-system
    pub role: String,
    /// Users by e-mail address, or groups by name
    #[arg(value_name = "NAME", required = true)]
    pub subjects: Vec<String>,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct ClusterRole {
    /// ClusterRole of the cluster
    pub role: String,
    /// Users or groups, as the cluster knows them
    #[arg(value_name = "NAME", required = true)]
    pub subjects: Vec<String>,
    #[command(flatten)]
    pub write: Write,
}

#[derive(Clone, Debug, Args)]
pub struct LocalRole {
    /// ClusterRole of the cluster, or with --role-namespace a Role
    pub role: String,
    /// Users or groups, as the cluster knows them
    #[arg(value_name = "NAME", required = true)]
    pub subjects: Vec<String>,
    /// Namespace of the Role, which is the one to bind it in
    #[arg(long, value_name = "NAMESPACE")]
    pub role_namespace: Option<String>,
    #[command(flatten)]
    pub write: Write,
}

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
    /// Group to ask about; with --as, in place of the groups that the user is in
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
