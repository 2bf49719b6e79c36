//! People whom an OpenID Connect issuer vouches for (upstream: structured authentication configuration).
//!
//! # Flow
//!
//! [`Authentication`] holds what one [`Configuration`] says and can be given
//! another while it runs. A bearer token that names one of its issuers is that
//! issuer's, and its verdict stands; all other tokens are somebody else's
//! affair. The issuer's keys are fetched over TLS when first needed and again
//! when a token names a key that is not known, but not oftener than the clock
//! allows: nobody can make this server call its issuer at will.
//!
//! # Guarantees
//!
//! The algorithm is believed only as far as the key agrees: `none` and HMAC do
//! not exist here, and a key comes from the issuer's own set or from nowhere. A
//! token without an end, for another audience or from another issuer is refused.
//! Nobody becomes part of the system by what a claim says: user names that begin
//! with `system:` are refused and such groups dropped.
//!
//! # Caveats
//!
//! An issuer needs `certificateAuthority`: the roots of the machine are not
//! trusted.

mod authentication;
mod claims;
mod configuration;
mod expressions;
mod issuer;
mod reload;

pub use authentication::Authentication;
pub use configuration::{Configuration, InvalidConfiguration, OidcFlags};
pub use reload::follow;
