//! Collatz-Wielandt: the spectral norm of the matrix of magnitudes, from above.

use crate::error::Result;
use crate::norm::operator::Operator;
use crate::norm::round::{TINY, Up};
use crate::parallel::Context;

/// The least entry of a test vector beside its largest: any positive vector gives a bound.
const FLOOR: f64 = 1e-100;

/// Prop. 6.2: for the magnitudes `B` of a matrix `A` and any positive vector `x`,
/// `||A|| <= ||B|| <= sqrt(max_j (B^T B x)_j / x_j)`; the best of `steps` vectors, each from the one before.
/// `gram` is `B^T B`, of entries of at most 2.
///
/// It ends before where the bound is within `1e-13` of its limit, or where that limit is above `enough`: every
/// vector also gives a lower bound of `||B||`.
pub(crate) fn collatz(gram: &impl Operator, steps: usize, enough: f64, ctx: &Context<'_>) -> Result<Up> {
    let mut x = vec![1.0; gram.dim()];
    let mut best = Up::new(f64::INFINITY);
    for _ in 0..steps {
        let y = gram.apply(std::slice::from_ref(&x), ctx)?.pop().unwrap_or_default();
        // Every term is nonnegative, so that the relative error is that of its roundings.
        let terms = gram.roundings() as f64;
        let lost = Up::new(4.0 * terms * terms * TINY);
        let ratio = |(&y, &x): (&f64, &f64)| (Up::new(y).grown(gram.roundings()) + lost).over(x);
        let bound = y.iter().zip(&x).map(ratio).fold(Up::ZERO, Up::max);
        best = best.min(bound);
        let (mut product, mut square) = (0.0, 0.0);
        for (y, x) in y.iter().zip(&x) {
            (product, square) = (product + x * y, square + x * x);
        }
        let below = product / square;
        if below.sqrt() > enough || best.get() <= below * (1.0 + 1e-13) {
            break;
        }
        let largest = y.iter().copied().fold(0.0, f64::max);
        x = y.into_iter().map(|y| (y / largest).max(FLOOR)).collect();
    }
    Ok(best.sqrt())
}
