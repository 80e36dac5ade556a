//! Tail bounds of the norms of single matrices (Propositions 2.4 to 2.13, Theorem 4).

use super::batch::ROUNDING;
use super::layer::{Layer, Prepared};
use super::orders::norm_tail;
use super::shape::Part;
use crate::error::{Error, Result};
use crate::parallel::{Context, for_each};

/// For each layer a bound of the spectral norm of its matrix, or of one part, that fails with chance at most `delta`, and the
/// order of its moments. Of the operator for a convolution: at every size with zero padding, at its own for a circular one.
///
/// # Errors
/// [`Error::OutOfRange`] for `delta` outside (0, 1]; [`Error::Interrupted`].
pub fn spectral_bounds(
    layers: &[Layer],
    part: Option<Part>,
    delta: f64,
    ctx: &Context<'_>,
) -> Result<Vec<(f64, usize)>> {
    Error::check_range("delta", delta, f64::from_bits(1), 1.0)?;
    let mut items: Vec<(&Layer, (f64, usize))> = layers.iter().map(|layer| (layer, (0.0, 0))).collect();
    for_each(
        &mut items,
        ctx,
        || (),
        |(), (layer, bound)| {
            *bound = norm_bound(layer, part, delta);
            Ok(())
        },
    )?;
    Ok(items.into_iter().map(|(_, bound)| bound).collect())
}

fn norm_bound(layer: &Layer, part: Option<Part>, delta: f64) -> (f64, usize) {
    let prepared = Prepared::new(layer.clone());
    let ln_norm = |p: usize| match (part, &prepared.masked) {
        (Some(part), Some(masked)) => masked.ln_norm(part, p),
        (Some(Part::Pruned), None) => f64::NEG_INFINITY,
        _ => prepared.dense.ln_norm(p),
    };
    let best = norm_tail(delta, ln_norm);
    (best.epsilon() * layer.law.scale * (1.0 + ROUNDING), best.p)
}

#[cfg(test)]
mod tests;
