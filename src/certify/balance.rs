//! Prop. 6.15: diagonal weights between layers. Powers of two, so that weighting rounds nothing.

use crate::certify::{Layer, Network, Weights};
use crate::error::Result;
use crate::norm::line_squares;
use crate::norm::round::power_of_two;
use crate::parallel::Context;

/// The weights of the states: ones where they must be.
pub(crate) type Diagonals = Vec<Vec<f64>>;

/// Ones, but for states that lead from one linear layer to one other and nowhere else: there such that a row of the one
/// and the column of the other that it feeds become alike, by `sweeps` over the network. Any choice is valid.
///
/// # Errors
/// [`crate::Error::Interrupted`]; those of the source.
pub(crate) fn balance(
    network: &Network<'_>,
    lengths: &[usize],
    sweeps: usize,
    ctx: &Context<'_>,
) -> Result<Diagonals> {
    let mut diagonals: Diagonals = lengths.iter().map(|&len| vec![1.0; len]).collect();
    for _ in 0..sweeps {
        for [state, next] in pairs(network) {
            let (Some((one, before)), Some((two, _))) = (plain(network, state - 1), plain(network, next))
            else {
                continue;
            };
            let left = one.matrix.balanced(None, weights(&diagonals[before]));
            let right = two.matrix.balanced(weights(&diagonals[next + 1]), None);
            let [rows, _] = line_squares(&left, ctx)?;
            let [_, columns] = line_squares(&right, ctx)?;
            for ((own, row), column) in diagonals[state].iter_mut().zip(rows).zip(columns) {
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

/// States with one user, and the layers that these are.
fn pairs(network: &Network<'_>) -> Vec<[usize; 2]> {
    let uses = network.uses();
    (1..uses.len()).filter(|&state| uses[state].1 == 1).map(|state| [state, uses[state].0]).collect()
}

/// A linear layer whose weights are as stored, and the state it takes.
fn plain<'a, 'b>(network: &'b Network<'a>, number: usize) -> Option<(&'b Weights<'a>, usize)> {
    let node = &network.nodes[number];
    match &node.layer {
        Layer::Affine(weights, _) if weights.is_plain() => Some((&**weights, node.inputs[0])),
        _ => None,
    }
}
