//! `dex.coreos.com/v1`: who vouches for people, and to whom the platform vouches for them.
//!
//! These kinds keep `id`, `name` and `type` beside `spec`, as published.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The API group.
pub const GROUP: &str = "dex.coreos.com";

/// An identity provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connector {
    /// The object's metadata; none while it is only being tried out.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What addresses and users name it by.
    pub id: String,
    /// The name that people see.
    #[serde(default)]
    pub name: String,
    /// `ldap`, `oidc` or `saml`.
    #[serde(rename = "type")]
    pub type_: String,
    /// How it is reached.
    #[serde(default)]
    pub spec: ConnectorSpec,
    /// How it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConnectorStatus>,
}

/// How a provider is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSpec {
    /// What its type asks for. A value `{"secretKeyRef": {"name", "key"}}` stands for the text in a Secret beside it.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Nobody signs in through it, and whoever has is out.
    #[serde(default)]
    pub disabled: bool,
    /// When its people are looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncSpec>,
}

/// When a directory's people are looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSpec {
    /// As cron writes it, in UTC: `0 2 * * *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// How a provider is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// Ready: its configuration can be used. Synced: its people were looked through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When its people were looked through last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// How many there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<i64>,
}

/// A program that asks the platform who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2Client {
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// The client identifier.
    pub id: String,
    /// The name that people see.
    #[serde(default)]
    pub name: String,
    /// Whether it can keep no secret.
    #[serde(default)]
    pub public: bool,
    /// Where the secret of one that can is: a Secret in the same namespace, and its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Where people may be sent back to.
    #[serde(default, rename = "redirectURIs", skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out.
    #[serde(default, rename = "postLogoutRedirectURIs", skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Clients that may ask for tokens for this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_peers: Vec<String>,
    /// Workloads that may exchange their tokens, and as whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

/// A value in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The Secret.
    pub name: String,
    /// Which of its keys.
    pub key: String,
}

/// A workload of the hub's cluster, and the platform's user that it acts as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The namespace of its service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The e-mail of the user.
    pub user: String,
}

/// What the API calls a kind, and where its objects keep their metadata.
macro_rules! resource {
    ($kind:ident, $plural:literal) => {
        impl Resource for $kind {
            type DynamicType = ();
            type Scope = kube::core::NamespaceResourceScope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                stringify!($kind).into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                GROUP.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                "v1".into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
resource!(Connector, "connectors");
resource!(OAuth2Client, "oauth2clients");

/// The definitions. They are written out, as these kinds have fields beside `spec` that the derive does not know.
pub(crate) fn definitions() -> [CustomResourceDefinition; 2] {
    let text = |description: &str| json!({"type": "string", "description": description});
    let texts = |description: &str| json!({"type": "array", "items": {"type": "string"}, "description": description});
    let conditions = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "description": "Ready: its configuration can be used. Synced: its people were looked through.",
        "items": {
            "type": "object", "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"},
                "message": {"type": "string"}, "lastTransitionTime": {"type": "string", "format": "date-time"},
                "observedGeneration": {"type": "integer", "format": "int64"},
            },
        },
    });
    let connector = json!({
        "id": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "description": "What addresses and users name it by."},
        "name": text("The name that people see."),
        "type": {"type": "string", "enum": ["ldap", "oidc", "saml"], "description": "What it speaks."},
        "spec": {
            "type": "object", "description": "How it is reached.",
            "properties": {
                "config": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "description": "What its type asks for. A value {secretKeyRef: {name, key}} stands for the text in a Secret beside it.",
                },
                "disabled": {"type": "boolean", "description": "Nobody signs in through it, and whoever has is out."},
                "sync": {
                    "type": "object", "description": "When a directory's people are looked through.",
                    "properties": {"schedule": {"type": "string", "maxLength": 256, "description": "As cron writes it, in UTC; without it only when asked."}},
                },
            },
        },
        "status": {
            "type": "object", "description": "How it is.",
            "properties": {
                "conditions": conditions,
                "lastSyncTime": {"type": "string", "format": "date-time", "description": "When its people were looked through last."},
                "users": {"type": "integer", "format": "int64", "description": "How many there were."},
            },
        },
    });
    let client = json!({
        "id": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$", "description": "The client identifier."},
        "name": text("The name that people see."),
        "public": {"type": "boolean", "description": "Whether it can keep no secret."},
        "secretRef": {
            "type": "object", "required": ["name", "key"], "description": "Where the secret of one that can is: a Secret in the same namespace, and its key.",
            "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
        },
        "redirectURIs": texts("Where people may be sent back to."),
        "postLogoutRedirectURIs": texts("Where people may be sent after signing out."),
        "trustedPeers": texts("Clients that may ask for tokens for this one."),
        "workloads": {
            "type": "array", "description": "Workloads that may exchange their tokens, and as whom.",
            "items": {
                "type": "object", "required": ["namespace", "serviceAccount", "user"],
                "properties": {"namespace": {"type": "string"}, "serviceAccount": {"type": "string"}, "user": {"type": "string"}},
            },
        },
    });
    [
        definition(
            "Connector",
            "connectors",
            connector,
            &["id", "type"],
            &[("Type", ".type"), ("Name", ".name"), ("Ready", ".status.conditions[?(@.type==\"Ready\")].status")],
            true,
        ),
        definition("OAuth2Client", "oauth2clients", client, &["id"], &[("Id", ".id"), ("Name", ".name")], false),
    ]
}

fn definition(
    kind: &str,
    plural: &str,
    properties: Value,
    required: &[&str],
    columns: &[(&str, &str)],
    status: bool,
) -> CustomResourceDefinition {
    let columns: Vec<Value> =
        columns.iter().map(|(name, path)| json!({"name": name, "type": "string", "jsonPath": path})).collect();
    let mut version = json!({
        "name": "v1", "served": true, "storage": true, "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "required": required, "properties": properties}},
    });
    if status {
        version["subresources"] = json!({"status": {}});
    }
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [version],
        },
    });
    serde_json::from_value(definition).expect("the definition is one")
}
