//! Selectors and quantities: short texts with a canonical form.

use api_meta::{FieldSelector, LabelSelector, Quantity};

pub(super) const SELECTORS: &[&str] = &[
    "=",
    "==",
    "!=",
    "!",
    ",",
    " in ",
    " notin ",
    "(",
    ")",
    ">",
    "<",
    "a",
    "metadata.name",
    "metadata.namespace=",
    "\\,",
    "\\=",
    "\\\\",
    "example.com/x",
    "status.phase",
    "in",
    "notin",
    "exists",
];

pub(super) const QUANTITIES: &[&str] = &[
    "n",
    "u",
    "m",
    "k",
    "M",
    "G",
    "T",
    "P",
    "E",
    "Ki",
    "Mi",
    "Gi",
    "Ti",
    "Pi",
    "Ei",
    "e",
    "e-",
    "E+",
    "+",
    "-",
    ".",
    "0",
    "1",
    "9",
    "000000000",
    "9223372036854775807",
    "e2147483648",
    "e-2147483648",
];

pub(super) fn label_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(selector) = LabelSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = LabelSelector::parse(&written);
    let canonical = again.as_ref().map(ToString::to_string);
    assert_eq!(canonical.as_ref(), Ok(&written));
    let again = again.expect("just seen");
    for value in [None, Some(""), Some("a"), Some("5")] {
        let labels = |_: &str| value.map(str::to_owned);
        assert_eq!(selector.matches_with(labels), again.matches_with(labels), "{written:?} on {value:?}");
    }
}

pub(super) fn field_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(selector) = FieldSelector::parse(text) else { return };
    let terms = selector.terms.iter().map(|(field, equal, value)| {
        let value = value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
        format!("{field}{}{value}", if *equal { "=" } else { "!=" })
    });
    let written = terms.collect::<Vec<_>>().join(",");
    assert_eq!(FieldSelector::parse(&written), Ok(selector), "{written:?}");
}

pub(super) fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(amount) = text.parse::<Quantity>() else { return };
    let written = amount.to_string();
    let again: Quantity =
        written.parse().unwrap_or_else(|why| panic!("{text:?} is {written:?}, which is refused: {why}"));
    assert_eq!(again, amount, "{written:?}");
    assert_eq!(again.to_string(), written);
    assert!(written.len() < 40, "{written:?}");
    assert_eq!(amount - again, Quantity::default());
    assert_eq!(amount + Quantity::default(), amount);
    let away = |rounded: Quantity| if amount.is_negative() { rounded <= amount } else { rounded >= amount };
    let (whole, milli) = (amount.rounded_to_whole(), amount.rounded_to_milli());
    assert!(away(whole) && away(milli), "{amount} became {whole} and {milli}");
    assert_eq!(whole.rounded_to_whole(), whole);
    if let Some(units) = amount.as_whole() {
        assert_eq!(units, amount.value());
        assert_eq!(Quantity::whole(units), amount);
    }
}
