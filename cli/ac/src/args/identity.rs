//! The commands about sessions, API tokens and people.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    DeleteProject, Drain, DryRun, NewProject, NewProjectNamespace, Nodes, Policy, ProjectClusters,
    RemoveProjectCluster, SetProjectQuota, Taint,
};

/// How a list of the platform's own is printed.
#[derive(Clone, Debug, Default, Args)]
pub struct ListOutput {
    /// Output format: wide, json, yaml, name, tsv, jsonpath=..., custom-columns=...
    #[arg(long, short)]
    pub output: Option<String>,
    /// No line of column names
    #[arg(long)]
    pub no_headers: bool,
}

/// Whether a command of the platform's own only says what it would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Preview {
    /// Do it
    #[default]
    None,
    /// Say it before anything is sent
    Client,
}

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Sessions {
    #[command(subcommand)]
    pub command: Option<SessionsCommand>,
    /// Of this user
    #[arg(long, value_name = "USER", conflicts_with = "all")]
    pub username: Option<String>,
    /// Of all users
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Subcommand)]
pub enum SessionsCommand {
    /// End sessions; whoever uses them has to sign in again
    End(EndSessions),
}

#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct EndSessions {
    #[command(flatten)]
    pub which: WhichSessions,
    /// End several sessions without asking
    #[arg(long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: Preview,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhichSessions {
    /// Sessions to end
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All your sessions but this one
    #[arg(long)]
    pub others: bool,
    /// All sessions of this user
    #[arg(long, value_name = "USER")]
    pub username: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Tokens {
    #[command(subcommand)]
    pub command: Option<TokensCommand>,
    /// Of this user
    #[arg(long, value_name = "USER")]
    pub username: Option<String>,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Subcommand)]
pub enum TokensCommand {
    /// Create an API token and print it; it is not shown again
    Create(CreateToken),
    /// Make API tokens worthless
    Revoke(RevokeTokens),
}

#[derive(Clone, Debug, Args)]
pub struct CreateToken {
    /// What the token is for
    pub description: String,
    /// How long it works, such as 30d or 12h, or the time when it ends
    #[arg(long, value_name = "TIME")]
    pub expires: String,
    /// For reading only
    #[arg(long)]
    pub read_only: bool,
    /// For these clusters only
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub clusters: Vec<String>,
    /// Output format: json or yaml
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct RevokeTokens {
    /// Tokens to revoke
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: Preview,
}

#[derive(Clone, Debug, Subcommand)]
pub enum SecondFactor {
    /// Say whether signing in with your password asks for a code
    Status {
        /// Output format: json or yaml
        #[arg(long, short)]
        output: Option<String>,
    },
    /// Set up codes of an authenticator app
    Enable(EnableSecondFactor),
    /// Sign in without a code again
    Disable(DisableSecondFactor),
}

#[derive(Clone, Debug, Args)]
pub struct EnableSecondFactor {
    /// Only print a new secret; it counts once a code of it has come by --code-stdin
    #[arg(long, conflicts_with = "code_stdin")]
    pub secret_only: bool,
    /// Read a code of the secret that --secret-only has printed from standard input
    #[arg(long)]
    pub code_stdin: bool,
}

#[derive(Clone, Debug, Args)]
pub struct DisableSecondFactor {
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: Preview,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Adm {
    /// People of the platform
    #[command(subcommand)]
    Users(Users),
    /// Create a project in the clusters of --cluster A,B
    NewProject(NewProject),
    /// Create a namespace of a project in the cluster of --cluster
    NewProjectNamespace(NewProjectNamespace),
    /// Delete a project; its name has to be typed
    DeleteProject(DeleteProject),
    /// Let a project use the clusters of --cluster A,B too
    AddProjectCluster(ProjectClusters),
    /// Take the clusters of --cluster A,B from a project
    RemoveProjectCluster(RemoveProjectCluster),
    /// Change what a project's namespaces may be given in the clusters of --cluster A,B
    SetProjectQuota(SetProjectQuota),
    /// Give and take roles, and see who has what
    #[command(subcommand)]
    Policy(Policy),
    /// Let clusters leave the platform; each name has to be typed, and their workloads are not touched
    Detach(Detach),
    /// Decide about requests for certificates, as of agents that have another key
    #[command(subcommand)]
    Certificate(Certificate),
    /// Show the fleet in few numbers: which clusters are ready, what is wrong with the others, and how much they have
    Fleet(FleetSummary),
    /// Show by which certificate authority the platform is known, or have another one take its place, step by step
    RotateAuthority(RotateAuthority),
    /// Show how far the upgrade of the clusters' agents is, or begin and steer one, stage by stage
    UpgradeAgents(UpgradeAgents),
    /// Show which versions of Kubernetes which release of the platform works with
    SupportMatrix(ListOutput),
    /// Let nodes of the cluster have no new Pods
    Cordon(Nodes),
    /// Let nodes of the cluster have new Pods again
    Uncordon(Nodes),
    /// Have the Pods of nodes leave, as their disruption budgets let them, and let the nodes have no new ones
    Drain(Drain),
    /// Keep Pods off nodes of the cluster that do not tolerate a taint, or let them back
    Taint(Taint),
}

#[derive(Clone, Debug, Args)]
pub struct FleetSummary {
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Count the clusters by the values of a label too
    #[arg(long, value_name = "KEY")]
    pub group_by: Option<String>,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Args)]
pub struct Detach {
    /// Names of clusters
    #[arg(value_name = "CLUSTER", required = true)]
    pub clusters: Vec<String>,
    /// Forget a cluster that does not answer: nothing is asked of it, and what the platform has put there stays
    #[arg(long)]
    pub force: bool,
    /// Remove a cluster without asking
    #[arg(long)]
    pub yes: bool,
    /// Succeed when an object does not exist
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Wait until it is gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub wait: bool,
    /// How long to wait until it is gone; 0 is ten minutes
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    pub timeout: String,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
}

/// A step of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthorityStep {
    Introduce,
    Switch,
    Retire,
    Back,
}

#[derive(Clone, Debug, Args)]
pub struct RotateAuthority {
    /// Step to take; without it, how far it is is shown
    #[arg(long, value_enum)]
    pub step: Option<AuthorityStep>,
    /// Cut off agents that lack the authority; they come back when they are registered again
    #[arg(long, requires = "step")]
    pub force: bool,
    /// Cut them off without asking
    #[arg(long, requires = "force")]
    pub yes: bool,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Args)]
pub struct UpgradeAgents {
    /// Image to give to agents; without it, how far the last upgrade is is shown
    #[arg(long, value_name = "IMAGE", group = "step")]
    pub image: Option<String>,
    /// Only the clusters with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR", requires = "image")]
    pub selector: Option<String>,
    /// How many clusters a stage has: a number, or a share as 10%; once for each stage, and the rest is one more
    #[arg(long, value_name = "SIZE", requires = "image")]
    pub stage: Vec<String>,
    /// How many clusters at once, at most
    #[arg(long, value_name = "NUMBER", requires = "image")]
    pub max_unavailable: Option<u32>,
    /// How many clusters may fail before it stops; none unless this says so
    #[arg(long, value_name = "NUMBER", requires = "image")]
    pub max_failures: Option<u32>,
    /// Only say which clusters would be upgraded in which stage, and which would be left out
    #[arg(long, requires = "image")]
    pub dry_run: bool,
    /// Begin without asking
    #[arg(long, requires = "image")]
    pub yes: bool,
    /// Begin no more clusters until --resume
    #[arg(long, group = "step")]
    pub pause: bool,
    /// Go on; clusters that have failed are tried again
    #[arg(long, group = "step")]
    pub resume: bool,
    /// Begin no more clusters; those that were begun come to their end
    #[arg(long, group = "step")]
    pub cancel: bool,
    /// Stay until it has come to its end, and say what happens
    #[arg(long, visible_alias = "follow", conflicts_with = "dry_run")]
    pub wait: bool,
    #[command(flatten)]
    pub list: ListOutput,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Certificate {
    /// Approve requests for certificates
    Approve {
        /// Names of the requests
        #[arg(required = true, value_name = "CSR")]
        names: Vec<String>,
    },
    /// Deny requests for certificates
    Deny {
        /// Names of the requests
        #[arg(required = true, value_name = "CSR")]
        names: Vec<String>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Users {
    /// Create a local user; without --password-stdin the password is made up and printed once
    Create(CreateUser),
    /// Keep users from signing in and end their sessions
    Disable(ChangeUsers),
    /// Let disabled users sign in again
    Enable(ChangeUsers),
    /// Let users sign in again who were locked after too many failures
    Unlock(ChangeUsers),
    /// Let users sign in without a code, as after the loss of a device
    RemoveSecondFactor(ChangeUsers),
    /// Give a local user a new password and end their sessions; it is printed once and must be changed at sign-in
    ResetPassword(ResetPassword),
}

#[derive(Clone, Debug, Args)]
pub struct CreateUser {
    /// E-mail address
    pub email: String,
    /// User name; the e-mail address unless said otherwise
    #[arg(long)]
    pub username: Option<String>,
    /// Name to show to people
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    /// Make an administrator of the platform
    #[arg(long)]
    pub admin: bool,
    /// Groups to be in
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Output format: json, yaml or name
    #[arg(long, short)]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct ChangeUsers {
    /// Names or e-mail addresses
    #[arg(value_name = "NAME|EMAIL", required = true)]
    pub users: Vec<String>,
    /// Output format: json, yaml or name
    #[arg(long, short)]
    pub output: Option<String>,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: Preview,
}

#[derive(Clone, Debug, Args)]
pub struct ResetPassword {
    /// Name or e-mail address
    #[arg(value_name = "NAME|EMAIL")]
    pub user: String,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Only say what would be done
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: Preview,
}
