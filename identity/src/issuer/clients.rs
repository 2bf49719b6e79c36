//! Who may ask: clients, how they prove themselves, and where they may send people.

use api_types::dex::OAuth2Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use url::Url;

use super::PLATFORM;
use crate::objects::secrets;
use crate::{Error, Inner};

/// The command line.
pub(crate) const AC: &str = "ac";
/// The client of the published login API.
pub(crate) const PUBLISHED: &str = "alauda-auth";

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) object: OAuth2Client,
    /// The platform's own: people are not asked whether they mean it, beyond that they want to go on.
    pub(crate) first_party: bool,
}

/// Why a client is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unproven;

impl Client {
    pub(crate) fn name(&self) -> &str {
        if self.object.name.is_empty() { &self.object.id } else { &self.object.name }
    }

    /// Whether people may be sent back there. Exactly what is registered; a client on a person's own machine cannot know
    /// its port beforehand (RFC 8252 section 7.3).
    pub(crate) fn may_return_to(&self, uri: &str) -> bool {
        self.object
            .redirect_uris
            .iter()
            .any(|registered| registered == uri || (self.object.public && same_but_for_the_port(registered, uri)))
    }
}

fn same_but_for_the_port(registered: &str, uri: &str) -> bool {
    let (Ok(registered), Ok(given)) = (Url::parse(registered), Url::parse(uri)) else { return false };
    let loopback = matches!(registered.host_str(), Some("127.0.0.1" | "[::1]"));
    let plain = given.username().is_empty() && given.password().is_none() && given.fragment().is_none();
    loopback
        && plain
        && registered.port().is_none()
        && registered.scheme() == "http"
        && given.scheme() == "http"
        && registered.host_str() == given.host_str()
        && registered.path() == given.path()
        && registered.query() == given.query()
        // What a parser makes of it is what was written: nothing else hides in it.
        && given.as_str() == uri
}

impl Inner {
    pub(crate) fn find_client(&self, id: &str) -> Option<Client> {
        let own = |id: &str, name: &str, redirects: Vec<String>| OAuth2Client {
            id: id.to_owned(),
            name: name.to_owned(),
            public: true,
            redirect_uris: redirects,
            ..OAuth2Client::default()
        };
        match id {
            AC => {
                let redirects = vec!["http://127.0.0.1/callback".into(), "http://[::1]/callback".into()];
                Some(Client { object: own(AC, "ac", redirects), first_party: true })
            }
            PUBLISHED => {
                let redirects = vec![format!("{}/callback", self.issuer.url)];
                Some(Client { object: own(PUBLISHED, "ACP", redirects), first_party: true })
            }
            // What is for a client of this name would be for the platform itself.
            PLATFORM => None,
            id => self.index.client(id).map(|object| Client { object, first_party: false }),
        }
    }

    /// The client that a request is of, once it has proved it: by its secret, or, if it cannot keep one, by nothing but
    /// the verifier that only it has (RFC 6749 section 2.3, RFC 7636).
    pub(crate) async fn prove_client(
        &self,
        headers: &HeaderMap,
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Result<Client, Unproven>, Error> {
        let basic = match headers.get(AUTHORIZATION) {
            None => None,
            Some(value) => match value.to_str().ok().and_then(basic) {
                Some(pair) => Some(pair),
                None => return Ok(Err(Unproven)),
            },
        };
        let (id, secret) = match (&basic, id, secret) {
            // Two ways at once are one too many (RFC 6749 section 2.3).
            (Some(_), _, Some(_)) => return Ok(Err(Unproven)),
            (Some((id, secret)), stated, None) if stated.is_none_or(|stated| stated == id) => {
                (id.as_str(), Some(secret.as_str()))
            }
            (Some(_), _, None) => return Ok(Err(Unproven)),
            (None, Some(id), secret) => (id, secret),
            (None, None, _) => return Ok(Err(Unproven)),
        };
        let Some(client) = self.find_client(id) else { return Ok(Err(Unproven)) };
        if client.object.public {
            return Ok(if secret.is_none_or(str::is_empty) { Ok(client) } else { Err(Unproven) });
        }
        let (Some(reference), Some(secret)) = (&client.object.secret_ref, secret) else { return Ok(Err(Unproven)) };
        let stored = secrets(&self.client).get_opt(&reference.name).await;
        let stored = stored.map_err(Error::hub("read a client's secret"))?;
        let right = stored.and_then(|stored| Some(stored.data?.remove(&reference.key)?.0)).is_some_and(|right| {
            // A short one is no secret, and an empty one anybody's.
            right.len() >= 16 && digest(&SHA256, &right).as_ref() == digest(&SHA256, secret.as_bytes()).as_ref()
        });
        Ok(if right { Ok(client) } else { Err(Unproven) })
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
    };
    Some((plain(id)?, plain(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(public: bool, redirects: &[&str]) -> Client {
        let redirect_uris = redirects.iter().map(|uri| (*uri).to_owned()).collect();
        let object = OAuth2Client { id: "c".into(), public, redirect_uris, ..OAuth2Client::default() };
        Client { object, first_party: false }
    }

    #[test]
    fn case_34_people_are_sent_where_it_is_registered_and_nowhere_else() {
        let web = client(false, &["https://app.corp.io/cb"]);
        assert!(web.may_return_to("https://app.corp.io/cb"));
        for bad in [
            "https://app.corp.io/cb/",
            "https://app.corp.io/cb?x=1",
            "https://app.corp.io:444/cb",
            "//evil",
            "",
            "http://app.corp.io/cb",
            "https://app.corp.io/cb#x",
            "javascript:alert(1)",
            "https://app.corp.io@evil/cb",
        ] {
            assert!(!web.may_return_to(bad), "{bad}");
        }
        let native = client(true, &["http://127.0.0.1/callback"]);
        assert!(native.may_return_to("http://127.0.0.1:5123/callback"));
        for bad in [
            "http://127.0.0.1:5123/other",
            "http://localhost:5123/callback",
            "https://127.0.0.1:5123/callback",
            "http://127.0.0.1:5123/callback#x",
            "http://u@127.0.0.1:5123/callback",
            "http://127.0.0.1.evil:1/callback",
            "http://127.0.0.1:5123/a/../callback",
            "http://2130706433:5123/callback",
        ] {
            assert!(!native.may_return_to(bad), "{bad}");
        }
        // Only whoever can keep no secret has no fixed port.
        assert!(!client(false, &["http://127.0.0.1/callback"]).may_return_to("http://127.0.0.1:5123/callback"));
    }

    #[test]
    fn basic_credentials_are_decoded() {
        let value = format!("Basic {}", STANDARD.encode("a%3Ab:s%20+c"));
        assert_eq!(basic(&value), Some(("a:b".into(), "s  c".into())));
        for bad in ["Basic", "Basic !!", "Bearer x", &format!("Basic {}", STANDARD.encode("nocolon"))] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }
}
