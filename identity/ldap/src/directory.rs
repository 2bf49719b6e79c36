//! A directory, and what is asked of it.

use std::net::IpAddr;
use std::time::Duration;

use lib_fetch::Addresses;
use tokio::time::timeout;

use crate::config::{Config, Matcher, UserSearch};
use crate::connection::{Connection, Failure, Found};
use crate::error::{DirectoryError, MissingAttribute, Refusal, SignInError, Unavailable};
use crate::person::Person;
use crate::protocol::filter::Filter;
use crate::protocol::message::{Entry, Outcome, Search};
use crate::refusal::judge;

/// Nobody's name is longer.
const LONGEST_LOGIN: usize = 256;

/// Nobody's password is longer.
const LONGEST_PASSWORD: usize = 1024;

/// How many entries are sent at once. Active Directory gives no more than 1,000.
const PAGE: u32 = 500;

/// Asks for none (RFC 4511 section 4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// How long anything may take, and how much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For everything but [`Directory::people`], from the first packet to the last.
    pub operation: Duration,
    /// For [`Directory::people`].
    pub synchronisation: Duration,
    /// How many entries [`Directory::people`] takes.
    pub people: usize,
    /// How many groups a person may be in, groups of groups included.
    pub groups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operation: Duration::from_secs(10),
            synchronisation: Duration::from_secs(10 * 60),
            people: 50_000,
            groups: 1_000,
        }
    }
}

/// A directory that people sign in with.
#[derive(Clone, Debug)]
pub struct Directory {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    addresses: Addresses,
}

/// All people of a directory.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Those who can sign in.
    pub people: Vec<Person>,
    /// Entries that lack what a person needs. Their people exist and cannot sign in.
    pub unusable: Vec<MissingAttribute>,
}

impl Directory {
    /// The directory that a connector describes. It is not asked anything yet.
    pub fn new(config: Config) -> Self {
        Self { config, limits: Limits::default(), addresses: Addresses::default() }
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same, asked only at addresses of which `allowed` says so: whoever may name a directory could otherwise have us
    /// call what only we can reach.
    #[must_use]
    pub fn allowing(self, allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { addresses: Addresses::only(allowed), ..self }
    }

    /// Who this is, if the password is theirs.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Person, SignInError> {
        if !is_login(login) || !is_password(password) {
            return Err(SignInError::WrongCredentials);
        }
        self.within(self.limits.operation, async {
            let mut session = Session::open(self).await?;
            let Some(entry) = session.user(login).await? else {
                // The same question as for somebody who exists, and whatever the answer is, it is no.
                session.bind(&self.config.users.base, password).await?;
                return Err(SignInError::WrongCredentials);
            };
            judge(session.bind(&entry.dn, password).await?)?;
            session.bind_account().await?;
            let person = session.person(&entry).await?;
            session.connection.close().await;
            Ok(person)
        })
        .await
    }

    /// Who has this name.
    pub async fn find(&self, login: &str) -> Result<Option<Person>, SignInError> {
        if !is_login(login) {
            return Ok(None);
        }
        self.within(self.limits.operation, async {
            let mut session = Session::open(self).await?;
            let person = match session.user(login).await? {
                Some(entry) => Some(session.person(&entry).await?),
                None => None,
            };
            session.connection.close().await;
            Ok(person)
        })
        .await
    }

    /// Everybody, with their groups: all of them or an error, never some of them.
    pub async fn people(&self) -> Result<People, DirectoryError> {
        self.within(self.limits.synchronisation, async {
            let mut session = Session::open(self).await?;
            let users = &self.config.users;
            let filter = users.everybody();
            let attributes = self.config.attributes();
            let search = Search::all(&users.base, users.scope, &filter, &attributes);
            let limit = Limit { what: "people", limit: self.limits.people };
            let mut all = People::default();
            for entry in session.all("userSearch", search, &limit).await? {
                match users.person(&entry) {
                    Ok(person) => {
                        let groups = session.groups(&entry).await?;
                        all.people.push(Person { groups, ..person });
                    }
                    Err(missing) => all.unusable.push(missing),
                }
            }
            session.connection.close().await;
            Ok(all)
        })
        .await
    }

    /// Whether the directory can be asked at all: it is reached, it lets us in, it shows somebody, and the group search
    /// begins somewhere.
    pub async fn check(&self) -> Result<(), DirectoryError> {
        self.within(self.limits.operation, async {
            let mut session = Session::open(self).await?;
            let Config { users, groups, .. } = &self.config;
            let filter = users.everybody();
            let search = Search::all(&users.base, users.scope, &filter, &[NO_ATTRIBUTES]);
            if session.first("userSearch.baseDN", search).await?.is_none() {
                return Err(DirectoryError::Nobody { base: users.base.clone(), filter: filter.to_string() });
            }
            if let Some(groups) = groups {
                let filter = groups.filter.clone().unwrap_or_else(|| Filter::Present(groups.name.clone()));
                let search = Search::all(&groups.base, groups.scope, &filter, &[NO_ATTRIBUTES]);
                session.first("groupSearch.baseDN", search).await?;
            }
            session.connection.close().await;
            Ok(())
        })
        .await
    }

    async fn within<T, E: From<DirectoryError>>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match timeout(patience, work).await {
            Ok(result) => result,
            Err(_) => Err(self.unavailable(Unavailable::Late(patience)).into()),
        }
    }

    fn unavailable(&self, source: Unavailable) -> DirectoryError {
        DirectoryError::Unavailable { host: self.config.host(), source }
    }
}

fn is_login(login: &str) -> bool {
    !login.trim().is_empty() && login.len() <= LONGEST_LOGIN && !login.contains('\0')
}

fn is_password(password: &str) -> bool {
    !password.is_empty() && password.len() <= LONGEST_PASSWORD && !password.contains('\0')
}

impl Config {
    /// Which attributes of a person are asked for.
    fn attributes(&self) -> Vec<&str> {
        let matchers = self.groups.iter().flat_map(|groups| &groups.matchers);
        self.users.attributes().chain(matchers.filter_map(Matcher::attribute)).collect()
    }
}

impl UserSearch {
    /// That somebody is looked for here at all, and this.
    pub(crate) fn with(&self, filter: Filter) -> Filter {
        match &self.filter {
            Some(configured) => Filter::And(vec![configured.clone(), filter]),
            None => filter,
        }
    }

    fn everybody(&self) -> Filter {
        self.with(Filter::Present(self.username.clone()))
    }
}

/// A connection on which we are who the connector says.
pub(crate) struct Session<'a> {
    pub(crate) directory: &'a Directory,
    connection: Connection,
}

impl<'a> Session<'a> {
    async fn open(directory: &'a Directory) -> Result<Self, DirectoryError> {
        let Config { name, port, privacy, .. } = &directory.config;
        let connection =
            Connection::open(name, *port, &directory.addresses, privacy).await.map_err(|failure| match failure {
                Failure::Unavailable(source) => directory.unavailable(source),
                Failure::Certificate(source) => DirectoryError::Certificate { host: directory.config.host(), source },
            })?;
        let mut session = Self { directory, connection };
        if directory.config.account.is_some() {
            session.bind_account().await?;
        }
        Ok(session)
    }

    /// From here on the connector's account asks, or nobody in particular.
    async fn bind_account(&mut self) -> Result<(), DirectoryError> {
        let account = self.directory.config.account.as_ref();
        let (dn, password) = account.map_or(("", ""), |account| (&account.dn, &account.password));
        match self.bind(dn, password).await? {
            Outcome { code: 0, .. } => Ok(()),
            Outcome { code, said, .. } => {
                Err(DirectoryError::Bind { bind_dn: dn.to_owned(), refusal: Refusal { code, said } })
            }
        }
    }

    async fn bind(&mut self, dn: &str, password: &str) -> Result<Outcome, DirectoryError> {
        self.connection.bind(dn, password).await.map_err(|source| self.directory.unavailable(source))
    }

    /// The one entry that has this name.
    async fn user(&mut self, login: &str) -> Result<Option<Entry>, SignInError> {
        let users = &self.directory.config.users;
        let filter = self.directory.config.filter_for(login);
        let attributes = self.directory.config.attributes();
        // One is wanted, and two are too many.
        let search = Search::all(&users.base, users.scope, &filter, &attributes).at_most(2);
        self.ask(&search).await?;
        let mut found = None;
        loop {
            match self.next().await? {
                Found::Entry(_) if found.is_some() => {
                    let (login, attribute) = (login.to_owned(), users.username.clone());
                    return Err(SignInError::Ambiguous { login, attribute });
                }
                Found::Entry(entry) => found = Some(entry),
                // A bind as nobody would be an anonymous one.
                Found::Done(Outcome { code: 0, .. }) => return Ok(found.filter(|entry| !entry.dn.is_empty())),
                Found::Done(outcome) => return Err(refused("userSearch.baseDN", &search, outcome).into()),
            }
        }
    }

    async fn person(&mut self, entry: &Entry) -> Result<Person, SignInError> {
        let person = self.directory.config.users.person(entry).map_err(SignInError::MissingAttribute)?;
        Ok(Person { groups: self.groups(entry).await?, ..person })
    }

    /// One of the entries, if there is any.
    async fn first(&mut self, field: &'static str, search: Search<'_>) -> Result<Option<Entry>, DirectoryError> {
        let search = search.at_most(1);
        self.ask(&search).await?;
        let mut found = None;
        loop {
            match self.next().await? {
                Found::Entry(entry) => found = Some(entry),
                Found::Done(Outcome { code: 0 | SIZE_LIMIT_EXCEEDED, .. }) => return Ok(found),
                Found::Done(outcome) => return Err(refused(field, &search, outcome)),
            }
        }
    }

    /// All of the entries, page by page (RFC 2696), or an error.
    pub(crate) async fn all(
        &mut self,
        field: &'static str,
        search: Search<'_>,
        too_many: &Limit,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let mut entries = Vec::new();
        let mut cookie = Vec::new();
        loop {
            self.ask(&search.page(PAGE, &cookie)).await?;
            cookie = loop {
                match self.next().await? {
                    Found::Entry(_) if entries.len() == too_many.limit => return Err(too_many.error(field)),
                    Found::Entry(entry) => entries.push(entry),
                    Found::Done(Outcome { code: 0, cookie, .. }) => break cookie,
                    Found::Done(outcome) => return Err(refused(field, &search, outcome)),
                }
            };
            if cookie.is_empty() {
                return Ok(entries);
            }
        }
    }

    async fn ask(&mut self, search: &Search<'_>) -> Result<(), DirectoryError> {
        self.connection.ask(search).await.map_err(|source| self.directory.unavailable(source))
    }

    async fn next(&mut self) -> Result<Found, DirectoryError> {
        self.connection.next().await.map_err(|source| self.directory.unavailable(source))
    }
}

/// How many of something are taken.
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

impl Limit {
    pub(crate) fn error(&self, field: &'static str) -> DirectoryError {
        DirectoryError::TooMany { what: self.what, limit: self.limit, field }
    }
}

fn refused(field: &'static str, search: &Search<'_>, outcome: Outcome) -> DirectoryError {
    let Outcome { code, said, .. } = outcome;
    let (base, filter) = (search.base.to_owned(), search.filter.to_string());
    DirectoryError::Search { field, base, filter, refusal: Refusal { code, said } }
}
