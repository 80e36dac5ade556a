//! Products of a streamed matrix with vectors, without its transpose and in one pass for both factors.

use std::ops::Range;

use crate::error::Result;
use crate::norm::lanes::{add_rows, dot, dots};
use crate::norm::matrix::{Matrix, Scratch};
use crate::norm::sums::row_groups;
use crate::parallel::{Context, for_each};
use crate::simd::{Kernels, with_kernels};

/// Rows that are multiplied together, so that the vectors are read and written once for all of them.
const ROWS: usize = 4;
/// Values of a piece of work that spans all rows: they stay in the second-level cache for the second factor.
const RESIDENT: usize = 1 << 17;
/// Columns of such a piece, at least: its vector of row values takes a twentieth of a byte per entry.
const NARROWEST: usize = 192;

/// Pieces of work that rows are cut into, at most.
const PIECES: usize = 256;

/// A symmetric positive semidefinite matrix that can be multiplied with vectors.
pub(crate) trait Operator {
    /// Entries of a vector.
    fn dim(&self) -> usize;

    /// The products with each of `vectors`, in a fixed order of every sum.
    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>>;

    /// How many roundings a term of a product goes through at most.
    fn roundings(&self) -> usize;
}

/// `A^T A` or `A A^T` of a streamed matrix: the same largest eigenvalue.
#[derive(Clone, Copy)]
pub(crate) struct Gram<'a> {
    pub matrix: Matrix<'a>,
    /// Whether it is `A^T A`, of the order of the columns.
    pub of_columns: bool,
}

impl<'a> Gram<'a> {
    /// The one of smaller order.
    pub fn smaller(matrix: Matrix<'a>) -> Self {
        Self { matrix, of_columns: matrix.columns() <= matrix.rows() }
    }
}

impl Operator for Gram<'_> {
    fn dim(&self) -> usize {
        if self.of_columns { self.matrix.columns() } else { self.matrix.rows() }
    }

    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        if self.of_columns { self.by_rows(vectors, ctx) } else { self.by_columns(vectors, ctx) }
    }

    fn roundings(&self) -> usize {
        // Each factor sums over one dimension, in any order, and each product counts once.
        self.matrix.rows() + self.matrix.columns() + 64
    }
}

/// Some rows or columns, and what they add to each product.
struct Share {
    range: Range<usize>,
    sums: Vec<Vec<f64>>,
}

impl Gram<'_> {
    /// `A^T (A x)`: a row is read once for both factors.
    fn by_rows(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        let (matrix, columns) = (&self.matrix, self.matrix.columns());
        let mut shares: Vec<_> =
            row_groups(matrix.rows(), vectors.len()).map(|range| Share { range, sums: Vec::new() }).collect();
        for_each(&mut shares, ctx, Scratch::default, |scratch, share| {
            share.sums = vec![vec![0.0; columns]; vectors.len()];
            let mut values = std::mem::take(&mut scratch.values);
            values.resize(ROWS * columns, 0.0);
            for start in share.range.clone().step_by(ROWS) {
                let rows = start..share.range.end.min(start + ROWS);
                let values = &mut values[..rows.len() * columns];
                matrix.read(scratch, rows, 0..columns, ctx.level, values)?;
                with_kernels!(ctx.level, kernels => kernels.vectorized(|| {
                    for (x, sums) in vectors.iter().zip(&mut share.sums) {
                        both_factors(values, x, sums);
                    }
                }));
            }
            scratch.values = values;
            ctx.advance(share.range.len() * columns);
            Ok(())
        })?;
        Ok(added(&shares, vectors.len(), columns))
    }

    /// `A (A^T y)`: columns are read once, and again from cache.
    fn by_columns(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        let (matrix, rows) = (&self.matrix, self.matrix.rows());
        let width = (RESIDENT / rows).max(NARROWEST * vectors.len());
        let mut shares: Vec<_> = (0..matrix.columns())
            .step_by(width)
            .map(|start| Share { range: start..matrix.columns().min(start + width), sums: Vec::new() })
            .collect();
        for_each(&mut shares, ctx, Scratch::default, |scratch, share| {
            let width = share.range.len();
            share.sums = vec![vec![0.0; rows]; vectors.len()];
            let mut inner = vec![vec![0.0; width]; vectors.len()];
            let mut values = std::mem::take(&mut scratch.values);
            values.resize(ROWS * width, 0.0);
            for second in [false, true] {
                for start in (0..rows).step_by(ROWS) {
                    let some = start..rows.min(start + ROWS);
                    let values = &mut values[..some.len() * width];
                    matrix.read(scratch, some.clone(), share.range.clone(), ctx.level, values)?;
                    with_kernels!(ctx.level, kernels => kernels.vectorized(|| {
                        for ((y, inner), sums) in vectors.iter().zip(&mut inner).zip(&mut share.sums) {
                            one_factor(values, second, &y[some.clone()], inner, &mut sums[some.clone()]);
                        }
                    }));
                }
            }
            scratch.values = values;
            ctx.advance(rows * width);
            Ok(())
        })?;
        Ok(added(&shares, vectors.len(), rows))
    }
}

/// The product of a matrix with a vector: each entry a sum over lanes.
///
/// # Errors
/// [`crate::Error::Interrupted`]; those of the source.
pub(crate) fn multiply(matrix: &Matrix<'_>, x: &[f64], ctx: &Context<'_>) -> Result<Vec<f64>> {
    by_rows(matrix, ctx, |_, row| dot(row, x))
}

/// What `work` makes of each row, by its number and its entries.
///
/// # Errors
/// As for [`multiply`].
pub(crate) fn by_rows<T: Send>(
    matrix: &Matrix<'_>,
    ctx: &Context<'_>,
    work: impl Fn(usize, &[f64]) -> T + Send + Sync,
) -> Result<Vec<T>> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let len = rows.div_ceil(PIECES).max(1);
    let starts = (0..rows).step_by(len);
    let mut parts: Vec<_> = starts.map(|start| (start..rows.min(start + len), Vec::new())).collect();
    for_each(&mut parts, ctx, Scratch::default, |scratch, (rows, found)| {
        let mut values = std::mem::take(&mut scratch.values);
        values.resize(columns, 0.0);
        for row in rows.clone() {
            matrix.read(scratch, row..row + 1, 0..columns, ctx.level, &mut values[..columns])?;
            found.push(
                with_kernels!(ctx.level, kernels => kernels.vectorized(|| work(row, &values[..columns]))),
            );
        }
        scratch.values = values;
        Ok(())
    })?;
    Ok(parts.into_iter().flat_map(|(_, found)| found).collect())
}

/// `sums += A^T (A x)` of a few rows.
#[inline(always)]
fn both_factors(rows: &[f64], x: &[f64], sums: &mut [f64]) {
    let len = x.len();
    if rows.len() == ROWS * len {
        let rows: [&[f64]; ROWS] = std::array::from_fn(|row| &rows[row * len..][..len]);
        add_rows(dots(rows, x), rows, sums);
    } else {
        for row in rows.chunks(len) {
            add_rows(dots([row], x), [row], sums);
        }
    }
}

/// `inner += A^T y`, or after that `sums = A inner`, of a few rows.
#[inline(always)]
fn one_factor(rows: &[f64], second: bool, y: &[f64], inner: &mut [f64], sums: &mut [f64]) {
    let len = inner.len();
    if rows.len() == ROWS * len {
        let rows: [&[f64]; ROWS] = std::array::from_fn(|row| &rows[row * len..][..len]);
        if second {
            sums.copy_from_slice(&dots(rows, inner));
        } else {
            add_rows(std::array::from_fn(|row| y[row]), rows, inner);
        }
        return;
    }
    for ((row, &y), sum) in rows.chunks(len).zip(y).zip(sums) {
        if second {
            [*sum] = dots([row], inner);
        } else {
            add_rows([y], [row], inner);
        }
    }
}

/// The sums of all shares, in their order.
fn added(shares: &[Share], vectors: usize, len: usize) -> Vec<Vec<f64>> {
    let mut products = vec![vec![0.0; len]; vectors];
    for share in shares {
        for (product, sums) in products.iter_mut().zip(&share.sums) {
            product.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
        }
    }
    products
}
