//! Theorem 3: the largest gap over a ball of few dimensions, by a net of inputs.

use super::ball::Ball;
use super::inputs::ln_input_gap;
use super::layer::Prepared;
use super::orders::{Best, Detail, best};
use super::special::ln_add;

/// `ln` of the mesh over the radius: from -12 to 0.
const MESHES: usize = 49;
const MESH_STEP: f64 = 0.25;

/// What Theorem 3 needs of a network for one order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Net {
    /// `ln` of the `2p`-norm of the gap at one input.
    ln_gap: f64,
    /// `ln` of the `2p`-norm of the sum of both networks' Lipschitz constants.
    ln_lipschitz: f64,
}

impl Net {
    pub(crate) fn new(layers: &[Prepared], radius: f64, p: usize, detail: Detail) -> Self {
        let ln_lipschitz = lipschitz(layers, p, detail);
        Self { ln_gap: ln_input_gap(layers, radius, p, detail), ln_lipschitz }
    }

    /// `ln` of the bound of the `2p`-norm of the largest gap over a ball.
    pub(crate) fn ln_ball_gap(&self, radius: f64, dimension: usize, p: usize) -> f64 {
        if self.ln_gap == f64::NEG_INFINITY {
            return f64::NEG_INFINITY;
        }
        let at = |step: usize| {
            let ln_mesh = MESH_STEP * step as f64 - 12.0;
            let ln_points = dimension as f64 * (2.0 * (-ln_mesh).exp()).ln_1p();
            ln_add(ln_points / (2 * p) as f64 + self.ln_gap, ln_mesh + radius.ln() + self.ln_lipschitz)
        };
        (0..MESHES).map(at).fold(f64::INFINITY, f64::min)
    }
}

/// The largest order for which the kept part of a matrix is looked at: that takes long, and is worth little.
const MASKED: usize = 512;

/// `ln` of the `2p`-norm of the sum of the Lipschitz constants of the network and the pruned one.
pub(crate) fn lipschitz(layers: &[Prepared], p: usize, detail: Detail) -> f64 {
    // Not proved for one threshold for several layers.
    if layers.iter().any(|layer| layer.layer.pruning.is_given() || layer.layer.pruning.is_common()) {
        return f64::INFINITY;
    }
    let (mut whole, mut kept) = (0.0, 0.0);
    for Prepared { layer, dense, masked, .. } in layers {
        let ln_factor = layer.activation.lipschitz.ln() + layer.law.scale.ln();
        let norm = dense.norm(p);
        let masked = masked.as_ref().filter(|_| p <= MASKED);
        let part = masked.map_or(norm, |masked| masked.norm(super::Part::Kept, p, detail).min(norm));
        whole += ln_factor + norm.ln();
        kept += ln_factor + part.ln();
    }
    ln_add(whole, kept)
}

/// The dimension of the ball: that of the inputs where none is given.
pub(crate) fn dimension(layers: &[Prepared], ball: Ball) -> Option<usize> {
    let first = layers.first()?;
    ball.dimension.or_else(|| first.is_matrix().then_some(first.layer.shape.cols))
}

/// A bound `epsilon` with `P(sup |F - f| > epsilon) <= delta` over the ball (Theorem 3); none where the dimension of
/// the inputs is not known.
#[must_use]
pub fn covering_bound(layers: &[Prepared], ball: Ball, delta: f64) -> Best {
    let Some(dimension) = dimension(layers, ball) else { return Best::NONE };
    best(|p| {
        let net = Net::new(layers, ball.radius, p, Detail::Full);
        net.ln_ball_gap(ball.radius, dimension, p) - delta.ln() / (2 * p) as f64
    })
}

#[cfg(test)]
mod tests;
