//! Service account tokens: JSON Web Tokens signed here, void when what they speak of is gone.
//!
//! ES256 (P-256) only. The header's `alg`, `kid` and anything else in it is
//! never believed: the signature is checked with our own key, or not at all.
//! Few lines over `ring`, which the tree has for TLS already; a JWT crate would
//! bring its own choice of algorithms, which is the very thing to keep out.

use std::sync::Arc;

use api_meta::{Value, json};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use lib_tls::PeerIdentity;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};

use crate::{Authenticator, Unauthenticated, User};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key is not a PKCS#8 P-256 private key")]
    Rejected,
    #[error("the system has no randomness to give")]
    Random,
}

/// What tokens speak of.
pub trait AccountSource: Send + Sync + 'static {
    /// The uid of an object of the core group that exists.
    fn uid(&self, plural: &str, namespace: &str, name: &str) -> Option<String>;
}

pub struct IssuedToken {
    pub token: String,
    pub audiences: Vec<String>,
    pub expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Reference {
    name: String,
    uid: String,
}

#[derive(Serialize, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    nbf: i64,
    iss: String,
    jti: String,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

/// Issues and verifies the tokens of service accounts.
pub struct ServiceAccounts {
    key: EcdsaKeyPair,
    key_id: String,
    issuer: String,
    source: Arc<dyn AccountSource>,
}

impl ServiceAccounts {
    /// With the key given, or with one made now, whose tokens end with the process.
    pub fn new(pkcs8: Option<&[u8]>, issuer: &str, source: Arc<dyn AccountSource>) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let fresh;
        let pkcs8 = match pkcs8 {
            Some(bytes) => bytes,
            None => {
                fresh = Self::generate_key()?;
                &fresh
            }
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|_| KeyError::Rejected)?;
        let key_id = URL_SAFE_NO_PAD.encode(digest(&SHA256, key.public_key().as_ref()));
        Ok(Self { key, key_id, issuer: issuer.to_owned(), source })
    }

    /// A new PKCS#8 key, to be kept by the caller.
    pub fn generate_key() -> Result<Vec<u8>, KeyError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| KeyError::Random)
    }

    pub fn issue(
        &self,
        namespace: &str,
        account: &str,
        account_uid: &str,
        audiences: &[String],
        seconds: i64,
        bound_to: Option<&(String, String, String)>,
    ) -> Result<IssuedToken, KeyError> {
        let now = Timestamp::now().as_second();
        let audiences = if audiences.is_empty() { vec![self.issuer.clone()] } else { audiences.to_vec() };
        let bound = |kind: &str| {
            bound_to
                .filter(|(k, _, _)| k == kind)
                .map(|(_, name, uid)| Reference { name: name.clone(), uid: uid.clone() })
        };
        let claims = Claims {
            aud: audiences.clone(),
            exp: now + seconds,
            iat: now,
            nbf: now,
            iss: self.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            sub: format!("system:serviceaccount:{namespace}:{account}"),
            kubernetes: Kubernetes {
                namespace: namespace.to_owned(),
                serviceaccount: Reference { name: account.to_owned(), uid: account_uid.to_owned() },
                pod: bound("Pod"),
                secret: bound("Secret"),
                node: bound("Node"),
            },
        };
        let expires = Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX);
        Ok(IssuedToken { token: self.sign(&claims)?, audiences, expires })
    }

    fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let header = json!({"alg": "ES256", "kid": self.key_id}).to_string();
        // Plain structs always serialise.
        let body = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| KeyError::Random)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The account of a token that is good now for one of the audiences (none: this server's own).
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<(User, Vec<String>), Unauthenticated> {
        let refuse = |why| Err(Unauthenticated(why));
        let mut parts = token.split('.');
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return refuse("the token is not a JSON Web Token");
        };
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Unauthenticated("the token is malformed"));
        let stated: Value =
            serde_json::from_slice(&decode(header)?).map_err(|_| Unauthenticated("the token is malformed"))?;
        if stated.get("alg").and_then(Value::as_str) != Some("ES256") || stated.get("crit").is_some() {
            return refuse("the token's algorithm is not accepted");
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        if key.verify(format!("{header}.{body}").as_bytes(), &decode(signature)?).is_err() {
            return refuse("the token's signature is wrong");
        }
        let claims: Claims =
            serde_json::from_slice(&decode(body)?).map_err(|_| Unauthenticated("the token's claims are malformed"))?;
        let now = Timestamp::now().as_second();
        if claims.iss != self.issuer {
            return refuse("the token has another issuer");
        }
        if claims.exp <= now || claims.nbf > now + 5 {
            return refuse("the token is not valid at this time");
        }
        let own = [self.issuer.clone()];
        let wanted = if audiences.is_empty() { &own[..] } else { audiences };
        let shared: Vec<String> = wanted.iter().filter(|a| claims.aud.contains(a)).cloned().collect();
        if shared.is_empty() {
            return refuse("the token is for another audience");
        }
        Ok((self.user(&claims)?, shared))
    }

    /// The account and everything the token is bound to must still be there, and be the same.
    fn user(&self, claims: &Claims) -> Result<User, Unauthenticated> {
        let k = &claims.kubernetes;
        let still = |plural: &str, namespace: &str, reference: &Reference| {
            self.source.uid(plural, namespace, &reference.name).as_deref() == Some(&*reference.uid)
        };
        if !still("serviceaccounts", &k.namespace, &k.serviceaccount) {
            return Err(Unauthenticated("the token's service account is gone"));
        }
        let namespace = &*k.namespace;
        for (plural, namespace, reference) in
            [("pods", namespace, &k.pod), ("secrets", namespace, &k.secret), ("nodes", "", &k.node)]
        {
            if reference.as_ref().is_some_and(|r| !still(plural, namespace, r)) {
                return Err(Unauthenticated("what the token is bound to is gone"));
            }
        }
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        let mut user = User::new(format!("system:serviceaccount:{namespace}:{}", k.serviceaccount.name), groups);
        user.uid.clone_from(&k.serviceaccount.uid);
        let mut extra = |key: &str, value: String| {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        };
        extra("credential-id", format!("JTI={}", claims.jti));
        if let Some(pod) = &k.pod {
            extra("pod-name", pod.name.clone());
            extra("pod-uid", pod.uid.clone());
        }
        Ok(user)
    }

    /// `/.well-known/openid-configuration`
    pub fn open_id_configuration(&self) -> Value {
        json!({
            "issuer": self.issuer, "jwks_uri": format!("{}/openid/v1/jwks", self.issuer),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`
    pub fn key_set(&self) -> Value {
        // An uncompressed point: one byte of form, then 32 of x and 32 of y.
        let point = self.key.public_key().as_ref();
        let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": half(1..33), "y": half(33..65),
        }]})
    }
}

/// The one bearer token of a request.
///
/// # Errors
///
/// Two credentials, another scheme, or an empty token: nothing to guess from.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unauthenticated("there are two Authorization headers"));
    }
    let text = value.to_str().map_err(|_| Unauthenticated("the Authorization header is not text"))?;
    if text.is_empty() {
        return Ok(None);
    }
    let (scheme, token) = text.split_once(' ').ok_or(Unauthenticated("the Authorization header has no token"))?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Unauthenticated("the Authorization header has no bearer token"));
    }
    Ok(Some(token))
}

#[async_trait]
impl Authenticator for ServiceAccounts {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        _peer: Option<&PeerIdentity>,
    ) -> Result<Option<User>, Unauthenticated> {
        match bearer(headers)? {
            None => Ok(None),
            Some(token) => self.verify(token, &[]).map(|(user, _)| Some(user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Alive;

    impl AccountSource for Alive {
        fn uid(&self, _: &str, _: &str, name: &str) -> Option<String> {
            (name != "gone").then(|| "u1".into())
        }
    }

    fn accounts() -> ServiceAccounts {
        ServiceAccounts::new(None, "https://issuer", Arc::new(Alive)).unwrap()
    }

    fn token(accounts: &ServiceAccounts, account: &str, audiences: &[String]) -> String {
        accounts.issue("ns", account, "u1", audiences, 600, None).unwrap().token
    }

    #[test]
    fn a_token_names_its_account() {
        let accounts = accounts();
        let (user, audiences) = accounts.verify(&token(&accounts, "robot", &[]), &[]).unwrap();
        assert_eq!(user.name, "system:serviceaccount:ns:robot");
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
        assert_eq!(audiences, ["https://issuer"]);
    }

    #[test]
    fn refused() {
        let accounts = accounts();
        let good = token(&accounts, "robot", &[]);
        let parts: Vec<&str> = good.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let hs256 = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        for bad in [
            String::new(),
            "a.b.c".into(),
            format!("{none}.{}.", parts[1]),
            format!("{hs256}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])),
            token(&accounts, "gone", &[]),
            token(&accounts, "robot", &["elsewhere".into()]),
            token(&ServiceAccounts::new(None, "https://issuer", Arc::new(Alive)).unwrap(), "robot", &[]),
        ] {
            assert!(accounts.verify(&bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_authorization_header_with_a_token() {
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|t| t.map(str::to_owned)).map_err(|_| ())
        };
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["Bearer x"]), Ok(Some("x".into())));
        assert_eq!(check(&["Bearer "]), Err(()));
        assert_eq!(check(&["Bearer    "]), Err(()));
        assert_eq!(check(&["Basic x"]), Err(()));
        assert_eq!(check(&["Bearer x", "Bearer y"]), Err(()));
    }
}
