//! Expressions and their values.

use std::collections::HashMap;

use crate::{Environment, Expressions, Limits, Val};

#[track_caller]
fn value(text: &str) -> Result<Val, String> {
    let program = Environment::new(Expressions::Stored).compile(text).map_err(|error| error.to_string())?;
    let limits = Limits { cost: 1_000_000, interrupted: &|| false };
    program.evaluate(&HashMap::<&str, Val>::new(), limits).value.map_err(|error| error.to_string())
}

/// Every line is an expression that is true.
#[track_caller]
fn all_true(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match value(line) {
            Ok(Val::Bool(true)) => {}
            other => panic!("{line}: {other:?}"),
        }
    }
}

/// Every line is an expression, `=>`, and the error of its evaluation.
#[track_caller]
fn all_fail(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, expect) = line.split_once(" => ").unwrap();
        match value(text) {
            Err(error) => assert_eq!(error, expect, "{text}"),
            Ok(value) => panic!("{text}: {value:?}"),
        }
    }
}

#[test]
fn literals() {
    all_true(
        r#"
        0x10 == 16 && -0x10 == -16 && 5u == 5u && .5 == 0.5 && 1e3 == 1000.0
        'a\x41\u00e9\101\n' == "aA\u00E9A\n"
        r'\n' == '\\n' && """a'b"c""" == 'a\'b"c' && '''x''' == "x"
        b'\xff\101' == b'\377A' && b'é'.size() == 2 && 'é'.size() == 1
        -9223372036854775808 < 0
        {'a': 1, 'b': 2}.size() == 2 && [1, 2, 3,].size() == 3 && [].size() == 0 && {}.size() == 0
        // a comment
        true // after
        null == null
        "#
        .replace("// a comment\n", "")
        .as_str(),
    );
}

#[test]
fn arithmetic() {
    all_true(
        "
        1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 / 2 == -3 && 7 % 3 == 1 && -7 % 3 == -1
        1.5 + 1.5 == 3.0 && 3.0 / 2.0 == 1.5 && 1.0 / 0.0 > 1e308 && 5u - 3u == 2u
        'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && b'a' + b'b' == b'ab'
        - - 1 == 1 && !!true
        10 - 3 - 2 == 5
        ",
    );
    all_fail(
        "
        9223372036854775807 + 1 => integer overflow
        -9223372036854775808 - 1 => integer overflow
        -(-9223372036854775808) => integer overflow
        9223372036854775807 * 2 => integer overflow
        -9223372036854775808 / -1 => integer overflow
        0u - 1u => unsigned integer overflow
        1 / 0 => division by zero
        1 % 0 => modulus by zero
        ",
    );
}

#[test]
fn equality_and_order() {
    all_true(
        "
        dyn(1) == 1.0 && dyn(1u) == 1 && dyn(1) != 'a' && dyn(1.5) != 1
        1 < 2.5 && 2u > 1 && 1 <= 1u && dyn(1) < 1.5
        !(0.0 / 0.0 == 0.0 / 0.0) && !(0.0/0.0 < 1.0) && !(0.0/0.0 >= 1.0)
        [1, 2] == [1, 2] && [1, 2] != [2, 1] && {'a': 1} == {'a': 1} && {'a': 1} != {'a': 2}
        dyn([1]) == [1.0] && dyn({1: 'a'}) == {1u: 'a'}
        'a' < 'b' && 'a' < 'aa' && b'a' < b'b' && false < true
        type(1) == int && type('') == string && type(type(1)) == type && type([]) == list && type(null) == null_type
        type(duration('1s')) == google.protobuf.Duration && type({}) == map && type(1.0) == double
        !(9223372036854775807 < 9223372036854775808.0) && 9223372036854775807 >= 9223372036854775808.0
        optional.of(1) == optional.of(1) && optional.none() != optional.of(1)
        ",
    );
    all_fail("dyn('a') < 1 => no such overload\n dyn(1) + 'a' => no such overload");
}

#[test]
fn logic_absorbs_errors() {
    all_true(
        "
        true || 1 / 0 > 0
        1 / 0 > 0 || true
        !(false && 1 / 0 > 0)
        !(1 / 0 > 0 && false)
        true ? true : 1 / 0 > 0
        [1, 0, 2].exists(x, 2 / x == 1)
        ![0, 1].all(x, 1 / x == 5)
        ",
    );
    all_fail(
        "
        1 / 0 > 0 || false => division by zero
        true && 1 / 0 > 0 => division by zero
        [1, 0].all(x, 1 / x == 1) => division by zero
        (1 / 0 > 0) ? true : false => division by zero
        dyn('a') && true => no such overload
        ",
    );
}

#[test]
fn maps_and_lists() {
    all_true(
        "
        {'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {1: 'x'}[1] == 'x' && has({'a': 1}.a) && !has({'a': 1}.b)
        [1, 2, 3][1] == 2 && 2 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1} && 1.0 in {dyn(1): 2} && dyn(1u) in [1, 2]
        {dyn(1): 2}[dyn(1.0)] == 2 && {1u: 2}[dyn(1)] == 2
        [1, 2][dyn(1.0)] == 2
        ",
    );
    all_fail(
        "
        {'a': 1}.b => no such key: b
        {'a': 1}['b'] => no such key: b
        [1][1] => index out of bounds: 1
        [1][-1] => index out of bounds: -1
        dyn([1]).a => unsupported index type 'string' in list
        dyn(1).a => no such overload
        ",
    );
}

#[test]
fn loops() {
    all_true(
        "
        [1, 2, 3].all(x, x > 0) && ![1, 2].all(x, x > 1) && [].all(x, x) && {'a': 1}.all(k, k == 'a')
        [1, 2].exists(x, x == 2) && ![1].exists(x, x == 2) && ![].exists(x, x)
        [1, 2, 2].exists_one(x, x == 1) && ![1, 2, 2].existsOne(x, x == 2)
        [1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]
        [1, 2, 3].filter(x, x > 1) == [2, 3] && {'a': 1, 'b': 2}.filter(k, k == 'b') == ['b']
        [1, 2].map(x, [3, 4].map(y, x * y)) == [[3, 4], [6, 8]]
        [[1], [2, 3]].map(x, x.filter(y, y > 1)) == [[], [2, 3]]
        [5, 6].all(i, v, v == i + 5) && {'a': 1}.exists(k, v, k == 'a' && v == 1)
        [1, 2].existsOne(i, v, v == 2) && [1, 2].exists_one(i, v, i == 0)
        [4, 5].transformList(i, v, i + v) == [4, 6] && [4, 5].transformList(i, v, v > 4, i) == [1]
        {'a': 1, 'b': 2}.transformMap(k, v, v + 1) == {'a': 2, 'b': 3}
        {'a': 1, 'b': 2}.transformMap(k, v, k == 'b', v) == {'b': 2}
        {'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k}) == {'x': 'a', 'y': 'b'}
        ",
    );
    all_fail(
        "
        [1, 0].map(x, 1 / x) => division by zero
        [1, 0].filter(x, 1 / x > 0) => division by zero
        [1, 0].exists_one(x, 1 / x > 0) => division by zero
        {'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k}) => insert failed: key x already exists
        ",
    );
}

#[test]
fn conversions() {
    all_true(
        "
        int('5') == 5 && int(5.9) == 5 && int(-5.9) == -5 && int(5u) == 5 && int(timestamp('1970-01-01T00:01:00Z')) == 60
        uint('5') == 5u && uint(5) == 5u && uint(5.9) == 5u && double('1.5') == 1.5 && double(2) == 2.0
        string(5) == '5' && string(1.5) == '1.5' && string(1e21) == '1e+21' && string(true) == 'true' && string(b'a') == 'a'
        string(duration('90m')) == '5400s' && string(duration('1.5s')) == '1.5s'
        string(timestamp('2023-01-01T12:00:00+02:00')) == '2023-01-01T10:00:00Z'
        bytes('a') == b'a' && bool('true') && !bool('False')
        string(1.0) == '1' && string(0.00001) == '1e-05'
        duration('1h30m') == duration('90m') && duration('100ms') == duration('0.1s') && duration('-1s') < duration('0')
        ",
    );
    all_fail(
        "
        int('a') => type conversion error from 'string' to 'int'
        int(1e20) => integer overflow
        uint(-1) => unsigned integer overflow
        uint(-1.0) => unsigned integer overflow
        bool('yes') => type conversion error from 'string' to 'bool'
        double('x') => type conversion error from 'string' to 'double'
        string(b'\\xff') => invalid UTF-8 in bytes, cannot convert to string
        ",
    );
}

#[test]
fn times() {
    all_true(
        "
        timestamp('2023-12-25T10:11:12.345Z').getFullYear() == 2023
        timestamp('2023-12-25T10:11:12.345Z').getMonth() == 11
        timestamp('2023-12-25T10:11:12.345Z').getDate() == 25 && timestamp('2023-12-25T10:11:12.345Z').getDayOfMonth() == 24
        timestamp('2023-12-25T10:11:12.345Z').getDayOfWeek() == 1 && timestamp('2023-12-24T10:11:12Z').getDayOfWeek() == 0
        timestamp('2023-12-25T10:11:12.345Z').getDayOfYear() == 358
        timestamp('2023-12-25T10:11:12.345Z').getHours() == 10 && timestamp('2023-12-25T10:11:12.345Z').getHours('+02:00') == 12
        timestamp('2023-12-25T10:11:12.345Z').getMinutes('-01:30') == 41
        timestamp('2023-12-25T10:11:12.345Z').getMilliseconds() == 345
        duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90 && duration('1.5s').getMilliseconds() == 1500
        timestamp('2023-01-02T00:00:00Z') - timestamp('2023-01-01T00:00:00Z') == duration('24h')
        timestamp('2023-01-01T00:00:00Z') + duration('1h') == timestamp('2023-01-01T01:00:00Z')
        timestamp('2023-01-01T00:00:00Z') < timestamp('2023-01-01T00:00:00.001Z')
        timestamp(0) == timestamp('1970-01-01T00:00:00Z')
        ",
    );
    all_fail("timestamp('9999-12-31T23:59:59Z') + duration('1h') => timestamp overflow");
}

#[test]
fn strings() {
    all_true(
        r#"
        'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'hello'.matches('^h.*o$')
        matches('a1', '[0-9]') && !'a'.matches('^[0-9]+$')
        'tacocat'.charAt(0) == 't' && 'abc'.charAt(3) == ''
        'hello mellow'.indexOf('') == 0 && 'hello mellow'.indexOf('ello') == 1 && 'hello mellow'.indexOf('jello') == -1
        'hello mellow'.indexOf('', 2) == 2 && 'hello mellow'.indexOf('ello', 2) == 7 && 'ab'.indexOf('a', 20) == -1
        'hello mellow'.lastIndexOf('') == 12 && 'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1
        'ta©o©αT'.indexOf('©') == 2 && 'ta©o©αT'.lastIndexOf('©') == 4 && 'ta©o©αT'.lastIndexOf('αT') == 5
        'TacoÀ'.lowerAscii() == 'tacoÀ' && 'tacoéx'.upperAscii() == 'TACOéX'
        'hello'.replace('l', 'L') == 'heLLo' && 'hello'.replace('l', 'L', 1) == 'heLlo' && 'hello'.replace('l', 'L', 0) == 'hello'
        'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'abc'.split('') == ['a', 'b', 'c']
        'a,b'.split(',', 0) == [] && 'abc'.split('', 2) == ['a', 'bc']
        'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco' && 'ta©o'.substring(2, 3) == '©'
        '  a\t'.trim() == 'a' && ['a', 'b'].join() == 'ab' && ['a', 'b'].join('-') == 'a-b'
        strings.quote('a\n"b"') == '"a\\n\\"b\\""'
        'abc'.find('b.') == 'bc' && 'abc'.find('x') == '' && 'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']
        "#,
    );
    all_fail(
        "
        'abc'.charAt(4) => index out of range: 4
        'abc'.substring(4) => index out of range: 4
        'abc'.substring(2, 1) => invalid substring range. start: 2, end: 1
        'abc'.indexOf('a', -1) => index out of range: -1
        ",
    );
}

#[test]
fn formatting() {
    all_true(
        r#"
        '%s is %d'.format(['x', 5]) == 'x is 5' && '%%'.format([]) == '%'
        '%s'.format([[1, 'a', 1.5, null, true]]) == '[1, "a", 1.500000, null, true]'
        '%s'.format([{'b': 1, 'a': [2]}]) == '{"a":[2], "b":1}'
        '%x %X %o %b %b'.format([255, 255, 8, 5, true]) == 'ff FF 10 101 1' && '%x'.format(['hi']) == '6869'
        '%.2f'.format([1.005]) == '1.00' && '%f'.format([1234.5]) == '1,234.500000'
        '%.1e'.format([1234.5]) == '1.2\u202f×\u202f10⁰³'
        '%s'.format([duration('1h')]) == '3600s' && '%s'.format([[duration('1h')]]) == '[duration("3600s")]'
        '%s %s'.format([int, 1.5]) == 'int 1.5' && '%d'.format([5u]) == '5' && '%x'.format([-15]) == '-f'
        "#,
    );
    all_fail(
        r#"
        '%d'.format([dyn('a')]) => error during formatting: decimal clause can only be used on integers, was given string
        '%s'.format(dyn([])) => index 0 out of range
        '%z'.format(dyn([1])) => could not parse formatting clause: unrecognized formatting clause "z"
        "#,
    );
}

#[test]
fn lists() {
    all_true(
        "
        [1, 2, 3].isSorted() && ![2, 1].isSorted() && ['a', 'b'].isSorted() && [].isSorted()
        [1, 2, 3].sum() == 6 && [1.5, 1.5].sum() == 3.0 && [duration('1s'), duration('2s')].sum() == duration('3s')
        [1, 3, 2].max() == 3 && [1, 3, 2].min() == 1 && ['b', 'a'].min() == 'a'
        [1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && [1].indexOf(5) == -1
        [1, 2, 3, 4].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3] && [dyn([dyn(1)]), dyn([dyn(2), dyn([3])])].flatten(2) == [1, 2, 3]
        [3, 1, 2].sort() == [1, 2, 3] && ['ab', 'c'].sortBy(x, x.size()) == ['c', 'ab'] && [1, 2].reverse() == [2, 1]
        lists.range(3) == [0, 1, 2] && [1, 1, 2].distinct() == [1, 2]
        sets.contains([1, 2], [2]) && !sets.contains([1], [2]) && sets.equivalent([1, 2, 2], [2, 1]) && sets.intersects([1, 2], [2, 3])
        !sets.intersects([1], [2]) && sets.contains([], [])
        [1, 2].first() == optional.of(1) && [1, 2].last().value() == 2 && [].first() == optional.none()
        ",
    );
    all_fail(
        "
        dyn([]).min() => min called on empty list
        [1].slice(0, 5) => cannot slice(0, 5), list is length 1
        ",
    );
}

#[test]
fn optional_values() {
    all_true(
        "
        {'a': 1}.?a.value() == 1 && !{'a': 1}.?b.hasValue() && {'a': 1}.?b.orValue(5) == 5
        {'a': {'b': 1}}.?a.?b.value() == 1 && {'a': {'b': 1}}.?a.b.value() == 1 && !{'a': {'b': 1}}.?x.b.hasValue()
        [1][?0].value() == 1 && ![1][?5].hasValue() && {'a': 1}[?'b'].or(optional.of(3)).value() == 3
        [1, ?optional.of(2), ?optional.none()] == [1, 2] && {?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}
        optional.of(2).optMap(x, x + 1).value() == 3 && !optional.none().optMap(x, x).hasValue()
        optional.of(2).optFlatMap(x, optional.of(x + 1)).value() == 3
        !optional.ofNonZeroValue('').hasValue() && optional.ofNonZeroValue(1).hasValue()
        optional.unwrap([optional.of(1), optional.none()]) == [1] && [optional.of(1)].unwrapOpt() == [1]
        has({'a': {'b': 1}}.?a.b) && !has({'a': {'c': 1}}.?a.b)
        ",
    );
    all_fail("optional.none().value() => optional.none() dereference");
}

#[test]
fn kubernetes_libraries() {
    all_true(
        r#"
        quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').add(quantity('500m')).compareTo(quantity('1')) == 0
        isQuantity('1.5Ki') && !isQuantity('x') && quantity('5').asInteger() == 5 && quantity('1.5').asApproximateFloat() == 1.5
        quantity('5').sub(2) == quantity('3') && sign(quantity('-1')) == -1 && !quantity('500m').isInteger()
        ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('1.2.3.4') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4')
        cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))
        cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))
        cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8 && string(cidr('10.0.0.0/8').ip()) == '10.0.0.0'
        isCIDR('::/0') && !isCIDR('10.0.0.0/33') && cidr('::/0').containsIP('::1') && !cidr('::/0').containsIP('1.2.3.4')
        ip.isCanonical('127.0.0.1') && !ip.isCanonical('2001:DB8::1') && type(ip('::1')) == net.IP
        url('https://u@example.com:80/a%20b?x=1&x=2&y#f').getHost() == 'example.com:80'
        url('https://[::1]:80/a').getHostname() == '::1' && url('https://e.com:80/').getPort() == '80'
        url('https://e.com/a b').getEscapedPath() == '/a%20b' && url('/a').getScheme() == ''
        url('https://e.com/?x=1&x=2+3').getQuery() == {'x': ['1', '2 3']} && isURL('https://a') && !isURL('a')
        semver('1.2.3-alpha.1').isLessThan(semver('1.2.3')) && semver('1.2.3').major() == 1 && isSemver('1.0.0') && !isSemver('v1.0')
        isSemver('v1.0', true) && semver('v01.02', true).minor() == 2 && semver('1.0.0+a') == semver('1.0.0+b')
        !format.dns1123Label().validate('abc').hasValue() && format.dns1123Label().validate('A').value().size() == 1
        format.named('uuid').value().validate('x').value() == ['does not match the UUID format'] && !format.named('none').hasValue()
        "#,
    );
    all_fail(
        r"
        quantity('x') => quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
        semver('1') => No Major.Minor.Patch elements found
        ip('::ffff:1.2.3.4') => IPv4-mapped IPv6 address '::ffff:1.2.3.4' is not allowed
        "
        .replace("address '::ffff:1.2.3.4'", "address \"::ffff:1.2.3.4\"")
        .as_str(),
    );
}
