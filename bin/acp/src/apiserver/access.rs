//! Who may ask, how it is recorded and how much: the flags of upstream's API server, as configuration of ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use apiserver_audit::{FileOptions, Mode, Output, Policy};
use apiserver_jwt::{Authentication, Configuration, OidcFlags};
use apiserver_server::{Audit, Config};
use clap::{Args, ValueEnum};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Args)]
pub(super) struct Access {
    #[command(flatten)]
    audit: AuditFlags,
    #[command(flatten)]
    oidc: Oidc,
    /// Whom to believe, in a file of kind AuthenticationConfiguration; it is read again when it changes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["oidc_issuer_url", "anonymous_auth"])]
    authentication_config: Option<PathBuf>,
    /// Whether requests without credentials are served, as system:anonymous.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    anonymous_auth: bool,
    /// Takes Secrets of the type bootstrap.kubernetes.io/token in kube-system as credentials.
    #[arg(long)]
    enable_bootstrap_token_auth: bool,
    /// How many requests that read run at once. Priority levels share this and the next.
    #[arg(long, value_name = "N", default_value_t = 400)]
    max_requests_inflight: u32,
    /// How many requests that write run at once.
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_mutating_requests_inflight: u32,
}

#[derive(Args)]
struct AuditFlags {
    /// Which requests are recorded, in a file of kind Policy in audit.k8s.io/v1.
    #[arg(long, value_name = "FILE", requires = "audit_log_path")]
    audit_policy_file: Option<PathBuf>,
    /// Where they are recorded; - is standard output.
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    audit_log_path: Option<PathBuf>,
    /// How many megabytes the file gets before it is set aside; 0 for never.
    #[arg(long, value_name = "MB", default_value_t = 100)]
    audit_log_maxsize: u64,
    /// How many files set aside are kept; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    audit_log_maxbackup: usize,
    /// How many days they are kept; 0 for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 366)]
    audit_log_maxage: u32,
    /// What happens to requests when the log cannot be written.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = AuditMode::Blocking)]
    audit_log_mode: AuditMode,
}

#[derive(Clone, Copy, ValueEnum)]
enum AuditMode {
    /// They go on, and the loss is logged.
    Blocking,
    /// They are refused.
    BlockingStrict,
}

#[derive(Args)]
struct Oidc {
    /// The OpenID Connect issuer whose tokens are believed.
    #[arg(long, value_name = "URL", requires_all = ["oidc_client_id", "oidc_ca_file"])]
    oidc_issuer_url: Option<String>,
    /// The audience of its tokens for this cluster.
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    oidc_client_id: Option<String>,
    /// The authorities that sign its certificates; the machine's own are not trusted.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer_url")]
    oidc_ca_file: Option<PathBuf>,
    /// The claim that is the user's name.
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer_url")]
    oidc_username_claim: Option<String>,
    /// What is put before it: the issuer and # unless said otherwise; - is nothing.
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url", allow_hyphen_values = true)]
    oidc_username_prefix: Option<String>,
    /// The claim that is the user's groups.
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer_url")]
    oidc_groups_claim: Option<String>,
    /// What is put before each.
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url")]
    oidc_groups_prefix: Option<String>,
    /// The algorithms that are accepted.
    #[arg(long, value_name = "ALGS", requires = "oidc_issuer_url", value_delimiter = ',')]
    oidc_signing_algs: Vec<String>,
    /// A claim that a token must have, and its value; can be said more than once.
    #[arg(long, value_name = "KEY=VALUE", requires = "oidc_issuer_url", value_parser = pair)]
    oidc_required_claim: Vec<(String, String)>,
}

/// A configuration file that is followed while the server runs.
pub(super) struct Followed {
    authentication: Arc<Authentication>,
    path: PathBuf,
    text: String,
    own_issuer: String,
}

impl Followed {
    pub(super) async fn follow(self, stopping: tokio_util::sync::CancellationToken) {
        let Self { authentication, path, text, own_issuer } = self;
        apiserver_jwt::follow(authentication, &path, text, &[&own_issuer], stopping).await;
    }
}

impl Access {
    /// The server's configuration, and what of it is to be followed.
    pub(super) fn config(&self) -> anyhow::Result<(Config, Option<Followed>)> {
        let mut config = Config {
            audit: self.audit.config()?,
            bootstrap_tokens: self.enable_bootstrap_token_auth,
            max_requests_in_flight: self.max_requests_inflight,
            max_mutating_requests_in_flight: self.max_mutating_requests_inflight,
            ..Config::default()
        };
        if self.max_requests_inflight + self.max_mutating_requests_inflight == 0 {
            bail!(
                "--max-requests-inflight and --max-mutating-requests-inflight are both 0, so nothing would be served"
            );
        }
        let mut followed = None;
        if let Some(path) = &self.authentication_config {
            let text = read(path)?;
            let authentication = Configuration::parse(&text, &[&config.issuer])
                .with_context(|| format!("--authentication-config {}", path.display()))?;
            let authentication = Arc::new(Authentication::new(authentication));
            config.authenticators.push(authentication.clone());
            let own_issuer = config.issuer.clone();
            followed = Some(Followed { authentication, path: path.clone(), text, own_issuer });
        } else if self.oidc.oidc_issuer_url.is_some() || !self.anonymous_auth {
            let said = self.oidc.configuration(&config.issuer)?.let_strangers_in(self.anonymous_auth);
            config.authenticators.push(Arc::new(Authentication::new(said)));
        }
        Ok((config, followed))
    }
}

impl AuditFlags {
    fn config(&self) -> anyhow::Result<Option<Audit>> {
        let (Some(policy), Some(log)) = (&self.audit_policy_file, &self.audit_log_path) else { return Ok(None) };
        let output = if log.as_os_str() == "-" {
            Output::Stdout
        } else {
            Output::File(FileOptions {
                path: log.clone(),
                max_bytes: self.audit_log_maxsize.saturating_mul(1 << 20),
                max_backups: self.audit_log_maxbackup,
                max_age: DAY * self.audit_log_maxage,
            })
        };
        let mode = match self.audit_log_mode {
            AuditMode::Blocking => Mode::Blocking,
            AuditMode::BlockingStrict => Mode::BlockingStrict,
        };
        let said =
            Policy::parse(&read(policy)?).with_context(|| format!("--audit-policy-file {}", policy.display()))?;
        Ok(Some(Audit { policy: said, output, mode }))
    }
}

impl Oidc {
    fn configuration(&self, own_issuer: &str) -> anyhow::Result<Configuration> {
        let Some(issuer_url) = self.oidc_issuer_url.clone() else { return Ok(Configuration::default()) };
        let flags = OidcFlags {
            issuer_url,
            client_id: self.oidc_client_id.clone().unwrap_or_default(),
            certificate_authority: self.oidc_ca_file.as_deref().map(read).transpose()?.unwrap_or_default(),
            username_claim: self.oidc_username_claim.clone(),
            username_prefix: self.oidc_username_prefix.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_prefix: self.oidc_groups_prefix.clone(),
            signing_algorithms: self.oidc_signing_algs.clone(),
            required_claims: self.oidc_required_claim.clone(),
        };
        Ok(Configuration::from_flags(&flags, &[own_issuer])?)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it should be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
