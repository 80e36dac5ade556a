//! The norms that one pass tells: Frobenius, 1, infinity, Schur; the largest magnitude and the nonzero entries.

use std::ops::Range;

use crate::error::Result;
use crate::norm::lanes::{RowSums, total};
use crate::norm::matrix::{Matrix, SEGMENT, Scratch};
use crate::norm::round::{TINY, Up, exponent, lane_roundings, power_of_two};
use crate::parallel::{Context, for_each};
use crate::simd::{Kernels, with_kernels};

/// Rows of one piece of work, at least: its sums of columns take a twentieth of a byte per entry.
const GROUP: usize = 192;
/// Pieces of work along the rows, at most.
const MAX_GROUPS: usize = 256;
/// Columns of one piece of work, at most.
const TILE: usize = 1 << 16;
/// Squares of entries from `2^LOW` to `2^HIGH` neither vanish beside the largest nor overflow.
const LOW: i32 = -300;
const HIGH: i32 = 400;

/// What one pass over a matrix tells. Every norm is certified: at least the exact one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// The root of the sum of squares: at least the spectral norm (Prop. 6.1).
    pub frobenius: f64,
    /// The largest sum of the magnitudes of a column; infinity where it was not asked for.
    pub one: f64,
    /// The largest sum of the magnitudes of a row.
    pub infinity: f64,
    /// The largest magnitude, exactly.
    pub largest: f64,
    /// How many entries are not 0.
    pub num_nonzero: u64,
}

impl Sums {
    /// Schur's bound of the spectral norm, `sqrt(one * infinity)` (Prop. 6.1).
    #[must_use]
    pub fn schur(&self) -> f64 {
        // The roots apart, since the product can overflow.
        (Up::new(self.one).sqrt() * Up::new(self.infinity).sqrt()).get()
    }
}

/// The norms of a matrix that take one pass (Prop. 6.1); `columns` says whether the 1-norm is wanted.
///
/// # Errors
/// [`crate::Error::NanEntry`] for a NaN that counts; [`crate::Error::Interrupted`]; those of the source.
pub fn sums(matrix: &Matrix<'_>, columns: bool, ctx: &Context<'_>) -> Result<Sums> {
    let first = pass(matrix, columns, ctx)?;
    let e = if first.largest > 0.0 { exponent(first.largest) } else { 0 };
    if !matrix.is_wide() || first.largest == f64::INFINITY || (LOW..HIGH).contains(&e) {
        return Ok(first);
    }
    let e = e.clamp(-1000, 1000);
    let scaled = pass(&matrix.scaled_down(e), columns, ctx)?;
    let back = |norm: f64| (Up::new(norm) * Up::new(power_of_two(e))).get();
    Ok(Sums {
        frobenius: back(scaled.frobenius),
        one: back(scaled.one),
        infinity: back(scaled.infinity),
        ..first
    })
}

/// The rows and columns of one piece of work, and their sums.
struct Piece {
    rows: Range<usize>,
    columns: Range<usize>,
    row_sums: Vec<f64>,
    column_sums: Vec<f64>,
    squares: f64,
    largest: f64,
    num_nonzero: f64,
}

/// Groups of rows that depend on nothing but their number and that of the sums of columns that each of them keeps.
pub(crate) fn row_groups(rows: usize, sums: usize) -> impl Iterator<Item = Range<usize>> {
    let len = rows.div_ceil((rows / (GROUP * sums.max(1))).clamp(1, MAX_GROUPS)).max(1);
    (0..rows).step_by(len).map(move |start| start..rows.min(start + len))
}

fn tiles(columns: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(TILE).map(move |start| start..columns.min(start + TILE))
}

fn pass(matrix: &Matrix<'_>, columns: bool, ctx: &Context<'_>) -> Result<Sums> {
    if matrix.is_nothing() {
        return Ok(Sums { frobenius: 0.0, one: 0.0, infinity: 0.0, largest: 0.0, num_nonzero: 0 });
    }
    let mut pieces: Vec<_> = row_groups(matrix.rows(), 1)
        .flat_map(|rows| tiles(matrix.columns()).map(move |columns| (rows.clone(), columns)))
        .map(|(rows, columns)| Piece {
            rows,
            columns,
            row_sums: Vec::new(),
            column_sums: Vec::new(),
            squares: 0.0,
            largest: 0.0,
            num_nonzero: 0.0,
        })
        .collect();
    for_each(&mut pieces, ctx, Scratch::default, |scratch, piece| {
        piece.fill(matrix, columns, scratch, ctx)?;
        ctx.advance(piece.rows.len() * piece.columns.len());
        Ok(())
    })?;
    let [one, infinity] =
        [if columns { largest_column(&pieces, matrix) } else { f64::INFINITY }, largest_row(&pieces)];
    let squares: f64 = pieces.iter().map(|piece| piece.squares).sum();
    if squares.is_nan() || infinity.is_nan() {
        return Err(matrix.nan_error(ctx.level)?);
    }
    let across = pieces.len() + pieces[0].rows.len();
    let in_row = lane_roundings(matrix.columns().min(TILE)) + matrix.columns().div_ceil(TILE);
    let lost = Up::new(matrix.len() as f64) * Up::new(TINY);
    let largest = pieces.iter().fold(0.0, |largest, piece| piece.largest.max(largest));
    let squares = if largest == 0.0 { Up::ZERO } else { Up::new(squares).grown(in_row + across) + lost };
    Ok(Sums {
        frobenius: squares.sqrt().get(),
        one: Up::new(one).grown(across).get(),
        infinity: Up::new(infinity).grown(in_row).get(),
        largest,
        num_nonzero: pieces.iter().map(|piece| piece.num_nonzero as u64).sum(),
    })
}

impl Piece {
    fn fill(
        &mut self,
        matrix: &Matrix<'_>,
        columns: bool,
        scratch: &mut Scratch,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let width = self.columns.len();
        let at_once = (SEGMENT / width.max(1)).max(1);
        self.column_sums.resize(if columns { width } else { 0 }, 0.0);
        self.row_sums.reserve_exact(self.rows.len());
        let mut values = std::mem::take(&mut scratch.values);
        values.resize(SEGMENT.max(at_once * width.min(SEGMENT)), 0.0);
        for start in self.rows.clone().step_by(at_once) {
            let rows = start..self.rows.end.min(start + at_once);
            let mut row = RowSums::default();
            for first in (0..width).step_by(SEGMENT) {
                let segment = first..width.min(first + SEGMENT);
                let absolute = self.columns.start + segment.start..self.columns.start + segment.end;
                let values = &mut values[..rows.len() * segment.len()];
                matrix.read(scratch, rows.clone(), absolute, ctx.level, values)?;
                with_kernels!(ctx.level, kernels => kernels.vectorized(|| {
                    for values in values.chunks(segment.len()) {
                        match self.column_sums.get_mut(segment.clone()) {
                            Some(columns) => row.add(values, columns),
                            None => row.add_row(values),
                        }
                        if segment.end == width {
                            self.close(&mut row);
                        }
                    }
                }));
            }
        }
        scratch.values = values;
        Ok(())
    }

    /// Takes in the sums of one row.
    #[inline(always)]
    fn close(&mut self, row: &mut RowSums) {
        self.row_sums.push(total(&row.sums));
        self.squares += total(&row.squares);
        self.num_nonzero += total(&row.nonzero);
        self.largest = row.largest.iter().fold(self.largest, |largest, &lane| largest.max(lane));
        *row = RowSums::default();
    }
}

/// The largest sum of a row, its tiles in order.
fn largest_row(pieces: &[Piece]) -> f64 {
    let mut largest = 0.0_f64;
    for tiles in pieces.chunk_by(|a, b| a.rows == b.rows) {
        for row in 0..tiles[0].rows.len() {
            largest = largest_or_nan(largest, tiles.iter().map(|tile| tile.row_sums[row]).sum());
        }
    }
    largest
}

/// The largest sum of a column, its groups in order.
fn largest_column(pieces: &[Piece], matrix: &Matrix<'_>) -> f64 {
    let mut largest = 0.0;
    for (number, tile) in tiles(matrix.columns()).enumerate() {
        let mut sums = vec![0.0; tile.len()];
        for piece in pieces.iter().skip(number).step_by(matrix.columns().div_ceil(TILE)) {
            sums.iter_mut().zip(&piece.column_sums).for_each(|(sum, more)| *sum += more);
        }
        largest = sums.into_iter().fold(largest, largest_or_nan);
    }
    largest
}

fn largest_or_nan(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}
