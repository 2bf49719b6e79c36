//! What an assertion says, and whether it says it to us, now, and for the first time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Groups};
use crate::names::{ASSERTION, BEARER};
use crate::signature::Vouched;
use crate::xml::{Element, Node, NodeExt as _, Shape};
use crate::{Error, LEEWAY, Pending, equal, error, instant, later, not_before, not_on_or_after};

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What the provider knows the sign-in by.
    pub session: ProviderSession,
    /// When the provider wants the session to end at the latest.
    pub session_until: Option<Timestamp>,
    /// From `usernameAttr`.
    pub username: String,
    /// From `emailAttr`.
    pub email: String,
    /// From `nameAttr`.
    pub name: Option<String>,
    /// From `groupsAttr`.
    pub groups: Vec<String>,
    /// All attributes whose values are text.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// What it takes to speak with the provider about a sign-in: to be kept with the session, for [signing out].
///
/// [signing out]: crate::ServiceProvider::logout
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSession {
    /// Whom it is about.
    pub name_id: NameId,
    /// Which of their sign-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

/// The provider's name for a person (core, section 2.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameId {
    /// The name.
    pub value: String,
    /// What kind of name, as a URN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Within what the name is unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_qualifier: Option<String>,
    /// Whom the name was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sp_name_qualifier: Option<String>,
}

impl NameId {
    /// Whether both name the same person. What one of them leaves out is what goes without saying between the two
    /// parties (core, sections 2.2.2 and 8.3.7): providers leave out other things when somebody signs out than when
    /// they sign in.
    pub fn is_same(&self, other: &Self) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        self.value == other.value
            && agree(&self.format, &other.format)
            && agree(&self.name_qualifier, &other.name_qualifier)
            && agree(&self.sp_name_qualifier, &other.sp_name_qualifier)
    }

    pub(crate) fn read(node: Node<'_, '_>) -> Result<Self, Error> {
        let value = node.content()?;
        if value.is_empty() {
            return Err(Shape::Missing { parent: "NameID".to_owned(), name: "text" }.into());
        }
        let attribute = |name: &str| node.attribute(name).map(str::to_owned);
        Ok(Self {
            value,
            format: attribute("Format"),
            name_qualifier: attribute("NameQualifier"),
            sp_name_qualifier: attribute("SPNameQualifier"),
        })
    }

    pub(crate) fn element(&self) -> Element {
        Element::new("saml:NameID")
            .maybe("Format", self.format.as_deref())
            .maybe("NameQualifier", self.name_qualifier.as_deref())
            .maybe("SPNameQualifier", self.sp_name_qualifier.as_deref())
            .text(&self.value)
    }
}

/// An assertion that was accepted, but for being used before.
pub(crate) struct Accepted {
    pub(crate) id: String,
    /// From when on nobody would accept it anyway.
    pub(crate) until: Timestamp,
    pub(crate) person: Person,
}

/// Reads an assertion that answers a request (profiles, section 4.1.4.3).
pub(crate) fn accept(
    assertion: Vouched<'_, '_>,
    config: &Config,
    pending: &Pending,
    now: Timestamp,
) -> Result<Accepted, Error> {
    let assertion = assertion.node();
    if !assertion.is(ASSERTION, "Assertion") {
        return Err(Error::Kind { expected: "Assertion", found: assertion.label() });
    }
    equal("Version of the assertion", assertion.required("Version")?, "2.0")?;
    equal("Issuer of the assertion", &assertion.one(ASSERTION, "Issuer")?.content()?, &config.provider.issuer)?;
    let issued = instant("IssueInstant of the assertion", assertion.required("IssueInstant")?)?;
    not_before("IssueInstant of the assertion", issued, now)?;
    if later(issued, LEEWAY) < pending.issued {
        return Err(Error::BeforeRequest { issued, requested: pending.issued });
    }

    let subject = assertion.one(ASSERTION, "Subject")?;
    let until = confirm(subject, config, pending, now)?;
    check_conditions(assertion.one(ASSERTION, "Conditions")?, config, now)?;
    let statements: Vec<_> = assertion.all(ASSERTION, "AuthnStatement").collect();
    let Some(statement) = statements.first() else {
        return Err(Shape::Missing { parent: assertion.label(), name: "AuthnStatement" }.into());
    };
    let session_until = session_until(&statements, now)?;
    let attributes = attributes(assertion)?;
    let groups = groups(&attributes, config)?;
    Ok(Accepted {
        id: assertion.required("ID")?.to_owned(),
        until: later(until, LEEWAY),
        person: Person {
            session: ProviderSession {
                name_id: NameId::read(subject.one(ASSERTION, "NameID")?)?,
                index: statement.attribute("SessionIndex").map(str::to_owned),
            },
            session_until,
            username: single(&attributes, &config.username)?,
            email: single(&attributes, &config.email)?,
            name: config
                .name
                .as_ref()
                .filter(|name| attributes.contains_key(*name))
                .map(|name| single(&attributes, name))
                .transpose()?,
            groups,
            attributes,
        },
    })
}

/// One bearer confirmation must hold; says until when it does.
fn confirm(subject: Node<'_, '_>, config: &Config, pending: &Pending, now: Timestamp) -> Result<Timestamp, Error> {
    let bearers = subject
        .all(ASSERTION, "SubjectConfirmation")
        .filter(|confirmation| confirmation.attribute("Method") == Some(BEARER));
    let mut why_not = Error::NoBearer;
    for bearer in bearers {
        match confirm_bearer(bearer, config, pending, now) {
            Ok(until) => return Ok(until),
            Err(error) => why_not = error,
        }
    }
    Err(why_not)
}

fn confirm_bearer(
    confirmation: Node<'_, '_>,
    config: &Config,
    pending: &Pending,
    now: Timestamp,
) -> Result<Timestamp, Error> {
    let data = confirmation.one(ASSERTION, "SubjectConfirmationData")?;
    equal("Recipient", data.required("Recipient")?, config.redirect.as_str())?;
    let request = data.attribute("InResponseTo").ok_or(Error::Unsolicited)?;
    equal("InResponseTo of the subject", request, &pending.request_id)?;
    if let Some(from) = data.attribute("NotBefore") {
        not_before("NotBefore of the subject", instant("NotBefore of the subject", from)?, now)?;
    }
    let field = "NotOnOrAfter of the subject";
    let until = instant(field, data.required("NotOnOrAfter")?)?;
    not_on_or_after(field, until, now)?;
    Ok(until)
}

fn check_conditions(conditions: Node<'_, '_>, config: &Config, now: Timestamp) -> Result<(), Error> {
    if let Some(from) = conditions.attribute("NotBefore") {
        not_before("NotBefore", instant("NotBefore", from)?, now)?;
    }
    if let Some(until) = conditions.attribute("NotOnOrAfter") {
        not_on_or_after("NotOnOrAfter", instant("NotOnOrAfter", until)?, now)?;
    }
    let mut for_somebody = false;
    for condition in conditions.children().filter(Node::is_element) {
        if condition.is(ASSERTION, "AudienceRestriction") {
            for_somebody = true;
            check_audience(condition, config)?;
        } else if !["OneTimeUse", "ProxyRestriction"].iter().any(|known| condition.is(ASSERTION, known)) {
            return Err(Error::Condition(condition.label()));
        }
    }
    if for_somebody {
        return Ok(());
    }
    Err(Shape::Missing { parent: conditions.label(), name: "AudienceRestriction" }.into())
}

fn check_audience(restriction: Node<'_, '_>, config: &Config) -> Result<(), Error> {
    let audiences =
        restriction.all(ASSERTION, "Audience").map(|audience| audience.content()).collect::<Result<Vec<_>, _>>()?;
    if audiences.contains(&config.entity) {
        return Ok(());
    }
    Err(Error::Wrong {
        field: "Audience",
        found: error::excerpt(&audiences.join(", ")),
        expected: config.entity.clone(),
    })
}

fn session_until(statements: &[Node<'_, '_>], now: Timestamp) -> Result<Option<Timestamp>, Error> {
    let field = "SessionNotOnOrAfter";
    let mut first = None;
    for until in statements.iter().filter_map(|statement| statement.attribute("SessionNotOnOrAfter")) {
        let until = instant(field, until)?;
        not_on_or_after(field, until, now)?;
        first = Some(first.map_or(until, |first: Timestamp| first.min(until)));
    }
    Ok(first)
}

/// By `Name`; values that are more than text are left out.
fn attributes(assertion: Node<'_, '_>) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for statement in assertion.all(ASSERTION, "AttributeStatement") {
        for attribute in statement.all(ASSERTION, "Attribute") {
            let values = attributes.entry(attribute.required("Name")?.to_owned()).or_default();
            values.extend(attribute.all(ASSERTION, "AttributeValue").filter_map(|value| value.content().ok()));
        }
    }
    Ok(attributes)
}

fn single(attributes: &BTreeMap<String, Vec<String>>, name: &str) -> Result<String, Error> {
    let values = attributes.get(name).map(Vec::as_slice).unwrap_or_default();
    match values {
        [value] if !value.is_empty() => Ok(value.clone()),
        [] | [_] => {
            Err(Error::NoAttribute { attribute: name.to_owned(), present: attributes.keys().cloned().collect() })
        }
        several => Err(Error::SeveralValues { attribute: name.to_owned(), count: several.len() }),
    }
}

/// A person in no group has no attribute for it with most providers.
fn groups(attributes: &BTreeMap<String, Vec<String>>, config: &Config) -> Result<Vec<String>, Error> {
    let Groups { attribute, delimiter, allowed, filter } = &config.groups;
    let Some(attribute) = attribute else { return Ok(Vec::new()) };
    let values = attributes.get(attribute).map(Vec::as_slice).unwrap_or_default();
    let mut groups: Vec<String> = match delimiter {
        Some(delimiter) => values.iter().flat_map(|value| value.split(delimiter.as_str())).map(str::to_owned).collect(),
        None => values.to_vec(),
    };
    groups.retain(|group| !group.is_empty());
    groups.sort();
    groups.dedup();
    if !allowed.is_empty() && !groups.iter().any(|group| allowed.contains(group)) {
        return Err(Error::GroupsNotAllowed(config.connector.clone()));
    }
    if *filter {
        groups.retain(|group| allowed.contains(group));
    }
    Ok(groups)
}
