//! The layers of a network as the bounds see them (Definition 1.1).

use std::sync::Arc;

use super::activation::Activation;
use super::dense::Dense;
use super::inputs::Fluctuation;
use super::law::Law;
use super::masked::Masked;
use super::shape::{Pruning, Shape};

/// One layer `h' = f(W h + b)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The shape of its weights.
    pub shape: Shape,
    /// Positions of the output of a convolution; one for a dense layer.
    pub positions: usize,
    /// How often an input of a convolution is used at most by one output channel ([`super::largest_use`] of both
    /// axes); one for a dense layer.
    pub uses: usize,
    /// The law of its weights.
    pub law: Law,
    /// What is pruned.
    pub pruning: Pruning,
    /// What follows.
    pub activation: Activation,
    /// A bound of the Euclidean norm of the bias, one number for each output channel.
    pub bias: f64,
}

impl Layer {
    /// A dense layer with no bias.
    #[must_use]
    pub fn dense(rows: usize, cols: usize, law: Law, pruning: Pruning, activation: Activation) -> Self {
        Self { shape: Shape::dense(rows, cols), positions: 1, uses: 1, law, pruning, activation, bias: 0.0 }
    }

    /// A bound of the norm of `f(b)`: `L |b| + |f(0)| sqrt(outputs)`.
    #[must_use]
    pub fn offset(&self) -> f64 {
        let outputs = self.shape.rows as f64 * self.positions as f64;
        let bias = self.activation.lipschitz * self.bias * (self.positions as f64).sqrt();
        bias + self.activation.at_zero * outputs.sqrt()
    }

    /// The layer from its outputs to its inputs.
    pub(crate) fn transposed(self) -> Self {
        let shape = Shape { rows: self.shape.cols, cols: self.shape.rows, ..self.shape };
        Self { shape, ..self }
    }

    /// The half of [`Activation::half`] that holds for gaps: one where a bias breaks the symmetry.
    pub(crate) fn gap_half(&self) -> f64 {
        if self.activation.at_zero == 0.0 && self.bias == 0.0 { self.activation.half } else { 1.0 }
    }

    /// The same for states: below a cone activation a bias does not matter.
    pub(crate) fn state_half(&self) -> f64 {
        let symmetric = self.bias == 0.0 || self.activation.cone;
        if self.activation.at_zero == 0.0 && symmetric { self.activation.half } else { 1.0 }
    }

    /// Whether anything is pruned.
    #[must_use]
    pub fn is_pruned(&self) -> bool {
        !self.pruning.is_none(self.shape.len())
    }
}

/// A layer with the moments of its weights, which layers of one shape, law and pruning share.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The layer.
    pub layer: Layer,
    /// Its whole matrix at unit scale.
    pub dense: Arc<Dense>,
    /// The same, pruned; none where nothing is.
    pub masked: Option<Arc<Masked>>,
    /// How the gap fluctuates over its rows.
    pub gap: Arc<Fluctuation>,
    /// How the state does.
    pub state: Arc<Fluctuation>,
    /// How the pruned network's state does.
    pub pruned_state: Arc<Fluctuation>,
    /// [`Layer::offset`]
    pub(crate) offset: f64,
    /// `ln` of the scale of its law.
    pub(crate) ln_scale: f64,
    /// `ln` of what multiplies the norm of a fixed vector besides the moments at unit scale.
    pub(crate) ln_factor: f64,
}

impl Prepared {
    /// A layer that shares nothing.
    #[must_use]
    pub fn new(layer: Layer) -> Self {
        let dense = Arc::new(Dense::new(layer.shape, layer.law.family.clone()));
        let masked = layer.is_pruned().then(|| Arc::new(Masked::new(Arc::clone(&dense), layer.pruning)));
        let whole = if layer.pruning.is_given() { &masked } else { &None };
        let rows = [(&masked, layer.gap_half()), (whole, layer.state_half()), (&masked, layer.state_half())];
        let fluctuations =
            rows.map(|(masked, half)| Arc::new(Fluctuation::new(Arc::clone(&dense), masked.clone(), half)));
        Self::with(layer, dense, masked, fluctuations)
    }

    /// A layer with its matrix, whole and pruned, and the fluctuations of the gap and both states.
    pub(crate) fn with(
        layer: Layer,
        dense: Arc<Dense>,
        masked: Option<Arc<Masked>>,
        [gap, state, pruned_state]: [Arc<Fluctuation>; 3],
    ) -> Self {
        let (offset, ln_scale) = (layer.offset(), layer.law.scale.ln());
        let ln_factor = layer.activation.lipschitz.ln() + ln_scale + 0.5 * (layer.uses as f64).ln();
        Self { layer, dense, masked, gap, state, pruned_state, offset, ln_scale, ln_factor }
    }

    /// Whether it is a plain matrix between vectors, so that sets of states can be followed by their width.
    pub(crate) fn is_matrix(&self) -> bool {
        self.dense.is_plain() && self.layer.positions == 1
    }

    /// Layers that share nothing.
    #[must_use]
    pub fn all(layers: &[Layer]) -> Vec<Self> {
        layers.iter().cloned().map(Self::new).collect()
    }
}
