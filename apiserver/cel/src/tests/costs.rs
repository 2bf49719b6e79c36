//! What calls of the Kubernetes libraries cost, by upstream's figures (`library/cost_test.go`).
//!
//! What depends on data with a schema is tested where schemas are read, with the rules of custom resources.

use std::collections::HashMap;

use crate::{Environment, Expressions, Limits, Range, Val};

/// Every line is an expression, what it costs at least and at most by estimate, and what it does cost.
#[track_caller]
fn check(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, costs) = line.rsplit_once(" => ").unwrap();
        let program = Environment::new(Expressions::Stored).compile(text).unwrap_or_else(|error| panic!("{error}"));
        let Range { min, max } = program.estimate(None);
        let none = HashMap::<&str, Val>::new();
        let evaluated = program.evaluate(&none, Limits { cost: u64::MAX, interrupted: &|| false });
        assert!(evaluated.value.is_ok(), "{text}: {:?}", evaluated.value);
        assert_eq!(format!("{min} {max} {}", evaluated.cost), costs, "{text}");
    }
}

/// Every line is an expression, and what it does cost.
#[track_caller]
fn check_counted(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, cost) = line.rsplit_once(" => ").unwrap();
        let program = Environment::new(Expressions::Stored).compile(text).unwrap_or_else(|error| panic!("{error}"));
        let none = HashMap::<&str, Val>::new();
        let evaluated = program.evaluate(&none, Limits { cost: u64::MAX, interrupted: &|| false });
        assert!(matches!(evaluated.value, Ok(Val::Bool(true))), "{text}: {:?}", evaluated.value);
        assert_eq!(evaluated.cost.to_string(), cost, "{text}");
    }
}

#[test]
fn texts() {
    check(
        "
        'ABCDEFGHIJ abcdefghij'.lowerAscii() => 3 3 3
        'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii() => 7 9 9
        'ABCDEFGHIJ abcdefghij'.upperAscii() => 3 3 3
        strings.quote('ABCDEFGHIJ abcdefghij') => 3 3 3
        strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij') => 7 11 9
        'abc 123 def 123'.replace('123', '456') => 3 3 3
        'abc 123 def 123'.replace('', 'x') => 3 3 3
        'abc 123 def 123'.replace('123', '456', 1) => 3 3 3
        'abc 123 def 123'.split(' ') => 3 3 3
        'abc 123 def 123'.split(' ', 1) => 3 3 3
        'abc 123 def 123'.substring(5) => 2 2 2
        '  abc 123 def 123  '.trim() => 2 2 2
        'abc 123 def 123'.find('123') => 2 2 2
        'abc 123 def 123'.findAll('123', 1) => 2 2 2
        ",
    );
}

#[test]
fn urls() {
    check(
        "
        url('https:://kubernetes.io/').getScheme() => 4 4 4
        url('https:://kubernetes.io/').getQuery() => 4 4 4
        url('https:://kubernetes.io/') == url('https:://kubernetes.io/') => 7 9 7
        url('https:://kubernetes.io/') == url('http://x.b') => 5 5 5
        ",
    );
}

#[test]
fn networks() {
    check(
        "
        ip('192.168.0.1') => 2 2 2
        ip('192.168.0.1').family() => 3 3 3
        ip('2001:db8:3333:4444:5555:6666:7777:8888').isLoopback() => 5 5 5
        ip('192.168.0.1') == ip('192.168.0.1') => 5 5 5
        ip.isCanonical('192.168.0.1') => 3 3 3
        ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888') => 8 8 8
        cidr('192.168.0.0/16') => 2 2 2
        cidr('192.168.0.0/16').masked() => 3 3 3
        cidr('2001:db8::/32') == cidr('2001:db8::/32') => 5 5 5
        cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30')) => 7 11 7
        cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30') => 7 11 7
        cidr('192.168.0.0/16').containsIP(ip('192.0.0.1')) => 4 7 4
        cidr('192.168.0.0/16').containsIP(ip('192.169.0.1')) => 5 8 5
        cidr('192.168.0.0/16').containsIP('192.169.0.1') => 5 8 5
        cidr('2001:db8::/32').containsCIDR(cidr('2001:db8::/126')) => 7 11 7
        cidr('2001:db8::/32').containsIP('2001:db8:3333:4444:5555:6666:7777:8888') => 7 10 7
        ",
    );
}

#[test]
fn quantities_and_versions() {
    check(
        r#"
        quantity("12Mi") => 1 1 1
        isQuantity("20") => 1 1 1
        quantity("200M") == quantity("200M") => 3 3 3
        quantity("50M").isLessThan(quantity("50Mi")) => 3 3 3
        quantity("50k").add(quantity("20")) == quantity("50.02k") => 5 5 5
        quantity("50k").sub(20) == quantity("49980") => 4 4 4
        quantity("50").isInteger() => 2 2 2
        semver("1.0.0") => 1 1 1
        semver("1234.56789012345.67890123456789") => 4 4 4
        semver("1.2.3").major() => 2 2 2
        semver("1.0.0").isLessThan(semver("1.1.0")) => 3 3 3
        format.named("dns1123subdomain") => 1 1 1
        format.named("dns1123Subdomain").value().validate("my-name") => 34 34 17
        format.named("dns1123Label").value().validate("my-name") => 34 34 10
        "#,
    );
}

#[test]
fn lists() {
    check(
        r#"
        lists.range(4) == [0,1,2,3] => 26 26 16
        [5,1,2,3].reverse() == [3,2,1,5] => 36 36 16
        [].reverse() == [] => 31 31 11
        [1,2,3,4].slice(1, 3) == [2, 3] => 34 34 14
        [4, 3, 2, 1].sort() == [1, 2, 3, 4] => 64 64 44
        ["d", "a", "b", "c"].sort() == ["a", "b", "c", "d"] => 66 66 45
        [1].distinct() == [1] => 34 34 14
        "#,
    );
    check_counted(
        r#"
        [].sortBy(e, e) == [] => 14
        ["a"].sortBy(e, e) == ["a"] => 30
        [-3, 1, -5, -2, 4].sortBy(e, -(e * e)) == [-5, 4, -3, -2, 1] => 145
        lists.range(3).sortBy(e, -e) == [2, 1, 0] => 89
        ["a", "c", "b", "first"].sortBy(e, e == "first" ? "" : e) == ["first", "a", "b", "c"] => 104
        [{'name': 'foo'}, {'name': 'bar'}, {'name': 'baz'}].sortBy(e, e.name) == [{'name': 'bar'}, {'name': 'baz'}, {'name': 'foo'}] => 75
        [-2, 5, -2, 1, 1, 5, -2, 1].distinct() == [-2, 5, 1] => 140
        ['c', 'a', 'a', 'b', 'a', 'b', 'c', 'c'].distinct() == ['c', 'a', 'b'] => 146
        [[1], [1], [2]].distinct() == [[1], [2]] => 30
        dyn([1,2,3,4]).flatten() == [1,2,3,4] => 16
        "#,
    );
}
