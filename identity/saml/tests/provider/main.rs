//! Against a real identity provider: `tests/peers/saml-idp/idp.py`, pysaml2 over xmlsec1, on a port of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod idp;
#[path = "../../src/tests/peer.rs"]
mod peer;
mod sign_in;
mod sign_out;
mod signing;
