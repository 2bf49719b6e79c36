//! From claims to a user, by the mappings of the configuration.

use api_meta::{Map, Value};
use apiserver_access::{Unauthenticated, User};
use apiserver_cel::Val;

use crate::configuration::{Claim, Issuer, Mapping};
use crate::expressions::{claims_value, texts};

/// Prefix of names that belong to the cluster itself.
const SYSTEM: &str = "system:";

const NOTHING: Unauthenticated = Unauthenticated("the token names no user");

/// The user of a token whose signature is right: expressions cost too much to be evaluated for anybody.
pub(crate) fn user(issuer: &Issuer, claims: &Map<String, Value>) -> Result<User, Unauthenticated> {
    for (claim, wanted) in &issuer.required_claims {
        if claims.get(claim).and_then(Value::as_str) != Some(wanted) {
            return Err(Unauthenticated("a claim that the configuration requires is missing or another"));
        }
    }
    let seen = Seen { claims, value: claims_value(claims) };
    for rule in &issuer.claim_rules {
        if !matches!(rule.of_claims(&seen.value)?, Val::Bool(true)) {
            return Err(Unauthenticated("a rule of the configuration refuses the token's claims"));
        }
    }
    let mut user = User::new(seen.username(&issuer.username)?, seen.groups(issuer.groups.as_ref())?);
    if let Some(mapping) = &issuer.uid {
        user.uid = seen.uid(mapping)?;
    }
    for (key, expression) in &issuer.extra {
        let values = texts(&expression.of_claims(&seen.value)?);
        let values = values.ok_or(Unauthenticated("an extra attribute of the token is no text"))?;
        if !values.is_empty() {
            user.extra.insert(key.clone(), values);
        }
    }
    if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]);
    }
    for rule in &issuer.user_rules {
        if !matches!(rule.of_user(&user)?, Val::Bool(true)) {
            return Err(Unauthenticated("a rule of the configuration refuses the token's user"));
        }
    }
    Ok(user)
}

/// Claims as they came, and as expressions see them.
struct Seen<'a> {
    claims: &'a Map<String, Value>,
    value: Val,
}

impl Seen<'_> {
    fn username(&self, mapping: &Mapping) -> Result<String, Unauthenticated> {
        let name = match mapping {
            Mapping::Expression(expression) => {
                expression.of_claims(&self.value)?.as_str().filter(|name| !name.is_empty()).ok_or(NOTHING)?.to_owned()
            }
            Mapping::Claim(Claim { claim, prefix }) => {
                let name = self.claims.get(claim).and_then(Value::as_str).filter(|name| !name.is_empty());
                // An address that nobody checked is whatever its owner typed.
                let verified = self.claims.get("email_verified").is_none_or(|v| *v == Value::Bool(true));
                if claim == "email" && !verified {
                    return Err(Unauthenticated("the token's email is not verified"));
                }
                format!("{prefix}{}", name.ok_or(NOTHING)?)
            }
        };
        if name.starts_with(SYSTEM) {
            return Err(Unauthenticated("the token names a user of the system"));
        }
        Ok(name)
    }

    fn groups(&self, mapping: Option<&Mapping>) -> Result<Vec<String>, Unauthenticated> {
        let (value, prefix) = match mapping {
            None => return Ok(Vec::new()),
            Some(Mapping::Expression(expression)) => (expression.of_claims(&self.value)?, ""),
            Some(Mapping::Claim(Claim { claim, prefix })) => {
                (self.claims.get(claim).map_or(Val::Null, Val::from_json), &**prefix)
            }
        };
        let names = texts(&value).ok_or(Unauthenticated("the token's groups are no texts"))?;
        let groups = names.into_iter().filter(|name| !name.is_empty()).map(|name| format!("{prefix}{name}"));
        Ok(groups.filter(|group| !group.starts_with(SYSTEM)).collect())
    }

    fn uid(&self, mapping: &Mapping) -> Result<String, Unauthenticated> {
        let uid = match mapping {
            Mapping::Expression(expression) => expression.of_claims(&self.value)?.as_str().map(str::to_owned),
            Mapping::Claim(Claim { claim, .. }) => self.claims.get(claim).and_then(Value::as_str).map(str::to_owned),
        };
        uid.ok_or(Unauthenticated("the token's uid is missing or no text"))
    }
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
        let user = user(&issuer(PLAIN), &with(changes)).unwrap();
        assert_eq!(format!("{} {} {:?}", user.name, user.uid, user.groups), expect);
    }

    #[track_caller]
    fn refused(changes: Value) {
        assert!(user(&issuer(PLAIN), &with(changes.clone())).is_err(), "{changes}");
    }

    #[test]
    fn claims_become_a_user() {
        good(json!({}), "oidc:ann 7 [\"system:authenticated\"]");
        good(
            json!({"aud": ["other", "also"], "groups": ["a", "b"]}),
            "oidc:ann 7 [\"a\", \"b\", \"system:authenticated\"]",
        );
        good(json!({"groups": "a", "azp": "us", "nbf": NOW + 100}), "oidc:ann 7 [\"a\", \"system:authenticated\"]");
        let jti = user(&issuer(PLAIN), &with(json!({"jti": "x"}))).unwrap();
        assert_eq!(jti.extra["authentication.kubernetes.io/credential-id"], ["JTI=x"]);
    }

    #[test]
    fn what_the_configuration_requires_is_there() {
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
        assert!(user(&bare, &with(json!({"sub": "system:admin"}))).is_err());
        // Nor by a prefix that only together with the claim says so.
        let half = issuer(
            "\"username\": {\"claim\": \"sub\", \"prefix\": \"sys\"}, \"groups\": {\"claim\": \"groups\", \"prefix\": \"system\"}",
        );
        assert!(user(&half, &with(json!({"sub": "tem:admin"}))).is_err());
        let user = user(&half, &with(json!({"groups": [":masters"]}))).unwrap();
        assert_eq!(user.groups, ["system:authenticated"]);
    }

    #[test]
    fn expressions_make_users() {
        let made = issuer(
            "\"username\": {\"expression\": \"claims.sub + '@' + claims.realm\"}, \
             \"groups\": {\"expression\": \"claims.roles.map(r, 'role:' + r) + ['system:masters']\"}, \
             \"uid\": {\"expression\": \"string(claims.number)\"}, \
             \"extra\": [{\"key\": \"example.com/team\", \"valueExpression\": \"claims.?team.orValue('')\"}]",
        );
        let claims = with(json!({"realm": "staff", "roles": ["a", "b"], "number": 7, "team": "x"}));
        let user = user(&made, &claims).unwrap();
        assert_eq!((&*user.name, &*user.uid), ("ann@staff", "7"));
        assert_eq!(user.groups, ["role:a", "role:b", "system:authenticated"], "nobody becomes a master");
        assert_eq!(user.extra["example.com/team"], ["x"]);
        // What an expression needs and a token lacks makes nobody.
        assert!(self::user(&made, &with(json!({"roles": []}))).is_err());
        assert!(self::user(&made, &with(json!({"realm": 5, "roles": [], "number": 7}))).is_err());
        let system = issuer("\"username\": {\"expression\": \"'system:' + claims.sub\"}");
        assert!(self::user(&system, &with(json!({}))).is_err());
    }

    #[test]
    fn rules_refuse() {
        let mut ruled = issuer(PLAIN);
        let path = api_meta::FieldPath::root();
        let mut errors = api_meta::FieldErrors::new();
        let rule = "claims.exp - claims.iat <= 3600";
        ruled.claim_rules.extend(crate::expressions::Expression::claim_rule(rule, &path, &mut errors));
        let rule = "!user.groups.exists(g, g.startsWith('admin')) && user.username != 'oidc:root'";
        ruled.user_rules.extend(crate::expressions::Expression::user_rule(rule, &path, &mut errors));
        assert!(errors.is_empty(), "{errors}");
        let ask = |changes: Value| user(&ruled, &with(changes)).is_ok();
        assert!(ask(json!({"iat": NOW})));
        assert!(!ask(json!({"iat": NOW - 4000})), "too long");
        assert!(!ask(json!({})), "no claim to judge by");
        assert!(!ask(json!({"iat": NOW, "groups": ["admins"]})));
        assert!(!ask(json!({"iat": NOW, "sub": "root"})));
    }

    #[test]
    fn an_email_has_to_be_verified() {
        let email = issuer("\"username\": {\"claim\": \"email\", \"prefix\": \"\"}");
        let ask = |verified: Value| user(&email, &with(json!({"email": "a@b", "email_verified": verified}))).is_ok();
        assert!(ask(json!(true)) && ask(Value::Null));
        assert!(!ask(json!(false)) && !ask(json!("true")));
    }
}
