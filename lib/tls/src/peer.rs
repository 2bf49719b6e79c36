//! Who a certificate says its holder is.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::certificate::{Validity, parse};
use crate::{Error, SpkiPin, Subject};

/// What a certificate states about its holder. It says nothing about whether the certificate was verified; take it from a
/// finished handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The user (`CN`).
    pub common_name: String,
    /// The groups (`O`).
    pub organizations: Vec<String>,
    /// Alternative DNS names.
    pub dns_names: Vec<String>,
    /// Alternative addresses.
    pub addresses: Vec<IpAddr>,
    /// The hash of the holder's key.
    pub spki: SpkiPin,
    /// When the certificate holds.
    pub validity: Validity,
}

impl PeerIdentity {
    /// Reads an encoded certificate.
    pub fn of(der: &[u8]) -> Result<Self, Error> {
        let certificate = parse(der)?;
        let (common_name, organizations) = read_subject(certificate.subject()).map_err(Error::Malformed)?;
        let (dns_names, addresses) = read_alt_names(&certificate)?;
        Ok(Self {
            common_name,
            organizations,
            dns_names,
            addresses,
            spki: SpkiPin::of_spki(certificate.public_key().raw),
            validity: Validity::of(&certificate)?,
        })
    }

    /// The user and groups.
    pub fn subject(&self) -> Subject {
        Subject { user: self.common_name.clone(), groups: self.organizations.clone() }
    }
}

/// The one common name and all organizations. Two common names are two answers to "who", and are refused.
pub(crate) fn read_subject(name: &x509_parser::x509::X509Name<'_>) -> Result<(String, Vec<String>), &'static str> {
    let mut common_names = name.iter_common_name();
    let common_name = match (common_names.next(), common_names.next()) {
        (None, _) => String::new(),
        (Some(one), None) => one.as_str().map_err(|_| "the common name is not text")?.to_owned(),
        (Some(_), Some(_)) => return Err("there is more than one common name"),
    };
    let organizations = name
        .iter_organization()
        .map(|attribute| attribute.as_str().map(str::to_owned).map_err(|_| "an organization is not text"))
        .collect::<Result<_, _>>()?;
    Ok((common_name, organizations))
}

fn read_alt_names(certificate: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<IpAddr>), Error> {
    let (mut dns, mut addresses) = (Vec::new(), Vec::new());
    let extension =
        certificate.subject_alternative_name().map_err(|_| Error::Malformed("the alternative names are unreadable"))?;
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::IPAddress(octets) => addresses.push(read_address(octets)?),
            _ => {}
        }
    }
    Ok((dns, addresses))
}

pub(crate) fn read_address(octets: &[u8]) -> Result<IpAddr, Error> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(octets.into());
    }
    <[u8; 16]>::try_from(octets)
        .map(Into::into)
        .map_err(|_| Error::Malformed("an alternative address has a wrong length"))
}
