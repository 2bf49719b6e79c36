//! Kubeconfigs that carry everything in themselves.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Credential, Error, write_private};

/// A kubeconfig with one context and a client certificate.
#[derive(Clone, Copy, Debug)]
pub struct Kubeconfig<'a> {
    /// The name of the cluster and of the context.
    pub cluster: &'a str,
    /// The name of the user entry.
    pub user: &'a str,
    /// `https://host:port`.
    pub server: &'a str,
    /// Whom to trust.
    pub authority_pem: &'a str,
    /// The client certificate and key.
    pub credential: &'a Credential,
}

impl Kubeconfig<'_> {
    /// Writes the file for its owner only, in one step.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_private(path, self.to_yaml().as_bytes())
    }

    /// The text, with a secret in it.
    pub fn to_yaml(&self) -> String {
        let (cluster, user) = (quoted(self.cluster), quoted(self.user));
        let server = quoted(self.server);
        let authority = STANDARD.encode(self.authority_pem);
        let certificate = STANDARD.encode(self.credential.chain_pem());
        let key = STANDARD.encode(self.credential.key_pem());
        format!(
            "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {user}
current-context: {cluster}
"
        )
    }
}

/// A YAML double-quoted scalar.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            plain if !plain.is_control() => out.push(plain),
            other => out.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Authority, Leaf, Subject};

    #[test]
    fn the_text_says_what_was_put_in() {
        let authority = Authority::generate("ca", SystemTime::now()).unwrap();
        let credential = authority.issue(&Leaf::Client(Subject::new("admin", ["system:masters"]))).unwrap();
        let yaml = Kubeconfig {
            cluster: "hub \"one\"\n\\",
            user: "admin@hub",
            server: "https://[::1]:8443",
            authority_pem: authority.certificate_pem(),
            credential: &credential,
        }
        .to_yaml();
        let config: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        let decode =
            |value: &serde_json::Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(config["current-context"], "hub \"one\"\n\\");
        assert_eq!(config["contexts"][0]["context"]["user"], "admin@hub");
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://[::1]:8443");
        assert_eq!(
            decode(&config["clusters"][0]["cluster"]["certificate-authority-data"]),
            authority.certificate_pem()
        );
        assert_eq!(decode(&config["users"][0]["user"]["client-certificate-data"]), credential.chain_pem());
        assert_eq!(decode(&config["users"][0]["user"]["client-key-data"]), credential.key_pem());
    }
}
