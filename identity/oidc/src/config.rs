//! What a connector says (`dex.coreos.com/v1` `Connector`, `spec.config` of the type `oidc`).

use identity_config::{Fields, InvalidConfig};
use lib_tls::Trust;
use serde_json::Value;
use url::Url;

use crate::Secret;

/// Scopes that are asked for when none are named, as Dex does.
const SCOPES: [&str; 2] = ["profile", "email"];

/// No scope and no acr value is longer.
const LONGEST_WORD: usize = 1024;

const FIELDS: [&str; 21] = [
    "issuer",
    "clientID",
    "clientSecret",
    "redirectURI",
    "logoutURL",
    "scopes",
    "rootCAData",
    "insecureSkipVerify",
    "getUserInfo",
    "claimMapping",
    "overrideClaimMapping",
    "claimExtra",
    "groupsKey",
    "insecureEnableGroups",
    "insecureSkipEmailVerified",
    "userIDKey",
    "userNameKey",
    "promptType",
    "acrValues",
    "basicAuthUnsupported",
    "rootCAs",
];

/// A connector's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) issuer: String,
    pub(crate) issuer_url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) redirect_uri: String,
    pub(crate) logout_url: Option<Url>,
    /// `openid` first.
    pub(crate) scopes: Vec<String>,
    pub(crate) trust: Trust,
    pub(crate) user_info: bool,
    pub(crate) claims: Claims,
    pub(crate) prompt: Option<String>,
    pub(crate) acr_values: Vec<String>,
    /// Whether the secret goes into the form in any case.
    pub(crate) secret_in_form: bool,
}

/// Which claims say what of a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claims {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) groups: Option<String>,
    /// Whether those above go before the standard ones, and not only where these are missing.
    pub(crate) overriding: bool,
    pub(crate) with_groups: bool,
    /// Whether an address of which the provider does not say whether it is verified counts as verified.
    pub(crate) unsaid_is_verified: bool,
    pub(crate) extra: Vec<(String, ExtraType)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtraType {
    Text,
    Number,
    Boolean,
    Array,
}

impl ExtraType {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "string" => Self::Text,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "array" => Self::Array,
            _ => return None,
        })
    }

    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
        }
    }
}

impl Config {
    /// # Errors
    ///
    /// Every mistake, with its field.
    pub fn parse(config: &Value) -> Result<Self, InvalidConfig> {
        identity_config::read(config, Self::read)
    }

    /// `None` only beside a mistake.
    fn read(fields: &Fields<'_>) -> Option<Self> {
        fields.only(&FIELDS);
        let issuer = fields.required("issuer", "the provider's address, exactly as its discovery document says it");
        let issuer_url = issuer.and_then(|text| issuer_address(fields, "issuer", text));
        let client_id = fields.required("clientID", "the name that the provider knows this platform by");
        let client_secret = fields.required_secret("clientSecret", "what the provider gave together with clientID");
        let redirect_uri = fields.required("redirectURI", "where the provider sends people back to; register it there");
        let redirect_url = redirect_uri.and_then(|text| https(fields, "redirectURI", text));
        let logout_url = fields.text("logoutURL").map(|text| https(fields, "logoutURL", text));
        let trust = trust(fields);
        let claims = claims(fields);
        let scopes = scopes(fields);
        let prompt = prompt(fields, &scopes);
        let acr_values = words(fields, "acrValues");
        let (user_info, secret_in_form) = (fields.flag("getUserInfo"), fields.flag("basicAuthUnsupported"));
        if fields.flag("insecureSkipVerify") {
            let way = "nobody is believed without proof; put the certificates of the authority that signs the \
                       provider's into rootCAData, and take this out";
            fields.mistake("insecureSkipVerify", way);
        }
        if fields.has("rootCAs") {
            fields.mistake("rootCAs", "files are not read; put the certificates themselves into rootCAData");
        }
        redirect_url?;
        Some(Self {
            issuer: issuer?.to_owned(),
            issuer_url: issuer_url?,
            client_id: client_id?.to_owned(),
            client_secret: Secret::new(client_secret?),
            redirect_uri: redirect_uri?.to_owned(),
            logout_url: logout_url.flatten(),
            scopes,
            trust: trust?,
            user_info,
            claims,
            prompt,
            acr_values,
            secret_in_form,
        })
    }

    /// Where the provider sends people back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Who the provider says it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn trust(fields: &Fields<'_>) -> Option<Trust> {
    let way = "the certificates of the authorities that sign the provider's, as PEM in base64; the machine's own are \
               not trusted";
    fields.required("rootCAData", way)?;
    match Trust::bundle(&fields.pem("rootCAData")?) {
        Ok(trust) => Some(trust),
        Err(error) => {
            let way = format!("{error}; give the authority's certificate, not the provider's own");
            fields.secret_mistake("rootCAData", &way);
            None
        }
    }
}

fn scopes(fields: &Fields<'_>) -> Vec<String> {
    let named = words(fields, "scopes");
    let wanted = match named.is_empty() {
        true => SCOPES.map(str::to_owned).to_vec(),
        false => named,
    };
    let mut scopes = vec!["openid".to_owned()];
    for scope in wanted {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

/// A refresh token is given to whoever agrees to it (OpenID Connect Core section 11), so without another word consent is
/// asked for together with it, as Dex does.
fn prompt(fields: &Fields<'_>, scopes: &[String]) -> Option<String> {
    const PROMPTS: [&str; 4] = ["none", "login", "consent", "select_account"];
    let offline = scopes.iter().any(|scope| scope == "offline_access");
    let Some(prompt) = fields.text("promptType") else {
        return offline.then(|| "consent".to_owned());
    };
    if !prompt.split(' ').all(|word| PROMPTS.contains(&word)) {
        fields.mistake("promptType", "it may be none, login, consent or select_account");
    }
    Some(prompt.to_owned())
}

fn claims(fields: &Fields<'_>) -> Claims {
    let mapping = fields.object("claimMapping");
    if let Some(mapping) = &mapping {
        mapping.only(&["email", "groups", "phone", "preferred_username"]);
    }
    let mapped = |name: &str| mapping.as_ref().and_then(|mapping| mapping.text(name)).map(str::to_owned);
    let (groups, older) = (mapped("groups"), fields.text("groupsKey").map(str::to_owned));
    if groups.is_some() && older.is_some() && groups != older {
        fields.mistake("groupsKey", "claimMapping.groups names another claim; keep one of the two");
    }
    Claims {
        id: fields.text("userIDKey").map(str::to_owned),
        name: fields.text("userNameKey").map(str::to_owned),
        email: mapped("email"),
        phone: mapped("phone"),
        username: mapped("preferred_username"),
        groups: groups.or(older),
        overriding: fields.flag("overrideClaimMapping"),
        with_groups: fields.flag("insecureEnableGroups"),
        unsaid_is_verified: fields.flag("insecureSkipEmailVerified"),
        extra: extra(fields),
    }
}

fn extra(fields: &Fields<'_>) -> Vec<(String, ExtraType)> {
    let mut read: Vec<(String, ExtraType)> = Vec::new();
    for entry in fields.objects("claimExtra") {
        entry.only(&["field", "type"]);
        let Some(field) = entry.required("field", "the claim that is kept") else { continue };
        if read.iter().any(|(known, _)| known == field) {
            entry.mistake("field", "it is there twice");
        }
        match ExtraType::of(entry.text("type").unwrap_or("string")) {
            Some(kind) => read.push((field.to_owned(), kind)),
            None => entry.mistake("type", "it may be string, number, boolean or array"),
        }
    }
    read
}

/// Words of printable ASCII without quotes and backslashes (RFC 6749 section 3.3).
fn words(fields: &Fields<'_>, name: &str) -> Vec<String> {
    let fits = |word: &&str| {
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        !word.is_empty() && word.len() <= LONGEST_WORD && word.bytes().all(printable)
    };
    let words = fields.texts(name);
    if !words.iter().all(fits) {
        fields.mistake(name, "each has to be one word of printable ASCII, without quotes and backslashes");
    }
    words.into_iter().map(str::to_owned).collect()
}

fn https(fields: &Fields<'_>, name: &str, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
    let Some(url) = url else {
        fields.mistake(name, "it has to be an address that begins with https://");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        fields.secret_mistake(name, "a user name or password has no place in it");
        return None;
    }
    if url.fragment().is_some() {
        fields.mistake(name, "there may be no # in it");
        return None;
    }
    Some(url)
}

fn issuer_address(fields: &Fields<'_>, name: &str, text: &str) -> Option<Url> {
    let url = https(fields, name, text)?;
    if url.query().is_some() {
        fields.mistake(name, "there may be no ? in an issuer (OpenID Connect Discovery section 3)");
        return None;
    }
    Some(url)
}

#[cfg(test)]
pub(crate) mod tests;
