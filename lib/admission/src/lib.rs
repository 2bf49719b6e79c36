//! Admission webhooks: serves `AdmissionReview` v1 over TLS, and says to a cluster where.
//!
//! # Flow
//!
//! A [`Server`] has a [`Handler`] for each path. The API server posts a review there; it is decoded, judged within a
//! deadline, and answered. [`Configuration`] is the `ValidatingWebhookConfiguration` that makes the API server ask,
//! [`Mutating`] the `MutatingWebhookConfiguration` for a handler that changes what is written.
//!
//! # Guarantees
//!
//! - Whatever goes wrong refuses the write: a handler that is late, a server that is full, a review that does not decode.
//!   With `failurePolicy: Fail`, which is the only one that [`Configuration`] knows, so does a server that is gone.
//!   [`Mutating`] is the other way round: it only knows `Ignore`, so what it is asked about must not need its answer. For
//!   it to pass also when the server is late, let the API server wait for less than [`Limits::verdict`].
//! - Sizes, times and the number of reviews and connections at once have bounds.
//! - Nothing of a review is repeated in an error or a log but where it does not decode: there may be Secrets in it.
//!
//! # Caveats
//!
//! An API server shows no certificate to a webhook unless its administrator arranged for one, so whoever reaches the port
//! can ask. [`unguessable_path`] keeps out who does not know where; a handler must do no harm when it is asked about
//! writes that nobody makes.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

mod configuration;
mod review;
mod server;

pub use configuration::{AdmissionUrl, BadUrl, Configuration, Mutating, Place, Webhook};
pub use review::{
    Add, AdmissionRequest, BadReview, GroupVersionKind, GroupVersionResource, Operation, Refusal, UserInfo, Verdict,
    decode, encode,
};
pub use server::{Handler, Limits, Server, tls, unguessable_path};
