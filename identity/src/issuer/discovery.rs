//! What the issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414).

use serde_json::{Value, json};

use super::Issuer;

/// Grants, by their names in requests.
pub(crate) const CODE: &str = "authorization_code";
/// See [`CODE`].
pub(crate) const REFRESH: &str = "refresh_token";
/// See [`CODE`].
pub(crate) const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// See [`CODE`].
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What clients may ask for.
pub(crate) const SCOPES: [&str; 6] = ["openid", "profile", "email", "groups", "offline_access", "acp"];

/// The issuer's metadata.
pub(crate) fn document(issuer: &Issuer) -> Value {
    let url = &issuer.url;
    let at = |path: &str| format!("{url}/{path}");
    json!({
        "issuer": url,
        "authorization_endpoint": at("auth"),
        "token_endpoint": at("token"),
        "jwks_uri": at("keys"),
        "userinfo_endpoint": at("userinfo"),
        "device_authorization_endpoint": at("device/code"),
        "introspection_endpoint": at("token/introspect"),
        "revocation_endpoint": at("token/revoke"),
        "end_session_endpoint": at("logout"),
        "grant_types_supported": [CODE, REFRESH, DEVICE, EXCHANGE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": SCOPES,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "claims_supported": [
            "iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash", "sid", "amr",
            "email", "email_verified", "groups", "name", "preferred_username",
        ],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}
