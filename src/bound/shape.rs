//! Which matrix a layer is, and what of it is pruned (Definitions 1.1 and 1.3).

use super::cells::{Cell, threshold_cells};
use super::few::Positions;

/// The taps of a convolution's kernel; one tap for a dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Taps along the two axes.
    pub taps: (usize, usize),
    /// Height and width of a circular convolution; none for zero padding, or for any size.
    pub circular: Option<(usize, usize)>,
}

impl Kernel {
    /// Of a dense layer.
    pub const DENSE: Self = Self { taps: (1, 1), circular: None };

    /// How many entries of the kernel join one input channel and one output channel.
    #[must_use]
    pub fn num_taps(self) -> usize {
        self.taps.0 * self.taps.1
    }
}

/// A weight matrix: outputs by inputs, each entry a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Output features or channels, at least one.
    pub rows: usize,
    /// Input features or channels, at least one.
    pub cols: usize,
    /// What stands at each entry.
    pub kernel: Kernel,
}

impl Shape {
    /// A dense matrix.
    #[must_use]
    pub const fn dense(rows: usize, cols: usize) -> Self {
        Self { rows, cols, kernel: Kernel::DENSE }
    }

    /// The number of weights.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a shape is never empty")]
    pub fn len(&self) -> u64 {
        self.rows as u64 * self.cols as u64 * self.kernel.num_taps() as u64
    }
}

/// Which weights are pruned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pruning {
    /// So many of least magnitude.
    Magnitude(u64),
    /// So many at random, independently of the weights.
    Random(u64),
    /// Each on its own with this chance, independently of the weights.
    Bernoulli(f64),
    /// By a threshold that is common to several layers and known to lie between two levels of this layer's law
    /// (Proposition 2.12).
    Between {
        /// All weights below this level of the law are pruned.
        low: f64,
        /// None above this one is.
        high: f64,
    },
    /// By such a threshold, given where it is and how many weights of this layer are below it: a random set of
    /// `least..=most` weights, all of them at most that level of the law, the others as if they were above it
    /// (Proposition 2.12c). For Theorems 1 and 2; the whole matrix is bounded as the sum of its parts.
    Given {
        /// The threshold is at most this level.
        level: f64,
        /// At least so many are pruned, fewer than all.
        least: u64,
        /// At most so many are, one or more.
        most: u64,
    },
}

/// One of the two parts of a pruned matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The removed part `W - M*W`.
    Pruned,
    /// The kept part `M*W`.
    Kept,
}

impl Pruning {
    /// Nothing is pruned.
    pub const NONE: Self = Self::Random(0);

    /// The chance that an entry belongs to a part; an upper bound for a common threshold.
    #[must_use]
    pub fn chance(self, part: Part, len: u64) -> f64 {
        match (self, part) {
            (Self::Magnitude(count) | Self::Random(count), Part::Pruned) => count as f64 / len as f64,
            (Self::Magnitude(count) | Self::Random(count), Part::Kept) => (len - count) as f64 / len as f64,
            (Self::Given { most, .. }, Part::Pruned) => most as f64 / len as f64,
            (Self::Given { least, .. }, Part::Kept) => (len - least) as f64 / len as f64,
            (Self::Bernoulli(ratio) | Self::Between { high: ratio, .. }, Part::Pruned) => ratio,
            (Self::Bernoulli(ratio) | Self::Between { low: ratio, .. }, Part::Kept) => 1.0 - ratio,
        }
    }

    /// Whether nothing is pruned.
    #[must_use]
    pub fn is_none(self, len: u64) -> bool {
        self.chance(Part::Pruned, len) <= 0.0
    }

    /// Whether the whole matrix is known only by its parts.
    pub(crate) fn is_given(self) -> bool {
        matches!(self, Self::Given { .. })
    }

    /// Whether layers depend on each other through a common threshold that is not given.
    pub(crate) fn is_common(self) -> bool {
        matches!(self, Self::Between { .. })
    }

    /// Whether the number of pruned entries is fixed, so that their positions depend on each other.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Self::Magnitude(_) | Self::Random(_) | Self::Given { .. })
    }

    pub(crate) fn positions(self, part: Part, len: u64) -> Positions {
        match (self, part) {
            (Self::Magnitude(count) | Self::Random(count), Part::Pruned) => Positions::Exactly(count),
            (Self::Magnitude(count) | Self::Random(count), Part::Kept) => Positions::Exactly(len - count),
            (Self::Given { most, .. }, Part::Pruned) => Positions::Exactly(most),
            (Self::Given { least, .. }, Part::Kept) => Positions::Exactly(len - least),
            _ => Positions::Each(self.chance(part, len)),
        }
    }

    /// The cells over which a bound is averaged.
    pub(crate) fn cells(self, len: u64) -> Vec<Cell> {
        match self {
            Self::Magnitude(count) if count > 0 && count < len => threshold_cells(count, len),
            Self::Between { low, high } => vec![Cell::between(low, high)],
            Self::Given { level, .. } => vec![Cell::between(level, level)],
            _ => vec![Cell::BLIND],
        }
    }
}
