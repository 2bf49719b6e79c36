//! One provider, asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lib_fetch::{Authorization, Cached, Client, OLDEST, PAUSE, Question};
use lib_jose::{Expectation, KeySet, Leeway, Unverified, Verified};
use serde_json::{Map, Value};
use url::Url;

use crate::config::Config;
use crate::metadata::{self, Metadata};
use crate::person::person;
use crate::tokens::{self, LEEWAY, Tokens};
use crate::{Error, LogoutToken, Pending, Person, Secret, callback, logout};

/// A hint that is longer makes an address that no server takes.
const LONGEST_HINT: usize = 4 * 1024;

/// What userinfo says nothing of: these are of the token, and of the provider's word that was signed.
const SIGNED: [&str; 14] =
    ["iss", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "sid", "auth_time", "acr", "amr"];

/// One provider, and what is known of it.
pub struct Provider {
    connector: String,
    config: Config,
    client: Client,
    metadata: Cached<Metadata, Error>,
    keys: Cached<KeySet, Error>,
}

impl Provider {
    /// The provider of a connector that is known by this name. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// TLS cannot be had with the connector's authorities.
    pub fn new(connector: impl Into<String>, config: Config) -> Result<Self, lib_tls::Error> {
        let client = Client::new(&config.trust)?;
        let (metadata, keys) = (Cached::strict(), Cached::strict());
        Ok(Self { connector: connector.into(), config, client, metadata, keys })
    }

    /// Asks it only at addresses of which `allowed` says so.
    #[must_use]
    pub fn allowing(self, allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { client: self.client.allowing(allowed), ..self }
    }

    /// Waits no longer than this for any one answer.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { client: self.client.within(patience), ..self }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the provider can be reached and says of itself what is needed.
    ///
    /// # Errors
    ///
    /// It cannot, or does not.
    pub async fn check(&self, now: Timestamp) -> Result<(), Error> {
        let metadata = self.metadata(now).await?;
        self.keys(&metadata, now, OLDEST).await?;
        Ok(())
    }

    /// Begins a sign-in: where the browser goes, and what is kept until it comes back to `redirect_uri`.
    ///
    /// # Errors
    ///
    /// The provider cannot be reached, or is not as it has to be.
    pub async fn begin(&self, now: Timestamp, redirect_uri: &str) -> Result<(Url, Pending), Error> {
        let metadata = self.metadata(now).await?;
        let mut pending = Pending::new(&self.connector, &self.config.issuer, redirect_uri, now)?;
        pending.names_issuer = metadata.names_issuer;
        let mut url = metadata.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("state", pending.state.expose())
            .append_pair("nonce", pending.nonce.expose())
            .append_pair("code_challenge", &pending.verifier.challenge())
            .append_pair("code_challenge_method", "S256");
        if let Some(prompt) = &self.config.prompt {
            url.query_pairs_mut().append_pair("prompt", prompt);
        }
        if !self.config.acr_values.is_empty() {
            url.query_pairs_mut().append_pair("acr_values", &self.config.acr_values.join(" "));
        }
        Ok((url, pending))
    }

    /// Finishes a sign-in with the query that the browser came back with. It is over then, whatever came of it.
    ///
    /// # Errors
    ///
    /// The answer is not this sign-in's, the provider refused, or what it says is not to be believed.
    pub async fn finish(&self, pending: Pending, query: &str, now: Timestamp) -> Result<Person, Error> {
        pending.check(&self.connector, &self.config.issuer, now)?;
        let code = callback::code(&pending, query)?;
        let metadata = self.metadata(now).await?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &pending.redirect_uri),
            ("code_verifier", pending.verifier.expose()),
        ];
        let tokens = self.tokens(&metadata, "exchange the code for tokens", &fields).await?;
        let why = "there is no id_token in it; openid has to be among the scopes that the provider gives this client";
        let id = tokens.id.as_ref().ok_or(Error::Answer { doing: "exchange the code for tokens", why })?;
        let claims = self.id_claims(&metadata, id, Some(&pending.nonce), &tokens.access, now).await?;
        self.person(&metadata, claims, tokens).await
    }

    /// Asks the provider whether it still knows a person, and what it says of them now. `subject` is theirs.
    ///
    /// # Errors
    ///
    /// [`Error::is_gone`] when it no longer does; otherwise as for [`finish`](Self::finish).
    pub async fn refresh(&self, refresh_token: &Secret, subject: &str, now: Timestamp) -> Result<Person, Error> {
        const DOING: &str = "refresh the tokens";
        let metadata = self.metadata(now).await?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let mut tokens = self.tokens(&metadata, DOING, &fields).await?;
        tokens.refresh = tokens.refresh.or_else(|| Some(refresh_token.clone()));
        let Some(id) = &tokens.id else {
            // A provider need not sign the same again (OpenID Connect Core section 12.2), but it has to say something.
            let why = "there is no id_token in it, and no userinfo to ask";
            let endpoint = metadata.user_info.as_ref().ok_or(Error::Answer { doing: DOING, why })?;
            let claims = self.user_info(endpoint, subject, &tokens.access).await?;
            return self.described(&claims, tokens);
        };
        let claims = self.id_claims(&metadata, id, None, &tokens.access, now).await?;
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Error::Claim("it is another person's"));
        }
        self.person(&metadata, claims, tokens).await
    }

    /// Where the browser goes to end the session at the provider too (OpenID Connect RP-Initiated Logout 1.0): the
    /// connector's `logoutURL`, or what the provider says; `None` when there is neither.
    ///
    /// # Errors
    ///
    /// The provider cannot be reached, or is not as it has to be.
    pub async fn logout_url(
        &self,
        id_token_hint: Option<&Secret>,
        post_logout_redirect_uri: &str,
        state: &str,
        now: Timestamp,
    ) -> Result<Option<Url>, Error> {
        let url = match &self.config.logout_url {
            Some(url) => Some(url.clone()),
            None => self.metadata(now).await?.end_session.clone(),
        };
        let Some(mut url) = url else { return Ok(None) };
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", post_logout_redirect_uri)
            .append_pair("state", state);
        if let Some(hint) = id_token_hint.map(Secret::expose).filter(|hint| hint.len() <= LONGEST_HINT) {
            url.query_pairs_mut().append_pair("id_token_hint", hint);
        }
        Ok(Some(url))
    }

    /// Believes a `logout_token` that was posted to us. Anybody may post one; nobody makes us call the provider at will.
    ///
    /// # Errors
    ///
    /// It is not the provider's, not for us, not of a logout, or not of now.
    pub async fn verify_logout_token(&self, text: &str, now: Timestamp) -> Result<LogoutToken, Error> {
        let metadata = self.metadata(now).await?;
        LogoutToken::of(&self.verify(&metadata, text, &logout::TYPES, now).await?, now)
    }

    async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, Error> {
        let fetch = async {
            let document = self.client.json(&metadata::address(&self.config.issuer_url)).await;
            let document =
                document.map_err(|source| Error::Fetch { doing: "read the provider's documents", source })?;
            Metadata::parse(&document, &self.config)
        };
        Ok(self.metadata.get(now, OLDEST, fetch).await?)
    }

    async fn keys(
        &self,
        metadata: &Metadata,
        now: Timestamp,
        newer_than: jiff::SignedDuration,
    ) -> Result<Arc<KeySet>, Error> {
        let fetch = async {
            let document = self.client.json(&metadata.keys).await;
            let document = document.map_err(|source| Error::Fetch { doing: "read the provider's keys", source })?;
            KeySet::parse(&document).filter(|keys| !keys.is_empty()).ok_or(Error::NoKeys)
        };
        Ok(self.keys.get(now, newer_than, fetch).await?)
    }

    async fn tokens(&self, metadata: &Metadata, doing: &'static str, fields: &[(&str, &str)]) -> Result<Tokens, Error> {
        let Config { client_id, client_secret, .. } = &self.config;
        let client = [("client_id", client_id.as_str()), ("client_secret", client_secret.expose())];
        let by = Authorization::client(client_id, client_secret.expose());
        let with_client = [fields, &client].concat();
        let question = match metadata.secret_in_form {
            true => Question::form(&metadata.token, &with_client),
            false => Question::form(&metadata.token, fields).by(&by),
        };
        let answer = self.client.ask(question).await.map_err(|source| Error::Fetch { doing, source })?;
        tokens::read(&self.connector, doing, answer)
    }

    async fn verify(&self, metadata: &Metadata, text: &str, types: &[&str], now: Timestamp) -> Result<Verified, Error> {
        let token = Unverified::parse(text)?;
        let expected = Expectation {
            issuer: &self.config.issuer,
            audiences: std::slice::from_ref(&self.config.client_id),
            algorithms: &metadata.algorithms,
            types: Some(types),
            now,
            leeway: Leeway::both(LEEWAY),
        };
        // All that costs nothing first: keys are not fetched for a token that is refused anyway.
        match token.verify(&KeySet::default(), &expected) {
            Err(refused) if !refused.is_for_want_of_a_key() => return Err(refused.into()),
            _ => {}
        }
        match token.verify(&*self.keys(metadata, now, OLDEST).await?, &expected) {
            // Perhaps there are new keys, also under a name that is known.
            Err(refused) if refused.is_for_want_of_a_key() => {
                Ok(token.verify(&*self.keys(metadata, now, PAUSE).await?, &expected)?)
            }
            verdict => Ok(verdict?),
        }
    }

    async fn id_claims(
        &self,
        metadata: &Metadata,
        id: &Secret,
        nonce: Option<&Secret>,
        access: &Secret,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Error> {
        let token = self.verify(metadata, id.expose(), &["JWT"], now).await?;
        tokens::check(&token, &self.config.client_id, nonce, access, now)?;
        Ok(token.into_claims())
    }

    /// What the userinfo endpoint says of this subject (OpenID Connect Core section 5.3), and of nothing that is the
    /// token's to say.
    async fn user_info(&self, endpoint: &Url, subject: &str, access: &Secret) -> Result<Map<String, Value>, Error> {
        const DOING: &str = "ask for userinfo";
        let failed = |source| Error::Fetch { doing: DOING, source };
        let useless = |why| Error::Answer { doing: DOING, why };
        let by = Authorization::bearer(access.expose()).ok_or(useless("the access token cannot be sent"))?;
        let answer = self.client.ask(Question::get(endpoint).by(&by)).await.map_err(failed)?;
        let Value::Object(mut claims) = answer.ok().map_err(failed)?.json().map_err(failed)? else {
            return Err(useless("it is no object"));
        };
        // Section 5.3.2: or else somebody put another person's token in the place of this one's.
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Error::Claim("its userinfo is another person's"));
        }
        claims.retain(|name, _| !SIGNED.contains(&name.as_str()));
        Ok(claims)
    }

    /// The person of an ID token, and of userinfo where the connector wants it.
    async fn person(
        &self,
        metadata: &Metadata,
        mut claims: Map<String, Value>,
        tokens: Tokens,
    ) -> Result<Person, Error> {
        if let Some(endpoint) = metadata.user_info.as_ref().filter(|_| self.config.user_info) {
            let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
            claims.extend(self.user_info(endpoint, subject, &tokens.access).await?);
        }
        self.described(&claims, tokens)
    }

    fn described(&self, claims: &Map<String, Value>, tokens: Tokens) -> Result<Person, Error> {
        let person = person(claims, &self.config.claims)?;
        Ok(Person { id_token: tokens.id, refresh_token: tokens.refresh, ..person })
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connector, config, .. } = self;
        f.debug_struct("Provider").field("connector", connector).field("config", config).finish_non_exhaustive()
    }
}
