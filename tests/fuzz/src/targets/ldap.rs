//! Filters of a directory: a line with what an operator writes, and then what a person types.

use api_meta::json;
use identity_ldap::{Config, Filter};

use super::parts;

pub(super) const TOKENS: &[&str] = &[
    "(",
    ")",
    "(&",
    "(|",
    "(!",
    "*",
    "\\2a",
    "\\00",
    "\\",
    "=",
    ">=",
    "<=",
    "~=",
    ":=",
    ":dn:",
    "member:1.2.840.113556.1.4.1941:=",
    "objectClass=person",
    "uid",
    "\n",
    ")(uid=*",
    "*)(|(uid=*",
];

/// No text that anybody writes as a filter is longer.
const LONGEST: usize = 8 << 10;

/// Whatever a person types is one value of what the directory is asked for, and changes nothing else of it.
pub(super) fn filter(data: &[u8]) {
    let (written, typed) = parts(data);
    let (written, typed) = (String::from_utf8_lossy(written), String::from_utf8_lossy(typed));
    let configured = (!written.is_empty()).then(|| Filter::parse(&written));
    let config = json!({
        "host": "ldap.example.com",
        "insecureNoSSL": true,
        "userSearch": {"baseDN": "dc=example", "username": "uid", "filter": written},
    });
    let config = Config::parse(&config);
    assert_eq!(config.is_ok(), configured.as_ref().is_none_or(Result::is_ok), "{written}");
    let (Ok(config), Ok(configured)) = (config, configured.transpose()) else { return };

    let asked = config.filter_for(&typed);
    let named = Filter::equal("uid", typed.as_bytes());
    match &asked {
        Filter::And(both) if configured.is_some() => {
            assert_eq!(*both, [configured.iter().cloned().collect(), vec![named]].concat());
        }
        alone => assert_eq!(*alone, named),
    }
    as_text(&asked, &written);
    on_the_wire(&config, &typed);
}

/// As text it reads the same, unless it is longer or deeper than anybody may write.
fn as_text(asked: &Filter, written: &str) {
    let text = asked.to_string();
    match Filter::parse(&text) {
        Ok(read) => assert_eq!(read, *asked),
        Err(why) => assert!(text.len() > LONGEST || Filter::parse(&format!("(&{written})")).is_err(), "{why}: {text}"),
    }
}

/// A harmless name of the same length is sent in the same bytes, but for itself.
fn on_the_wire(config: &Config, typed: &str) {
    let sent = config.filter_for(typed).to_ber();
    let harmless = config.filter_for(&"x".repeat(typed.len())).to_ber();
    let (before, name) = sent.split_at(sent.len() - typed.len());
    assert_eq!(name, typed.as_bytes());
    assert!(sent.len() == harmless.len() && harmless.starts_with(before));
}
