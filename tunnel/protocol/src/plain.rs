//! Texts of another machine, made harmless before anybody sees them.

/// Cuts a text after `limit` characters and replaces everything that a terminal or a log would act on.
pub(crate) fn tame(text: &mut String, limit: usize) {
    if text.len() > limit || !text.chars().all(is_harmless) {
        *text = text.chars().take(limit).map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect();
    }
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
