//! Why somebody could not be signed in, and why the directory could not be asked.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::ber::Malformed;

/// Why a person was not signed in, or not found out about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// There is no such person, or the password is another. Nothing says which.
    #[error("the name or the password is wrong")]
    WrongCredentials,
    /// The directory knows the person and lets them in no more, or not now.
    #[error("the directory does not let this account in: {0}")]
    Account(AccountProblem),
    /// Two entries or more have this name. Nobody is guessed.
    #[error(
        "more than one entry has {attribute} {login:?}; narrow userSearch.baseDN or userSearch.filter until one is left"
    )]
    Ambiguous {
        /// What was typed.
        login: String,
        /// What it was compared with.
        attribute: String,
    },
    /// An entry lacks what the configuration takes from it.
    #[error("{0}")]
    MissingAttribute(MissingAttribute),
    /// The directory could not be asked.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// An entry that lacks an attribute, and the field that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{dn:?} has no {attribute} that can be used; give the entry one, or name another attribute in {field}, or see that \
     bindDN may read it"
)]
pub struct MissingAttribute {
    /// The entry's name.
    pub dn: String,
    /// What it lacks.
    pub attribute: String,
    /// Which field of the configuration names the attribute.
    pub field: &'static str,
}

/// Why the directory lets somebody in no more, as far as it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountProblem {
    /// Switched off.
    Disabled,
    /// Locked, mostly after wrong passwords.
    Locked,
    /// Its time is over.
    Expired,
    /// Its password is too old.
    PasswordExpired,
    /// Its password was set by somebody else, and must be changed first.
    PasswordMustChange,
    /// Not at this time, or not from this machine.
    NotNow,
}

impl fmt::Display for AccountProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "it is disabled there",
            Self::Locked => "it is locked there",
            Self::Expired => "it has expired",
            Self::PasswordExpired => "its password has expired; change it in the directory first",
            Self::PasswordMustChange => "its password has to be changed in the directory first",
            Self::NotNow => "it may not sign in at this time or from here",
        })
    }
}

/// Why the directory could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It is not there, or does not answer as it should.
    #[error("the directory {host} is not available")]
    Unavailable {
        /// Its host and port.
        host: String,
        /// What went wrong.
        #[source]
        source: Unavailable,
    },
    /// It did not prove that it is who it should be.
    #[error(
        "the directory {host} did not prove who it is; rootCAData has to hold the authority of its certificate, and the \
         certificate the host's name"
    )]
    Certificate {
        /// Its host and port.
        host: String,
        /// What is wrong with its certificate.
        #[source]
        source: rustls::Error,
    },
    /// It does not let us in.
    #[error("the directory does not accept bindDN {bind_dn:?} with bindPW ({refusal})")]
    Bind {
        /// The account that the configuration names.
        bind_dn: String,
        /// What it said.
        refusal: Refusal,
    },
    /// It does not search.
    #[error("the directory refuses the search of {field} {base:?} for {filter} ({refusal})")]
    Search {
        /// Which field names the base.
        field: &'static str,
        /// Where the search began.
        base: String,
        /// What was asked for.
        filter: String,
        /// What it said.
        refusal: Refusal,
    },
    /// It refuses to look at a password, for a reason that is not the password.
    #[error("the directory refuses to check the password ({0})")]
    Check(Refusal),
    /// It shows nobody.
    #[error(
        "below {base:?} nobody matches {filter}, or bindDN may not read them; see userSearch.baseDN and userSearch.filter"
    )]
    Nobody {
        /// Where the search began.
        base: String,
        /// What was asked for.
        filter: String,
    },
    /// It has more than anybody should need.
    #[error("the directory has more than {limit} {what}; narrow the filter or the base of {field}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
        /// Which search it was.
        field: &'static str,
    },
    /// A group lacks what the configuration takes from it.
    #[error(transparent)]
    Group(MissingAttribute),
}

/// A result code, and what the directory says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 4511 section 4.1.9.
    pub code: u32,
    /// In the directory's words; may be empty.
    pub said: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, said } = self;
        let name = match code {
            1 => "operationsError: it may want bindDN and bindPW",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded: it gives bindDN fewer entries than there are; raise its limit there",
            8 => "strongerAuthRequired: it wants TLS",
            10 => "referral: the base belongs to another directory",
            11 => "adminLimitExceeded",
            12 => "unavailableCriticalExtension",
            13 => "confidentialityRequired: it wants TLS",
            32 => "noSuchObject: the base does not exist, or bindDN may not read it",
            34 => "invalidDNSyntax",
            48 => "inappropriateAuthentication",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwillingToPerform",
            _ => "",
        };
        write!(f, "result {code}")?;
        [name, said].iter().filter(|text| !text.is_empty()).try_for_each(|text| write!(f, ", {text}"))
    }
}

/// What went wrong on the way to the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// There is no connection.
    #[error("could not connect")]
    Connect(#[source] lib_fetch::Unreachable),
    /// There is no TLS on it.
    #[error("could not agree on TLS")]
    Tls(#[source] io::Error),
    /// It does not change to TLS.
    #[error("it refuses StartTLS ({0}); use ldaps, which is startTLS: false, if it has a port for that")]
    StartTls(Refusal),
    /// It took too long.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// It ended the connection.
    #[error("it closed the connection")]
    Closed,
    /// The connection ended.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// Its answer is too long to be true.
    #[error("an answer is longer than {0} bytes")]
    TooLong(usize),
    /// Its answers are too many.
    #[error("its answers are longer than {0} bytes together")]
    TooMuch(usize),
    /// It speaks something else.
    #[error("it does not speak LDAP")]
    Malformed(#[from] Malformed),
    /// It answers something else.
    #[error("it answers what was not asked")]
    OutOfTurn,
}
