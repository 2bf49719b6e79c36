//! Messages that are meant to be expensive.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Seen, check_text, made, pending, provider, recorded, refused};
use crate::xml::{LARGEST, Malformed};
use crate::{Error, Incoming};

/// Puts something into the envelope, and expects it to be refused at once.
#[track_caller]
fn check(put: &str, expect: &str) {
    let xml = recorded("signed.xml").replacen("<ns0:Status>", &format!("{put}<ns0:Status>"), 1);
    let begun = Instant::now();
    check_text(&refused(json!({}), &xml), expect);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[track_caller]
fn check_prolog(prolog: &str) {
    let xml = recorded("signed.xml").replacen("<ns0:Response", &format!("{prolog}<ns0:Response"), 1);
    assert!(matches!(refused(json!({}), &xml), Error::Malformed(Malformed::DocumentType)), "{prolog}");
}

#[test]
fn case_36_document_type() {
    check_prolog("<!DOCTYPE Response>");
    check_prolog("<!DOCTYPE Response SYSTEM \"https://evil.example.com/evil.dtd\">");
    check_prolog("<!DOCTYPE r [<!ENTITY file SYSTEM \"file:///etc/passwd\">]>");
}

#[test]
fn case_36_entity_bomb() {
    let mut bomb = String::from("<!DOCTYPE r [<!ENTITY e0 \"boom\">");
    for level in 1..20 {
        let before = format!("&e{};", level - 1).repeat(10);
        bomb.push_str(&format!("<!ENTITY e{level} \"{before}\">"));
    }
    check_prolog(&format!("{bomb}]>"));
    check("<ns0:Extensions>&evil;</ns0:Extensions>", "not well-formed");
}

#[test]
fn case_36_deeply_nested() {
    check(&format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000)), "deep");
    check(&"<a>".repeat(60_000), "deep");
}

#[test]
fn case_36_oversize() {
    check(&" ".repeat(LARGEST), "larger than 256 KiB");
    let xml = recorded("signed.xml");
    let long = "A".repeat(LARGEST * 3);
    let result = provider(json!({})).finish(&pending(&xml), &long, made(&xml), &mut Seen::default());
    assert!(matches!(result, Err(Error::Malformed(Malformed::TooLarge))));
}

#[test]
fn case_36_many_attributes_and_namespaces() {
    let attributes: String = (0..20_000).map(|n| format!(" a{n}=''")).collect();
    check(&format!("<a{attributes}/>"), "attributes");
    let namespaces: String = (0..60).map(|n| format!(" xmlns:n{n}='u'")).collect();
    check(&format!("<a{namespaces}><b{namespaces}/></a>"), "namespaces");
    let nested: String = (0..40).map(|n| format!("<a xmlns:p{n}='u' xmlns:q{n}='u'>")).collect();
    check(&format!("{nested}{}", "</a>".repeat(40)), "namespaces");
}

/// As many elements, attributes and namespaces as the limits allow are read in a moment.
#[test]
fn case_36_as_much_as_is_allowed() {
    let namespaces: String = (0..59).map(|n| format!(" xmlns:n{n}='u'")).collect();
    let many: String = (0..6000).map(|_| "<a xmlns:x='u' x:y='' z=''/>").collect();
    check(&format!("<a{namespaces}>{many}</a><ns1:Assertion/>"), "several Assertion");
}

#[test]
fn case_36_deflate_bomb() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use std::io::Write as _;

    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..16 {
        bomb.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    let bomb = STANDARD.encode(bomb.finish().unwrap());
    assert!(bomb.len() < LARGEST);
    let escaped = bomb.replace('+', "%2B").replace('/', "%2F");
    let algorithm = "http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256";
    let query = format!("SAMLRequest={escaped}&SigAlg={algorithm}&Signature=AAAA");
    let now = made(&recorded("signed.xml"));
    let incoming = Incoming::Redirect { query: &query };
    let result = provider(json!({})).receive_logout_request(incoming, now, &mut Seen::default());
    assert!(matches!(result, Err(Error::Malformed(Malformed::TooLarge))), "{result:?}");
}

/// Each prefix would be looked for at each element.
#[test]
fn case_36_many_prefixes_to_keep() {
    let prefixes: String = (0..20_000).map(|n| format!("p{n} ")).collect();
    let xml = recorded("inclusive-prefixes.xml");
    for kind in ["CanonicalizationMethod", "Transform"] {
        let start = xml.find(&format!("<ns2:{kind} Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"")).unwrap();
        let (before, after) = xml.split_at(start);
        let after = after.replacen("ns0 xsi xs", &prefixes, 1);
        let many: String = "<a/>".repeat(10_000);
        let after = after.replacen("</ns2:SignedInfo>", &format!("{many}</ns2:SignedInfo>"), 1);
        let begun = Instant::now();
        let error = refused(json!({}), &format!("{before}{after}"));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        if kind == "CanonicalizationMethod" {
            check_text(&error, "more than 32 prefixes");
        }
    }
}

/// What somebody sends is not repeated at length: it ends in logs.
#[test]
fn long_words_in_errors() {
    let long = "x".repeat(50_000);
    let xml = recorded("signed.xml");
    let sha256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
    for (from, to) in [
        (sha256, long.clone()),
        (exclusive, long.clone()),
        ("https://acp.example.com/dex/callback/saml", long.clone()),
        ("id-0123456789abcdef0123456789abcdef", long.clone()),
        ("status:Success", long.clone()),
        ("<ns0:Status>", format!("<ns0:Status><a id=\"{long}\"/><a id=\"{long}\"/>")),
        ("<ns0:Status>", format!("<ns0:Status><{long}></y>")),
    ] {
        let text = super::whole(&refused(json!({}), &xml.replacen(from, &to, 1)));
        assert!(text.len() < 1000, "{text}");
    }
    let xml = recorded("encrypted-gcm.xml");
    let text = super::whole(&refused(json!({}), &xml.replacen("http://www.w3.org/2009/xmlenc11#aes256-gcm", &long, 1)));
    assert!(text.len() < 1000, "{text}");
}
