//! Prop. 6.15: diagonal weights between layers. Powers of two, so that weighting rounds nothing.

use crate::certify::Layer;
use crate::error::Result;
use crate::norm::line_squares;
use crate::norm::round::power_of_two;
use crate::parallel::Context;

/// The weights of the states, before the first layer and behind each: ones where they must be.
pub(crate) type Diagonals = Vec<Vec<f64>>;

/// Ones at both ends and beside every layer that is not linear; elsewhere such that a row of one layer and the column
/// of the next that it feeds become alike, by `sweeps` over the network. Any choice is valid.
///
/// # Errors
/// [`crate::Error::Interrupted`]; those of the source.
pub(crate) fn balance(layers: &[Layer<'_>], sweeps: usize, ctx: &Context<'_>) -> Result<Diagonals> {
    let mut diagonals: Diagonals = std::iter::once(first_width(layers))
        .chain(layers.iter().map(|layer| layer.linear().map_or(0, |weights| weights.matrix.rows())))
        .map(|len| vec![1.0; len])
        .collect();
    for _ in 0..sweeps {
        for (at, pair) in layers.windows(2).enumerate() {
            let (Some(one), Some(next)) = (pair[0].linear(), pair[1].linear()) else { continue };
            let before = one.matrix.balanced(None, weights(&diagonals[at]));
            let after = next.matrix.balanced(weights(&diagonals[at + 2]), None);
            let [rows, _] = line_squares(&before, ctx)?;
            let [_, columns] = line_squares(&after, ctx)?;
            let own = &mut diagonals[at + 1];
            for ((own, row), column) in own.iter_mut().zip(rows).zip(columns) {
                // The root of the ratio of norms is the fourth root of that of squares.
                let exponent = (row.log2() - column.log2()) / 4.0;
                *own = if exponent.is_finite() { power_of_two(exponent.round() as i32) } else { 1.0 };
            }
        }
    }
    Ok(diagonals)
}

/// Weights that are not all ones.
pub(crate) fn weights(diagonal: &[f64]) -> Option<&[f64]> {
    diagonal.iter().any(|weight| weight.to_bits() != 1.0_f64.to_bits()).then_some(diagonal)
}

fn first_width(layers: &[Layer<'_>]) -> usize {
    layers.first().and_then(Layer::linear).map_or(0, |weights| weights.matrix.columns())
}
