//! Certificates from a dense Gram matrix: Cholesky and repeated squaring, with all rounding.

use std::ops::Range;

use crate::error::Result;
use crate::norm::lanczos::{Random, ritz_quick};
use crate::norm::matrix::Scratch;
use crate::norm::operator::Gram;
use crate::norm::round::{TINY, U, Up, exponent, gamma, power_of_two};
use crate::norm::symmetric::{Symmetric, gram_roundings};
use crate::norm::tile::TILE;
use crate::parallel::Context;

/// A computed Gram matrix `G` of `X` and what is known of it.
pub(crate) struct Computed {
    pub gram: Symmetric,
    /// At least the spectral norm of `G - X^T X`.
    pub error: Up,
}

/// A Gram matrix of a matrix with entries around 1 and at most this Frobenius norm.
pub(crate) fn gram_of(of: &Gram<'_>, frobenius: Up, ctx: &Context<'_>) -> Result<Computed> {
    let (matrix, tall) = (&of.matrix, of.of_columns);
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let (order, depth) = if tall { (columns, rows) } else { (rows, columns) };
    let fill = |scratch: &mut Scratch, terms: Range<usize>, first: usize, panel: &mut [f64]| {
        let own = first..order.min(first + TILE);
        let mut values = std::mem::take(&mut scratch.values);
        values.resize(TILE * terms.len(), 0.0);
        let values_read = &mut values[..own.len() * terms.len()];
        if tall {
            matrix.read(scratch, terms, own.clone(), ctx.level, values_read)?;
            for (row, out) in values_read.chunks(own.len()).zip(panel.chunks_mut(TILE)) {
                out[..row.len()].copy_from_slice(row);
            }
        } else {
            matrix.read(scratch, own, terms.clone(), ctx.level, values_read)?;
            for (column, row) in values_read.chunks(terms.len()).enumerate() {
                row.iter()
                    .zip(panel[column..].iter_mut().step_by(TILE))
                    .for_each(|(value, out)| *out = *value);
            }
        }
        scratch.values = values;
        Ok(())
    };
    let gram = Symmetric::gram(order, depth, ctx, Scratch::default, fill)?;
    Ok(Computed { gram, error: product_error(frobenius, order, depth) })
}

/// At least the spectral norm of the rounding error of a computed `X^T X`: `gamma ||X||_F^2`, and what underflows.
pub(crate) fn product_error(frobenius: Up, order: usize, depth: usize) -> Up {
    let underflow = Up::new(order as f64 * TINY) * Up::new(depth as f64);
    gamma(gram_roundings(depth)) * frobenius * frobenius + underflow
}

/// Prop. 6.4: at least the square of the spectral norm of `X`, by a Cholesky factorisation of `s^2 I - G` that
/// runs to its end; infinity if none does.
///
/// Success means that `s^2 I - G + E` is positive semidefinite for an `E` of norm at most
/// `gamma_{n+1} / (1 - gamma_{n+1})` times the trace (Demmel; Higham, Theorem 10.5), each entry of the factor being
/// divided once; the rounding of the diagonal adds `u s^2`, underflow `n` times the least normal number per entry.
pub(crate) fn cholesky(computed: &Computed, ctx: &Context<'_>) -> Result<Up> {
    let (gram, order) = (&computed.gram, computed.gram.order());
    let guess = ritz_quick(gram, Random::default(), 1e-13, ctx)?;
    let mut relative = 64.0 * U * (order + 16) as f64;
    while relative < 1.0 {
        let shift = guess * (1.0 + relative);
        let shifted = gram.shifted(shift, ctx)?;
        let trace = shifted.trace();
        if shift > 0.0 && shifted.factors(ctx)? {
            let one_minus = 1.0 - gamma(order + 1).get();
            let factor_error = gamma(order + 1).over(one_minus.next_down()) * trace;
            let underflow = Up::new(order as f64 * TINY) * Up::new(4.0 * order as f64 * (order + 4) as f64);
            let shift = Up::new(shift);
            return Ok(shift + factor_error + shift * Up::new(U) + computed.error + underflow);
        }
        relative *= 10.0;
    }
    Ok(Up::new(f64::INFINITY))
}

/// Prop. 6.3: at least the square of the spectral norm of `X`, by `squarings` of its Gram matrix with every
/// rounding carried back.
pub(crate) fn gram_iteration(computed: Computed, squarings: usize, ctx: &Context<'_>) -> Result<Up> {
    let order = computed.gram.order();
    let mut gram = computed.gram;
    let mut steps = Vec::new();
    for _ in 0..squarings {
        let frobenius = gram.frobenius(ctx).get();
        if !(frobenius > 0.0 && frobenius < f64::INFINITY) {
            break;
        }
        let scale = power_of_two(exponent(frobenius));
        gram.scale(1.0 / scale, ctx)?;
        // What scaling pushes below the normal range counts as rounding of the square.
        steps.push((scale, product_error(Up::new(frobenius).over(scale), order, order) + Up::new(1e-300)));
        gram = gram.squared(ctx)?;
    }
    let mut bound = gram.frobenius(ctx);
    for (scale, error) in steps.into_iter().rev() {
        bound = (bound + error).sqrt() * Up::new(scale);
    }
    Ok(bound + computed.error)
}
