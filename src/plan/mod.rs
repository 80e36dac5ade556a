//! One request over many arrays: decided once, then emitted piece by piece, in any order and place.
//!
//! A plan is small: cuts, counts, streams and the few entries where a random mask differs from its coin
//! flips. So the masks of arrays larger than memory never exist whole.

mod apply;
mod budget;
mod contest;
mod emit;
mod nan;
mod planner;
mod random;

pub use apply::{apply_masks, apply_plan, zero_pruned};
pub use random::fill_bernoulli;

use std::ops::Range;

use crate::dtype::DType;
use crate::error::Result;
use crate::mask::Output;
use crate::parallel::Context;
use crate::ratio::{Amount, NofM};
use crate::sample::{Coin, Pattern, Stream};
use crate::select::{Cut, Nan, Piece, Ranking, RowBuffers, Scope, Score};
use crate::source::{ReadBuffer, Source};

/// How entries are chosen.
#[derive(Debug, Clone)]
pub enum Method {
    /// By score, with that place for NaN.
    Top(Score, Nan),
    /// At random, whatever the values are.
    Random {
        /// The seed of the draws that several arrays share.
        seed: u64,
        /// The stream of each array.
        streams: Vec<Stream>,
    },
}

/// How many entries are pruned, and out of what.
#[derive(Debug, Clone)]
pub enum Rule {
    /// So many of each scope.
    Amount(Amount, Scope),
    /// Of each array a number of its own.
    Counts(Vec<u64>),
    /// All but N of every M.
    Pattern(NofM),
}

impl Rule {
    /// Whether the entries of an array compete across its rows, so that one cut decides all of it.
    fn has_one_cut(&self) -> bool {
        match self {
            Self::Amount(_, scope) => *scope != Scope::Row,
            Self::Counts(_) => true,
            Self::Pattern(_) => false,
        }
    }
}

/// What to prune.
#[derive(Debug, Clone)]
pub struct Request {
    /// How entries are chosen.
    pub method: Method,
    /// How many, out of what.
    pub rule: Rule,
}

/// What a request needs to know of an array's shape.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Entries of a row of the matrix view.
    pub row_len: usize,
    /// Length of the axis that N:M groups divide.
    pub group_axis_len: usize,
    /// Entries from one index of that axis to the next.
    pub group_stride: usize,
}

impl Layout {
    /// The layout of a row-major array of that shape with groups along `group_axis`.
    ///
    /// The matrix view has `shape[0]` rows, or one where there are fewer than two dimensions. An array
    /// without dimensions counts as one of shape `[1]`.
    #[must_use]
    pub fn new(shape: &[usize], group_axis: usize) -> Self {
        let row = if shape.len() < 2 { shape } else { &shape[1..] };
        Self {
            row_len: row.iter().product(),
            group_axis_len: shape.get(group_axis).copied().unwrap_or(1),
            group_stride: shape.iter().skip(group_axis + 1).product(),
        }
    }
}

/// What a plan does to one array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Entries of the array.
    pub num_entries: u64,
    /// Entries pruned.
    pub num_pruned: u64,
    /// The least score kept, where one threshold divides kept from pruned.
    pub threshold: Option<f64>,
    /// Entries with that score, kept or not, among all that compete.
    pub num_ties: u64,
}

/// A decided request.
#[derive(Debug)]
pub struct Plan {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    dtype: DType,
    len: usize,
    layout: Layout,
    choice: Choice,
    summary: Summary,
}

/// How the mask of one array is made.
#[derive(Debug, Clone)]
enum Choice {
    Cut { ranking: Ranking, cut: Cut, position: u64 },
    Rows { ranking: Ranking, num_kept: u64 },
    LongRows { ranking: Ranking, cuts: Vec<Cut> },
    Groups { ranking: Ranking, pattern: NofM },
    Coins { coin: Coin, flips: Vec<u64> },
    RandomRows { coin: Coin, stream: Stream, num_kept: u64 },
    RandomGroups { stream: Stream, pattern: Pattern },
}

/// Memory of one thread, to use again from piece to piece.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: ReadBuffer,
    spare: ReadBuffer,
    rows: RowBuffers,
    kept: Vec<u64>,
}

/// Reads what it needs of the arrays, in bounded memory, and decides which entries are kept.
///
/// # Errors
/// Of bad amounts, of axes that do not divide, of NaN (the first, where it is an error), of files.
pub fn decide<S: Source + ?Sized>(
    source: &S,
    layouts: &[Layout],
    request: &Request,
    ctx: &Context<'_>,
) -> Result<Plan> {
    Planner { source, layouts, request, ctx }.decide()
}

/// Writes the mask of each array to its output. Where `preserve` is set, nothing is written if the request
/// is bad, at the price of one more pass that looks for NaN; otherwise the outputs of a failed call hold
/// anything.
///
/// # Errors
/// As [`decide`], and [`crate::Error::LengthMismatch`] for an output of the wrong size.
pub fn fill<S: Source + ?Sized>(
    source: &S,
    layouts: &[Layout],
    outputs: Vec<Output<'_>>,
    request: &Request,
    preserve: bool,
    ctx: &Context<'_>,
) -> Result<()> {
    Planner { source, layouts, request, ctx }.fill(outputs, preserve)
}

impl Part {
    fn num_rows(&self) -> u64 {
        (self.len / self.layout.row_len.max(1)) as u64
    }
}

/// A request at work.
struct Planner<'a, S: ?Sized> {
    source: &'a S,
    layouts: &'a [Layout],
    request: &'a Request,
    ctx: &'a Context<'a>,
}

/// Pieces that compete for one budget.
struct Contest<'o> {
    pieces: Vec<Piece<'o>>,
    parts: Range<usize>,
    num_kept: u64,
    cut: Result<Cut>,
    num_ties: u64,
}
