//! Sets of completion indexes, kept in runs and spelled as a Job's status spells them: `0,2-4`.

use std::{collections::BTreeMap, fmt, ops::Range};

/// From the first of each run to its last. Runs never touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeMap<i32, i32>);

impl Indexes {
    /// Reads what a status or a rule says; what is no number, and what is not below `completions`, is left out.
    pub(super) fn parse(text: &str, completions: i32) -> Self {
        let mut read = Self::default();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) else { continue };
            let last = last.min(completions - 1);
            if first <= last {
                read.add(first, last);
            }
        }
        read
    }

    pub(super) fn insert(&mut self, index: i32) {
        self.add(index, index);
    }

    fn add(&mut self, mut first: i32, mut last: i32) {
        let near = self.0.range(..=last.saturating_add(1)).rev();
        let touching: Vec<(i32, i32)> =
            near.take_while(|(_, end)| **end >= first.saturating_sub(1)).map(|(start, end)| (*start, *end)).collect();
        for (start, end) in touching {
            self.0.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.0.insert(first, last);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(first, last)| self.add(*first, *last));
    }

    pub(super) fn has(&self, index: i32) -> bool {
        self.0.range(..=index).next_back().is_some_and(|(_, last)| index <= *last)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn total(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// How many are in both.
    pub(super) fn shared(&self, other: &Self) -> i32 {
        let with = |(first, last): (&i32, &i32)| -> i32 {
            let near = other.0.range(..=*last).rev().take_while(|(_, end)| **end >= *first);
            near.map(|(start, end)| end.min(last) - start.max(first) + 1).sum()
        };
        self.0.iter().map(with).sum()
    }

    /// Those below `completions` that are not here, from the lowest.
    pub(super) fn missing(&self, completions: i32) -> impl Iterator<Item = i32> {
        let mut gaps: Vec<Range<i32>> = Vec::new();
        let mut from = 0;
        for (first, last) in &self.0 {
            gaps.push(from..(*first).min(completions));
            from = last.saturating_add(1);
        }
        gaps.push(from..completions);
        gaps.into_iter().flatten()
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Self {
        let mut all = Self::default();
        indexes.into_iter().for_each(|index| all.insert(index));
        all
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn spelled(indexes: &[i32], expect: &str) {
        let set: Indexes = indexes.iter().copied().collect();
        assert_eq!(set.to_string(), expect);
        assert_eq!(Indexes::parse(expect, i32::MAX), set);
    }

    #[test]
    fn runs_of_three_are_shortened() {
        spelled(&[4, 0, 3, 2], "0,2-4");
        spelled(&[0, 1], "0,1");
        spelled(&[1, 0, 2, 2, 9], "0-2,9");
    }

    #[test]
    fn what_is_out_of_range_or_no_number_is_left_out() {
        assert_eq!(Indexes::parse("0,x,2-9,7-5,11", 5).to_string(), "0,2-4");
        assert!(Indexes::parse("", 5).is_empty());
        let last: Indexes = [i32::MAX, i32::MAX - 2].into_iter().collect();
        assert_eq!(last.missing(2).collect::<Vec<_>>(), [0, 1], "a pod can say anything of its index");
    }

    #[test]
    fn members_gaps_and_overlaps() {
        let set = Indexes::parse("0,2-4,8", 100);
        assert_eq!((set.total(), set.has(3), set.has(5)), (5, true, false));
        assert_eq!(set.missing(10).collect::<Vec<_>>(), [1, 5, 6, 7, 9]);
        assert_eq!(set.missing(3).collect::<Vec<_>>(), [1]);
        assert_eq!(set.shared(&Indexes::parse("3-8", 100)), 3);
        let mut both = set.clone();
        both.merge(&Indexes::parse("1,5-7", 100));
        assert_eq!(both.to_string(), "0-8");
    }
}
