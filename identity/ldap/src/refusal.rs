//! What a directory means when it does not accept a person's password.

use crate::error::{AccountProblem, DirectoryError, Refusal, SignInError};
use crate::protocol::message::{Outcome, PolicyError};

/// Whether the password was right and the person may come in.
///
/// Active Directory says the reason in its diagnostic message (`data 533`; MS-ERREF has the codes), servers with the
/// password policy of draft-behera-ldap-password-policy in a control, 389 Directory Server in the result code.
pub(crate) fn judge(outcome: Outcome) -> Result<(), SignInError> {
    let Outcome { code, said, policy, .. } = outcome;
    let policy = policy.map(|policy| match policy {
        PolicyError::PasswordExpired => AccountProblem::PasswordExpired,
        PolicyError::AccountLocked => AccountProblem::Locked,
        PolicyError::ChangeAfterReset => AccountProblem::PasswordMustChange,
    });
    if let Some(problem) = policy.or_else(|| (code == 49).then(|| active_directory(&said)).flatten()) {
        return Err(SignInError::Account(problem));
    }
    match code {
        0 => Ok(()),
        // constraintViolation is too many wrong passwords, unwillingToPerform an account that was switched off.
        19 => Err(SignInError::Account(AccountProblem::Locked)),
        53 => Err(SignInError::Account(AccountProblem::Disabled)),
        // noSuchObject is an entry that has just gone, inappropriateAuthentication one without a password.
        32 | 48 | 49 => Err(SignInError::WrongCredentials),
        code => Err(DirectoryError::Check(Refusal { code, said }).into()),
    }
}

/// `80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 533, v4563`
fn active_directory(said: &str) -> Option<AccountProblem> {
    let (_, rest) = said.split_once("AcceptSecurityContext error, data ")?;
    let code = rest.split(|end: char| !end.is_ascii_hexdigit()).next()?;
    Some(match code {
        "530" | "531" => AccountProblem::NotNow,
        "532" => AccountProblem::PasswordExpired,
        "533" => AccountProblem::Disabled,
        "701" => AccountProblem::Expired,
        "773" => AccountProblem::PasswordMustChange,
        "775" => AccountProblem::Locked,
        // 525 and 52e are a wrong name and a wrong password.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u32, said: &str, policy: Option<PolicyError>, expect: &str) {
        let outcome = Outcome { code, said: said.to_owned(), policy, ..Outcome::default() };
        let found = match judge(outcome) {
            Ok(()) => "in".to_owned(),
            Err(SignInError::WrongCredentials) => "wrong".to_owned(),
            Err(SignInError::Account(problem)) => format!("{problem:?}"),
            Err(other) => other.to_string(),
        };
        assert_eq!(found, expect);
    }

    fn active_directory(data: &str) -> String {
        format!("80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data}, v4563")
    }

    #[test]
    fn active_directory_tells_why() {
        check(49, &active_directory("525"), None, "wrong");
        check(49, &active_directory("52e"), None, "wrong");
        check(49, &active_directory("530"), None, "NotNow");
        check(49, &active_directory("531"), None, "NotNow");
        check(49, &active_directory("532"), None, "PasswordExpired");
        check(49, &active_directory("533"), None, "Disabled");
        check(49, &active_directory("701"), None, "Expired");
        check(49, &active_directory("773"), None, "PasswordMustChange");
        check(49, &active_directory("775"), None, "Locked");
    }

    #[test]
    fn only_whole_codes_of_its_own_sentence_count() {
        check(49, &active_directory("5330"), None, "wrong");
        check(49, "data 533", None, "wrong");
        check(0, &active_directory("533"), None, "in");
    }

    #[test]
    fn a_password_policy_tells_why() {
        check(49, "", Some(PolicyError::AccountLocked), "Locked");
        check(49, "", Some(PolicyError::PasswordExpired), "PasswordExpired");
        check(0, "", Some(PolicyError::ChangeAfterReset), "PasswordMustChange");
    }

    #[test]
    fn result_codes() {
        check(0, "", None, "in");
        check(49, "", None, "wrong");
        check(48, "", None, "wrong");
        check(32, "", None, "wrong");
        check(19, "Exceed password retry limit. Please try later.", None, "Locked");
        check(53, "Account inactivated. Contact system administrator.", None, "Disabled");
        check(14, "", None, "the directory refuses to check the password (result 14)");
        check(51, "later", None, "the directory refuses to check the password (result 51, busy, later)");
    }
}
