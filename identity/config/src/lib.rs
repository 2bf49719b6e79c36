//! What a Connector says of a provider (`dex.coreos.com/v1` `Connector`, `spec.config`), read so that all mistakes are
//! told at once.
//!
//! [`read`] hands the configuration as [`Fields`] to whoever knows what should be in it. A field that cannot be used is
//! remembered as a [`Mistake`] and read on from, so an administrator mends everything in one go.
//!
//! The API server's own reader of documents, `api_meta::Reader`, is not this one: it speaks as Kubernetes does, and it
//! repeats every value. Here passwords and keys stand among the fields, perhaps in the wrong one, so a value is repeated
//! only where it is known to be none.

mod fields;

use std::cell::RefCell;
use std::fmt;

use serde_json::Value;

pub use fields::Fields;

/// A field that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `spec.config.userSearch.baseDN`
    pub field: String,
    /// As JSON, and cut; of what may be a secret, nothing.
    pub value: String,
    /// What is wrong and what would be right.
    pub why: String,
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidConfig(Vec<Mistake>);

impl InvalidConfig {
    /// One for each field that is wrong.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl Mistake {
    /// All but the field.
    pub fn message(&self) -> String {
        match self.value.as_str() {
            "" => self.why.clone(),
            value => format!("{value}: {}", self.why),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

/// Reads `spec.config`. `of` gives `None` only beside a mistake.
///
/// # Errors
///
/// Every mistake, with its field.
pub fn read<T>(config: &Value, of: impl FnOnce(&Fields<'_>) -> Option<T>) -> Result<T, InvalidConfig> {
    let mistakes = RefCell::default();
    let read = Fields::root(config, &mistakes).and_then(|fields| of(&fields));
    match (read, mistakes.into_inner()) {
        (Some(read), mistakes) if mistakes.is_empty() => Ok(read),
        (_, mistakes) => {
            debug_assert!(!mistakes.is_empty(), "nothing was read, and nobody said why");
            Err(InvalidConfig(mistakes))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check<T>(config: &Value, of: impl FnOnce(&Fields<'_>) -> Option<T>, expect: &str) {
        assert_eq!(read(config, of).err().map(|invalid| invalid.to_string()).unwrap_or_default(), expect);
    }

    #[test]
    fn nothing_is_read_of_a_configuration_with_a_mistake() {
        let config = json!({"a": "x", "b": 1});
        check(&config, |fields| fields.text("a").map(drop), "");
        check(&config, |fields| fields.text("b").or(Some("")).map(drop), "spec.config.b: it has to be a text");
        check(
            &config,
            |fields| fields.required("c", "what c is").map(drop),
            "spec.config.c: it is required: what c is",
        );
        check(&json!(["x"]), |_| Some(()), "spec.config: it has to be an object");
    }

    #[test]
    fn a_field_has_one_mistake() {
        let twice = |fields: &Fields<'_>| {
            fields.mistake("a", "no");
            fields.mistake("a", "no again");
            fields.required("b", "what b is").or_else(|| fields.required("b", "again")).map(drop)
        };
        let expect = "spec.config.a: \"x\": no; spec.config.b: it has to be a text";
        check(&json!({"a": "x", "b": ["hush"]}), twice, expect);
    }

    #[test]
    fn lists_of_texts() {
        let config = json!({"list": ["a", ""], "one": "a", "mixed": ["a", 1], "none": null, "empty": ""});
        let found = |name: &str| read(&config, |fields| Some(fields.one_or_more(name).join(","))).unwrap();
        assert_eq!(["list", "one", "none", "empty", "other"].map(found), ["a,", "a", "", "", ""]);
        let mixed = "spec.config.mixed: [\"a\",1]: each of the list has to be a text";
        check(&config, |fields| Some(fields.texts("mixed").len()), mixed);
        check(&config, |fields| Some(fields.texts("one").len()), "spec.config.one: \"a\": it has to be a list");
    }

    #[test]
    fn texts_are_bounded() {
        let config = json!({"long": "é".repeat(128 << 10), "longer": "é".repeat((128 << 10) + 1), "nul": "a\0b"});
        assert!(read(&config, |fields| fields.text("long").map(drop)).is_ok());
        check(&config, |fields| fields.text("longer").map(drop), "spec.config.longer: it is longer than 256 KiB");
        check(&config, |fields| fields.text("nul").map(drop), "spec.config.nul: \"a\\u0000b\": there is a NUL in it");
        let cut = |fields: &Fields<'_>| {
            fields.mistake("long", "no");
            None::<()>
        };
        check(&config, cut, &format!("spec.config.long: \"{}…: no", "é".repeat(79)));
    }
}
