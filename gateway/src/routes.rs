//! Every route of the door. What is not listed here does not exist: the door looks a request up before anything answers it.
//!
//! A test asks each of them as nobody, as another tenant and as an auditor, and has to have an answer to expect.

use http::Method;

use crate::respond::Refusal;

/// Method and path. `{}` stands for a segment, `**` for any number of them, `*` for any method. Who may `GET` may `HEAD`.
pub const ROUTES: &[(&str, &str)] = &[
    // Whether the door is well.
    ("GET", "/healthz"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/version"),
    ("GET", "/metrics"),
    // Agents.
    ("POST", "/agent/v1/register"),
    ("POST", "/agent/v1/renew"),
    // Clusters.
    ("*", "/kubernetes/{}/**"),
    ("GET", "/auth/v1/clusters"),
    ("POST", "/platform/fleet.cpaas.io/v1/imports"),
    ("POST", "/platform/fleet.cpaas.io/v1/registrations"),
    ("POST", "/platform/fleet.cpaas.io/v1/removals"),
    ("POST", "/platform/fleet.cpaas.io/v1/registrations/{}"),
    ("GET", "/platform/fleet.cpaas.io/v1/summary"),
    ("GET", "/platform/fleet.cpaas.io/v1/support-matrix"),
    ("GET", "/platform/fleet.cpaas.io/v1/authority"),
    ("POST", "/platform/fleet.cpaas.io/v1/authority"),
    ("GET", "/platform/fleet.cpaas.io/v1/agent-upgrade"),
    ("POST", "/platform/fleet.cpaas.io/v1/agent-upgrade"),
    ("POST", "/platform/fleet.cpaas.io/v1/clusters/{}/nodes/{}/drain"),
    // Projects, roles and rights.
    ("GET", "/auth/v1/projects"),
    ("GET", "/auth/v1/projects/{}"),
    ("DELETE", "/auth/v1/projects/{}"),
    ("GET", "/auth/v1/projects/{}/clusters/{}/namespaces"),
    ("GET", "/auth/v2/userbindings"),
    ("POST", "/auth/v2/userbindings"),
    ("GET", "/auth/v2/userbindings/{}"),
    ("DELETE", "/auth/v2/userbindings/{}"),
    ("POST", "/auth/v1/rights"),
    ("GET", "/auth/v1/explain"),
    ("GET", "/auth/v1/who-can"),
    ("POST", "/auth/v1/bindings/preview"),
    ("GET", "/acp/v1/resources/search"),
    // People, their sessions and tokens.
    ("POST", "/auth/v1/sessions"),
    ("GET", "/auth/v1/sessions"),
    ("DELETE", "/auth/v1/sessions"),
    ("GET", "/auth/v1/sessions/current"),
    ("DELETE", "/auth/v1/sessions/current"),
    ("DELETE", "/auth/v1/sessions/{}"),
    ("POST", "/auth/v1/password"),
    ("POST", "/auth/v1/accesstoken"),
    ("GET", "/auth/v1/accesstoken"),
    ("DELETE", "/auth/v1/accesstoken/{}"),
    ("GET", "/auth/v1/totp"),
    ("POST", "/auth/v1/totp"),
    ("PUT", "/auth/v1/totp"),
    ("DELETE", "/auth/v1/totp"),
    ("POST", "/auth/v1/totp/enrol"),
    ("POST", "/auth/v1/totp/confirm"),
    ("GET", "/auth/v1/users"),
    ("POST", "/auth/v1/users"),
    ("GET", "/auth/v1/users/{}"),
    ("PATCH", "/auth/v1/users/{}"),
    ("DELETE", "/auth/v1/users/{}"),
    ("POST", "/auth/v1/users/{}/disable"),
    ("POST", "/auth/v1/users/{}/enable"),
    ("POST", "/auth/v1/users/{}/unlock"),
    ("POST", "/auth/v1/users/{}/password"),
    ("DELETE", "/auth/v1/users/{}/totp"),
    // Who vouches for people.
    ("GET", "/auth/v1/providers"),
    ("GET", "/auth/v1/providers/{}/login"),
    ("POST", "/auth/v1/connectors/validate"),
    ("POST", "/auth/v1/connectors/{}/sync"),
    ("POST", "/auth/v1/keys/rotate"),
    ("POST", "/auth/v1/flows/device"),
    ("GET", "/auth/v1/flows/{}"),
    ("POST", "/auth/v1/flows/{}/approve"),
    ("POST", "/auth/v1/flows/{}/deny"),
    ("GET", "/dex/callback"),
    ("POST", "/dex/callback"),
    ("GET", "/dex/logout/{}"),
    ("POST", "/dex/logout/{}"),
    ("GET", "/dex/saml/{}/metadata"),
    // The platform's own issuer, and the published way to sign in.
    ("GET", "/dex/.well-known/openid-configuration"),
    ("GET", "/dex/keys"),
    ("GET", "/dex/auth"),
    ("POST", "/dex/auth"),
    ("POST", "/dex/token"),
    ("POST", "/dex/token/revoke"),
    ("POST", "/dex/token/introspect"),
    ("POST", "/dex/device/code"),
    ("GET", "/dex/userinfo"),
    ("POST", "/dex/userinfo"),
    ("GET", "/dex/logout"),
    ("POST", "/dex/logout"),
    ("GET", "/dex/device"),
    ("GET", "/dex/pubkey"),
    ("GET", "/auth/v1/pubkey"),
    ("GET", "/dex/api/v1/authorize"),
    ("POST", "/dex/api/v1/authorize/{}"),
    ("GET", "/console-platform/api/v1/token/login"),
    ("GET", "/console-platform/api/v1/token/callback"),
    // All else is the console.
    ("GET", "/**"),
];

/// Lets on only what is listed. `is_console` is whether the path leads to none of the door's other parts.
pub(crate) fn check(method: &Method, path: &str, is_console: bool) -> Result<(), Refusal> {
    let patterns = ROUTES.iter().filter(|(_, pattern)| (*pattern == "/**") == is_console);
    let mut found = patterns.filter(|(_, pattern)| matches(pattern, path)).peekable();
    if found.peek().is_none() {
        return Err(Refusal::not_found());
    }
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    match found.any(|(listed, _)| *listed == "*" || *listed == method) {
        true => Ok(()),
        false => Err(Refusal::method_not_allowed()),
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.trim_matches('/').split('/'), path.trim_matches('/').split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some("{}"), Some(segment)) if !segment.is_empty() => {}
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(method: Method, path: &str, code: Option<u16>) {
        let is_console = crate::chain::route(path) == crate::metrics::Route::Console;
        let refused = check(&method, path, is_console).err().map(|refusal| refusal.code.as_u16());
        assert_eq!(refused, code, "{method} {path}");
    }

    #[test]
    fn what_is_listed_and_what_is_not() {
        expect(Method::GET, "/auth/v1/projects", None);
        expect(Method::HEAD, "/auth/v1/projects/a", None);
        expect(Method::GET, "/auth/v1/users/", None);
        expect(Method::PUT, "/auth/v1/projects/a", Some(405));
        expect(Method::GET, "/auth/v1/projects/a/b", Some(404));
        expect(Method::GET, "/auth", Some(404));
        expect(Method::GET, "/acp", Some(404));
        expect(Method::POST, "/kubernetes/a/api/v1/pods", None);
        expect(Method::GET, "/kubernetes/a", None);
        expect(Method::GET, "/kubernetes", Some(404));
        expect(Method::GET, "/clusters/a", None);
        expect(Method::POST, "/clusters/a", Some(405));
        expect(Method::GET, "/", None);
    }

    #[test]
    fn each_is_listed_once() {
        let mut all = ROUTES.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ROUTES.len());
    }
}
