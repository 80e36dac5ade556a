//! A network before it is pruned, and requests that say how.

use super::layer::Layer;
use super::shape::Pruning;
use crate::error::{Error, Result};

/// Layers with nothing pruned.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Layer>,
    /// The dimension of a subspace that holds all inputs, where it is less than theirs or theirs is not the first
    /// layer's: before a convolution.
    pub dimension: Option<usize>,
}

/// How weights to prune are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Those of least magnitude in their layer.
    Magnitude,
    /// At random, a fixed number in each layer.
    Random,
    /// At random, each on its own with the chance that gives that number on average.
    Bernoulli,
}

impl Method {
    /// The pruning of `count` of `len` weights.
    #[must_use]
    pub fn pruning(self, count: u64, len: u64) -> Pruning {
        match self {
            Self::Magnitude => Pruning::Magnitude(count),
            Self::Random => Pruning::Random(count),
            Self::Bernoulli => Pruning::Bernoulli(count as f64 / len as f64),
        }
    }
}

impl Network {
    /// Checks the numbers of the layers, at least one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for empty shapes, a law's scale that is not positive and finite, or a bias that is negative
    /// or not finite.
    pub fn new(layers: Vec<Layer>, dimension: Option<usize>) -> Result<Self> {
        const MANY: f64 = 1e15;
        Error::check_range("number of layers", layers.len() as f64, 1.0, MANY)?;
        for Layer { shape, positions, uses, law, bias, .. } in &layers {
            let sizes = [shape.rows, shape.cols, shape.kernel.taps.0, shape.kernel.taps.1, *positions, *uses];
            for size in sizes {
                Error::check_range("size of a layer", size as f64, 1.0, MANY)?;
            }
            let product = |sizes: &[usize]| sizes.iter().map(|&size| size as f64).product::<f64>();
            for product in [product(&sizes[..4]), product(&[shape.rows, *positions, *uses])] {
                Error::check_range("size of a layer", product, 1.0, MANY)?;
            }
            Error::check_range("scale of a law", law.scale, f64::MIN_POSITIVE, f64::MAX)?;
            Error::check_range("norm of a bias", *bias, 0.0, f64::MAX)?;
        }
        Ok(Self { layers, dimension })
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers with that many weights pruned in each; layers without a count are not pruned.
    ///
    /// # Errors
    /// [`Error::CountOutOfRange`] for a count above the number of weights.
    pub fn pruned(&self, counts: &[u64], method: Method) -> Result<Vec<Layer>> {
        let counts = counts.iter().copied().chain(std::iter::repeat(0));
        let prune = |(layer, count): (&Layer, u64)| {
            let len = layer.shape.len();
            if count > len {
                return Err(Error::CountOutOfRange { got: count, len, group: "a layer".to_owned() });
            }
            Ok(Layer { pruning: method.pruning(count, len), ..layer.clone() })
        };
        self.layers.iter().zip(counts).map(prune).collect()
    }

    /// Whether all bounds are proportional to the radius: no biases, and activations that are zero at zero.
    #[must_use]
    pub fn is_homogeneous(&self) -> bool {
        self.layers.iter().all(|layer| layer.offset() == 0.0)
    }
}
