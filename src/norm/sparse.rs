//! A part with few entries, by its entries: what a mask removes of a matrix, or keeps of it (6.6).

use std::ops::Range;

use crate::error::Result;
use crate::norm::matrix::{Matrix, SEGMENT, Scratch};
use crate::norm::operator::{Gram, Operator};
use crate::norm::sums::row_groups;
use crate::parallel::{Context, for_each};

/// Entries of a matrix for each one that counts, at least: 12 bytes of each keep within a twentieth of a byte per
/// entry of the matrix.
const RARE: u64 = 256;

/// The nonzero entries of some rows, row after row.
struct Rows {
    range: Range<usize>,
    ends: Vec<u32>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Rows {
    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let end = |row: usize| self.ends[row] as usize;
        let own = row.checked_sub(1).map_or(0, end)..end(row);
        self.columns[own.clone()]
            .iter()
            .zip(&self.values[own])
            .map(|(&column, &value)| (column as usize, value))
    }
}

/// `A^T A` or `A A^T`, of the smaller order, of a matrix that is nearly empty.
pub(crate) struct Sparse {
    groups: Vec<Rows>,
    rows: usize,
    columns: usize,
}

impl Sparse {
    /// The nonzero entries of a matrix, if they are so few that they take little memory.
    pub fn of(matrix: &Matrix<'_>, num_nonzero: u64, ctx: &Context<'_>) -> Result<Option<Self>> {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        if num_nonzero > matrix.len() as u64 / RARE
            || columns > u32::MAX as usize
            || num_nonzero > u64::from(u32::MAX)
        {
            return Ok(None);
        }
        let empty = |range| Rows { range, ends: Vec::new(), columns: Vec::new(), values: Vec::new() };
        let mut groups: Vec<_> = row_groups(rows, 1).map(empty).collect();
        for_each(&mut groups, ctx, Scratch::default, |scratch, group| {
            let mut values = std::mem::take(&mut scratch.values);
            values.resize(SEGMENT, 0.0);
            for row in group.range.clone() {
                for first in (0..columns).step_by(SEGMENT) {
                    let segment = first..columns.min(first + SEGMENT);
                    let values = &mut values[..segment.len()];
                    matrix.read(scratch, row..row + 1, segment, ctx.level, values)?;
                    for (at, &value) in values.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                        group.columns.push((first + at) as u32);
                        group.values.push(value);
                    }
                }
                group.ends.push(group.columns.len() as u32);
            }
            scratch.values = values;
            Ok(())
        })?;
        Ok(Some(Self { groups, rows, columns }))
    }

    fn of_columns(&self) -> bool {
        self.columns <= self.rows
    }

    /// Every row with its group and its number in it.
    fn all(&self) -> impl Iterator<Item = (usize, &Rows, usize)> {
        self.groups
            .iter()
            .flat_map(|group| group.range.clone().enumerate().map(move |(at, row)| (row, group, at)))
    }

    /// `A^T (A x)`, or `A (A^T x)`.
    fn product(&self, x: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        for (row, group, at) in self.all() {
            let factor = if self.of_columns() {
                group.row(at).map(|(column, value)| value * x[column]).sum()
            } else {
                x[row]
            };
            group.row(at).for_each(|(column, value)| sums[column] += value * factor);
        }
        if self.of_columns() {
            return sums;
        }
        self.all()
            .map(|(_, group, at)| group.row(at).map(|(column, value)| value * sums[column]).sum())
            .collect()
    }

    /// The matrix without its empty rows and columns, which have no part in its norm, and its shape; none where it
    /// would still have more than `most` entries.
    pub fn compressed(&self, most: usize) -> Option<(Vec<f64>, [usize; 2])> {
        let mut place = vec![usize::MAX; self.columns];
        let mut columns = 0;
        let rows: Vec<_> = self.all().filter(|(_, group, at)| group.row(*at).next().is_some()).collect();
        for (column, _) in rows.iter().flat_map(|(_, group, at)| group.row(*at)) {
            if place[column] == usize::MAX {
                (place[column], columns) = (columns, columns + 1);
            }
        }
        if rows.len().saturating_mul(columns) > most {
            return None;
        }
        let mut values = vec![0.0; rows.len() * columns];
        for ((_, group, at), out) in rows.iter().zip(values.chunks_mut(columns)) {
            group.row(*at).for_each(|(column, value)| out[place[column]] = value);
        }
        Some((values, [rows.len(), columns]))
    }
}

impl Operator for Sparse {
    fn dim(&self) -> usize {
        self.rows.min(self.columns)
    }

    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        let mut pairs: Vec<_> = vectors.iter().map(|x| (x, Vec::new())).collect();
        for_each(
            &mut pairs,
            ctx,
            || (),
            |(), (x, product)| {
                *product = self.product(x);
                Ok(())
            },
        )?;
        Ok(pairs.into_iter().map(|(_, product)| product).collect())
    }

    fn roundings(&self) -> usize {
        self.rows + self.columns + 64
    }
}

/// A matrix to multiply with again and again: streamed, or by its entries.
pub(crate) enum Passes<'a> {
    Streamed(Gram<'a>),
    Sparse(Sparse),
}

impl<'a> Passes<'a> {
    pub fn new(matrix: Matrix<'a>, num_nonzero: u64, ctx: &Context<'_>) -> Result<Self> {
        Ok(match Sparse::of(&matrix, num_nonzero, ctx)? {
            Some(sparse) => Self::Sparse(sparse),
            None => Self::Streamed(Gram::smaller(matrix)),
        })
    }
}

impl Passes<'_> {
    /// See [`Sparse::compressed`]; none for a matrix with many entries.
    pub fn compressed(&self, most: usize) -> Option<(Vec<f64>, [usize; 2])> {
        match self {
            Self::Streamed(_) => None,
            Self::Sparse(sparse) => sparse.compressed(most),
        }
    }
}

impl Operator for Passes<'_> {
    fn dim(&self) -> usize {
        match self {
            Self::Streamed(gram) => gram.dim(),
            Self::Sparse(sparse) => sparse.dim(),
        }
    }

    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        match self {
            Self::Streamed(gram) => gram.apply(vectors, ctx),
            Self::Sparse(sparse) => sparse.apply(vectors, ctx),
        }
    }

    fn roundings(&self) -> usize {
        match self {
            Self::Streamed(gram) => gram.roundings(),
            Self::Sparse(sparse) => sparse.roundings(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm::tests::Weights;
    use crate::norm::{Part, Which};
    use crate::parallel::Switches;

    #[test]
    fn products_are_those_of_the_streamed_matrix() {
        for shape in [[300, 50], [50, 300]] {
            let mut values = vec![0.0; 15_000];
            for at in [3, 4, 77, 5000, 9999, 14_999] {
                values[at] = 1.0 + at as f64;
            }
            let weights = Weights::new(shape, &values);
            let (array, switches) = ([weights.array()], Switches::default());
            let source = &array[..];
            let matrix = Matrix::new(&source, 0, shape, None, Part::All).expect("the shapes fit");
            let ctx = switches.context();
            let sparse = Sparse::of(&matrix, 6, &ctx).expect("no file").expect("few entries");
            let x: Vec<_> = (0..50).map(f64::from).collect();
            let products =
                [sparse.apply(std::slice::from_ref(&x), &ctx), Gram::smaller(matrix).apply(&[x], &ctx)];
            let [a, b] = products.map(|product| product.expect("no file").remove(0));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs()));
            assert!(Sparse::of(&matrix, 60, &ctx).expect("no file").is_none());
        }
    }

    #[test]
    fn empty_rows_and_columns_are_left_out() {
        let mut values = vec![0.0; 9_000_000];
        for (at, value) in [(5, 3.0), (3005, -4.0), (1_234_567, 2.0)] {
            values[at] = value;
        }
        let weights = Weights::new([3000, 3000], &values);
        let norm = weights.norms(&[Which::Spectral])[0];
        assert_eq!(norm.kind, crate::norm::Kind::Certified);
        assert!((5.0..5.0 * (1.0 + 1e-12)).contains(&norm.value));
    }

    /// Collatz-Wielandt is exact where no two entries share both a row and a column with others in a circle.
    #[test]
    fn forests_are_measured_exactly() {
        let mut values = vec![0.0; 10_000];
        for (at, value) in [(5, 3.0), (105, -4.0), (4242, 2.0), (9999, -1.0)] {
            values[at] = value;
        }
        let weights = Weights::new([100, 100], &values);
        for which in [Which::Collatz, Which::Lanczos, Which::Estimate, Which::Spectral] {
            let value = weights.one(which);
            let slack = if which == Which::Lanczos { 0.01 } else { 1e-10 };
            assert!((5.0 * (1.0 - 1e-14)..5.0 * (1.0 + slack)).contains(&value), "{which:?} {value}");
        }
    }
}
