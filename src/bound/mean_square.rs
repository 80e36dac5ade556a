//! The mean square of the gap at one input (Corollary 3.2): equal to it for identity activations.

use super::Family;
use super::cells::{Cell, Rest, ln_average};
use super::inputs::InputState;
use super::law::{WHOLE, ln_threshold_moment};
use super::layer::Prepared;
use super::masked::Masked;
use super::shape::{Part, Pruning};
use super::special::ln_add;

/// An upper bound of `E |D|_F^2 / (D sigma^2)`, the share of the squared weights that is pruned: exact for random pruning
/// and for uniform weights.
#[must_use]
pub fn pruned_share(masked: &Masked) -> f64 {
    let (family, len) = (&masked.dense.family, masked.dense.shape.len());
    let chance = masked.chance(Part::Pruned);
    let ln_share = match masked.pruning {
        Pruning::Random(_) | Pruning::Bernoulli(_) => 0.0,
        Pruning::Magnitude(count) if count >= len => 0.0,
        Pruning::Magnitude(count) if *family == Family::Uniform => ln_threshold_moment(count, len, 1),
        _ => {
            let second = |cell: &Cell| family.ln_moment(cell.pruned, 1) - family.ln_moment(WHOLE, 1);
            ln_average(masked.cells(), Rest::Bounded(second(&Cell::LAST)), |_, cell| second(cell))
        }
    };
    (chance * ln_share.exp()).min(1.0)
}

/// `ln` of bounds of the mean squares after each layer, for one input of norm `radius` that is fixed before the weights.
///
/// Without biases and for activations that are zero at zero, the last gap is at most
/// `radius^2 prod c_i (1 - prod (1 - s_i))` with `c_i = pi_i L_i^2 n_i sigma_i^2` and the shares `s_i`, and the last state
/// is `radius^2 prod c_i`. Only for identity, `relu` and `leaky_relu` is that the mean square of the network itself.
#[must_use]
pub fn mean_square_states(layers: &[Prepared], radius: f64) -> Vec<InputState> {
    let mut state = InputState { ln_state: 2.0 * radius.ln(), ln_gap: f64::NEG_INFINITY };
    let step = |prepared: &Prepared| {
        let Prepared { layer, dense, masked, .. } = prepared;
        let ln_variance =
            dense.family.variance().ln() + 2.0 * (layer.law.scale.ln() + layer.activation.lipschitz.ln());
        let ln_rows = ((layer.shape.rows * layer.uses) as f64).ln() + ln_variance;
        let share = masked.as_deref().map_or(0.0, pruned_share);
        // (1-s) gap + s state, which rises with s while the gap is below the state; no more than the gap elsewhere.
        let mixed = ln_add((1.0 - share).ln() + state.ln_gap, share.ln() + state.ln_state);
        let mixed = if state.ln_gap > state.ln_state { state.ln_gap } else { mixed };
        let grown = ln_rows + layer.state_half().ln() + state.ln_state;
        let offset = layer.offset();
        state = InputState {
            ln_state: if offset == 0.0 { grown } else { 2.0 * ln_add(grown / 2.0, offset.ln()) },
            ln_gap: ln_rows + layer.gap_half().ln() + mixed,
        };
        state
    };
    layers.iter().map(step).collect()
}

#[cfg(test)]
mod tests;
