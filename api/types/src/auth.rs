//! `auth.alauda.io/v1`: people, their groups, the rules for signing in, and what is revoked.
//!
//! The kinds and the fields of their specs are the published ones. No secret is in any of them: passwords, second factors
//! and tokens are kept as hashes in Secrets that only the hub reads.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Label of a [`User`]: the e-mail's MD5.
pub const USER_EMAIL: &str = "auth.cpaas.io/user.email";
/// Label of a [`User`]: the name that the person signs in with.
pub const USER_NAME: &str = "auth.cpaas.io/user.username";
/// Label of a [`User`]: `active` or `inactive`.
pub const USER_STATE: &str = "auth.cpaas.io/user.state";
/// Label of a [`User`]: whether the provider still knows the person.
pub const USER_VALID: &str = "auth.cpaas.io/user.valid";
/// Label of a [`User`]: the provider's identifier.
pub const USER_CONNECTOR_ID: &str = "auth.cpaas.io/user.connector_id";
/// Label of a [`User`]: the provider's type.
pub const USER_CONNECTOR_TYPE: &str = "auth.cpaas.io/user.connector_type";
/// The provider of users whose passwords the platform keeps itself.
pub const LOCAL: &str = "local";
/// The one [`SecurityPolicy`] that counts.
pub const SECURITY_POLICY: &str = "platform";

/// What is known of a person.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "User",
    status = "UserStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.connector_type","description":"The type of the provider that vouches for the user"}"#,
    printcolumn = r#"{"name":"Username","type":"string","jsonPath":".spec.email","description":"The name under which the user's requests are made"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state","description":"Normal, Disabled, Locked or Invalid"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = Rule::new("self.metadata.name.matches('^[0-9a-f]{32}$')").message("the name of a User is the MD5 of its e-mail, in lower case"),
    validation = Rule::new("!has(self.spec.password) && !has(self.spec.old_password)").message("passwords are not kept in a User: send them to /auth/v1/users/{name}/password"),
    validation = Rule::new("self.spec.email == self.spec.email.lowerAscii()").message("spec.email is written in lower case")
)]
pub struct UserSpec {
    /// The e-mail, in lower case: the name under which the person's requests reach clusters.
    pub email: String,
    /// The name that the person signs in with.
    pub username: String,
    /// The name that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's identifier; `local` for users whose password the platform keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<String>,
    /// The provider's name.
    #[serde(default)]
    pub connector_name: String,
    /// The provider's type: `local`, `ldap`, `oidc` or `saml`.
    #[serde(default)]
    pub connector_type: String,
    /// Whether the person is an administrator of the platform, and so of every cluster.
    #[serde(default)]
    pub is_admin: bool,
    /// Whether an administrator has disabled the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
    /// `active` or `inactive`; whoever is inactive cannot sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Activity>,
    /// Whether the provider still knows the person.
    #[serde(default = "yes")]
    pub valid: bool,
    /// The groups: of a local user those that an administrator gave, else those that the provider told last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When the user may sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Validity>,
    /// As whom providers know the person. An entry lets that account of that provider sign in as this user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<ProviderAccount>,
    /// When the person signed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_time: Option<Time>,
    /// Where notices go by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
    /// The kind of webhook that notices go to.
    #[serde(default, rename = "webhookType", skip_serializing_if = "Option::is_none")]
    pub webhook_type: Option<String>,
    /// Where that webhook is.
    #[serde(default, rename = "webhookUrl", skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// Sign-ins that failed one after another; kept for those who read it, not written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuity_errors: Option<i64>,
    /// Further claims of the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub extra: BTreeMap<String, Value>,
    /// Refused: a password is not kept here.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// Refused: a password is not kept here.
    #[serde(default, skip_serializing)]
    pub old_password: Option<String>,
}

fn yes() -> bool {
    true
}

fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Whether a user may sign in, as administrators switch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// May sign in.
    Active,
    /// May not.
    Inactive,
}

/// A time in which a user may sign in. An empty end is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<Time>,
    /// Not from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Time>,
}

/// As whom a provider knows somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderAccount {
    /// The account's identifier at the provider.
    pub id: String,
    /// The provider's identifier.
    #[serde(rename = "type")]
    pub connector: String,
}

/// How a user stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Normal, Disabled, Locked or Invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<UserState>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Until when sign-ins from where the failures came are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Time>,
    /// When the person signed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_time: Option<Time>,
    /// Whether a second factor is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<bool>,
    /// Whether the password has to be changed at the next sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must_change_password: Option<bool>,
}

/// How a user stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UserState {
    /// May sign in.
    Normal,
    /// An administrator, a date or long absence has ended it.
    Disabled,
    /// Too many sign-ins failed.
    Locked,
    /// The provider no longer knows the person, or is gone.
    Invalid,
}

/// People who are given rights together.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "Group",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Group","type":"string","jsonPath":".spec.name","description":"The name that bindings use, when it is not the object's"}"#,
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.refConnector","description":"The provider that says who is in it"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GroupSpec {
    /// The name that bindings use, when it cannot be the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The e-mails of its members. Of a provider's group, the provider knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The provider whose group it is; a local group has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_connector: Option<String>,
}

/// A user who is disabled until a date.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "auth.alauda.io", version = "v1", kind = "DisableUser", derive = "Default", derive = "PartialEq")]
pub struct DisableUserSpec {
    /// Until when.
    #[serde(rename = "Expiration")]
    #[schemars(with = "Time")]
    pub expiration: String,
    /// The user's e-mail, or the name of the object.
    #[serde(rename = "User")]
    pub user: String,
}

/// A token that is refused until it would have run out.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "auth.alauda.io", version = "v1", kind = "DisableToken", derive = "Default", derive = "PartialEq")]
pub struct DisableTokenSpec {
    /// Until when.
    #[serde(rename = "Expiration")]
    #[schemars(with = "Time")]
    pub expiration: String,
    /// The MD5 of the token's text, as hexadecimal digits.
    #[serde(rename = "TokenMd5")]
    pub token_md5: String,
}

/// What is known of an API token. Its hash lies in a Secret that goes with this object.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "AccessTokenInfo",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"User","type":"string","jsonPath":".spec.username","description":"Whose token it is"}"#,
    printcolumn = r#"{"name":"Description","type":"string","jsonPath":".spec.description","description":"What it is for"}"#,
    printcolumn = r#"{"name":"Expiration","type":"string","jsonPath":".spec.expiration","description":"When it runs out"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AccessTokenInfoSpec {
    /// Whose token it is.
    pub username: String,
    /// What it is for.
    pub description: String,
    /// When it runs out.
    pub expiration: Option<Time>,
    /// What it is good for, when that is less than what its owner may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TokenScope>,
}

/// What a token is good for. A part that is absent narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenScope {
    /// Only reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Only these clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<String>>,
}

/// The rules for signing in. Only the one named `platform` counts; what it leaves out is as the defaults say.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "SecurityPolicy",
    plural = "securitypolicies",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == 'platform'").message("there is one SecurityPolicy, named platform")
)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityPolicySpec {
    /// What passwords must be.
    pub password: PasswordPolicy,
    /// When failures lock.
    pub lock: LockPolicy,
    /// After how many days without a sign-in a user is disabled; 0 for never.
    #[schemars(range(min = 0, max = 3650))]
    pub inactivity_days: Inactivity,
    /// Whether sign-ins with a password need a second factor.
    pub second_factor: SecondFactorPolicy,
    /// How long sessions last, and how many there may be.
    pub sessions: SessionPolicy,
    /// How long API tokens may last.
    pub access_tokens: AccessTokenPolicy,
}

/// A number of days, 90 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Inactivity(pub i32);

impl Default for Inactivity {
    fn default() -> Self {
        Self(90)
    }
}

/// What passwords must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordPolicy {
    /// The fewest characters.
    #[schemars(range(min = 8, max = 128))]
    pub min_length: i32,
    /// The most characters.
    #[schemars(range(min = 8, max = 256))]
    pub max_length: i32,
    /// How many earlier passwords may not come again.
    #[schemars(range(min = 0, max = 24))]
    pub history: i32,
    /// After how many days a password has to be changed; 0 for never.
    #[schemars(range(min = 0, max = 3650))]
    pub max_age_days: i32,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 8, max_length: 32, history: 3, max_age_days: 0 }
    }
}

/// When failures lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LockPolicy {
    /// After how many failures.
    #[schemars(range(min = 1, max = 100))]
    pub failures: i32,
    /// Within how many hours.
    #[schemars(range(min = 1, max = 168))]
    pub window_hours: i32,
    /// For how many minutes.
    #[schemars(range(min = 1, max = 1440))]
    pub minutes: i32,
}

impl Default for LockPolicy {
    fn default() -> Self {
        Self { failures: 5, window_hours: 24, minutes: 20 }
    }
}

/// Whether sign-ins with a password need a second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecondFactorPolicy {
    /// Nobody is asked.
    Off,
    /// Whoever has set one up is asked.
    #[default]
    Optional,
    /// Everybody is asked, and sets one up first.
    Required,
}

/// How long sessions last, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPolicy {
    /// How long a session lasts.
    #[schemars(range(min = 1, max = 720))]
    pub lifetime_hours: i32,
    /// After how many minutes without a request it ends; 0 for never.
    #[schemars(range(min = 0, max = 1440))]
    pub idle_minutes: i32,
    /// How many people may be signed in at once, administrators not counted; 0 for any number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_online_users: i32,
    /// Whether a sign-in ends the person's other sessions of the same kind of client.
    pub single_per_client: bool,
    /// Whether a browser forgets the session when it is closed.
    pub end_with_tab: bool,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self { lifetime_hours: 12, idle_minutes: 0, max_online_users: 0, single_per_client: false, end_with_tab: true }
    }
}

/// How long API tokens may last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessTokenPolicy {
    /// The most days.
    #[schemars(range(min = 1, max = 3650))]
    pub max_days: i32,
}

impl Default for AccessTokenPolicy {
    fn default() -> Self {
        Self { max_days: 90 }
    }
}
