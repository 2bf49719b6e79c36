//! Accounts that their directory does not let in, as OpenLDAP's password policy says it.

use identity_ldap::{AccountProblem, SignInError};
use serde_json::json;

use crate::slapd::{Setup, Slapd};
use crate::{PASSWORD, directory, is_wrong};

const POLICY: &str = "cn=policy,dc=example,dc=org";

/// Ann under a policy; `ann` are lines of her entry, `policy` of the policy's.
fn under(settings: &str, ann: &str, policy: &str) -> Slapd {
    let rules = format!(
        "objectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\npwdLockout: TRUE\n{policy}"
    );
    Setup::empty()
        .person("ann", ann)
        .entry(POLICY, &rules)
        .settings(&format!("overlay ppolicy\nppolicy_default \"{POLICY}\"\n{settings}"))
        .start()
}

#[track_caller]
fn is<T: std::fmt::Debug>(result: Result<T, SignInError>, problem: AccountProblem) {
    assert!(matches!(&result, Err(SignInError::Account(found)) if *found == problem), "{result:?}");
}

const LOCKED: &str = "pwdAccountLockedTime: 000001010000Z\n";

#[tokio::test]
async fn locked_and_told_so() {
    let slapd = under("ppolicy_use_lockout", LOCKED, "");
    is(directory(&slapd, json!({})).sign_in("ann", PASSWORD).await, AccountProblem::Locked);
}

#[tokio::test]
async fn locked_and_not_told_so() {
    let slapd = under("", LOCKED, "");
    assert!(is_wrong(&directory(&slapd, json!({})).sign_in("ann", PASSWORD).await));
}

#[tokio::test]
async fn locked_after_wrong_passwords() {
    let slapd = under("ppolicy_use_lockout", "", "pwdMaxFailure: 2\n");
    let directory = directory(&slapd, json!({}));
    for _ in 0..2 {
        assert!(is_wrong(&directory.sign_in("ann", "wrong").await));
    }
    is(directory.sign_in("ann", PASSWORD).await, AccountProblem::Locked);
}

#[tokio::test]
async fn with_an_old_password() {
    let slapd = under("", "pwdChangedTime: 20200101000000Z\n", "pwdMaxAge: 3600\n");
    let directory = directory(&slapd, json!({}));
    is(directory.sign_in("ann", PASSWORD).await, AccountProblem::PasswordExpired);
    // Who does not know the password does not learn this.
    assert!(is_wrong(&directory.sign_in("ann", "wrong").await));
}

#[tokio::test]
async fn with_a_password_that_somebody_else_set() {
    let slapd = under("", "pwdReset: TRUE\n", "pwdMustChange: TRUE\n");
    is(directory(&slapd, json!({})).sign_in("ann", PASSWORD).await, AccountProblem::PasswordMustChange);
}

#[tokio::test]
async fn in_good_order() {
    let slapd = under("ppolicy_use_lockout", "", "pwdMaxAge: 3600\npwdMaxFailure: 2\n");
    directory(&slapd, json!({})).sign_in("ann", PASSWORD).await.unwrap();
}
