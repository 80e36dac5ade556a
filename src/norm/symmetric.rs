//! Dense symmetric matrices of moderate order: sums of outer products, and their Cholesky factors.

use std::ops::Range;

use crate::error::Result;
use crate::norm::lanes::{add_rows, dot, squares};
use crate::norm::operator::Operator;
use crate::norm::round::{Up, lane_roundings};
use crate::norm::tile::{TILE, Tile, add_outer, blank, factor, solve, transpose};
use crate::parallel::{Context, for_each};
use crate::simd::{Kernels, with_kernels};

/// Terms that are summed in registers before they are added to a tile.
const DEPTH: usize = 256;

/// The lower half of a symmetric matrix in tiles; rows and columns past the order are 0.
#[derive(Debug, Clone)]
pub(crate) struct Symmetric {
    order: usize,
    /// Tile `(i, j)` at `columns[j][i - j]`.
    columns: Vec<Vec<Tile>>,
}

/// Roundings of an entry of a Gram matrix over `depth` terms.
pub(crate) fn gram_roundings(depth: usize) -> usize {
    depth.min(DEPTH) + depth.div_ceil(DEPTH) + 2
}

impl Symmetric {
    fn zero(order: usize) -> Self {
        let tiles = order.div_ceil(TILE);
        Self { order, columns: (0..tiles).map(|j| vec![blank(); tiles - j]).collect() }
    }

    /// The Gram matrix `G_ij = sum_k X_ki X_kj` of `depth` terms. `fill` writes entries `X_ki` for a range of `k`
    /// and the 64 columns `i` from a multiple of 64 on, column fastest; what it leaves is 0.
    pub fn gram<S>(
        order: usize,
        depth: usize,
        ctx: &Context<'_>,
        state: impl Fn() -> S + Send + Sync,
        fill: impl Fn(&mut S, Range<usize>, usize, &mut [f64]) -> Result<()> + Send + Sync,
    ) -> Result<Self> {
        let mut gram = Self::zero(order);
        let mut panels: Vec<_> = (0..order.div_ceil(TILE)).map(|at| (at * TILE, Vec::new())).collect();
        for start in (0..depth).step_by(DEPTH) {
            let terms = start..depth.min(start + DEPTH);
            for_each(&mut panels, ctx, &state, |state, (first, panel): &mut (usize, Vec<f64>)| {
                panel.clear();
                panel.resize(terms.len() * TILE, 0.0);
                fill(state, terms.clone(), *first, panel)
            })?;
            let panels = &panels;
            gram.each_tile(ctx, |i, j, tile| {
                with_kernels!(ctx.level, kernels =>
                    kernels.vectorized(|| add_outer(1.0, &panels[j].1, &panels[i].1, tile)));
            })?;
        }
        Ok(gram)
    }

    pub fn order(&self) -> usize {
        self.order
    }

    /// Runs `work` on every tile `(i, j)`.
    fn each_tile(
        &mut self,
        ctx: &Context<'_>,
        work: impl Fn(usize, usize, &mut Tile) + Send + Sync,
    ) -> Result<()> {
        let tiles = self.columns.iter_mut().enumerate();
        let mut tiles: Vec<_> = tiles
            .flat_map(|(j, column)| column.iter_mut().enumerate().map(move |(i, tile)| (i + j, j, tile)))
            .collect();
        for_each(
            &mut tiles,
            ctx,
            || (),
            |(), (i, j, tile)| {
                work(*i, *j, tile);
                Ok(())
            },
        )
    }

    /// The square of the matrix: its Gram matrix with itself.
    pub fn squared(&self, ctx: &Context<'_>) -> Result<Self> {
        Self::gram(
            self.order,
            self.order,
            ctx,
            || (),
            |(), terms, first, panel| {
                for (rows, out) in (terms.start..terms.end).step_by(TILE).zip(panel.chunks_mut(TILE * TILE)) {
                    let (row, column) = (rows / TILE, first / TILE);
                    let mut whole = blank();
                    if row <= column {
                        whole.copy_from_slice(&self.columns[row][column - row]);
                    } else {
                        transpose(&self.columns[column][row - column], &mut whole);
                    }
                    out.copy_from_slice(&whole[..out.len()]);
                }
                Ok(())
            },
        )
    }

    /// `p * self + q * other`, entry by entry.
    pub fn blended(&self, p: f64, q: f64, other: &Self, ctx: &Context<'_>) -> Result<Self> {
        let mut sum = self.clone();
        sum.each_tile(ctx, |i, j, tile| {
            let other = &other.columns[j][i - j];
            tile.iter_mut().zip(other).for_each(|(value, more)| *value = p * *value + q * more);
        })?;
        Ok(sum)
    }

    /// The matrix times a power of two.
    pub fn scale(&mut self, factor: f64, ctx: &Context<'_>) -> Result<()> {
        self.each_tile(ctx, |_, _, tile| tile.iter_mut().for_each(|value| *value *= factor))
    }

    /// The entry at `(row, column)`.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        let (i, j) = (row.max(column), row.min(column));
        self.columns[j / TILE][i / TILE - j / TILE][j % TILE * TILE + i % TILE]
    }

    /// At least the Frobenius norm.
    pub fn frobenius(&self, ctx: &Context<'_>) -> Up {
        let square = |tile: &Tile| {
            let sum = with_kernels!(ctx.level, kernels => kernels.vectorized(|| squares(tile)));
            Up::new(sum).grown(lane_roundings(TILE * TILE))
                + Up::new(f64::MIN_POSITIVE * (TILE * TILE) as f64)
        };
        let of_column = |column: &Vec<Tile>| {
            let below: Up = column[1..].iter().map(square).sum();
            square(&column[0]) + below + below
        };
        self.columns.iter().map(of_column).sum::<Up>().sqrt()
    }

    /// At least the sum of the diagonal, whose entries are nonnegative.
    pub fn trace(&self) -> Up {
        (0..self.order).map(|at| Up::new(self.get(at, at))).sum()
    }

    /// `shift * I - self`.
    pub fn shifted(&self, shift: f64, ctx: &Context<'_>) -> Result<Self> {
        let mut matrix = self.clone();
        matrix.each_tile(ctx, |i, j, tile| {
            for value in &mut *tile {
                *value = -*value;
            }
            if i == j {
                tile.iter_mut().step_by(TILE + 1).for_each(|value| *value += shift);
            }
        })?;
        Ok(matrix)
    }

    /// Whether floating-point Cholesky of the matrix, which is used up, runs to its end with every pivot above 0.
    pub fn factors(mut self, ctx: &Context<'_>) -> Result<bool> {
        for j in 0..self.columns.len() {
            let (done, rest) = self.columns.split_at_mut(j);
            let done = &*done;
            let mut tiles: Vec<_> = rest[0].iter_mut().enumerate().map(|(at, tile)| (at + j, tile)).collect();
            for_each(
                &mut tiles,
                ctx,
                || (),
                |(), (i, tile)| {
                    with_kernels!(ctx.level, kernels => kernels.vectorized(|| {
                        for (p, column) in done.iter().enumerate() {
                            add_outer(-1.0, &column[j - p], &column[*i - p], tile);
                        }
                    }));
                    Ok(())
                },
            )?;
            let Some((diagonal, below)) = rest[0].split_first_mut() else { continue };
            if with_kernels!(ctx.level, kernels => kernels.vectorized(|| factor(diagonal))).is_none() {
                return Ok(false);
            }
            let mut below: Vec<_> = below.iter_mut().collect();
            for_each(
                &mut below,
                ctx,
                || (),
                |(), tile| {
                    with_kernels!(ctx.level, kernels => kernels.vectorized(|| solve(diagonal, tile)));
                    Ok(())
                },
            )?;
        }
        Ok(true)
    }
}

impl Operator for Symmetric {
    fn dim(&self) -> usize {
        self.order
    }

    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        let padded = self.columns.len() * TILE;
        let whole = |vector: &Vec<f64>| {
            let mut whole = vector.clone();
            whole.resize(padded, 0.0);
            whole
        };
        let vectors: Vec<_> = vectors.iter().map(whole).collect();
        // A column of tiles gives its own entries and adds to those below.
        let mut parts: Vec<_> =
            self.columns.iter().enumerate().map(|(j, column)| (j, column, Vec::new())).collect();
        for_each(
            &mut parts,
            ctx,
            || (),
            |(), (j, column, sums)| {
                *sums = vectors.iter().map(|x| {
                let mut sums = vec![0.0; padded - *j * TILE];
                with_kernels!(ctx.level, kernels => kernels.vectorized(|| of_column(column, &x[*j * TILE..], &mut sums)));
                sums
            }).collect();
                Ok(())
            },
        )?;
        let mut products = vec![vec![0.0; padded]; vectors.len()];
        for (j, _, sums) in &parts {
            for (product, sums) in products.iter_mut().zip(sums) {
                product[j * TILE..].iter_mut().zip(sums).for_each(|(product, more)| *product += more);
            }
        }
        for product in &mut products {
            product.truncate(self.order);
        }
        Ok(products)
    }

    fn roundings(&self) -> usize {
        self.order + 64
    }
}

/// What a column of tiles adds to a product: `x` and `sums` start at its diagonal tile.
#[inline(always)]
fn of_column(column: &[Tile], x: &[f64], sums: &mut [f64]) {
    let (own, _) = x.split_at(TILE);
    for (at, tile) in column.iter().enumerate() {
        let below = &x[at * TILE..][..TILE];
        for (c, values) in tile.chunks(TILE).enumerate() {
            add_rows([own[c]], [values], &mut sums[at * TILE..][..TILE]);
            if at > 0 {
                sums[c] += dot(values, below);
            }
        }
    }
}
