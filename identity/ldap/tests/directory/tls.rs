//! Whom the directory has to prove to be.

use identity_ldap::{DirectoryError, Unavailable};
use serde_json::{Value, json};

use crate::slapd::{Certificate, Setup};
use crate::{PASSWORD, directory, directory_error, told};

#[tokio::test]
async fn tls_from_the_first_byte() {
    let slapd = Setup::ann().settings("security ssf=128").start();
    directory(&slapd, json!({})).sign_in("ann", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn tls_that_both_agree_on() {
    let slapd = Setup::ann().settings("security ssf=128").start();
    let start = json!({"host": slapd.ldap(), "startTLS": true});
    directory(&slapd, start).sign_in("ann", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn no_tls_only_if_the_connector_says_so() {
    let slapd = Setup::ann().start();
    let plain = json!({"host": slapd.ldap(), "insecureNoSSL": true, "rootCAData": Value::Null});
    directory(&slapd, plain).sign_in("ann", PASSWORD).await.unwrap();
    // Without the word, the plain port is spoken TLS to, and nothing else.
    let error = directory_error(directory(&slapd, json!({"host": slapd.ldap()})).sign_in("ann", PASSWORD).await);
    assert!(matches!(error, DirectoryError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_that_wants_tls_says_so() {
    let slapd = Setup::ann().settings("security ssf=128").start();
    let plain = json!({"host": slapd.ldap(), "insecureNoSSL": true, "rootCAData": Value::Null});
    let error = directory_error(directory(&slapd, plain).sign_in("ann", PASSWORD).await);
    assert!(error.to_string().contains("result 13, confidentialityRequired: it wants TLS"), "{error}");
}

#[track_caller]
fn certificate_error(error: &DirectoryError, why: &str) {
    assert!(matches!(error, DirectoryError::Certificate { .. }), "{error:?}");
    assert!(told(error).contains(why), "{}", told(error));
}

async fn refuses(certificate: Certificate, why: &str) {
    let slapd = Setup::ann().certificate(certificate).start();
    for changes in [json!({}), json!({"host": slapd.ldap(), "startTLS": true})] {
        certificate_error(&directory_error(directory(&slapd, changes).sign_in("ann", PASSWORD).await), why);
    }
}

#[tokio::test]
async fn an_expired_certificate() {
    refuses(Certificate::Expired, "certificate expired").await;
}

#[tokio::test]
async fn a_certificate_of_another_authority() {
    refuses(Certificate::OfAnotherAuthority, "invalid peer certificate").await;
}

#[tokio::test]
async fn a_certificate_of_another_host() {
    refuses(Certificate::OfAnotherHost, "not valid for name").await;
}

#[tokio::test]
async fn our_own_certificate_is_shown_if_the_directory_asks() {
    let slapd = Setup::ann().settings("TLSVerifyClient demand").start();
    let error = directory_error(directory(&slapd, json!({})).sign_in("ann", PASSWORD).await);
    let refused = matches!(error, DirectoryError::Unavailable { ref source, .. }
        if matches!(source, Unavailable::Broken(_) | Unavailable::Closed | Unavailable::Tls(_)));
    assert!(refused, "{error:?}");
    let ours = slapd.client();
    let shown = json!({"clientCert": ours.chain_pem(), "clientKey": ours.key_pem()});
    directory(&slapd, shown).sign_in("ann", PASSWORD).await.unwrap();
}
