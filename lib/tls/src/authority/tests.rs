use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::{PeerIdentity, Terms, Use};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn authority() -> Authority {
    Authority::generate("test authority", SystemTime::now()).unwrap()
}

#[test]
fn kept_in_a_directory_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("pki");
    let first = Authority::load_or_create(&home, "hub").unwrap();
    let second = Authority::load_or_create(&home, "hub").unwrap();
    assert_eq!(first.pin(), second.pin());
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    for file in ["ca.crt", "ca.key"] {
        assert_eq!(fs::metadata(home.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    // What the reloaded authority signs, the first one's certificate vouches for.
    let leaf = second.issue(&Leaf::Client(Subject::new("u", ["g"]))).unwrap();
    parse(leaf.certificate())
        .unwrap()
        .verify_signature(Some(parse(first.certificate()).unwrap().public_key()))
        .unwrap();
}

#[test]
fn a_first_start_that_was_cut_short_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.key"), "half").unwrap();
    Authority::load_or_create(dir.path(), "hub").unwrap();
}

#[test]
fn a_lost_key_is_not_replaced_silently() {
    let dir = tempfile::tempdir().unwrap();
    Authority::load_or_create(dir.path(), "hub").unwrap();
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    assert!(matches!(Authority::load_or_create(dir.path(), "hub"), Err(Error::KeyMissing { .. })));
}

#[test]
fn a_strange_key_is_refused() {
    let (one, other) = (authority(), authority());
    let error = Authority::from_pem(one.certificate_pem(), &other.key.serialize_pem()).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch), "{error}");
}

#[test]
fn case_86_a_leaf_is_no_authority() {
    let leaf = authority().issue(&Leaf::Server(vec!["localhost".into()])).unwrap();
    let error = Authority::from_pem(leaf.chain_pem(), leaf.key_pem()).unwrap_err();
    assert!(matches!(error, Error::NotAuthority(_)), "{error}");
}

#[test]
fn client_certificates_name_the_user_and_every_group() {
    let now = SystemTime::now();
    let subject = Subject::new("jane@example.org", ["dev", "ops", "qa"]);
    let credential = authority().issue_at(&Leaf::Client(subject.clone()), now).unwrap();
    let identity = credential.identity().unwrap();
    assert_eq!(identity.subject(), subject);
    assert!(identity.dns_names.is_empty() && identity.addresses.is_empty());
    assert!(identity.validity.not_before < now);
    let days = identity.validity.not_after.duration_since(now).unwrap().as_secs() / 86_400;
    assert!((364..=365).contains(&days), "{days}");
}

#[test]
fn server_certificates_name_hosts_and_addresses() {
    let names = ["hub.example.org", "*.apps.example.org", "127.0.0.1", "::1"].map(String::from);
    let identity = authority().issue(&Leaf::Server(names.to_vec())).unwrap().identity().unwrap();
    assert_eq!(identity.dns_names, ["hub.example.org", "*.apps.example.org"]);
    assert_eq!(identity.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
}

#[test]
fn names_that_are_no_hosts_are_refused() {
    for name in ["", "a b", "http://x", "-", "a\0b", "ü.example"] {
        let result = authority().issue(&Leaf::Server(vec![name.into()]));
        assert!(matches!(result, Err(Error::BadServerName(_))), "{name:?}");
    }
    assert!(authority().issue(&Leaf::Server(Vec::new())).is_err());
}

#[test]
fn due_after_two_thirds() {
    let now = SystemTime::now();
    let credential = authority().issue_at(&Leaf::Client(Subject::new("u", ["g"])), now).unwrap();
    assert!(!credential.is_due(now + 243 * DAY));
    assert!(credential.is_due(now + 244 * DAY));
}

#[test]
fn case_77_a_thousand_that_came_together_do_not_renew_together() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let validity = Validity { not_before: now, not_after: now + 30 * DAY };
    assert_eq!(validity.renew_by(0.0), now + 20 * DAY);
    assert_eq!(validity.renew_by(1.0), now + 20 * DAY - 20 * DAY / 8);
    assert_eq!((validity.renew_by(-1.0), validity.renew_by(2.0)), (validity.renew_by(0.0), validity.renew_by(1.0)));
    let mut hours = std::collections::HashMap::<u64, u32>::new();
    for number in 0..1000 {
        let at = validity.renew_by(f64::from(number) / 1000.0).duration_since(now).unwrap();
        *hours.entry(at.as_secs() / 3600).or_default() += 1;
    }
    assert!(hours.values().all(|renewals| *renewals <= 17), "{hours:?}");
}

#[test]
fn dates_beyond_2049_are_encoded_too() {
    let now = std::time::UNIX_EPOCH + Duration::from_secs(2_500_000_000);
    let credential = authority().issue_at(&Leaf::Client(Subject::new("u", ["g"])), now).unwrap();
    let until = credential.validity().not_after.duration_since(now).unwrap();
    assert_eq!(until.as_secs(), 365 * 86_400);
}

mod signing {
    use super::*;

    fn agent(cluster: &str) -> Subject {
        Subject::new(format!("acp:agent:{cluster}"), ["acp:agents"])
    }

    #[test]
    fn exactly_what_was_agreed() {
        let authority = authority();
        let (request, key) = SigningRequest::generate(&agent("one")).unwrap();
        let request = SigningRequest::from_pem(&request).unwrap();
        let chain = authority.sign_client(&request, &agent("one"), YEAR, SystemTime::now()).unwrap();
        let identity = Credential::from_pem(chain, key).unwrap().identity().unwrap();
        assert_eq!(identity.subject(), agent("one"));
        assert_eq!(identity.spki, request.pin());
    }

    #[test]
    fn the_next_certificate_is_for_the_same_key() {
        let authority = authority();
        let first = authority.issue(&Leaf::Client(agent("one"))).unwrap();
        let request = SigningRequest::from_pem(&SigningRequest::renew(&first).unwrap()).unwrap();
        assert_eq!(request.pin(), first.identity().unwrap().spki);
        assert_eq!(SigningRequest::claimed_key(&SigningRequest::renew(&first).unwrap()).unwrap(), request.pin());
        authority.sign_client(&request, &agent("one"), YEAR, SystemTime::now()).unwrap();
    }

    #[track_caller]
    fn denied(request: &str) {
        let request = SigningRequest::from_pem(request).unwrap();
        let error = authority().sign_client(&request, &agent("cluster1"), YEAR, SystemTime::now()).unwrap_err();
        assert!(matches!(error, Error::RequestDenied { .. }), "{error}");
    }

    fn request(change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "acp:agents");
        params.distinguished_name.push(rcgen::DnType::CommonName, "acp:agent:cluster1");
        change(&mut params);
        params.serialize_request(&generate_key().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn case_20_names_that_only_begin_alike() {
        for cluster in ["cluster1xyz", "cluster1:extra", "cluster", "Cluster1", "cluster1 "] {
            denied(&SigningRequest::generate(&agent(cluster)).unwrap().0);
        }
    }

    #[test]
    fn case_20_wrong_group() {
        denied(&SigningRequest::generate(&Subject::new("acp:agent:cluster1", ["system:masters"])).unwrap().0);
        denied(&SigningRequest::generate(&Subject::new("acp:agent:cluster1", Vec::<String>::new())).unwrap().0);
    }

    #[test]
    fn case_20_alternative_names() {
        denied(&request(|params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("hub.example.org".try_into().unwrap())];
        }));
    }

    #[test]
    fn case_20_further_attributes() {
        denied(&request(|params| params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "x")));
    }

    #[test]
    fn case_86_rights_of_an_authority() {
        denied(&request(|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)));
        denied(&request(|params| params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign]));
        denied(&request(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]));
    }

    fn terms(uses: &[Use], lifetime: Duration) -> Terms {
        Terms {
            subject: Subject::new("system:node:n", ["system:nodes", "more"]),
            dns_names: vec!["n.example.org".into()],
            addresses: vec!["192.0.2.1".parse().unwrap()],
            uses: uses.to_vec(),
            lifetime,
        }
    }

    #[test]
    fn case_86_terms_make_no_authority() {
        let authority = authority();
        let wants = request(|params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        });
        let wants = SigningRequest::from_pem(&wants).unwrap();
        assert_eq!(wants.beyond_a_leaf(), Some("the rights of an authority"));
        // Certificates count whole seconds.
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let terms = terms(&[Use::DigitalSignature, Use::KeyEncipherment, Use::ServerAuth], Duration::from_secs(3600));
        let pem = authority.sign(&wants, &terms, now).unwrap();
        let der = crate::first_certificate(&pem).unwrap();
        let certificate = crate::certificate::parse(&der).unwrap();
        assert!(!crate::certificate::may_sign(&certificate) && !certificate.is_ca());
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
        let extended = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && !extended.client_auth && !extended.any);
        let identity = PeerIdentity::of(&der).unwrap();
        assert_eq!(identity.subject(), terms.subject);
        assert_eq!((identity.dns_names, identity.addresses), (terms.dns_names, terms.addresses));
        assert_eq!(identity.validity.not_after.duration_since(now).unwrap().as_secs(), 3600);
    }

    #[test]
    fn a_client_is_vouched_for_as_long_as_was_agreed_and_no_longer_than_the_authority_lasts() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::generate("test authority", now).unwrap();
        let (request, _) = SigningRequest::generate(&agent("one")).unwrap();
        let request = SigningRequest::from_pem(&request).unwrap();
        let until = |at| {
            let chain = authority.sign_client(&request, &agent("one"), 30 * DAY, at).unwrap();
            PeerIdentity::of(&crate::first_certificate(&chain).unwrap()).unwrap().validity.not_after
        };
        assert_eq!(until(now), now + 30 * DAY);
        let own = Validity::of(&crate::certificate::parse(authority.certificate()).unwrap()).unwrap();
        assert_eq!(until(own.not_after - DAY), own.not_after);
    }

    #[test]
    fn nothing_outlives_its_authority() {
        let authority = authority();
        let own = Validity::of(&crate::certificate::parse(authority.certificate()).unwrap()).unwrap();
        let asked = SigningRequest::from_pem(&request(|_| {})).unwrap();
        let terms = terms(&[Use::ClientAuth], Duration::from_secs(100 * 365 * 86_400));
        let pem = authority.sign(&asked, &terms, SystemTime::now()).unwrap();
        let identity = PeerIdentity::of(&crate::first_certificate(&pem).unwrap()).unwrap();
        assert_eq!(identity.validity.not_after, own.not_after);
    }

    #[test]
    fn what_a_request_asks_for_is_read() {
        let asked = request(|params| {
            params.subject_alt_names = vec![
                rcgen::SanType::DnsName("n.example.org".try_into().unwrap()),
                rcgen::SanType::IpAddress("192.0.2.1".parse().unwrap()),
            ];
        });
        let asked = SigningRequest::from_pem(&asked).unwrap();
        assert_eq!(asked.dns_names(), ["n.example.org"]);
        assert_eq!(asked.addresses(), ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(asked.beyond_a_leaf(), None);
        let other = request(|params| {
            params.subject_alt_names = vec![rcgen::SanType::Rfc822Name("a@example.org".try_into().unwrap())];
        });
        assert_eq!(SigningRequest::from_pem(&other).unwrap().beyond_a_leaf(), Some("alternative names"));
    }

    #[test]
    fn a_request_without_the_key_is_refused() {
        let (request, _) = SigningRequest::generate(&agent("one")).unwrap();
        let mut der = rustls_pki_types::CertificateSigningRequestDer::from(
            x509_parser::pem::parse_x509_pem(request.as_bytes()).unwrap().1.contents,
        )
        .to_vec();
        let place = der.windows(3).position(|window| window == b"one").unwrap();
        der[place..place + 3].copy_from_slice(b"two");
        assert!(matches!(SigningRequest::from_der(&der), Err(Error::BadRequest("the signature is wrong"))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = SigningRequest::from_der(&bytes);
            let _ = PeerIdentity::of(&bytes);
        }

        #[test]
        fn damaged_requests_are_refused(at in 0usize..200, bit in 0u8..8) {
            let (pem, _) = SigningRequest::generate(&agent("one")).unwrap();
            let mut der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
            let at = at % der.len();
            der[at] ^= 1 << bit;
            // A flip in the encoding of the algorithm may be without meaning; it never changes who is named.
            if let Ok(request) = SigningRequest::from_der(&der) {
                proptest::prop_assert_eq!(request.claimed(), &agent("one"));
            }
        }
    }
}
