//! Writing certificates.
//!
//! rcgen keeps one value per attribute of a name, and Kubernetes puts every group of a user into an organization (`O`) of
//! its own, so the certificate is encoded here; keys and signatures stay with rcgen.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag};

use crate::{Error, Terms};

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const SUBJECT_KEY_ID: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const KEY_PURPOSES: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];

/// Clocks differ; a certificate made just now must already be valid elsewhere.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: SystemTime,
    /// Its last second.
    pub not_after: SystemTime,
}

impl Validity {
    pub(crate) fn starting(now: SystemTime, days: u64) -> Self {
        Self::lasting(now, Duration::from_secs(days * 24 * 60 * 60))
    }

    pub(crate) fn lasting(now: SystemTime, lifetime: Duration) -> Self {
        Self { not_before: now - BACKDATED, not_after: now + lifetime }
    }

    /// When a holder should get the next certificate: two thirds of the way.
    pub fn renew_at(&self) -> SystemTime {
        let whole = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + whole * 2 / 3
    }

    /// The same for holders of whom very many got theirs at one moment: `chance` lies between 0 and 1, and takes away up to
    /// an eighth of the time until then, so that they do not come back together.
    pub fn renew_by(&self, chance: f64) -> SystemTime {
        let until = self.renew_at().duration_since(self.not_before).unwrap_or_default();
        self.not_before + until.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 8.0)
    }

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Result<Self, Error> {
        let at = |seconds: i64| {
            let seconds = u64::try_from(seconds).map_err(|_| Error::BadTime)?;
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(Error::BadTime)
        };
        let validity = certificate.validity();
        Ok(Self { not_before: at(validity.not_before.timestamp())?, not_after: at(validity.not_after.timestamp())? })
    }
}

/// What a certificate is for, which decides what it may do.
pub(crate) enum Purpose<'a> {
    /// Signs leaves, and no further authorities.
    Authority,
    Server {
        dns: &'a [String],
        addresses: &'a [IpAddr],
    },
    Client,
    /// What a signer agreed to.
    Agreed(&'a Terms),
}

/// Everything a certificate says.
pub(crate) struct Statement<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) organizations: &'a [String],
    /// The encoded SubjectPublicKeyInfo.
    pub(crate) spki: &'a [u8],
    pub(crate) validity: Validity,
    pub(crate) purpose: Purpose<'a>,
}

/// Who signs a certificate.
pub(crate) struct Signer<'a> {
    /// The encoded name, byte for byte as in the authority's own certificate.
    pub(crate) name: &'a [u8],
    pub(crate) key: &'a KeyPair,
}

impl Statement<'_> {
    pub(crate) fn sign(&self, signer: &Signer<'_>) -> Result<CertificateDer<'static>, Error> {
        let serial = serial()?;
        let not_before = date(self.validity.not_before)?;
        let not_after = date(self.validity.not_after)?;
        let signed_part = sequence(|writer| {
            writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
            writer.next().write_bigint_bytes(&serial, true);
            write_algorithm(writer.next());
            writer.next().write_der(signer.name);
            writer.next().write_sequence(|writer| {
                write_date(writer.next(), not_before);
                write_date(writer.next(), not_after);
            });
            writer.next().write_der(&encode_name(self.common_name, self.organizations));
            writer.next().write_der(self.spki);
            writer.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|writer| self.write_extensions(writer, signer));
            });
        });
        let signature =
            signer.key.sign(&signed_part).map_err(|source| Error::Crypto { doing: "sign a certificate", source })?;
        let der = sequence(|writer| {
            writer.next().write_der(&signed_part);
            write_algorithm(writer.next());
            writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
        Ok(CertificateDer::from(der))
    }

    fn write_extensions(&self, writer: &mut DERWriterSeq<'_>, signer: &Signer<'_>) {
        let is_authority = matches!(self.purpose, Purpose::Authority);
        // An explicit "no authority" on every leaf: nobody has to infer it from an absence.
        write_extension(writer, BASIC_CONSTRAINTS, true, |writer| {
            writer.write_sequence(|writer| {
                if is_authority {
                    writer.next().write_bool(true);
                    writer.next().write_u8(0);
                }
            });
        });
        let (bits, count) = match &self.purpose {
            // digitalSignature, keyCertSign, cRLSign
            Purpose::Authority => (0b1000_0110, 7),
            Purpose::Agreed(terms) => key_usage(terms),
            // digitalSignature
            Purpose::Client | Purpose::Server { .. } => (0b1000_0000, 1),
        };
        if count > 0 {
            write_extension(writer, KEY_USAGE, true, |writer| writer.write_bitvec_bytes(&[bits], count));
        }
        write_extension(writer, SUBJECT_KEY_ID, false, |writer| writer.write_bytes(&key_id(self.spki)));
        if !is_authority {
            let authority = key_id(&signer.key.subject_public_key_info());
            write_extension(writer, AUTHORITY_KEY_ID, false, |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(&authority));
                });
            });
        }
        match self.purpose {
            Purpose::Authority => {}
            Purpose::Client => write_usages(writer, &[2]),
            Purpose::Agreed(terms) => {
                let usages: Vec<u64> = terms.uses.iter().filter_map(|purpose| purpose.extended()).collect();
                if !usages.is_empty() {
                    write_usages(writer, &usages);
                }
                let Terms { dns_names, addresses, .. } = terms;
                if !dns_names.is_empty() || !addresses.is_empty() {
                    write_extension(writer, SUBJECT_ALT_NAME, false, |writer| {
                        write_alt_names(writer, dns_names, addresses);
                    });
                }
            }
            Purpose::Server { dns, addresses } => {
                write_usages(writer, &[1]);
                write_extension(writer, SUBJECT_ALT_NAME, false, |writer| write_alt_names(writer, dns, addresses));
            }
        }
    }
}

/// Encodes a subject. Groups come first, as in the certificates that Kubernetes makes.
pub(crate) fn encode_name(common_name: &str, organizations: &[String]) -> Vec<u8> {
    let attributes = organizations
        .iter()
        .map(|group| (ORGANIZATION, group.as_str()))
        .chain(std::iter::once((COMMON_NAME, common_name)));
    sequence(|writer| {
        for (kind, value) in attributes {
            writer.next().write_set(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
                    writer.next().write_utf8_string(value);
                });
            });
        }
    })
}

/// The first certificate of a PEM text.
pub fn first_certificate(pem: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Error::Pem { expected: "a certificate" })
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Error::Malformed("there is something behind it")),
        Err(_) => Err(Error::Malformed("not X.509")),
    }
}

/// Whether a certificate may sign others. Absent extensions count as no.
pub(crate) fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let constraints = certificate.basic_constraints().ok().flatten().is_some_and(|extension| extension.value.ca);
    // Without the extension every usage is allowed; with it signing must be named.
    let usage = match certificate.key_usage() {
        Ok(Some(extension)) => extension.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    constraints && usage
}

pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;

    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// 127 random bits: unguessable, positive, and never zero.
fn serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut serial)
        .map_err(|_| Error::Crypto { doing: "draw a serial number", source: rcgen::Error::RingUnspecified })?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

/// RFC 7093, method 1.
fn key_id(spki: &[u8]) -> [u8; 20] {
    let digest = ring::digest::digest(&ring::digest::SHA256, spki);
    let mut id = [0; 20];
    id.copy_from_slice(&digest.as_ref()[..20]);
    id
}

fn date(at: SystemTime) -> Result<OffsetDateTime, Error> {
    let seconds = at.duration_since(UNIX_EPOCH).map_err(|_| Error::BadTime)?.as_secs();
    let seconds = i64::try_from(seconds).map_err(|_| Error::BadTime)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::BadTime)
}

fn sequence(content: impl FnOnce(&mut DERWriterSeq<'_>)) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_sequence(content))
}

/// RFC 5280 wants the short form until 2049.
fn write_date(writer: DERWriter<'_>, at: OffsetDateTime) {
    if at.year() < 2050 {
        writer.write_utctime(&UTCTime::from_datetime(at));
    } else {
        writer.write_generalized_time(&GeneralizedTime::from_datetime(at));
    }
}

fn write_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|writer| writer.next().write_oid(&ObjectIdentifier::from_slice(ECDSA_WITH_SHA256)));
}

/// The bits of the key usage extension, and how many there are up to the last that is set.
fn key_usage(terms: &Terms) -> (u8, usize) {
    let bits = terms.uses.iter().filter_map(|purpose| purpose.key_usage());
    bits.fold((0, 0), |(bits, count), bit| (bits | 0b1000_0000 >> bit, count.max(usize::from(bit) + 1)))
}

/// Extended usages, by the last numbers of their identifiers.
fn write_usages(writer: &mut DERWriterSeq<'_>, usages: &[u64]) {
    write_extension(writer, EXTENDED_KEY_USAGE, false, |writer| {
        writer.write_sequence(|writer| {
            for usage in usages {
                let id = [KEY_PURPOSES, &[*usage]].concat();
                writer.next().write_oid(&ObjectIdentifier::from_slice(&id));
            }
        });
    });
}

fn write_alt_names(writer: DERWriter<'_>, dns: &[String], addresses: &[IpAddr]) {
    writer.write_sequence(|writer| {
        for name in dns {
            writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
        }
        for address in addresses {
            writer.next().write_tagged_implicit(Tag::context(7), |writer| match address {
                IpAddr::V4(address) => writer.write_bytes(&address.octets()),
                IpAddr::V6(address) => writer.write_bytes(&address.octets()),
            });
        }
    });
}

fn write_extension(writer: &mut DERWriterSeq<'_>, kind: &[u64], critical: bool, value: impl FnOnce(DERWriter<'_>)) {
    writer.next().write_sequence(|writer| {
        writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&yasna::construct_der(value));
    });
}
