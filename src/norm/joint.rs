//! The joint norm of the kept and the removed part of a layer.

use crate::error::{Error, Result};
use crate::norm::cholesky::{Computed, cholesky, gram_of};
use crate::norm::lanczos::{Random, lanczos, ritz_quick};
use crate::norm::matrix::{Matrix, Part};
use crate::norm::operator::{Gram, Operator};
use crate::norm::round::{TINY, U, Up};
use crate::norm::spectral::{Known, SMALL, Settings, WORK, spectral};
use crate::norm::sums::sums;
use crate::norm::symmetric::Symmetric;
use crate::norm::{Kind, Norm};
use crate::parallel::Context;

/// Prop. 6.13: a bound of `|W' a + D h|` over `|a| <= kept`, `|h| <= removed`, for the kept part `W'` and the
/// removed part `D` of a matrix: the least `||[W', c D]|| sqrt(kept^2 + removed^2 / c^2)` over `c`, each a bound.
/// In code the parts have weights `p` and `q`, the larger 1, with `c^2 = q / p`.
///
/// Certified (Prop. 6.4 at the chosen `c`) where the Gram matrix of the rows is small, otherwise by Lanczos.
///
/// # Errors
/// [`Error::NotAllowed`] for a radius that is negative or NaN; as [`crate::norm::norms`].
pub fn joint_norm(
    matrix: &Matrix<'_>,
    kept: f64,
    removed: f64,
    settings: Settings,
    ctx: &Context<'_>,
) -> Result<Norm> {
    let random = settings.random.checked()?;
    for got in [kept, removed] {
        if got.is_nan() || got < 0.0 {
            return Err(Error::NotAllowed { parameter: "radius", expected: "at least 0", got });
        }
    }
    for (radius, other, part) in [(kept, removed, Part::Kept), (removed, kept, Part::Removed)] {
        if other == 0.0 {
            let norm = spectral(&matrix.part(part), settings, ctx)?;
            return Ok(Norm { value: (Up::new(norm.value) * Up::new(radius)).get(), kind: norm.kind });
        }
    }
    let whole = Known::new(matrix, sums(&matrix.part(Part::All), false, ctx)?);
    let certified = |value| Ok(Norm { value, kind: Kind::Certified });
    if whole.sums.largest == 0.0 {
        return certified(0.0);
    }
    if whole.is_trivial() || kept == f64::INFINITY || removed == f64::INFINITY {
        return certified(f64::INFINITY);
    }
    let parts =
        [Part::Kept, Part::Removed].map(|part| Gram { matrix: whole.matrix.part(part), of_columns: false });
    let work = (matrix.rows() as f64).powi(2) * matrix.columns() as f64;
    if matrix.rows() <= SMALL && work <= WORK {
        let computed = Grams::new(&parts, whole.scaled_frobenius(), ctx)?;
        let weights =
            best_weights(kept, removed, matrix.rows(), |weights| computed.estimate(weights, random, ctx))?;
        return certified(whole.back_joint(computed.certified(weights, ctx)?, weights, kept, removed));
    }
    let pair = |weights| Pair { parts, weights };
    let weights =
        best_weights(kept, removed, matrix.rows(), |weights| ritz_quick(&pair(weights), random, 1e-3, ctx))?;
    let eigenvalue = lanczos(&pair(weights), random, ctx)?;
    let value = whole.back_joint(eigenvalue.bound, weights, kept, removed);
    Ok(Norm { value, kind: eigenvalue.kind })
}

impl Known<'_> {
    /// The joint bound, of a bound of the largest eigenvalue of `p W' W'^T + q D D^T` of the scaled matrix.
    fn back_joint(&self, eigenvalue: Up, [p, q]: [f64; 2], kept: f64, removed: f64) -> f64 {
        let side = |radius, weight: f64| Up::new(radius).over(weight.sqrt().next_down());
        let radius = side(kept, p).hypot(side(removed, q));
        (self.back(eigenvalue) * radius).get()
    }
}

/// The weights at which the bound is least, by golden section on the logarithm of `c`; any are valid.
fn best_weights(
    kept: f64,
    removed: f64,
    rows: usize,
    eigenvalue: impl Fn([f64; 2]) -> Result<f64>,
) -> Result<[f64; 2]> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    const FARTHEST: f64 = 200.0;
    let radii = (removed.ln() - kept.ln()).clamp(-FARTHEST, FARTHEST);
    let weights = |log: f64| [(-2.0 * log).exp().min(1.0), (2.0 * log).exp().min(1.0)];
    // The logarithm of the bound's square, but for a constant: 1 / p + (removed / kept)^2 / q is the rest of it.
    let bound = |log: f64| -> Result<f64> {
        let [p, q] = weights(log);
        Ok(eigenvalue([p, q])?.ln() + (1.0 / p + (2.0 * radii).exp() / q).ln())
    };
    let (mut low, mut high) = (radii - 6.0, radii + 6.0);
    let [mut a, mut b] = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
    let [mut at_a, mut at_b] = [bound(a)?, bound(b)?];
    for _ in 0..if rows <= 256 { 40 } else { 14 } {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - GOLDEN * (high - low);
            at_a = bound(a)?;
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + GOLDEN * (high - low);
            at_b = bound(b)?;
        }
    }
    Ok(weights(if at_a < at_b { a } else { b }))
}

/// Gram matrices of the rows of both parts.
struct Grams {
    kept: Computed,
    removed: Computed,
}

impl Grams {
    fn new(parts: &[Gram<'_>; 2], frobenius: Up, ctx: &Context<'_>) -> Result<Self> {
        let [kept, removed] = parts;
        Ok(Self { kept: gram_of(kept, frobenius, ctx)?, removed: gram_of(removed, frobenius, ctx)? })
    }

    fn sum(&self, [p, q]: [f64; 2], ctx: &Context<'_>) -> Result<Symmetric> {
        self.kept.gram.blended(p, q, &self.removed.gram, ctx)
    }

    fn estimate(&self, weights: [f64; 2], random: Random, ctx: &Context<'_>) -> Result<f64> {
        let tolerance = if self.kept.gram.order() <= 256 { 1e-12 } else { 1e-4 };
        ritz_quick(&self.sum(weights, ctx)?, random, tolerance, ctx)
    }

    fn certified(&self, weights: [f64; 2], ctx: &Context<'_>) -> Result<Up> {
        let [p, q] = weights.map(Up::new);
        // Two roundings an entry, and what underflows.
        let frobenius = p * self.kept.gram.frobenius(ctx) + q * self.removed.gram.frobenius(ctx);
        let underflow = Up::new(TINY) * Up::new(2.0 * self.kept.gram.order() as f64);
        let error = p * self.kept.error + q * self.removed.error + Up::new(4.0 * U) * frobenius + underflow;
        cholesky(&Computed { gram: self.sum(weights, ctx)?, error }, ctx)
    }
}

/// `p W' W'^T + q D D^T`, streamed.
#[derive(Clone, Copy)]
struct Pair<'a> {
    parts: [Gram<'a>; 2],
    weights: [f64; 2],
}

impl Operator for Pair<'_> {
    fn dim(&self) -> usize {
        self.parts[0].dim()
    }

    fn apply(&self, vectors: &[Vec<f64>], ctx: &Context<'_>) -> Result<Vec<Vec<f64>>> {
        let [mut sums, removed] = [self.parts[0].apply(vectors, ctx)?, self.parts[1].apply(vectors, ctx)?];
        let [p, q] = self.weights;
        for (sum, more) in sums.iter_mut().zip(&removed) {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = p * *sum + q * more);
        }
        Ok(sums)
    }

    fn roundings(&self) -> usize {
        self.parts[0].roundings() + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;
    use crate::norm::tests::Weights;
    use crate::parallel::Switches;

    fn joint(weights: &Weights, kept: &[u8], radii: [f64; 2]) -> Norm {
        let (array, switches) = ([weights.array()], Switches::default());
        let source = &array[..];
        let mask = Some(Mask::Bytes(kept));
        let matrix = Matrix::new(&source, 0, weights.shape, mask, Part::Kept).expect("the shapes fit");
        joint_norm(&matrix, radii[0], radii[1], Settings::default(), &switches.context()).expect("numbers")
    }

    #[test]
    fn one_kept_and_one_removed_row_are_added_as_they_are() {
        // |a| and |2 h| along two axes: the norm of (3, 2 * 5) as the first coordinates of a and h.
        let weights = Weights::new([2, 2], &[1.0, 0.0, 0.0, 2.0]);
        let norm = joint(&weights, &[1, 1, 0, 0], [3.0, 5.0]);
        assert!(norm.value >= 109.0_f64.sqrt() && norm.value <= 109.0_f64.sqrt() * (1.0 + 1e-7));
        // Along one axis the lengths add.
        let weights = Weights::new([1, 2], &[1.0, 2.0]);
        let norm = joint(&weights, &[1, 0], [3.0, 5.0]);
        assert!(norm.value >= 13.0 && norm.value <= 13.0 * (1.0 + 1e-9), "{norm:?}");
        assert_eq!(norm.kind, Kind::Certified);
    }

    #[test]
    fn nothing_moved_is_nothing_changed() {
        let weights = Weights::normal([5, 7], 1);
        let kept: Vec<u8> = (0..35).map(|at| u8::from(at % 3 > 0)).collect();
        assert!(joint(&weights, &kept, [0.0, 0.0]).value == 0.0);
        let only =
            weights.part(&[crate::norm::Which::Cholesky], Some(Mask::Bytes(&kept)), Part::Removed)[0].value;
        let norm = joint(&weights, &kept, [0.0, 2.0]).value;
        assert!(norm >= 2.0 * only * (1.0 - 1e-12) && norm <= 2.0 * only * (1.0 + 1e-6), "{norm} {only}");
    }
}
