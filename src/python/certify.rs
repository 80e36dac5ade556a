//! Certificates of pruned networks.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arrays::Entries;
use super::call::run;
use super::norm::{Promise, array, domain, mask, promise};
use super::select::unknown;
use crate::certify::{Activation, Layer, Map, Means, Options, Weights, Window, average_pool, max_pool};
use crate::norm::{Convolution, Matrix, Part, Random, Settings};
use crate::source::{Array, Source};

/// A layer of a call: name, dtype, bits, shape, mask, `row_len` of a packed mask, bias, activation and its
/// parameter; or of a convolution name, dtype, bits, shape, mask, `row_len`, (groups, stride, dilation), domain and its
/// size, bias, places, activation and its parameter; the numbers of a [`Map`]; or the list of the
/// layers of a branch.
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
    Residual(Vec<LayerWords<'py>>),
}

impl LayerWords<'_> {
    /// Adds the weights of the layer to those before it.
    fn collect<'a>(&'a self, arrays: &mut Vec<Array<'a>>) -> PyResult<()> {
        match self {
            Self::Linear(name, dtype, bits, ..) | Self::Convolution(name, dtype, bits, ..) => {
                arrays.push(array(name.clone(), dtype, bits)?);
            }
            Self::Map(..) => {}
            Self::Residual(branch) => branch.iter().try_for_each(|layer| layer.collect(arrays))?,
        }
        Ok(())
    }

    /// The layer, whose weights are the next of the source.
    fn layer<'a>(
        &'a self,
        source: &'a dyn Source,
        next: &mut std::ops::RangeFrom<usize>,
    ) -> PyResult<Layer<'a>> {
        let mut matrix =
            |shape, bytes: &'a Option<PyReadonlyArray1<'_, u8>>, row_len| -> PyResult<Matrix<'a>> {
                let number = next.next().unwrap_or_default();
                Ok(Matrix::new(source, number, shape, mask(bytes.as_ref(), row_len)?, Part::All)?)
            };
        match self {
            Self::Linear(_, _, _, shape, bytes, row_len, bias, activation, parameter) => {
                let matrix = matrix(*shape, bytes, *row_len)?;
                let bias = bias.as_ref().map(|bias| bias.as_slice()).transpose()?;
                let activation = self::activation(activation, *parameter)?;
                Ok(Layer::Linear { weights: Weights { matrix, bias }, activation })
            }
            Self::Convolution(_, _, _, shape, bytes, row_len, steps, place, bias, places, act) => {
                let &[outputs, inputs, height, width] = shape;
                let flat = [outputs, inputs * height * width];
                let matrix = matrix(flat, bytes, *row_len)?;
                let &(groups, stride, dilation) = steps;
                Ok(Layer::Convolution {
                    conv: Convolution { matrix, size: [height, width], groups, stride, dilation },
                    domain: domain(&place.0, place.1)?,
                    bias: bias.as_ref().map(|bias| bias.as_slice()).transpose()?,
                    places: *places,
                    activation: activation(&act.0, act.1)?,
                })
            }
            Self::Residual(branch) => {
                let branch = branch.iter().map(|layer| layer.layer(source, next)).collect::<PyResult<_>>()?;
                Ok(Layer::Residual(branch))
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
    let mut arrays = Vec::new();
    layers.iter().try_for_each(|layer| layer.collect(&mut arrays))?;
    let mut next = 0..;
    let source = arrays.as_slice();
    let layers = layers.iter().map(|layer| layer.layer(&source, &mut next));
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
