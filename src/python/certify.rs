//! Certificates of pruned networks.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arrays::Entries;
use super::call::run;
use super::norm::{Promise, array, domain, mask, promise};
use super::select::unknown;
use crate::certify::{Activation, Layer, Map, Means, Options, Weights, Window, average_pool, max_pool};
use crate::dtype::DType;
use crate::norm::{Convolution, Matrix, Part, Random, Settings};
use crate::source::{Array, Bits, Source};

/// A layer of a call: name, dtype, bits, shape, mask, `row_len` of a packed mask, bias, activation and its
/// parameter; or of a convolution name, dtype, bits, shape, mask, `row_len`, (groups, stride, dilation), domain and its
/// size, bias, places, activation and its parameter; or the numbers of a [`Map`].
#[derive(FromPyObject)]
pub(super) enum LayerWords<'py> {
    Linear(
        String,
        String,
        Entries<'py>,
        [usize; 2],
        Option<PyReadonlyArray1<'py, u8>>,
        Option<usize>,
        Option<PyReadonlyArray1<'py, f64>>,
        String,
        Option<f64>,
    ),
    Convolution(
        String,
        String,
        Entries<'py>,
        [usize; 4],
        Option<PyReadonlyArray1<'py, u8>>,
        Option<usize>,
        (usize, [usize; 2], [usize; 2]),
        (String, [usize; 2]),
        Option<PyReadonlyArray1<'py, f64>>,
        Option<usize>,
        (String, Option<f64>),
    ),
    Map(f64, f64, f64),
}

impl LayerWords<'_> {
    /// The weights, or an empty array in the place of a layer without any.
    fn array(&self) -> PyResult<Array<'_>> {
        match self {
            Self::Linear(name, dtype, bits, ..) | Self::Convolution(name, dtype, bits, ..) => {
                array(name.clone(), dtype, bits)
            }
            Self::Map(..) => {
                Ok(Array { name: String::new(), dtype: DType::F64, bits: Bits::W64(&[]), kept: None })
            }
        }
    }

    fn layer<'a>(&'a self, source: &'a dyn Source, number: usize) -> PyResult<Layer<'a>> {
        match self {
            Self::Linear(_, _, _, shape, bytes, row_len, bias, activation, parameter) => {
                let matrix = Matrix::new(source, number, *shape, mask(bytes.as_ref(), *row_len)?, Part::All)?;
                let bias = bias.as_ref().map(|bias| bias.as_slice()).transpose()?;
                let activation = self::activation(activation, *parameter)?;
                Ok(Layer::Linear { weights: Weights { matrix, bias }, activation })
            }
            Self::Convolution(_, _, _, shape, bytes, row_len, steps, place, bias, places, act) => {
                let &[outputs, inputs, height, width] = shape;
                let flat = [outputs, inputs * height * width];
                let matrix = Matrix::new(source, number, flat, mask(bytes.as_ref(), *row_len)?, Part::All)?;
                let &(groups, stride, dilation) = steps;
                Ok(Layer::Convolution {
                    conv: Convolution { matrix, size: [height, width], groups, stride, dilation },
                    domain: domain(&place.0, place.1)?,
                    bias: bias.as_ref().map(|bias| bias.as_slice()).transpose()?,
                    places: *places,
                    activation: activation(&act.0, act.1)?,
                })
            }
            &Self::Map(lipschitz, at_zero, largest) => Ok(Layer::Map(Map { lipschitz, at_zero, largest })),
        }
    }
}

fn activation(name: &str, parameter: Option<f64>) -> PyResult<Activation> {
    Activation::from_name(name, parameter).ok_or_else(|| unknown("activation", "a known name", name))
}

/// The norms of the weights and of their parts, those of the states, the gap, and the rule that gave it.
type Step = (Option<[Promise; 3]>, f64, f64, f64, &'static str);

/// See `rustprune.bounds.certify`.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn certify(
    py: Python<'_>,
    layers: Vec<LayerWords<'_>>,
    radius: f64,
    center: Option<PyReadonlyArray1<'_, f64>>,
    joint: bool,
    sweeps: usize,
    delta: f64,
    slack: f64,
    starts: usize,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Promise, Vec<Step>)> {
    let arrays = layers.iter().map(LayerWords::array).collect::<PyResult<Vec<_>>>()?;
    let source = arrays.as_slice();
    let layers = layers.iter().enumerate().map(|(number, layer)| layer.layer(&source, number));
    let layers = layers.collect::<PyResult<Vec<_>>>()?;
    let center = center.as_ref().map(|center| center.as_slice()).transpose()?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let options = Options { radius, center, joint, sweeps, settings };
    let found = run(py, usize::MAX, layers.len(), progress.as_ref(), |ctx| {
        crate::certify::certify(&layers, options, ctx)
    })?;
    let step = |step: &crate::certify::Step| {
        (step.norms.map(|norms| norms.map(promise)), step.state, step.pruned_state, step.gap, step.rule)
    };
    Ok((promise(found.epsilon), found.steps.iter().map(step).collect()))
}

/// See `rustprune.bounds.max_pool`: an axis is the size, stride and dilation of its windows.
#[pyfunction]
pub(super) fn max_pool_norm(axes: Vec<[usize; 3]>) -> PyResult<f64> {
    let window = |[size, stride, dilation]: [usize; 3]| Window { size, stride, dilation };
    Ok(max_pool(&axes.into_iter().map(window).collect::<Vec<_>>())?)
}

/// See `rustprune.bounds.average_pool`: an axis is its length, the size and stride of its windows, and the padding
/// before and after.
#[pyfunction]
pub(super) fn average_pool_norm(axes: Vec<[usize; 5]>, count_padding: bool) -> PyResult<f64> {
    let means = |[len, size, stride, before, after]: [usize; 5]| {
        Means::pool(len, Window { size, stride, dilation: 1 }, [before, after], count_padding)
    };
    let axes = axes.into_iter().map(means).collect::<crate::Result<Vec<_>>>()?;
    Ok(average_pool(&axes))
}

/// See `rustprune.bounds.adaptive_pool`: an axis is its length and the number of outputs.
#[pyfunction]
pub(super) fn adaptive_pool_norm(axes: Vec<[usize; 2]>) -> f64 {
    let means = axes.into_iter().map(|[len, outputs]| Means::adaptive(len, outputs));
    average_pool(&means.collect::<Vec<_>>())
}

/// At least the Lipschitz constant of an activation, and the magnitude of its value at 0.
#[pyfunction]
pub(super) fn activation_data(name: &str, parameter: Option<f64>) -> PyResult<(f64, f64)> {
    let activation = activation(name, parameter)?;
    Ok((activation.lipschitz(), activation.at_zero()))
}
