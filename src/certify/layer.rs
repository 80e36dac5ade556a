//! The networks that a certificate can be made for: layers, and which states each of them takes.

use crate::certify::{Activation, Map, Weights};
use crate::error::{Error, Result};

/// A network as a graph of layers. State 0 is its input, state `n + 1` what layer `n` gives, the last one its output.
#[derive(Clone)]
pub struct Network<'a> {
    /// How many numbers it takes.
    pub inputs: usize,
    /// Its layers, each after those whose states it takes.
    pub nodes: Vec<Node<'a>>,
}

/// A layer, and the states it takes.
#[derive(Clone)]
pub struct Node<'a> {
    /// What it does.
    pub layer: Layer<'a>,
    /// The numbers of the states: one, or at least one where they are joined.
    pub inputs: Vec<usize>,
}

/// What is done to a state, or to several.
#[derive(Clone)]
pub enum Layer<'a> {
    /// `act(W x + b)`, of which the mask prunes a part of `W`.
    Affine(Box<Weights<'a>>, Activation),
    /// A layer whose two forms are the same (6.14).
    Map(Map<'a>),
    /// The sum of states, as at the end of a residual branch (6.14).
    Sum,
    /// States side by side (6.14).
    Concatenation,
}

impl<'a> Network<'a> {
    /// Layers that each take what the one before gives.
    #[must_use]
    pub fn chain(inputs: usize, layers: Vec<Layer<'a>>) -> Self {
        let node = |(at, layer)| Node { layer, inputs: vec![at] };
        Self { inputs, nodes: layers.into_iter().enumerate().map(node).collect() }
    }

    /// How many layers have weights.
    pub(crate) fn num_weighted(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node.layer, Layer::Affine(..))).count()
    }

    /// For each state the last layer that takes it, and how many do.
    pub(crate) fn uses(&self) -> Vec<(usize, usize)> {
        let mut uses = vec![(0, 0); self.nodes.len() + 1];
        for (number, node) in self.nodes.iter().enumerate() {
            for &state in &node.inputs {
                uses[state] = (number, uses[state].1 + 1);
            }
        }
        uses
    }

    /// The lengths of all states.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] where neighbours or biases do not fit; [`Error::NanEntry`] for a NaN in a bias;
    /// [`Error::NotAllowed`] for a geometry that is none.
    ///
    /// # Panics
    /// If a layer takes a state that is not before it, or none, or many without joining them.
    pub(crate) fn lengths(&self) -> Result<Vec<usize>> {
        let mut lengths = vec![self.inputs];
        for (number, Node { layer, inputs }) in self.nodes.iter().enumerate() {
            assert!(!inputs.is_empty() && inputs.iter().all(|&state| state <= number), "states come first");
            assert!(inputs.len() == 1 || matches!(layer, Layer::Sum | Layer::Concatenation), "one state");
            let fits = |what, expected, got| fits(number, what, expected, got);
            let first = lengths[inputs[0]];
            lengths.push(match layer {
                Layer::Affine(weights, _) => {
                    weights.check(number)?;
                    fits("inputs", weights.inputs(), first)?;
                    weights.outputs()
                }
                Layer::Map(map) => map.outputs(number, first)?,
                Layer::Sum => {
                    inputs.iter().try_for_each(|&state| fits("terms", first, lengths[state]))?;
                    first
                }
                Layer::Concatenation => inputs.iter().map(|&state| lengths[state]).sum(),
            });
        }
        Ok(lengths)
    }
}

/// An error that names the layer where lengths differ.
pub(crate) fn fits(layer: usize, what: &'static str, expected: usize, got: usize) -> Result<()> {
    let name = format!("layer {layer}");
    if expected == got { Ok(()) } else { Err(Error::LengthMismatch { name, what, expected, got }) }
}

/// An error that names the first NaN.
pub(crate) fn no_nan(name: &str, values: &[f64]) -> Result<()> {
    let index = values.iter().position(|value| value.is_nan());
    index.map_or(Ok(()), |index| Err(Error::NanEntry { name: name.to_owned(), index }))
}
