//! People whom an OpenID Connect provider knows: the relying party (OpenID Connect Core 1.0, the code flow).
//!
//! # Flow
//!
//! A [`Config`] is what a connector says. A [`Provider`] is one such provider: [`begin`](Provider::begin) gives the
//! address that the browser is sent to and a [`Pending`], which the caller seals and keeps with that browser;
//! [`finish`](Provider::finish) takes both back and gives a [`Person`]. Later [`refresh`](Provider::refresh) asks whether
//! the provider still knows the person, [`logout_url`](Provider::logout_url) ends the session there, and
//! [`verify_logout_token`](Provider::verify_logout_token) believes the provider that it ended.
//!
//! # Guarantees
//!
//! - A sign-in is finished by who began it, at the provider it was begun at: state, nonce and PKCE are fresh for each,
//!   256 bits from the system; PKCE is S256 always (RFC 7636, RFC 9700 section 2.1). An answer of another provider is
//!   refused (RFC 9207).
//! - Nothing is believed but what a key of the provider's signed for us and for this sign-in, or what its userinfo
//!   endpoint says of the same subject.
//! - The provider is believed to be itself by the authorities of the connector and by no others.
//! - Text of the provider's is never part of an error: people see words of ours.
//! - Every wait has a deadline, every document a size; documents are kept for an hour and not asked for at will.
//!
//! # Assumptions
//!
//! The caller seals a `Pending` so that nobody reads or changes it, and lets it go with the first answer. An address that
//! is not [verified](Person::email_verified) is whatever its owner typed: the caller makes nobody somebody by it.
//!
//! # Caveats
//!
//! The flows are our own over `lib-jose` and `lib-fetch`. The crate `openidconnect` brings an HTTP client, a calendar and
//! an RSA of its own, all of which this tree has in one place each.
//!
//! Clocks may be [`LEEWAY`] apart. There are no encrypted tokens, no signed userinfo and no symmetric signatures.

mod callback;
mod config;
mod error;
mod logout;
mod metadata;
mod pending;
mod person;
mod provider;
mod secret;
mod tokens;

pub use config::Config;
pub use error::{Error, ProviderError, Reason};
pub use logout::LogoutToken;
pub use pending::{LIFETIME, Pending};
pub use person::Person;
pub use provider::Provider;
pub use secret::Secret;
pub use tokens::{LEEWAY, OLDEST_TOKEN};
