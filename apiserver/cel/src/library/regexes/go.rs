//! Go's patterns (RE2) in the words of the crate `regex`.
//!
//! The two agree but for a few things: `\d`, `\w` and `\s` mean ASCII in Go; a
//! brace that begins no repetition, and within a class a bracket or a doubled
//! sign, stand for themselves; and `\Q` quotes up to `\E`.

/// The same pattern, for `regex`.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // Within a class: how many parts of it were seen.
    let mut class: Option<usize> = None;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let taken = match (c, class) {
            ('\\', _) => escape(after, class.is_some(), &mut out) + 1,
            ('[', None) => {
                out.push('[');
                let negated = after.starts_with('^');
                out.push_str(if negated { "^" } else { "" });
                // A bracket that comes first stands for itself.
                let first = after.strip_prefix('^').unwrap_or(after).starts_with(']');
                out.push_str(if first { "\\]" } else { "" });
                rest = &rest[1 + usize::from(negated) + usize::from(first)..];
                class = Some(usize::from(first));
                continue;
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
                1
            }
            ('[', Some(_)) => match after.starts_with(':').then(|| after.find(":]")).flatten() {
                Some(end) => {
                    out.push_str(&rest[..end + 3]);
                    end + 3
                }
                None => {
                    out.push_str("\\[");
                    1
                }
            },
            ('&' | '~', Some(_)) => {
                out.push('\\');
                out.push(c);
                1
            }
            // A range that begins or ends with a dash.
            ('-', Some(0)) if after.starts_with('-') => {
                out.push_str("\\-");
                1
            }
            ('-', Some(_)) if after.starts_with('-') => {
                out.push_str("-\\-");
                2
            }
            ('{', None) if !is_repetition(after) => {
                out.push_str("\\{");
                1
            }
            _ => {
                out.push(c);
                c.len_utf8()
            }
        };
        class = class.map(|seen| seen + 1);
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// `3}`, `3,}` or `3,5}`.
fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.split_once('}') else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match inner.split_once(',') {
        None => digits(inner),
        Some((least, most)) => digits(least) && (most.is_empty() || digits(most)),
    }
}

/// What follows a backslash; returns how many bytes of it were taken.
fn escape(text: &str, in_class: bool, out: &mut String) -> usize {
    let Some(c) = text.chars().next() else {
        out.push('\\');
        return 0;
    };
    let set = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'Q' if !in_class => {
            let quoted = text[1..].split("\\E").next().unwrap_or_default();
            out.push_str(&regex::escape(quoted));
            return (quoted.len() + 3).min(text.len());
        }
        'b' if !in_class => {
            out.push_str("(?-u:\\b)");
            return 1;
        }
        '<' | '>' => {
            out.push(c);
            return 1;
        }
        _ => {
            out.push('\\');
            out.push(c);
            return c.len_utf8();
        }
    };
    // A class within a class is a part of it.
    let bare = in_class && !set.starts_with('^');
    out.push_str(&if bare { set.to_owned() } else { format!("[{set}]") });
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let regex = regex::Regex::new(&translate(pattern)).unwrap();
        for text in matches {
            assert!(regex.is_match(text), "{pattern} {text}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} {text}");
        }
    }

    #[test]
    fn letters_mean_ascii() {
        check(r"^\d+$", &["12"], &["٣", "a"]);
        check(r"^[\d.]+$", &["1.2"], &["٣"]);
        check(r"^\w$", &["a", "_"], &["é"]);
        check(r"^[\W]$", &["é", "-"], &["a"]);
        check(r"^\S$", &["a", "\u{a0}"], &[" "]);
        check(r"^[^\s-]$", &["a"], &[" ", "-"]);
        check(r"\bx\b", &["x", "éx"], &["ax"]);
    }

    #[test]
    fn signs_that_stand_for_themselves() {
        check("^{$", &["{"], &["x"]);
        check("^a{,3}$", &["a{,3}"], &["aaa"]);
        check("^a{2}$", &["aa"], &["a"]);
        check("^a{2,}$", &["aaa"], &["a"]);
        check("^[[a]$", &["[", "a"], &["b"]);
        check("^[]a]$", &["]", "a"], &["b"]);
        check("^[^]a]$", &["b"], &["]", "a"]);
        check("^[a&&b]$", &["a", "&", "b"], &["c"]);
        check("^[a~~b]$", &["~", "b"], &["c"]);
        check("^[+--]$", &["+", ",", "-"], &["a"]);
        check("^[[:alpha:]]$", &["a"], &["1", ":"]);
        check(r"^\Qa.b\E$", &["a.b"], &["axb"]);
        check(r"^\<\-\/\_$", &["<-/_"], &[]);
    }
}
