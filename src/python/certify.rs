//! Certificates of pruned networks.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arrays::Entries;
use super::call::run;
use super::norm::{Promise, array, mask, promise};
use super::select::unknown;
use crate::certify::{
    Activation, Geometry, Layer, Map, Maxima, Means, Network, Node, Normalization, Options, Scale, Softmax,
    Weights, Window,
};
use crate::norm::{Matrix, Part, Random, Settings};
use crate::source::{Array, Source};

type Floats<'py> = PyReadonlyArray1<'py, f64>;

/// A layer of a call, told apart by their words, and the states it takes.
#[derive(FromPyObject)]
#[expect(clippy::large_enum_variant, reason = "one per layer of a network, and never moved")]
pub(super) enum LayerWords<'py> {
    Affine(WeightWords<'py>),
    Activation {
        #[pyo3(item)]
        activation: (String, Option<f64>),
    },
    Copies {
        #[pyo3(item)]
        copies: PyReadonlyArray1<'py, i64>,
    },
    /// Of each axis length, size, stride, dilation, padding and number of the windows.
    Maxima {
        #[pyo3(item)]
        maxima: Vec<[usize; 6]>,
    },
    /// Of each axis length, size, stride, padding of the windows; whether padding counts.
    Means {
        #[pyo3(item)]
        means: (Vec<[usize; 4]>, bool),
    },
    /// Of each axis length and number of means.
    AdaptiveMeans {
        #[pyo3(item)]
        adaptive_means: Vec<[usize; 2]>,
    },
    Scale {
        #[pyo3(item)]
        factors: Floats<'py>,
        #[pyo3(item)]
        shifts: Floats<'py>,
        #[pyo3(item)]
        roundings: usize,
        #[pyo3(item)]
        shift_error: f64,
    },
    Normalization {
        #[pyo3(item)]
        len: usize,
        #[pyo3(item)]
        centered: bool,
        #[pyo3(item)]
        epsilon: f64,
        #[pyo3(item)]
        gain: Option<Floats<'py>>,
        #[pyo3(item)]
        shift: Option<Floats<'py>>,
    },
    /// The entries of a group, and whether the logarithm is taken.
    Softmax {
        #[pyo3(item)]
        softmax: (usize, bool),
    },
    Join {
        #[pyo3(item)]
        join: String,
    },
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct WeightWords<'py> {
    name: String,
    dtype: String,
    weights: Entries<'py>,
    shape: [usize; 2],
    mask: Option<PyReadonlyArray1<'py, u8>>,
    row_len: Option<usize>,
    bias: Option<Floats<'py>>,
    roundings: usize,
    bias_error: f64,
    geometry: Option<GeometryWords>,
    activation: (String, Option<f64>),
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct GeometryWords {
    kernel: [usize; 2],
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    image: [usize; 2],
    padding: [[usize; 2]; 2],
    circular: bool,
}

impl LayerWords<'_> {
    /// The layer; weights are those of the array of that number.
    fn layer<'a>(&'a self, source: &'a dyn Source, number: usize) -> PyResult<Layer<'a>> {
        Ok(Layer::Map(match self {
            Self::Affine(words) => {
                let activation = activation(&words.activation)?;
                return Ok(Layer::Affine(Box::new(words.weights(source, number)?), activation));
            }
            Self::Join { join } => {
                return match join.as_str() {
                    "sum" => Ok(Layer::Sum),
                    "concatenation" => Ok(Layer::Concatenation),
                    other => Err(unknown("join", "sum or concatenation", other)),
                };
            }
            Self::Activation { activation } => Map::Activation(self::activation(activation)?),
            Self::Copies { copies } => Map::Copies(copies.as_slice()?),
            Self::Maxima { maxima } => {
                let axis = |&[len, size, stride, dilation, padding, outputs]: &[usize; 6]| Maxima {
                    len,
                    window: Window { size, stride, dilation },
                    padding,
                    outputs,
                };
                Map::Maxima(maxima.iter().map(axis).collect())
            }
            Self::Means { means: (axes, count_padding) } => {
                let axis = |&[len, size, stride, padding]: &[usize; 4]| {
                    Means::pool(len, Window { size, stride, dilation: 1 }, [padding; 2], *count_padding)
                };
                Map::Means(axes.iter().map(axis).collect::<crate::Result<_>>()?)
            }
            Self::AdaptiveMeans { adaptive_means } => Map::Means(
                adaptive_means.iter().map(|&[len, outputs]| Means::adaptive(len, outputs)).collect(),
            ),
            Self::Scale { factors, shifts, roundings, shift_error } => Map::Scale(Scale {
                factors: factors.as_slice()?,
                shifts: shifts.as_slice()?,
                roundings: *roundings,
                shift_error: *shift_error,
            }),
            Self::Normalization { len, centered, epsilon, gain, shift } => {
                Map::Normalization(Normalization {
                    len: *len,
                    centered: *centered,
                    epsilon: *epsilon,
                    gain: gain.as_ref().map(|gain| gain.as_slice()).transpose()?,
                    shift: shift.as_ref().map(|shift| shift.as_slice()).transpose()?,
                })
            }
            &Self::Softmax { softmax: (len, log) } => Map::Softmax(Softmax { len, log }),
        }))
    }
}

impl WeightWords<'_> {
    fn weights<'a>(&'a self, source: &'a dyn Source, number: usize) -> PyResult<Weights<'a>> {
        let mask = mask(self.mask.as_ref(), self.row_len)?;
        let geometry = self.geometry.as_ref().map(|it| Geometry {
            kernel: it.kernel,
            groups: it.groups,
            stride: it.stride,
            dilation: it.dilation,
            image: it.image,
            padding: it.padding,
            circular: it.circular,
        });
        Ok(Weights {
            matrix: Matrix::new(source, number, self.shape, mask, Part::All)?,
            geometry,
            bias: self.bias.as_ref().map(|bias| bias.as_slice()).transpose()?,
            roundings: self.roundings,
            bias_error: self.bias_error,
        })
    }
}

fn activation((name, parameter): &(String, Option<f64>)) -> PyResult<Activation> {
    Activation::from_name(name, *parameter).ok_or_else(|| unknown("activation", "a known name", name))
}

/// The norms of the weights and of their parts, those of the states, the gap, and the rule that gave it.
type Step = (Option<[Promise; 3]>, f64, f64, f64, &'static str);

/// See `rustprune.bounds.certify`: how many numbers the network takes, its layers and the states that each takes.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn certify(
    py: Python<'_>,
    inputs: usize,
    layers: Vec<(LayerWords<'_>, Vec<usize>)>,
    radius: f64,
    center: Option<Floats<'_>>,
    joint: bool,
    sweeps: usize,
    delta: f64,
    slack: f64,
    starts: usize,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Promise, Vec<Step>)> {
    let mut arrays: Vec<Array<'_>> = Vec::new();
    let mut numbers = Vec::new();
    for (layer, _) in &layers {
        numbers.push(arrays.len());
        if let LayerWords::Affine(words) = layer {
            arrays.push(array(words.name.clone(), &words.dtype, &words.weights)?);
        }
    }
    let source = arrays.as_slice();
    let mut nodes = Vec::new();
    for ((layer, inputs), number) in layers.iter().zip(numbers) {
        nodes.push(Node { layer: layer.layer(&source, number)?, inputs: inputs.clone() });
    }
    let network = Network { inputs, nodes };
    let center = center.as_ref().map(|center| center.as_slice()).transpose()?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let options = Options { radius, center, joint, sweeps, settings };
    let found = run(py, usize::MAX, layers.len(), progress.as_ref(), |ctx| {
        crate::certify::certify(&network, options, ctx)
    })?;
    let step = |step: &crate::certify::Step| {
        (step.norms.map(|norms| norms.map(promise)), step.state, step.pruned_state, step.gap, step.rule)
    };
    Ok((promise(found.epsilon), found.steps.iter().map(step).collect()))
}
