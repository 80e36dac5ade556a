//! The one order of all entries, *(score descending, index ascending)*, and cuts through it.

use crate::dtype::DType;
use crate::select::{Nan, Score};
use crate::simd::{Key, Recipe};
use crate::source::Source;

/// A place in the order: an entry is kept if its key is above `key`, or equal and its position below
/// `position`.
///
/// Positions count through all arrays that compete, in their order. Keys are lifted (see [`Ranking`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub key: i64,
    pub position: u64,
}

impl Cut {
    /// Keeps every candidate.
    pub const ALL: Self = Self { key: i64::MIN, position: u64::MAX };
    /// Keeps none.
    pub const NONE: Self = Self { key: i64::MAX, position: 0 };

    pub fn keeps(self, key: i64, position: u64) -> bool {
        key > self.key || key == self.key && position < self.position
    }
}

/// How entries are compared.
///
/// Arrays of one format are compared by their own keys; arrays of several by the keys of the same values as
/// f64, to which a key is *lifted*. Kernels see native keys only: a lifted threshold goes back to the least
/// native key that reaches it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranking {
    signed: bool,
    pub nan: Nan,
    mixed: bool,
}

impl Ranking {
    pub fn new<S: Source + ?Sized>(
        source: &S,
        parts: std::ops::Range<usize>,
        score: Score,
        nan: Nan,
    ) -> Self {
        let mut dtypes = parts.map(|part| source.dtype(part));
        let first = dtypes.next();
        Self { signed: score == Score::Value, nan, mixed: dtypes.any(|dtype| Some(dtype) != first) }
    }

    /// How the kernels make keys of a format.
    pub fn recipe<K: Key>(self, dtype: DType) -> Recipe<K> {
        let beyond = dtype.limit() + 1;
        let nan = if self.nan == Nan::Prune { -beyond } else { beyond };
        Recipe { signed: self.signed, limit: K::saturate(dtype.limit()), nan: K::saturate(nan) }
    }

    pub fn lift(self, dtype: DType, key: i64) -> i64 {
        if key == dtype.excluded() {
            i64::MIN
        } else if self.mixed {
            dtype.widen(key)
        } else {
            key
        }
    }

    /// The value of a lifted key; `dtype` is the format of any of the arrays.
    pub fn value(self, dtype: DType, lifted: i64) -> f64 {
        DType::value_of_wide(if self.mixed { lifted } else { dtype.widen(lifted) })
    }

    /// The lifted keys of all candidates lie in this range.
    pub fn lifted_range(self, dtype: DType) -> (i64, i64) {
        let beyond = if self.mixed { DType::F64.limit() } else { dtype.limit() } + 1;
        (-beyond, beyond)
    }

    /// The least native key of a candidate whose lifted key is at least `lifted`; above every key if there
    /// is none.
    pub fn native<K: Key>(self, dtype: DType, lifted: i64) -> K {
        let (mut below, mut reaching) = (-dtype.limit() - 2, dtype.limit() + 2);
        if !self.mixed {
            return if lifted < reaching { K::saturate(lifted.max(below + 1)) } else { K::MAX };
        }
        while below + 1 < reaching {
            let middle = i64::midpoint(below, reaching);
            if dtype.widen(middle) >= lifted {
                reaching = middle;
            } else {
                below = middle;
            }
        }
        if reaching > dtype.limit() + 1 { K::MAX } else { K::saturate(reaching) }
    }
}

/// A cut as one piece of an array sees it: `at` is the threshold before entry `boundary`, `after` from it on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<K> {
    pub at: K,
    pub after: K,
    pub boundary: usize,
}

impl<K: Key> Step<K> {
    /// The view of the piece of `len` entries that begins at `position`.
    pub fn new(ranking: Ranking, dtype: DType, cut: Cut, position: u64, len: usize) -> Self {
        let boundary = cut.position.saturating_sub(position).min(len as u64) as usize;
        let after = if cut.key == i64::MAX { K::MAX } else { ranking.native(dtype, cut.key + 1) };
        Self { at: ranking.native(dtype, cut.key), after, boundary }
    }

    /// The threshold of entries before `end` and not before the boundary, or of all if none is.
    #[inline]
    pub fn threshold(self, end: usize) -> K {
        if end <= self.boundary { self.at } else { self.after }
    }

    /// Whether the entries `start..end` have two thresholds.
    #[inline]
    pub fn is_inside(self, start: usize, end: usize) -> bool {
        start < self.boundary && self.boundary < end && self.at != self.after
    }
}
