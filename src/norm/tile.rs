//! Square tiles of symmetric matrices, the unit of the dense kernels.

use crate::norm::lanes::LANES;

/// Rows and columns of a tile.
pub(crate) const TILE: usize = 64;

/// A tile of values, column by column: the entry of row `r` and column `c` at `c * TILE + r`.
pub(crate) type Tile = Vec<f64>;

pub(crate) fn blank() -> Tile {
    vec![0.0; TILE * TILE]
}

/// Rows of the first factor that a step holds in registers.
const HELD: usize = 4;

/// `tile[i * TILE + j] += sign * sum_k first[k * TILE + i] * second[k * TILE + j]`, each sum in the order of `k`.
///
/// Not tried: fused operations, which no level without them could repeat.
#[inline(always)]
pub(crate) fn add_outer(sign: f64, first: &[f64], second: &[f64], tile: &mut [f64]) {
    let (firsts, seconds) = (first.as_chunks::<TILE>().0, second.as_chunks::<TILE>().0);
    for i in (0..TILE).step_by(HELD) {
        for j in (0..TILE).step_by(LANES) {
            let mut sums = [[0.0; LANES]; HELD];
            for (first, second) in firsts.iter().zip(seconds) {
                let (held, lanes) = (&first[i..i + HELD], &second[j..j + LANES]);
                for row in 0..HELD {
                    for lane in 0..LANES {
                        sums[row][lane] += held[row] * lanes[lane];
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                let out = &mut tile[(i + row) * TILE + j..][..LANES];
                for lane in 0..LANES {
                    out[lane] += sign * sums[lane];
                }
            }
        }
    }
}

/// The Cholesky factor of a symmetric tile in its lower half; `None` where a pivot is not above 0.
///
/// Every entry goes through one subtraction per product and one division, as Prop. 6.4 counts them.
#[inline(always)]
pub(crate) fn factor(tile: &mut [f64]) -> Option<()> {
    for c in 0..TILE {
        let (before, rest) = tile.split_at_mut(c * TILE);
        let column = &mut rest[..TILE];
        for earlier in before.chunks(TILE) {
            let pivot = earlier[c];
            for r in c..TILE {
                column[r] -= earlier[r] * pivot;
            }
        }
        let square = column[c];
        if !(square > 0.0 && square < f64::INFINITY) {
            return None;
        }
        let root = square.sqrt();
        column[c] = root;
        column[c + 1..].iter_mut().for_each(|value| *value /= root);
    }
    Some(())
}

/// Turns a tile below the diagonal into its part of the factor: `X` with `X * lower^T = tile`.
#[inline(always)]
pub(crate) fn solve(lower: &[f64], tile: &mut [f64]) {
    for c in 0..TILE {
        let (before, rest) = tile.split_at_mut(c * TILE);
        let column = &mut rest[..TILE];
        for (k, earlier) in before.chunks(TILE).enumerate() {
            let factor = lower[k * TILE + c];
            for r in 0..TILE {
                column[r] -= earlier[r] * factor;
            }
        }
        let pivot = lower[c * TILE + c];
        for value in column {
            *value /= pivot;
        }
    }
}

/// Swaps rows and columns.
pub(crate) fn transpose(tile: &[f64], out: &mut [f64]) {
    for c in 0..TILE {
        for r in 0..TILE {
            out[r * TILE + c] = tile[c * TILE + r];
        }
    }
}
