//! How much to prune, and the only place where a fraction becomes a count.

use crate::error::{Error, Result};

/// A fraction of entries to prune, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Checks that `value` is in [0, 1].
    ///
    /// # Errors
    /// [`Error::RatioOutOfRange`] otherwise, NaN included.
    pub fn new(value: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::RatioOutOfRange { got: value })
        }
    }

    /// How many of `len` entries are pruned: `ratio * len` in double precision, halves to even.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the product is in [0, len]; `min` catches a `len` above 2^53 that rounded up"
    )]
    pub fn num_pruned(self, len: u64) -> u64 {
        ((self.0 * len as f64).round_ties_even() as u64).min(len)
    }

    /// The fraction.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// How much of each group that competes for one budget is pruned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A fraction of the entries.
    Ratio(Ratio),
    /// That many entries.
    Count(u64),
}

impl Amount {
    /// How many of `len` entries are pruned; `group` names what they are, for the message.
    ///
    /// # Errors
    /// [`Error::CountOutOfRange`] when a count is above `len`.
    pub fn num_pruned(self, len: u64, group: impl Into<String>) -> Result<u64> {
        match self {
            Self::Ratio(ratio) => Ok(ratio.num_pruned(len)),
            Self::Count(got) if got > len => Err(Error::CountOutOfRange { got, len, group: group.into() }),
            Self::Count(got) => Ok(got),
        }
    }
}

/// An N:M pattern: `kept` entries of every `group` are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NofM {
    kept: u32,
    group: u32,
}

impl NofM {
    /// The largest group.
    pub const MAX_GROUP: u32 = 32;

    /// Checks `1 <= kept <= group <= 32`.
    ///
    /// # Errors
    /// [`Error::PatternOutOfRange`] otherwise.
    pub fn new(kept: u32, group: u32) -> Result<Self> {
        if 1 <= kept && kept <= group && group <= Self::MAX_GROUP {
            Ok(Self { kept, group })
        } else {
            Err(Error::PatternOutOfRange { kept, group })
        }
    }

    /// Entries kept of each group.
    #[must_use]
    pub fn kept(self) -> usize {
        self.kept as usize
    }

    /// Entries in each group.
    #[must_use]
    pub fn group(self) -> usize {
        self.group as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_count() {
        let half = Ratio::new(0.5).expect("in range");
        assert_eq!([5, 7, 9].map(|len| half.num_pruned(len)), [2, 4, 4]);
    }

    #[test]
    fn a_ratio_of_one_prunes_every_entry_of_any_length() {
        let one = Ratio::new(1.0).expect("in range");
        for len in [0, 1, u64::from(u32::MAX) + 1, (1 << 53) + 1, u64::MAX] {
            assert!(one.num_pruned(len) <= len);
        }
        assert_eq!(one.num_pruned((1 << 33) + 7), (1 << 33) + 7);
    }

    #[test]
    fn values_outside_the_range_are_refused() {
        for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Ratio::new(value).is_err());
        }
        for (kept, group) in [(0, 4), (5, 4), (1, 33), (0, 0)] {
            assert!(NofM::new(kept, group).is_err());
        }
    }
}
