//! Signing out, begun here or at the provider (profiles, section 4.4).

use jiff::Timestamp;

use crate::assertion::{NameId, ProviderSession};
use crate::binding::{self, Incoming, Kind, Outgoing};
use crate::names::{ASSERTION, PARTIAL_LOGOUT, PROTOCOL, SUCCESS};
use crate::xml::{Element, Node, NodeExt as _, Shape};
use crate::{
    Error, Pending, Replay, ServiceProvider, Status, equal, instant, later, new_id, not_before, not_on_or_after,
};
use crate::{LEEWAY, PATIENCE};

/// How far the provider got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// Everywhere.
    Everywhere,
    /// At the provider, but not at everybody else who trusts it.
    Partly,
}

/// The provider says that somebody signed out.
#[derive(Clone, Debug)]
pub struct LogoutRequest {
    /// Who.
    pub name_id: NameId,
    /// Which of their sign-ins end; all of them when it names none.
    pub session_indexes: Vec<String>,
    /// What to send back when these sessions are over.
    pub answer: Outgoing,
}

impl ServiceProvider {
    /// Tells the provider that somebody signed out here. `None` when it has no address for that.
    pub fn logout(
        &self,
        session: &ProviderSession,
        now: Timestamp,
        relay_state: Option<&str>,
    ) -> Result<Option<(Outgoing, Pending)>, Error> {
        let Some(to) = &self.config.provider.logout else { return Ok(None) };
        binding::check_relay_state(relay_state)?;
        let id = new_id()?;
        let index = session.index.as_ref().map(|index| Element::new("samlp:SessionIndex").text(index));
        let request = self
            .message("samlp:LogoutRequest", &id, to, now)
            .attribute("NotOnOrAfter", format!("{:.0}", later(now, LEEWAY + LEEWAY)))
            .child(self.issuer())
            .child(session.name_id.element())
            .children(index);
        let outgoing = binding::send(to, Kind::Request, &request.to_string(), relay_state, &self.key)?;
        Ok(Some((outgoing, self.pending(id, now))))
    }

    /// Reads the provider's answer to [`Self::logout`].
    pub fn receive_logout_response(
        &self,
        pending: &Pending,
        incoming: Incoming<'_>,
        now: Timestamp,
    ) -> Result<LoggedOut, Error> {
        self.check_pending(pending, now)?;
        let received = binding::receive(incoming, Kind::Response, self.trusted(now))?;
        let document = received.message.read()?;
        let response = document.root().node();
        self.check_logout(response, "LogoutResponse")?;
        equal("InResponseTo", response.required("InResponseTo")?, &pending.request_id)?;
        let status = Status::read(response)?;
        match (status.code.as_str(), status.detail.as_deref()) {
            (SUCCESS, None | Some(SUCCESS)) => Ok(LoggedOut::Everywhere),
            (SUCCESS, Some(PARTIAL_LOGOUT)) | (PARTIAL_LOGOUT, _) => Ok(LoggedOut::Partly),
            _ => Err(status.refused()),
        }
    }

    /// Reads what the provider sends when somebody signs out there or elsewhere.
    pub fn receive_logout_request(
        &self,
        incoming: Incoming<'_>,
        now: Timestamp,
        replay: &mut impl Replay,
    ) -> Result<LogoutRequest, Error> {
        let received = binding::receive(incoming, Kind::Request, self.trusted(now))?;
        let document = received.message.read()?;
        let request = document.root().node();
        self.check_logout(request, "LogoutRequest")?;
        let issued = instant("IssueInstant", request.required("IssueInstant")?)?;
        not_before("IssueInstant", issued, now)?;
        // Long enough for a chain of redirects; nobody may sign people out with what was recorded last week.
        let mut until = later(issued, PATIENCE);
        if let Some(stated) = request.attribute("NotOnOrAfter") {
            until = until.min(instant("NotOnOrAfter", stated)?);
        }
        not_on_or_after("NotOnOrAfter", until, now)?;

        let id = request.required("ID")?;
        let name_id = NameId::read(request.one(ASSERTION, "NameID")?)?;
        let session_indexes =
            request.all(PROTOCOL, "SessionIndex").map(|index| index.content()).collect::<Result<Vec<_>, _>>()?;
        let answer = self.answer(id, now, received.relay_state.as_deref())?;
        if !replay.first_time(&self.config.provider.issuer, id, later(until, LEEWAY)) {
            return Err(Error::Replayed(id.to_owned()));
        }
        Ok(LogoutRequest { name_id, session_indexes, answer })
    }

    fn answer(&self, request_id: &str, now: Timestamp, relay_state: Option<&str>) -> Result<Outgoing, Error> {
        let provider = &self.config.provider;
        let to = provider.logout_answer.as_ref().ok_or_else(|| Shape::Missing {
            parent: format!("connector {:?}", self.config.connector),
            name: "sloURL",
        })?;
        let code = Element::new("samlp:StatusCode").attribute("Value", SUCCESS);
        let response = self
            .message("samlp:LogoutResponse", &new_id()?, to, now)
            .attribute("InResponseTo", request_id)
            .child(self.issuer())
            .child(Element::new("samlp:Status").child(code));
        binding::send(to, Kind::Response, &response.to_string(), relay_state, &self.key)
    }

    /// These always have an issuer (profiles, sections 4.4.4.1 and 4.4.4.2).
    fn check_logout(&self, message: Node<'_, '_>, kind: &'static str) -> Result<(), Error> {
        let at = self.config.logout.as_ref().ok_or_else(|| Shape::Missing {
            parent: format!("connector {:?}", self.config.connector),
            name: "logoutURI",
        })?;
        self.check_message(message, kind, at)?;
        message.one(ASSERTION, "Issuer")?;
        Ok(())
    }
}
