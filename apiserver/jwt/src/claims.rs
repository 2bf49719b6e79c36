//! From claims to a user, by the mappings of the configuration.

use api_meta::{Map, Value};
use apiserver_access::{Unauthenticated, User};

use crate::configuration::{Claim, Issuer};

/// How far clocks may be apart where a token begins (as go-oidc, which upstream verifies with).
const LEEWAY: f64 = 300.0;

/// Prefix of names that belong to the cluster itself.
const SYSTEM: &str = "system:";

const NOTHING: Unauthenticated = Unauthenticated("the token names no user");

/// The user of a token whose signature is right.
pub(crate) fn user(issuer: &Issuer, claims: &Map<String, Value>, now: i64) -> Result<User, Unauthenticated> {
    in_time(claims, now as f64)?;
    for_us(issuer, claims)?;
    for (claim, wanted) in &issuer.required_claims {
        if claims.get(claim).and_then(Value::as_str) != Some(wanted) {
            return Err(Unauthenticated("a claim that the configuration requires is missing or another"));
        }
    }
    let mut user = User::new(username(&issuer.username, claims)?, groups(issuer.groups.as_ref(), claims)?);
    if let Some(claim) = &issuer.uid {
        let uid = claims.get(claim).and_then(Value::as_str);
        uid.ok_or(Unauthenticated("the token's uid claim is missing or no text"))?.clone_into(&mut user.uid);
    }
    if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]);
    }
    Ok(user)
}

fn in_time(claims: &Map<String, Value>, now: f64) -> Result<(), Unauthenticated> {
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(Unauthenticated("a time is no number")));
    let ends = time("exp").transpose()?.ok_or(Unauthenticated("the token never ends"))?;
    let begins = time("nbf").transpose()?.unwrap_or(f64::NEG_INFINITY);
    if ends <= now {
        return Err(Unauthenticated("the token has expired"));
    }
    if begins > now + LEEWAY {
        return Err(Unauthenticated("the token is not valid yet"));
    }
    Ok(())
}

/// The audience is ours, and so is the party that the token was given to, where it says so.
fn for_us(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), Unauthenticated> {
    let ours = |value: &Value| value.as_str().is_some_and(|a| issuer.audiences.iter().any(|ours| ours == a));
    let meant = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if !meant {
        return Err(Unauthenticated("the token is for another audience"));
    }
    if claims.get("azp").is_some_and(|party| !ours(party)) {
        return Err(Unauthenticated("the token was given to another party"));
    }
    Ok(())
}

fn username(mapping: &Claim, claims: &Map<String, Value>) -> Result<String, Unauthenticated> {
    let name = claims.get(&mapping.claim).and_then(Value::as_str).filter(|name| !name.is_empty()).ok_or(NOTHING)?;
    // An address that nobody checked is whatever its owner typed.
    if mapping.claim == "email" && claims.get("email_verified").is_some_and(|v| *v != Value::Bool(true)) {
        return Err(Unauthenticated("the token's email is not verified"));
    }
    let name = format!("{}{name}", mapping.prefix);
    if name.starts_with(SYSTEM) {
        return Err(Unauthenticated("the token names a user of the system"));
    }
    Ok(name)
}

fn groups(mapping: Option<&Claim>, claims: &Map<String, Value>) -> Result<Vec<String>, Unauthenticated> {
    let Some(mapping) = mapping else { return Ok(Vec::new()) };
    let wrong = || Unauthenticated("the token's groups are no texts");
    let names: Vec<&str> = match claims.get(&mapping.claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
        Some(_) => return Err(wrong()),
    };
    let groups = names.into_iter().filter(|name| !name.is_empty()).map(|name| format!("{}{name}", mapping.prefix));
    Ok(groups.filter(|group| !group.starts_with(SYSTEM)).collect())
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;
    use crate::configuration::Configuration;

    const NOW: i64 = 1_000_000;

    fn issuer(mappings: &str) -> Issuer {
        let authority = lib_tls::Authority::generate("test", std::time::SystemTime::now()).unwrap();
        let text = format!(
            "{{\"apiVersion\": \"apiserver.config.k8s.io/v1\", \"kind\": \"AuthenticationConfiguration\", \"jwt\": [\
              {{\"issuer\": {{\"url\": \"https://issuer\", \"audiences\": [\"us\", \"also\"], \
              \"audienceMatchPolicy\": \"MatchAny\", \"certificateAuthority\": {}}}, \
              \"claimMappings\": {{{mappings}}}, \
              \"claimValidationRules\": [{{\"claim\": \"hd\", \"requiredValue\": \"example.com\"}}]}}]}}",
            json!(authority.certificate_pem())
        );
        let configuration = Configuration::parse(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
        configuration.issuers.into_iter().next().unwrap()
    }

    const PLAIN: &str = "\"username\": {\"claim\": \"sub\", \"prefix\": \"oidc:\"}, \"groups\": {\"claim\": \"groups\", \"prefix\": \"\"}, \"uid\": {\"claim\": \"id\"}";

    /// The claims of a good token with these in their place; null takes one away.
    fn with(changes: Value) -> Map<String, Value> {
        let mut claims = json!({"sub": "ann", "aud": "us", "exp": NOW + 60, "hd": "example.com", "id": "7"});
        let fields = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                fields.remove(name);
            } else {
                fields.insert(name.clone(), value.clone());
            }
        }
        fields.clone()
    }

    #[track_caller]
    fn good(changes: Value, expect: &str) {
        let user = user(&issuer(PLAIN), &with(changes), NOW).unwrap();
        assert_eq!(format!("{} {} {:?}", user.name, user.uid, user.groups), expect);
    }

    #[track_caller]
    fn refused(changes: Value) {
        assert!(user(&issuer(PLAIN), &with(changes.clone()), NOW).is_err(), "{changes}");
    }

    #[test]
    fn claims_become_a_user() {
        good(json!({}), "oidc:ann 7 [\"system:authenticated\"]");
        good(
            json!({"aud": ["other", "also"], "groups": ["a", "b"]}),
            "oidc:ann 7 [\"a\", \"b\", \"system:authenticated\"]",
        );
        good(json!({"groups": "a", "azp": "us", "nbf": NOW + 100}), "oidc:ann 7 [\"a\", \"system:authenticated\"]");
        let jti = user(&issuer(PLAIN), &with(json!({"jti": "x"})), NOW).unwrap();
        assert_eq!(jti.extra["authentication.kubernetes.io/credential-id"], ["JTI=x"]);
    }

    #[test]
    fn threat_31_what_is_not_for_us_or_not_now() {
        refused(json!({"aud": null}));
        refused(json!({"aud": "other"}));
        refused(json!({"aud": []}));
        refused(json!({"aud": ["US"]}));
        refused(json!({"azp": "other"}));
        refused(json!({"exp": null}));
        refused(json!({"exp": NOW}));
        refused(json!({"exp": "9999999999"}));
        refused(json!({"nbf": NOW + 301}));
        refused(json!({"hd": null}));
        refused(json!({"hd": "evil.com"}));
        refused(json!({"id": null}));
    }

    #[test]
    fn nobody_is_made_part_of_the_system() {
        refused(json!({"sub": null}));
        refused(json!({"sub": ""}));
        refused(json!({"groups": [1]}));
        good(json!({"groups": ["system:masters", "a"]}), "oidc:ann 7 [\"a\", \"system:authenticated\"]");
        let bare = issuer("\"username\": {\"claim\": \"sub\", \"prefix\": \"\"}");
        assert!(user(&bare, &with(json!({"sub": "system:admin"})), NOW).is_err());
        // Nor by a prefix that only together with the claim says so.
        let half = issuer(
            "\"username\": {\"claim\": \"sub\", \"prefix\": \"sys\"}, \"groups\": {\"claim\": \"groups\", \"prefix\": \"system\"}",
        );
        assert!(user(&half, &with(json!({"sub": "tem:admin"})), NOW).is_err());
        let user = user(&half, &with(json!({"groups": [":masters"]})), NOW).unwrap();
        assert_eq!(user.groups, ["system:authenticated"]);
    }

    #[test]
    fn an_email_has_to_be_verified() {
        let email = issuer("\"username\": {\"claim\": \"email\", \"prefix\": \"\"}");
        let ask =
            |verified: Value| user(&email, &with(json!({"email": "a@b", "email_verified": verified})), NOW).is_ok();
        assert!(ask(json!(true)) && ask(Value::Null));
        assert!(!ask(json!(false)) && !ask(json!("true")));
    }
}
