//! How levels that need few seats lend them to levels that need many (upstream: `allocConcurrency`).
//!
//! Pure. Each level is given what it uses of its own, never less than it may keep, and the rest in proportion to what
//! each would like.

/// What one level has and wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Claim {
    /// Its seats by its shares.
    pub(crate) nominal: u64,
    /// How many of them others may use.
    pub(crate) lendable: u64,
    /// How many it may have in all.
    pub(crate) most: u64,
    /// The most it would have used at once, lately.
    pub(crate) peak: u64,
    /// The same over a longer time.
    pub(crate) wish: f64,
}

impl Claim {
    /// What nobody takes from it: what it keeps, and what it uses of its own.
    fn least(&self) -> f64 {
        (self.nominal - self.lendable.min(self.nominal)).max(self.peak.min(self.nominal)) as f64
    }

    fn most(&self) -> f64 {
        (self.most as f64).max(self.least())
    }

    fn at(&self, fraction: f64) -> f64 {
        (self.wish.max(self.least()) * fraction).clamp(self.least(), self.most())
    }
}

/// The seats of each, in the order of the claims; together no more than all had by their shares.
pub(crate) fn seats(claims: &[Claim]) -> Vec<u64> {
    let total: f64 = claims.iter().map(|claim| claim.nominal as f64).sum();
    let given = |fraction: f64| claims.iter().map(|claim| claim.at(fraction)).sum::<f64>();
    // What all get grows with the fraction, so halving finds where it is all there is.
    let (mut low, mut high) = (0.0, total.max(1.0));
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if given(middle) > total { high = middle } else { low = middle }
    }
    claims.iter().map(|claim| claim.at(low).floor() as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(nominal: u64, lendable: u64, peak: u64) -> Claim {
        Claim { nominal, lendable, most: u64::MAX, peak, wish: peak as f64 }
    }

    #[track_caller]
    fn check(claims: &[Claim], expect: &[u64]) {
        let seats = seats(claims);
        assert_eq!(seats, expect);
        assert!(seats.iter().sum::<u64>() <= claims.iter().map(|c| c.nominal).sum());
    }

    #[test]
    fn the_idle_lend_to_the_busy() {
        check(&[claim(100, 90, 0), claim(100, 50, 500)], &[10, 190]);
        check(&[claim(100, 0, 0), claim(100, 50, 500)], &[100, 100]);
    }

    #[test]
    fn what_a_level_uses_of_its_own_it_keeps() {
        check(&[claim(100, 90, 80), claim(100, 50, 500)], &[80, 120]);
        check(&[claim(100, 90, 300), claim(100, 90, 300)], &[100, 100]);
    }

    #[test]
    fn borrowing_has_a_bound() {
        let bounded = Claim { most: 120, ..claim(100, 50, 500) };
        assert_eq!(seats(&[claim(100, 90, 0), bounded])[1], 120);
    }

    #[test]
    fn nobody_and_nothing() {
        check(&[], &[]);
        check(&[claim(0, 0, 0)], &[0]);
        check(&[claim(100, 50, 0), claim(100, 50, 0)], &[100, 100]);
    }
}
