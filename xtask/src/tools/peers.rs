//! Servers of others that we are held against where we are the client.

use super::clients::python_packages;
use super::{Debian, debian};
use crate::workspace::Workspace;

/// Signs, verifies and encrypts XML for pysaml2, and verifies what we signed.
const XMLSEC: &[Debian] = &[Debian { package: "xmlsec1", program: Some("xmlsec1") }];

/// A SAML identity provider.
pub(super) fn saml_idp(workspace: &Workspace) -> anyhow::Result<()> {
    debian(workspace, XMLSEC)?;
    python_packages(workspace, "saml-idp", "tests/peers/saml-idp/requirements.txt")
}
