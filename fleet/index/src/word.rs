//! Words that are looked for in texts. Capitals do not count.

use memchr::memmem::Finder;

/// What a text may contain: a bit for each pair of neighbouring bytes in small letters, so that most texts without a word
/// need no search. The uppermost bit says that the text itself is not in small letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature(u64);

const HAS_CAPITALS: u64 = 1 << 63;

impl Signature {
    pub(crate) fn of(text: &str) -> Self {
        match has_capitals(text) {
            false => Self(pairs(text)),
            true => Self(pairs(&text.to_lowercase()) | HAS_CAPITALS),
        }
    }
}

fn pairs(text: &str) -> u64 {
    // The upper bits of a product by an odd number depend on all of its bits (Knuth's multiplicative hashing).
    let hash = |pair: &[u8]| u32::from_be_bytes([0, 0, pair[0], pair[1]]).wrapping_mul(0x9E37_79B1);
    let bit = |pair| (u64::from(hash(pair)) * 63) >> 32;
    text.as_bytes().windows(2).fold(0, |bits, pair| bits | (1 << bit(pair)))
}

/// Whether there may be capitals; most texts of Kubernetes have none.
fn has_capitals(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
}

/// A bit for each of some words.
pub(crate) type Mask = u32;

/// At most as many words as a mask has bits. The longest is the first, since it is in the fewest texts.
pub(crate) struct Words(Vec<Word>);

struct Word {
    finder: Finder<'static>,
    pairs: u64,
}

impl Words {
    /// All words of a text. Each must be found, whichever group it is in.
    pub(crate) fn of(text: &str) -> Vec<Self> {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        words.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        words.dedup();
        let word = |word: &String| Word { finder: Finder::new(word).into_owned(), pairs: pairs(word) };
        words.chunks(Mask::BITS as usize).map(|group| Self(group.iter().map(word).collect())).collect()
    }

    /// Which of them are in a text.
    pub(crate) fn in_text(&self, text: &[u8], signature: Signature) -> Mask {
        let bits = self.0.iter().zip(0..).map(|(word, bit)| Mask::from(word.is_in(text, signature)) << bit);
        bits.fold(0, |mask, bit| mask | bit)
    }

    /// Whether all that were not found elsewhere are in a text.
    pub(crate) fn rest_is_in(&self, elsewhere: Mask, text: &[u8], signature: Signature) -> bool {
        let mut rest = self.0.iter().zip(0..).filter(|(_, bit)| elsewhere & (1 << bit) == 0);
        rest.all(|(word, _)| word.is_in(text, signature))
    }
}

impl Word {
    fn is_in(&self, text: &[u8], Signature(bits): Signature) -> bool {
        if bits & self.pairs != self.pairs {
            return false;
        }
        match bits & HAS_CAPITALS == 0 {
            true => self.finder.find(text).is_some(),
            false => self.finder.find(String::from_utf8_lossy(text).to_lowercase().as_bytes()).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(words: &str, text: &str) -> Mask {
        Words::of(words)[0].in_text(text.as_bytes(), Signature::of(text))
    }

    #[test]
    fn the_longest_word_comes_first_and_none_comes_twice() {
        assert_eq!(mask("b cart B front", "shop-cart-b"), 0b110);
        assert!(Words::of(" ").is_empty());
    }

    #[test]
    fn more_words_than_bits_are_several_groups() {
        let words = (0..40).map(|n| format!("w{n:02}")).collect::<Vec<_>>().join(" ");
        let groups = Words::of(&words);
        assert_eq!(groups.iter().map(|group| group.0.len()).collect::<Vec<_>>(), [32, 8]);
        let (text, without_the_last) = (words.replace(' ', "-"), words.replace("w39", ""));
        let all = |text: &str| groups.iter().all(|group| group.rest_is_in(0, text.as_bytes(), Signature::of(text)));
        assert!(all(&text) && !all(&without_the_last));
    }

    proptest! {
        #[test]
        fn a_word_is_found_where_it_is(text in "[a-cA-CäÄß. -]{0,24}", word in "[a-cA-CäÄß.-]{1,4}") {
            let is_in = text.to_lowercase().contains(&word.to_lowercase());
            prop_assert_eq!(mask(&word, &text) == 1, is_in);
            prop_assert_eq!(Words::of(&word)[0].rest_is_in(0, text.as_bytes(), Signature::of(&text)), is_in);
            prop_assert!(Words::of(&word)[0].rest_is_in(1, b"", Signature::of("")));
        }
    }
}
