use proptest::prelude::*;

use super::*;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

/// What it is on the wire, with the lengths as short as they can be.
fn encoded(text: &str) -> Vec<u8> {
    fn shorten(bytes: &[u8]) -> Vec<u8> {
        let mut reader = crate::protocol::ber::Reader::new(bytes);
        let mut short = Vec::new();
        while let Ok((tag, content)) = reader.next() {
            let content = if tag & 0x20 == 0 { content.to_vec() } else { shorten(content) };
            short.extend([tag, content.len() as u8]);
            short.extend(content);
        }
        short
    }
    shorten(&filter(text).to_ber())
}

#[track_caller]
fn refuses(text: &str, why: &str) {
    assert_eq!(Filter::parse(text).unwrap_err().to_string(), why);
}

#[test]
fn every_form_is_encoded_as_rfc_4511_has_it() {
    assert_eq!(encoded("(a=v)"), b"\xa3\x06\x04\x01a\x04\x01v");
    assert_eq!(encoded("(a>=v)"), b"\xa5\x06\x04\x01a\x04\x01v");
    assert_eq!(encoded("(a<=v)"), b"\xa6\x06\x04\x01a\x04\x01v");
    assert_eq!(encoded("(a~=v)"), b"\xa8\x06\x04\x01a\x04\x01v");
    assert_eq!(encoded("(a=*)"), b"\x87\x01a");
    assert_eq!(encoded("(a=v*x*y)"), b"\xa4\x0e\x04\x01a0\t\x80\x01v\x81\x01x\x82\x01y");
    assert_eq!(encoded("(a=*x*)"), b"\xa4\x08\x04\x01a0\x03\x81\x01x");
    assert_eq!(encoded("(ou:dn:=v)"), b"\xa9\x0a\x82\x02ou\x83\x01v\x84\x01\xff");
    assert_eq!(encoded("(cn:2.5.13.5:=J D)"), b"\xa9\x13\x81\x082.5.13.5\x82\x02cn\x83\x03J D");
    assert_eq!(
        encoded("(&(a=v)(|(b=x))(!(c=y)))"),
        b"\xa0\x1c\xa3\x06\x04\x01a\x04\x01v\xa1\x08\xa3\x06\x04\x01b\x04\x01x\xa2\x08\xa3\x06\x04\x01c\x04\x01y"
    );
    assert_eq!(encoded("(&)"), b"\xa0\0");
}

#[test]
fn escapes_are_bytes_of_the_value() {
    assert_eq!(filter(r"(a=v\2ax)"), Filter::equal("a", "v*x"));
    assert_eq!(filter(r"(a=\00\ff)"), Filter::equal("a", b"\x00\xff".to_vec()));
}

#[test]
fn space_counts_in_values_only() {
    assert_eq!(filter(" (& (a= v ) \n (b=w) ) "), filter("(&(a= v )(b=w))"));
    assert_eq!(filter("(a= v )"), Filter::equal("a", " v "));
}

#[test]
fn what_is_no_filter() {
    refuses("", "a parenthesis is missing at character 0");
    refuses("a=v", "a parenthesis is missing at character 0");
    refuses("(a=v", "a closing parenthesis is missing at character 4");
    refuses("(a=v)(b=w)", "there is something behind the filter at character 5");
    refuses("(a)", "an = is missing at character 1");
    refuses("(=v)", "this is no attribute at character 1");
    refuses("(a b=v)", "this is no attribute at character 1");
    refuses("(a:rule=v)", "this is no attribute at character 1");
    refuses("(:=v)", "this is no attribute at character 1");
    refuses("(a=v**w)", "two stars follow one another at character 7");
    refuses(r"(a=\2)", "a backslash needs two hexadecimal digits at character 3");
    refuses(r"(a=\+f)", "a backslash needs two hexadecimal digits at character 3");
    refuses("(a=\0)", "a NUL is not escaped at character 3");
    refuses(&"(!".repeat(100), "the filter is too deep at character 34");
    refuses(&format!("(a={})", "v".repeat(9000)), "the filter is too long at character 8192");
}

#[test]
fn what_may_stand_before_the_sign() {
    let member = |dn, rule: Option<&str>| Matching { attribute: Some("member".into()), dn, rule: rule.map(Into::into) };
    assert_eq!(Matching::parse("member"), Some(member(false, None)));
    assert_eq!(
        Matching::parse("member:1.2.840.113556.1.4.1941:"),
        Some(member(false, Some("1.2.840.113556.1.4.1941")))
    );
    assert_eq!(Matching::parse("member:dn:"), Some(member(true, None)));
    assert_eq!(Matching::parse("member:dn:2.5.13.1:"), Some(member(true, Some("2.5.13.1"))));
    for wrong in ["", ":", "member:rule", "member::", "a b", "member:a:b:", "(member", "mem)ber", "member=*"] {
        assert_eq!(Matching::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn case_38_a_value_is_a_value() {
    for hostile in ["*", "a*", "*)(uid=*", "x)(|(uid=*", r"\2a", "a\0b", "(&)", ")", "admin)(!(uid=x"] {
        let asked = Filter::And(vec![filter("(objectClass=person)"), Filter::equal("uid", hostile)]);
        assert_eq!(filter(&asked.to_string()), asked, "{hostile}");
    }
}

prop_compose! {
    fn attribute()(name in "[a-z][a-z0-9-]{0,8}(;[a-z]{1,3})?") -> String { name }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let value = || prop::collection::vec(any::<u8>(), 0..12);
    let piece = || prop::collection::vec(any::<u8>(), 1..6);
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::GreaterOrEqual),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Approximate)
    ];
    let pieces = (prop::option::of(piece()), prop::collection::vec(piece(), 0..3), prop::option::of(piece()))
        .prop_filter("that would be presence", |(initial, any, last)| {
            initial.is_some() || !any.is_empty() || last.is_some()
        })
        .prop_map(|(initial, any, last)| Pieces { initial, any, last });
    let rule = prop::option::of(Just("2.5.13.1".to_owned()));
    let matching = (attribute(), any::<bool>(), rule).prop_map(|(attribute, dn, rule)| Matching {
        attribute: Some(attribute),
        dn,
        rule,
    });
    let leaf = prop_oneof![
        (comparison, attribute(), value()).prop_map(|(how, attribute, value)| Filter::Compare(how, attribute, value)),
        (attribute(), pieces).prop_map(|(attribute, pieces)| Filter::Substrings(attribute, pieces)),
        attribute().prop_map(Filter::Present),
        (matching, value()).prop_map(|(matching, value)| Filter::Extensible(matching, value)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn written_reads_the_same(asked in any_filter()) {
        prop_assert_eq!(Filter::parse(&asked.to_string()), Ok(asked));
    }
}
