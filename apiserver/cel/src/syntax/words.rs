//! The language's own words (cel-spec, `IDENT` and `RESERVED`).

/// Words with a meaning.
const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Words that may come to have one.
pub(crate) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a word is the language's own.
pub(crate) fn is_own(word: &str) -> bool {
    KEYWORDS.contains(&word) || RESERVED.contains(&word)
}

/// Whether a word may name a variable.
#[must_use]
pub fn is_identifier(word: &str) -> bool {
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !is_own(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        assert!(["a", "_", "a1_B", "inner", "Nulls"].into_iter().all(is_identifier));
        assert!(!["", "1a", "a-b", "ä", "in", "null", "while"].into_iter().any(is_identifier));
    }
}
