//! The token endpoint and what belongs to tokens: revocation (RFC 7009), introspection (RFC 7662) and who a token's
//! holder is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use lib_jose::Leeway;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::authorize::{Code, Word};
use super::clients::Client;
use super::tokens::{Asked, of_person, scopes};
use super::{ACCESS_TOKEN, PLATFORM, device, discovery, exchange};
use crate::api::{Bytes, Params, json_answer};
use crate::audit::{Action, Origin};
use crate::login::Wanted;
use crate::objects::{change_session, stored_session};
use crate::seal::Purpose;
use crate::session::{Grant, Kind, Provider, Refresh, Session, Stored};
use crate::token::{Token, TokenHash};
use crate::{Inner, LoginError};

/// An error of RFC 6749 section 5.2.
#[derive(Debug)]
pub(crate) struct OAuthError {
    pub(crate) code: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OAuthError {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { code: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(crate) fn invalid_client() -> Self {
        let description = "the client is not known, or has not proved who it is";
        Self { code: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }

    pub(crate) fn invalid_grant() -> Self {
        Self::new(
            "invalid_grant",
            "what was presented is not good, not good any more, or another client's: sign in again",
        )
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = json_answer(self.code, &json!({"error": self.error, "error_description": self.description}));
        if self.code == StatusCode::UNAUTHORIZED {
            let asked = HeaderValue::from_static("Basic realm=\"acp\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, asked);
        }
        response
    }
}

impl From<crate::Error> for OAuthError {
    fn from(error: crate::Error) -> Self {
        tracing::error!(error = %lib_telemetry::chain(&error), "the issuer could not answer");
        Self { code: StatusCode::INTERNAL_SERVER_ERROR, ..Self::new("server_error", "the hub's log says why") }
    }
}

impl From<LoginError> for OAuthError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Failed(error) => error.into(),
            LoginError::NoRecord => Self {
                code: StatusCode::SERVICE_UNAVAILABLE,
                ..Self::new("temporarily_unavailable", error.to_string())
            },
            other => Self::new("invalid_grant", other.to_string()),
        }
    }
}

/// What a request to these endpoints is made of.
pub(crate) struct Request<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) form: &'a Params,
    pub(crate) origin: &'a Origin,
    pub(crate) now: Timestamp,
}

impl Request<'_> {
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let value = self.form.one(name);
        let value = value.map_err(|_| OAuthError::new("invalid_request", format!("{name} is given more than once")))?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    pub(crate) fn need(&self, name: &str) -> Result<&str, OAuthError> {
        self.one(name)?.ok_or_else(|| OAuthError::new("invalid_request", format!("{name} is missing")))
    }

    async fn client(&self, inner: &Inner) -> Result<Client, OAuthError> {
        let (id, secret) = (self.one("client_id")?, self.one("client_secret")?);
        inner.prove_client(self.headers, id, secret).await?.map_err(|_| OAuthError::invalid_client())
    }
}

/// `POST /dex/token`.
pub(crate) async fn token(inner: &Inner, request: &Request<'_>) -> Result<Value, OAuthError> {
    let client = request.client(inner).await?;
    match request.need("grant_type")? {
        discovery::CODE => code(inner, request, &client).await,
        discovery::REFRESH => refresh(inner, request, &client).await,
        discovery::DEVICE => device::redeem(inner, request, &client).await,
        discovery::EXCHANGE => exchange::exchange(inner, request, &client).await,
        other => {
            let description =
                format!("grant_type {:?} is not one of the issuer's", other.chars().take(64).collect::<String>());
            Err(OAuthError::new("unsupported_grant_type", description))
        }
    }
}

async fn code(inner: &Inner, request: &Request<'_>, client: &Client) -> Result<Value, OAuthError> {
    redeem(inner, request, client, request.need("redirect_uri")?, request.need("code_verifier")?).await
}

/// Tokens for the request's code, from whoever has the verifier and says the address that the code was sent to.
pub(crate) async fn redeem(
    inner: &Inner,
    request: &Request<'_>,
    client: &Client,
    redirect_uri: &str,
    verifier: &str,
) -> Result<Value, OAuthError> {
    let keys = inner.issuer.keys();
    let code: Code =
        keys.seal.open(Purpose::Code, request.need("code")?, request.now).ok_or_else(OAuthError::invalid_grant)?;
    let right = code.client == client.object.id
        && redirect_uri == code.redirect_uri
        && is_verifier_of(verifier, &code.challenge);
    if !right {
        return Err(OAuthError::invalid_grant());
    }
    let secret = Token::parse(&code.secret).ok_or_else(OAuthError::invalid_grant)?;
    let session = begin(inner, request, client, &secret.hash(), &code.word).await?;
    let asked = Asked { nonce: code.nonce };
    Ok(tokens(inner, &session.grant, client, &asked, request.now))
}

/// The session that a person's word makes, under a name that follows from what was redeemed: it cannot be made twice.
/// Whoever tries has what another has used, so neither keeps it (RFC 6749 section 4.1.2).
pub(crate) async fn begin(
    inner: &Inner,
    request: &Request<'_>,
    client: &Client,
    token: &TokenHash,
    word: &Word,
) -> Result<Session, OAuthError> {
    let user = inner.index.user(&word.username).ok_or_else(OAuthError::invalid_grant)?;
    if user.metadata.uid.as_deref() != Some(&word.user_uid) {
        return Err(OAuthError::invalid_grant());
    }
    let refreshable = word.scopes.iter().any(|scope| scope == "offline_access");
    let kind = Kind::Grant {
        client: client.object.id.clone(),
        scopes: word.scopes.clone(),
        generation: 0,
        previous: None,
        refreshable,
        second_factor: word.second_factor,
        // What is to go on while nobody is there does not end when the browser does.
        parent: (!refreshable).then(|| word.session.clone()),
    };
    // The session in which the word was given has to be there still.
    inner.index.grant_of(&word.session, request.now).map_err(|_| OAuthError::invalid_grant())?;
    let wanted = Wanted { token: *token, token_md5: None, provider: word.provider.clone(), kind, until: None };
    let session = inner.open_as(wanted, &user, request.origin).await?;
    let error = session.is_none().then_some(LoginError::Wrong);
    inner.record(Action::Exchange, &word.username, &client.object.id, request.origin, error.as_ref()).await?;
    if session.is_none() {
        end_by_id(inner, &token.id()).await?;
    }
    session.ok_or_else(OAuthError::invalid_grant)
}

async fn refresh(inner: &Inner, request: &Request<'_>, client: &Client) -> Result<Value, OAuthError> {
    let text = request.need("refresh_token")?;
    let (id, presented) = inner.issuer.read_refresh_token(text).ok_or_else(OAuthError::invalid_grant)?;
    // The session may be too young for this replica to know it; what counts is what is stored.
    let stored = async || stored_session(&inner.client, &id).await?.ok_or_else(OAuthError::invalid_grant);
    let rotate = |stored: &mut Stored| stored.refresh(&client.object.id, presented, request.now);
    let known = stored().await?;
    let username = known.username.clone();
    let on_record =
        async |error: Option<&LoginError>| inner.record(Action::Refresh, &username, &id, request.origin, error).await;
    let mut refresh = rotate(&mut known.clone());
    if refresh == Refresh::Rotated {
        inner.index.put_session(known, request.now).map_err(|_| OAuthError::invalid_grant())?;
        // Before anything changes: whoever is not on record has used nothing up.
        on_record(None).await?;
        let changed = change_session(&inner.client, &id, |stored| rotate(stored) == Refresh::Rotated).await?;
        if let Some(stored) = changed {
            let grant = inner.index.put_session(stored, request.now).map_err(|_| OAuthError::invalid_grant())?;
            return Ok(tokens(inner, &grant, client, &Asked::default(), request.now));
        }
        // Somebody was faster.
        refresh = rotate(&mut stored().await?);
    }
    match refresh {
        Refresh::Reused => {
            on_record(Some(&LoginError::Wrong)).await?;
            end_by_id(inner, &id).await?;
            Err(OAuthError::invalid_grant())
        }
        Refresh::Foreign => Err(OAuthError::invalid_grant()),
        Refresh::Rotated => Err(crate::Error::Contended("a session").into()),
    }
}

/// The answer with all tokens that the session's scopes give (RFC 6749 section 5.1).
pub(crate) fn tokens(inner: &Inner, grant: &Grant, client: &Client, asked: &Asked, now: Timestamp) -> Value {
    let (issuer, index, id, scopes) = (&inner.issuer, &inner.index, client.object.id.as_str(), scopes(grant));
    let (access, until) = issuer.access_token(index, grant, id, scopes, None, now);
    let mut answer = json!({
        "token_type": "Bearer",
        "expires_in": until.duration_since(now).as_secs().max(0),
        "scope": scopes.join(" "),
    });
    if scopes.iter().any(|scope| scope == "openid") {
        answer["id_token"] = issuer.id_token(index, grant, id, &access, asked, now).into();
    }
    answer["access_token"] = access.into();
    if let Kind::Grant { refreshable: true, generation, .. } = grant.stored.kind {
        answer["refresh_token"] = issuer.refresh_token(&grant.stored.id(), generation).into();
    }
    answer
}

/// Whether the verifier is the one whose hash came before (RFC 7636 section 4.6).
pub(crate) fn is_verifier_of(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == challenge
}

/// The session of a token that a client presents as its own.
fn session_of(inner: &Inner, text: &str, client: &Client, leeway: Leeway, now: Timestamp) -> Option<String> {
    if let Some((id, _)) = inner.issuer.read_refresh_token(text) {
        return Some(id);
    }
    let audiences = [inner.issuer.url.clone(), PLATFORM.to_owned()];
    let verified = inner.issuer.verify(text, &audiences, &[ACCESS_TOKEN], leeway, now).ok()?;
    let of = verified.claims().get("client_id").and_then(Value::as_str);
    (of == Some(&client.object.id)).then(|| verified.claims().get("sid").and_then(Value::as_str).map(str::to_owned))?
}

/// `POST /dex/token/revoke` (RFC 7009): whichever of its tokens is given, the session ends.
pub(crate) async fn revoke(inner: &Inner, request: &Request<'_>) -> Result<(), OAuthError> {
    let client = request.client(inner).await?;
    let over = Leeway::both(SignedDuration::from_hours(24));
    let Some(id) = session_of(inner, request.need("token")?, &client, over, request.now) else { return Ok(()) };
    let Ok(grant) = inner.index.grant_of(&id, request.now) else { return Ok(()) };
    // A token of another client's is not one's to revoke, and that it exists is not one's to know.
    if grant.stored.client() != client.object.id {
        return Ok(());
    }
    inner.record(Action::EndSession, &grant.stored.username, &id, request.origin, None).await?;
    Ok(inner.end(&grant.stored).await?)
}

/// `POST /dex/token/introspect` (RFC 7662): for clients that can keep a secret.
pub(crate) async fn introspect(inner: &Inner, request: &Request<'_>) -> Result<Value, OAuthError> {
    let client = request.client(inner).await?;
    if client.object.public {
        return Err(OAuthError::invalid_client());
    }
    let text = request.need("token")?;
    let inactive = json!({"active": false});
    if let Some((id, generation)) = inner.issuer.read_refresh_token(text) {
        let Ok(grant) = inner.index.grant_of(&id, request.now) else { return Ok(inactive) };
        let current = matches!(&grant.stored.kind, Kind::Grant { client: of, generation: now, .. } if *now == generation && *of == client.object.id);
        return Ok(match current {
            true => json!({
                "active": true, "token_type": "refresh_token", "client_id": client.object.id,
                "sub": grant.user.uid, "username": grant.user.name, "exp": grant.until.as_second(), "sid": id,
                "scope": scopes(&grant).join(" "),
            }),
            false => inactive,
        });
    }
    // A resource server asks about tokens that are for it, or for everybody who asks the issuer.
    let audiences = [inner.issuer.url.clone(), PLATFORM.to_owned(), client.object.id.clone()];
    let verified = inner.issuer.verify(text, &audiences, &[ACCESS_TOKEN], Leeway::default(), request.now);
    let Ok(verified) = verified else { return Ok(inactive) };
    let session = verified.claims().get("sid").and_then(Value::as_str);
    let Some(grant) = session.and_then(|id| inner.index.grant_of(id, request.now).ok()) else { return Ok(inactive) };
    let mut answer = Value::Object(verified.into_claims());
    answer["active"] = true.into();
    answer["token_type"] = "Bearer".into();
    answer["username"] = grant.user.name.as_str().into();
    Ok(answer)
}

/// `GET /dex/userinfo`: what the token's scopes tell (OpenID Connect Core section 5.3).
pub(crate) fn userinfo(inner: &Inner, text: &str, now: Timestamp) -> Option<Value> {
    let audiences = [inner.issuer.url.clone()];
    let verified = inner.issuer.verify(text, &audiences, &[ACCESS_TOKEN], Leeway::default(), now).ok()?;
    let claims = verified.claims();
    let grant = inner.index.grant_of(claims.get("sid")?.as_str()?, now).ok()?;
    let scopes = super::authorize::scopes(claims.get("scope")?.as_str()?);
    let mut answer = of_person(&inner.index, &grant, &scopes);
    answer.insert("sub".into(), grant.user.uid.as_str().into());
    Some(answer.into())
}

pub(crate) async fn end_by_id(inner: &Inner, id: &str) -> Result<(), crate::Error> {
    match inner.index.grant_of(id, Timestamp::now()) {
        Ok(grant) => inner.end(&grant.stored).await,
        Err(_) => crate::objects::delete_session(&inner.client, id).await,
    }
}

/// A session for a workload, which no person's word stands behind.
pub(crate) fn workload(client: &Client, scopes: Vec<String>) -> (Provider, Kind) {
    let provider =
        Provider { id: "local".into(), name: "Workload".into(), type_: "workload".into(), ..Provider::default() };
    let kind = Kind::Grant {
        client: client.object.id.clone(),
        scopes,
        generation: 0,
        previous: None,
        refreshable: false,
        second_factor: false,
        parent: None,
    };
    (provider, kind)
}
