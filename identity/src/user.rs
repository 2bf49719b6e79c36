//! Who somebody is: the name and the groups under which requests go out.

use lib_names::{GroupName, UserName};
use md5::{Digest, Md5};

/// Somebody, as clusters get to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The e-mail, which is the name in Kubernetes.
    pub name: UserName,
    /// The groups, in order and each once.
    pub groups: Vec<GroupName>,
    /// Tells two users of the same name apart, of which one is gone.
    pub uid: String,
}

/// An e-mail address as the platform takes it: one `@`, nothing that a header or a shell reads otherwise, lower case.
///
/// This is stricter than RFC 5321: two addresses that some system takes for one are one here, or refused.
pub(crate) fn email(text: &str) -> Option<UserName> {
    let text = text.trim().to_ascii_lowercase();
    let (local, domain) = text.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-'".contains(&byte))
    };
    (plain(local) && plain(domain)).then(|| text.parse().ok()).flatten()
}

/// The name of the `User` object of an e-mail, which is published.
pub(crate) fn object_name(email: &str) -> String {
    md5_hex(email.as_bytes())
}

/// The MD5 of these bytes. It names things, as published; it protects nothing.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hashes() {
        assert_eq!(md5_hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn case_37_addresses_with_two_readings_are_nobodys() {
        assert_eq!(email(" Ann@Corp.IO ").unwrap().as_str(), "ann@corp.io");
        for bad in [
            "",
            "ann",
            "@corp.io",
            "ann@",
            "a@b@corp.io",
            "ann@corp.io@evil.io",
            "ann @corp.io",
            "zoë@corp.io",
            "\"ann@x\"@corp.io",
            "system:admin@x",
            "ann@corp.io,bob@corp.io",
        ] {
            assert!(email(bad).is_none(), "{bad:?}");
        }
    }
}
