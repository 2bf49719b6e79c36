//! Why a token is not believed.

use std::fmt;

/// Why a token is not believed. Nothing of the token is repeated here: it may be a stranger's, and it may be good
/// elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It is longer than any honest one.
    TooLong,
    /// It is not three parts of base64url, two of them JSON objects whose names are unique.
    Malformed,
    /// The header names extensions that must be understood; none are.
    Critical,
    /// The header brings the key it is to be verified with.
    KeyOfItsOwn,
    /// The algorithm is unknown, or not one that the issuer is known to use.
    Algorithm,
    /// It is a token for something else.
    Type,
    /// Somebody else issued it.
    Issuer,
    /// It is meant for somebody else, or for nobody.
    Audience,
    /// It was given to another client (`azp`).
    AuthorizedParty,
    /// `exp` or `nbf` are there and no numbers.
    Time,
    /// There is no `exp`.
    Endless,
    /// `exp` is past.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// No key of the issuer's fits: perhaps there is a new one.
    UnknownKey,
    /// A key fits, and did not make the signature.
    Signature,
}

impl Refused {
    /// In words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "the token is longer than 32 KiB",
            Self::Malformed => "the text is not a JSON Web Token",
            Self::Critical => "the token's header has critical extensions",
            Self::KeyOfItsOwn => "the token's header brings a key of its own",
            Self::Algorithm => "the token's algorithm is not accepted",
            Self::Type => "the token is of another type",
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::AuthorizedParty => "the token was given to another party",
            Self::Time => "a time in the token is no number",
            Self::Endless => "the token never ends",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::UnknownKey => "the token's key is not one of its issuer's",
            Self::Signature => "the token's signature is wrong",
        }
    }

    /// Whether newer keys of the issuer could make the token a good one. All else about it was right: keys are judged
    /// last, so that nobody makes us fetch some for a token that is refused anyway.
    pub fn is_for_want_of_a_key(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Signature)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Refused {}
