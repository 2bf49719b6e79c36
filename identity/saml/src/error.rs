//! Why a message of the provider, or about one, is not accepted.

use jiff::Timestamp;

use crate::binding::LONGEST_RELAY_STATE;
use crate::signature::SignatureFault;
use crate::xml::{Malformed, Shape};

/// Why a message is not accepted. None of it is a secret: the texts are for whoever looks after the connector, and tell
/// a person who signs in no more than that it did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not base64, or not compressed as the binding says.
    #[error("{0}")]
    Encoding(&'static str),
    /// Not a document that we read.
    #[error("the message cannot be read")]
    Malformed(#[from] Malformed),
    /// Parts are missing, or there are too many.
    #[error(transparent)]
    Shape(#[from] Shape),
    /// Another kind of message.
    #[error("a {expected} was expected, and {found} came")]
    Kind {
        /// The element that should be at the top.
        expected: &'static str,
        /// The one that is.
        found: String,
    },
    /// A signature that does not count.
    #[error("the signature is not accepted")]
    Signature(#[from] SignatureFault),
    /// Signed with a certificate that is not valid now.
    #[error(
        "connector {connector:?}: the provider signed with the certificate {subject:?}, which is valid from {not_before} \
         to {not_after}, and it is {now}; put the provider's new certificate into `certificates`"
    )]
    CertificateDates {
        /// Where the certificate is configured.
        connector: String,
        /// Whose it is.
        subject: String,
        /// Its first moment.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
        /// When the message came.
        now: Timestamp,
    },
    /// A message that must be signed.
    #[error("the {0} is not signed; switch signing on at the provider")]
    Unsigned(&'static str),
    /// A signature around an assertion that has none itself.
    #[error(
        "the response is signed but the assertion in it is not; let the provider sign assertions, or set \
         `wantAssertionsSigned: false` on connector {0:?} to be content with the signature of the response"
    )]
    UnsignedAssertion(String),
    /// `wantAssertionsEncrypted`, and it is not.
    #[error("the assertion is not encrypted, as `wantAssertionsEncrypted` of connector {0:?} asks")]
    NotEncrypted(String),
    /// RSA 1.5 and Triple DES among them.
    #[error("the encryption algorithm {0:?} is not accepted; let the provider use RSA-OAEP and AES-GCM")]
    EncryptionAlgorithm(String),
    /// CBC mode can be changed by anybody unless it is signed.
    #[error(
        "the assertion is encrypted in CBC mode within a response that is not signed; let the provider use AES-GCM, or \
         sign responses as well"
    )]
    CbcUnsigned,
    /// Deliberately without a reason.
    #[error("the assertion cannot be decrypted; has the provider our present metadata?")]
    Decryption,
    /// The provider says no.
    #[error("the provider refused: {code}{}", .message.as_ref().map(|m| format!(" ({m:?})")).unwrap_or_default())]
    Refused {
        /// The status code, or the one below it, without its prefix.
        code: String,
        /// The provider's words.
        message: Option<String>,
    },
    /// Not for us, not from the provider, or not an answer to what was asked.
    #[error("{field} is {found:?}, and {expected:?} was expected")]
    Wrong {
        /// What was compared.
        field: &'static str,
        /// What the message says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// Nobody here asked for it.
    #[error("the response answers no request; begin at the platform, not at the provider")]
    Unsolicited,
    /// Before its time; mostly a clock that is wrong.
    #[error("{field} is {from}, and it is {now}; compare the clocks of the provider and of the platform")]
    TooEarly {
        /// What says so.
        field: &'static str,
        /// When it would be good.
        from: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// An answer that is older than its question: a clock is wrong.
    #[error(
        "the assertion was issued at {issued}, and the request that it answers at {requested}; compare the clocks of the \
         provider and of the platform"
    )]
    BeforeRequest {
        /// By the provider's clock.
        issued: Timestamp,
        /// By ours.
        requested: Timestamp,
    },
    /// After its time.
    #[error(
        "{field} is {until}, and it is {now}; sign in again, or compare the clocks of the provider and of the platform"
    )]
    TooLate {
        /// What says so.
        field: &'static str,
        /// Until when it would have been good.
        until: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// Text that is no time.
    #[error("{field} is {found:?}, which is no time")]
    NoTime {
        /// What should be a time.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// Used before.
    #[error("the assertion {0:?} was used before")]
    Replayed(String),
    /// No way to confirm the subject that we know.
    #[error("the assertion has no bearer confirmation of its subject")]
    NoBearer,
    /// A condition that could mean anything.
    #[error("the assertion has a condition {0:?}, which is not understood")]
    Condition(String),
    /// What the connector takes from the assertion is not in it.
    #[error("the assertion has no attribute {attribute:?}; it has {}", list(.present))]
    NoAttribute {
        /// The name in the configuration.
        attribute: String,
        /// The names in the assertion.
        present: Vec<String>,
    },
    /// Which of them would be the person?
    #[error("the attribute {attribute:?} has {count} values, and one was expected")]
    SeveralValues {
        /// The name in the configuration.
        attribute: String,
        /// How many it has.
        count: usize,
    },
    /// `allowedGroups`.
    #[error("the person is in none of the groups that connector {0:?} allows")]
    GroupsNotAllowed(String),
    /// Something that was begun with another connector.
    #[error("connector {found:?} was asked, and {expected:?} answers")]
    OtherConnector {
        /// The one that is answering.
        expected: String,
        /// The one that it was begun with.
        found: String,
    },
    /// Too long (bindings, section 3.4.3), or not the same to everybody when it is escaped.
    #[error("the relay state is not of at most {LONGEST_RELAY_STATE} letters, digits, '-', '_' and '.'")]
    RelayState,
    /// The random numbers of the system, or the key.
    #[error("the message could not be signed")]
    Signing,
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The beginning of what somebody else wrote; enough to recognise it.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}
