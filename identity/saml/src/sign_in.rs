//! Signing in: the request, and what comes back (profiles, section 4.1).

use jiff::Timestamp;

use crate::assertion::{self, Person};
use crate::binding::{self, Kind, Outgoing};
use crate::certificate::Trusted;
use crate::encryption::{self, Surroundings};
use crate::names::{ASSERTION, POST, SUCCESS};
use crate::signature::{Signed, Vouched};
use crate::xml::{Document, Element, Node, NodeExt as _, Shape};
use crate::{Error, Pending, Replay, ServiceProvider, Status, equal, new_id};

impl ServiceProvider {
    /// Asks the provider who somebody is. The relay state comes back with the answer; it is readable on the way.
    pub fn begin(&self, now: Timestamp, relay_state: Option<&str>) -> Result<(Outgoing, Pending), Error> {
        binding::check_relay_state(relay_state)?;
        let id = new_id()?;
        let to = &self.config.provider.sign_in;
        let policy = Element::new("samlp:NameIDPolicy")
            .attribute("AllowCreate", "true")
            .attribute("Format", &self.config.name_id_format);
        let request = self
            .message("samlp:AuthnRequest", &id, to, now)
            .attribute("AssertionConsumerServiceURL", self.config.redirect.as_str())
            .attribute("ProtocolBinding", POST)
            .child(self.issuer())
            .child(policy);
        let outgoing = binding::send(to, Kind::Request, &request.to_string(), relay_state, &self.key)?;
        Ok((outgoing, self.pending(id, now)))
    }

    /// Reads the answer: the field `SAMLResponse` that the browser posted.
    pub fn finish(
        &self,
        pending: &Pending,
        saml_response: &str,
        now: Timestamp,
        replay: &mut impl Replay,
    ) -> Result<Person, Error> {
        self.check_pending(pending, now)?;
        let text = binding::decode(saml_response)?;
        let document = Document::parse(&text)?;
        let response = document.root();
        self.check_response(response, pending)?;

        let signed = self.signed_assertion(response, self.trusted(now))?;
        let accepted = assertion::accept(signed.read()?.root(), &self.config, pending, now)?;
        if !replay.first_time(&self.config.provider.issuer, &accepted.id, accepted.until) {
            return Err(Error::Replayed(accepted.id));
        }
        Ok(accepted.person)
    }

    /// What the envelope says is believed only where it speaks against the sender.
    fn check_response(&self, response: Node<'_, '_>, pending: &Pending) -> Result<(), Error> {
        self.check_message(response, "Response", &self.config.redirect)?;
        let request = response.attribute("InResponseTo").ok_or(Error::Unsolicited)?;
        equal("InResponseTo", request, &pending.request_id)?;
        let status = Status::read(response)?;
        if status.code == SUCCESS { Ok(()) } else { Err(status.refused()) }
    }

    /// The one assertion, as it was signed: by itself, or with the response where the configuration is content with
    /// that.
    fn signed_assertion(&self, response: Node<'_, '_>, trusted: Trusted<'_>) -> Result<Signed, Error> {
        let only = only_assertion(response)?;
        let whole = Signed::verify(response, trusted)?;
        let whole = whole.as_ref().map(Signed::read).transpose()?;
        let again = whole.as_ref().map(|whole| whole.root());

        if only.is(ASSERTION, "Assertion") {
            if self.config.encrypted_assertions {
                return Err(Error::NotEncrypted(self.config.connector.clone()));
            }
            return match (Signed::verify(only, trusted)?, again) {
                (Some(signed), _) => Ok(signed),
                (None, Some(response)) => {
                    self.content_with_response()?;
                    Ok(child(response, "Assertion")?.alone())
                }
                (None, None) => Err(Error::Unsigned("assertion")),
            };
        }
        match again {
            Some(response) => {
                let plain = child(response, "EncryptedAssertion")?.decrypt(&self.key)?;
                match Signed::verify(plain.read()?.root().node(), trusted)? {
                    Some(signed) => Ok(signed),
                    None => self.content_with_response().map(|()| plain),
                }
            }
            None => {
                let plain = encryption::decrypt(only, &self.key, Surroundings::Unsigned)?;
                let document = Document::parse(&plain)?;
                Signed::verify(document.root(), trusted)?.ok_or(Error::Unsigned("assertion"))
            }
        }
    }

    fn content_with_response(&self) -> Result<(), Error> {
        if self.config.signed_assertions {
            return Err(Error::UnsignedAssertion(self.config.connector.clone()));
        }
        Ok(())
    }
}

/// The only thing in the message that is called an assertion, in whatever namespace and wherever it is.
fn only_assertion<'a, 'i>(response: Node<'a, 'i>) -> Result<Node<'a, 'i>, Error> {
    let names = ["Assertion", "EncryptedAssertion"];
    let mut all = response.descendants().filter(|node| node.is_element() && names.contains(&node.tag_name().name()));
    let (only, more) = (all.next(), all.next());
    if more.is_some() {
        return Err(Shape::Several { parent: response.label(), name: "Assertion" }.into());
    }
    only.filter(|only| only.parent() == Some(response) && names.iter().any(|name| only.is(ASSERTION, name)))
        .ok_or_else(|| Shape::Missing { parent: response.label(), name: "Assertion" }.into())
}

fn child<'a, 's>(response: Vouched<'a, 's>, name: &'static str) -> Result<Vouched<'a, 's>, Error> {
    response.maybe(ASSERTION, name)?.ok_or_else(|| Shape::Missing { parent: response.node().label(), name }.into())
}
