//! The simulated platform's issuer and its people: `/dex` and `/auth/v1`, as the gateway speaks them.
//!
//! It checks what a client must prove (redirect address, code challenge, one use of each code and refresh token) and
//! plays whatever a test tells it to play.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Response, header};
use serde_json::{Value, json};

use super::{Body, PASSWORD, State, USER, empty, refuse, reply};

pub(crate) const CODE: &str = "271828";
/// The code that an app shows after [`CODE`].
pub(crate) const NEXT_CODE: &str = "314159";
pub(crate) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub(crate) const NEW_PASSWORD: &str = "battery staple 1";

/// What the issuer knows and has been told to do.
pub(crate) struct Identity {
    url: String,
    /// What an access token lasts.
    pub(crate) expires_in: u64,
    /// The error that a browser brings back in place of a code.
    pub(crate) denies: Option<&'static str>,
    /// What a device hears before its token.
    pub(crate) device_answers: VecDeque<&'static str>,
    /// How often a refresh token was taken.
    pub(crate) refreshes: usize,
    /// A refresh is done, and its answer never sent.
    pub(crate) silent: bool,
    pub(crate) revoked: Vec<String>,
    pub(crate) second_factor: bool,
    /// A second factor has been asked for and is not confirmed.
    pub(crate) proposed: bool,
    /// Nobody signs in without a second factor.
    pub(crate) must_enrol: bool,
    /// The code that has set up a second factor.
    used: Option<Value>,
    /// What it says that a person is called.
    pub(crate) called: &'static str,
    /// Too many attempts have failed, for this many seconds.
    pub(crate) locked: Option<u64>,
    pub(crate) must_change: bool,
    password: String,
    /// Code -> challenge and redirect address.
    codes: BTreeMap<String, (String, String)>,
    device: Option<(String, String)>,
    refresh_tokens: Vec<String>,
    made: usize,
    /// What is listed, by path.
    pub(crate) lists: BTreeMap<&'static str, Vec<Value>>,
}

impl Identity {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            expires_in: 600,
            denies: None,
            device_answers: VecDeque::new(),
            refreshes: 0,
            silent: false,
            revoked: Vec::new(),
            second_factor: false,
            proposed: false,
            must_enrol: false,
            used: None,
            called: USER,
            locked: None,
            must_change: false,
            password: PASSWORD.to_owned(),
            codes: BTreeMap::new(),
            device: None,
            refresh_tokens: Vec::new(),
            made: 0,
            lists: lists(),
        }
    }

    /// Ends all sessions of the issuer.
    pub(crate) fn forget_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }

    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}-sesame", self.made)
    }
}

fn lists() -> BTreeMap<&'static str, Vec<Value>> {
    let session = |id: &str, user: &str, current: bool| {
        json!({"id": id, "username": user, "client": "ac", "provider": {"id": "okta", "name": "Okta", "type": "oidc"},
            "clientAddress": "192.0.2.7", "userAgent": "ac/0.1.0", "current": current, "secondFactor": true,
            "createdTimestamp": "2026-01-01T00:00:00Z", "lastSeenTimestamp": "2026-01-01T00:00:00Z",
            "expirationTimestamp": "2099-01-01T00:00:00Z"})
    };
    let user = |name: &str, email: &str, account: &str| {
        json!({"apiVersion": "auth.alauda.io/v1", "kind": "User", "metadata": {"name": name},
            "spec": {"email": email, "username": account}})
    };
    BTreeMap::from([
        ("/auth/v1/sessions", vec![session("s1", USER, true), session("s2", USER, false), session("s3", "eve", false)]),
        (
            "/auth/v1/accesstoken",
            vec![json!({"id": "t1", "description": "nightly \u{1b}[31mbuild", "timestamp": "2026-01-01T00:00:00Z",
                "expiration": "2099-01-01T00:00:00Z", "scope": {"readOnly": true, "clusters": ["east"]},
                "username": USER})],
        ),
        (
            "/auth/v1/users",
            vec![
                user("0cc1", "ada@example.com", "ada"),
                user("0cc2", "eve@example.com", "eve"),
                user("0cc3", "eve@example.org", "eve"),
            ],
        ),
    ])
}

/// What needs a session; `None` for what others answer.
pub(super) fn guarded(
    state: &mut State,
    method: &Method,
    path: &str,
    query: &BTreeMap<String, String>,
    body: &str,
) -> Option<Response<Body>> {
    let identity = state.identity.as_mut()?;
    let missing = || Some(refuse(404, "NotFound", &format!("{path} not found")));
    let sent = || serde_json::from_str::<Value>(body).unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/auth/v1/").split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["sessions", "current"]) => {
            let mut session = identity.lists["/auth/v1/sessions"][0].clone();
            session["groups"] = json!(["cpaas:platform-admins", "devops"]);
            Some(reply(200, &session))
        }
        (_, ["sessions", "current"]) => None,
        ("GET", ["sessions"]) => {
            let user = query.get("username").map_or(USER, String::as_str);
            let mut items = identity.lists["/auth/v1/sessions"].clone();
            items.retain(|session| query.contains_key("all") || session["username"] == user);
            Some(reply(200, &json!({"items": items})))
        }
        ("GET", ["accesstoken" | "users"]) => Some(reply(200, &json!({"items": identity.lists[path]}))),
        ("POST", ["accesstoken"]) => {
            let mut token = sent();
            token["id"] = "t2".into();
            token["token"] = identity.make("api").into();
            Some(reply(200, &token))
        }
        ("POST", ["users"]) => {
            let (sent, mut made) = (sent(), json!({"kind": "User", "metadata": {"name": "0cc4"}}));
            if sent["password"].is_null() {
                made["password"] = identity.make("password").into();
            }
            made["spec"] = sent;
            Some(reply(201, &made))
        }
        (_, ["totp"]) => Some(own_factor(identity, method, body)),
        ("DELETE", ["sessions"]) => {
            let user = query.get("username").cloned();
            identity.lists.get_mut(path).unwrap().retain(|session| match &user {
                Some(user) => session["username"] != user.as_str(),
                None => session["username"] != USER || session["current"] == true,
            });
            Some(empty(204))
        }
        ("DELETE", [kind @ ("sessions" | "accesstoken"), id]) => {
            let list = identity.lists.get_mut(format!("/auth/v1/{kind}").as_str()).unwrap();
            match list.iter().position(|item| item["id"] == *id) {
                Some(at) => {
                    list.remove(at);
                    Some(empty(204))
                }
                None => missing(),
            }
        }
        (_, ["users", name, rest @ ..]) => {
            let user = identity.lists["/auth/v1/users"].iter().find(|user| user["metadata"]["name"] == *name).cloned();
            let Some(user) = user else { return missing() };
            match (method.as_str(), rest) {
                ("GET", []) | ("POST", ["disable" | "enable" | "unlock"]) => Some(reply(200, &user)),
                ("DELETE", ["totp"]) => Some(empty(204)),
                ("POST", ["password"]) if sent()["password"].is_null() => {
                    Some(reply(200, &json!({"password": identity.make("password")})))
                }
                ("POST", ["password"]) => Some(reply(200, &json!({}))),
                _ => missing(),
            }
        }
        _ => None,
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn oauth_error(error: &str) -> Response<Body> {
    reply(400, &json!({"error": error, "error_description": format!("simulated {error}")}))
}

/// What needs no session; `None` for everything else, and on a platform without an issuer.
pub(super) fn open(state: &mut State, method: &Method, path: &str, query: &str, body: &str) -> Option<Response<Body>> {
    state.identity.as_ref()?;
    Some(match (method.as_str(), path) {
        ("GET", "/dex/.well-known/openid-configuration") => discovery(&state.identity.as_ref()?.url),
        ("GET", "/dex/auth") => authorize(state.identity.as_mut()?, &pairs(query)),
        ("POST", "/dex/token") => token(state, &pairs(body)),
        ("POST", "/dex/token/revoke") => {
            let identity = state.identity.as_mut()?;
            let token = pairs(body)["token"].clone();
            identity.refresh_tokens.retain(|known| *known != token);
            identity.revoked.push(token);
            empty(200)
        }
        ("POST", "/dex/device/code") => device(state.identity.as_mut()?, &pairs(body)),
        ("GET", "/auth/v1/providers") => reply(
            200,
            &json!({"items": [{"id": "local", "name": "Local", "type": "local"},
                {"id": "corp", "name": "Corp LDAP", "type": "ldap", "usernamePrompt": "E-mail"},
                {"id": "okta", "name": "Okta", "type": "oidc"}, {"id": "adfs", "name": "ADFS", "type": "saml"}]}),
        ),
        ("POST", "/auth/v1/sessions") => sign_in(state, &serde_json::from_str(body).unwrap()),
        ("POST", "/auth/v1/totp/enrol" | "/auth/v1/totp/confirm") => {
            enrol(state.identity.as_mut()?, path, &serde_json::from_str(body).unwrap())
        }
        ("POST", "/auth/v1/password") => change(state.identity.as_mut()?, &serde_json::from_str(body).unwrap()),
        _ => return None,
    })
}

fn discovery(url: &str) -> Response<Body> {
    reply(
        200,
        &json!({"issuer": format!("{url}/dex"), "authorization_endpoint": format!("{url}/dex/auth"),
            "token_endpoint": format!("{url}/dex/token"),
            "device_authorization_endpoint": format!("{url}/dex/device/code"),
            "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["S256"]}),
    )
}

/// Where a browser lands after its person has signed in, or has not.
fn authorize(identity: &mut Identity, query: &BTreeMap<String, String>) -> Response<Body> {
    let redirect = query["redirect_uri"].clone();
    assert!(redirect.starts_with("http://127.0.0.1:") && redirect.ends_with("/callback"), "{redirect}");
    assert_eq!((query["client_id"].as_str(), query["response_type"].as_str()), ("ac", "code"));
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["scope"], "openid profile email groups offline_access");
    assert!(query["state"].len() >= 22 && query["code_challenge"].len() == 43, "{query:?}");
    let issuer = format!("{}/dex", identity.url);
    let mut answer = vec![("state", query["state"].clone()), ("iss", issuer)];
    match identity.denies {
        Some(error) => answer.push(("error", error.to_owned())),
        None => {
            let code = identity.make("code");
            identity.codes.insert(code.clone(), (query["code_challenge"].clone(), redirect.clone()));
            answer.push(("code", code));
        }
    }
    let answer = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let mut response = empty(303);
    response.headers_mut().insert(header::LOCATION, format!("{redirect}?{answer}").parse().unwrap());
    response
}

fn device(identity: &mut Identity, sent: &BTreeMap<String, String>) -> Response<Body> {
    assert_eq!((sent["client_id"].as_str(), sent["code_challenge_method"].as_str()), ("ac", "S256"));
    let code = identity.make("device");
    identity.device = Some((code.clone(), sent["code_challenge"].clone()));
    reply(
        200,
        &json!({"device_code": code, "user_code": "BCDF-GHJK", "expires_in": 300, "interval": 1,
            "verification_uri": format!("{}/dex/device", identity.url)}),
    )
}

fn token(state: &mut State, sent: &BTreeMap<String, String>) -> Response<Body> {
    let identity = state.identity.as_mut().unwrap();
    assert_eq!(sent["client_id"], "ac");
    match sent["grant_type"].as_str() {
        "authorization_code" => match identity.codes.remove(&sent["code"]) {
            Some((bound, redirect)) => {
                assert_eq!((challenge(&sent["code_verifier"]), &sent["redirect_uri"]), (bound, &redirect));
            }
            None => return oauth_error("invalid_grant"),
        },
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if let Some(answer) = identity.device_answers.pop_front() {
                return oauth_error(answer);
            }
            let (code, bound) = identity.device.take().unwrap();
            assert_eq!((&code, challenge(&sent["code_verifier"])), (&sent["device_code"], bound));
        }
        "refresh_token" => {
            identity.refreshes += 1;
            let count = identity.refresh_tokens.len();
            identity.refresh_tokens.retain(|known| *known != sent["refresh_token"]);
            if identity.refresh_tokens.len() == count {
                // Used twice: somebody may have stolen it, so the session ends.
                identity.refresh_tokens.clear();
                return oauth_error("invalid_grant");
            }
        }
        other => panic!("no such grant: {other}"),
    }
    let (access, refresh) = (identity.make("access"), identity.make("refresh"));
    identity.refresh_tokens.push(refresh.clone());
    state.tokens.push(access.clone());
    reply(
        200,
        &json!({"access_token": access, "refresh_token": refresh, "token_type": "bearer",
            "expires_in": identity.expires_in}),
    )
}

fn sign_in(state: &mut State, sent: &Value) -> Response<Body> {
    let identity = state.identity.as_mut().unwrap();
    if sent["username"] != USER || sent["password"] != identity.password.as_str() {
        return refuse(401, "Unauthorized", "wrong user name or password");
    }
    if let Some(refusal) = second_factor(identity, sent) {
        return refusal;
    }
    if identity.must_change {
        return refuse(403, "PasswordChangeRequired", "the password must be changed");
    }
    let token = identity.make("token");
    state.tokens.push(token.clone());
    reply(
        200,
        &json!({"token": token, "username": identity.called, "groups": ["cpaas:platform-admins"],
            "expirationTimestamp": "2099-01-01T00:00:00Z"}),
    )
}

fn second_factor(identity: &Identity, sent: &Value) -> Option<Response<Body>> {
    match &sent["code"] {
        _ if !identity.second_factor && identity.must_enrol => {
            Some(refuse(403, "SecondFactorSetupRequired", "a second factor has to be set up first"))
        }
        _ if !identity.second_factor => None,
        Value::Null => Some(refuse(401, "SecondFactorRequired", "a code is needed")),
        code => wrong_code(identity, code),
    }
}

/// Whether a code is not right, or has set up a second factor already.
fn wrong_code(identity: &Identity, code: &Value) -> Option<Response<Body>> {
    let right = [CODE, NEXT_CODE].iter().any(|known| code == known) && identity.used.as_ref() != Some(code);
    (!right).then(|| refuse(401, "WrongCode", "the code is wrong"))
}

fn proposal(identity: &mut Identity) -> Response<Body> {
    if identity.second_factor {
        return refuse(409, "AlreadyExists", "there is a second factor already: remove it first");
    }
    identity.proposed = true;
    let uri = format!("otpauth://totp/ACP:admin%40cpaas.io?secret={SECRET}&issuer=ACP");
    reply(200, &json!({"secret": SECRET, "uri": uri}))
}

fn confirmation(identity: &mut Identity, code: &Value) -> Response<Body> {
    if !identity.proposed {
        return refuse(401, "WrongCode", "nothing was proposed");
    }
    if let Some(refusal) = wrong_code(identity, code) {
        return refusal;
    }
    (identity.second_factor, identity.proposed, identity.used) = (true, false, Some(code.clone()));
    empty(204)
}

/// Of somebody who is signed in.
fn own_factor(identity: &mut Identity, method: &Method, body: &str) -> Response<Body> {
    let sent = || serde_json::from_str::<Value>(body).unwrap();
    match method.as_str() {
        "GET" => reply(200, &json!({"enabled": identity.second_factor})),
        "POST" => proposal(identity),
        "PUT" => confirmation(identity, &sent()["code"]),
        "DELETE" => match identity.locked {
            Some(seconds) => {
                let mut refusal = refuse(429, "Locked", "too many sign-ins failed from here");
                refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                refusal
            }
            None if sent()["password"] != identity.password.as_str() => {
                refuse(401, "Unauthorized", "wrong user name or password")
            }
            None => {
                identity.second_factor = false;
                empty(204)
            }
        },
        _ => refuse(405, "MethodNotAllowed", "no"),
    }
}

/// Of somebody who may not sign in without one.
fn enrol(identity: &mut Identity, path: &str, sent: &Value) -> Response<Body> {
    if sent["username"] != USER || sent["password"] != identity.password.as_str() {
        return refuse(401, "Unauthorized", "wrong user name or password");
    }
    match path.ends_with("/enrol") {
        true => proposal(identity),
        false => confirmation(identity, &sent["code"]),
    }
}

fn change(identity: &mut Identity, sent: &Value) -> Response<Body> {
    if sent["username"] != USER || sent["password"] != identity.password.as_str() {
        return refuse(401, "Unauthorized", "wrong user name or password");
    }
    if let Some(refusal) = second_factor(identity, sent) {
        return refusal;
    }
    if sent["newPassword"] != NEW_PASSWORD {
        let message = "must have a letter, a digit and a special character";
        return reply(
            422,
            &json!({"kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422, "message": message,
                "details": {"causes": [{"field": "newPassword", "message": message}]}}),
        );
    }
    identity.password = NEW_PASSWORD.to_owned();
    identity.must_change = false;
    empty(204)
}
