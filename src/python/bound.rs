//! Bounds for random weights: laws and layers as numbers in, numbers out.
#![expect(clippy::needless_pass_by_value, reason = "arguments are extracted as values")]

use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::call::run;
use crate::bound::{
    self, Activation, Family, Kernel, Law, Layer, Method, Network, Part, Pruning, Shape, Table,
};
use crate::bound::{GivenWeights, Prepared, Question, Request, Square, Target, bounds};

/// Work of one bound, in entries of an array that takes as long.
const BOUND: usize = 1 << 16;

/// A law: its family, its scale, and for a table its levels and quantiles.
type LawFacts = (String, f64, Option<(Vec<f64>, Vec<f64>)>);

/// Numbers of one layer.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct LayerFacts {
    rows: usize,
    cols: usize,
    taps: (usize, usize),
    circular: Option<(usize, usize)>,
    positions: usize,
    uses: usize,
    law: usize,
    activation: String,
    parameter: f64,
    bias: f64,
}

fn law((family, scale, table): LawFacts) -> PyResult<Law> {
    let family = match (family.as_str(), table) {
        ("uniform", None) => Family::Uniform,
        ("normal", None) => Family::Normal,
        ("laplace", None) => Family::Laplace,
        ("table", Some((levels, quantiles))) => Family::Table(Arc::new(Table::new(levels, quantiles)?)),
        _ => {
            return Err(PyValueError::new_err(format!(
                "law must be uniform, normal, laplace or table, got {family}"
            )));
        }
    };
    Ok(Law { family, scale })
}

impl LayerFacts {
    fn layer(self, laws: &[Law]) -> PyResult<Layer> {
        let law =
            laws.get(self.law).ok_or_else(|| PyValueError::new_err(format!("no law number {}", self.law)))?;
        Ok(Layer {
            shape: Shape {
                rows: self.rows,
                cols: self.cols,
                kernel: Kernel { taps: self.taps, circular: self.circular },
            },
            positions: self.positions,
            uses: self.uses,
            law: law.clone(),
            pruning: Pruning::NONE,
            activation: Activation::named(&self.activation, self.parameter)?,
            bias: self.bias,
        })
    }
}

/// A network with random weights, nothing pruned.
#[pyclass(frozen, module = "rustprune._rustprune")]
pub(super) struct BoundNetwork(Network);

#[pymethods]
impl BoundNetwork {
    #[new]
    fn new(laws: Vec<LawFacts>, layers: Vec<LayerFacts>, dimension: Option<usize>) -> PyResult<Self> {
        let laws = laws.into_iter().map(law).collect::<PyResult<Vec<_>>>()?;
        let layers = layers.into_iter().map(|facts| facts.layer(&laws)).collect::<PyResult<Vec<_>>>()?;
        Ok(Self(Network::new(layers, dimension)?))
    }

    /// The number of weights of each layer.
    fn sizes(&self) -> Vec<u64> {
        self.0.layers().iter().map(|layer| layer.shape.len()).collect()
    }
}

impl BoundNetwork {
    /// The layers with that many weights pruned of each.
    fn pruned(&self, counts: &[u64], method: u8) -> PyResult<Vec<Layer>> {
        Ok(self.0.pruned(counts, method_of(method)?)?)
    }
}

fn method_of(name: u8) -> PyResult<Method> {
    match name {
        0 => Ok(Method::Magnitude),
        1 => Ok(Method::Random),
        2 => Ok(Method::Bernoulli),
        _ => Err(PyValueError::new_err(format!("method must be 0, 1 or 2, got {name}"))),
    }
}

fn question(theorem: &str) -> PyResult<Question> {
    match theorem {
        "ball" => Ok(Question::Ball),
        "inputs" => Ok(Question::Inputs),
        "covering" => Ok(Question::Covering),
        "smoothing" => Ok(Question::Smoothing),
        "best" => Ok(Question::Best),
        _ => Err(PyValueError::new_err(format!(
            "theorem must be ball, inputs, covering, smoothing or best, got {theorem}"
        ))),
    }
}

fn networks(networks: &[PyRef<'_, BoundNetwork>]) -> Vec<Network> {
    networks.iter().map(|network| network.0.clone()).collect()
}

type Answers<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u8>>);

/// Bounds of many requests, one row each.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one array for each number of a request")]
pub(super) fn bound_estimate<'py>(
    py: Python<'py>,
    nets: Vec<PyRef<'py, BoundNetwork>>,
    network: PyReadonlyArray1<'py, u32>,
    counts: PyReadonlyArray2<'py, u64>,
    methods: PyReadonlyArray1<'py, u8>,
    delta: PyReadonlyArray1<'py, f64>,
    radius: PyReadonlyArray1<'py, f64>,
    inputs: PyReadonlyArray1<'py, f64>,
    theorem: &str,
    progress: Option<Py<PyAny>>,
) -> PyResult<Answers<'py>> {
    let (nets, question) = (networks(&nets), question(theorem)?);
    let (network, delta, radius) = (network.as_slice()?, delta.as_slice()?, radius.as_slice()?);
    let (inputs, methods) = (inputs.as_slice()?, methods.as_slice()?);
    let width = counts.as_array().ncols();
    let counts = counts.as_slice()?;
    let request = |row: usize| -> PyResult<Request<'_>> {
        let short = || PyValueError::new_err(format!("no row {row} in all arrays of the requests"));
        Ok(Request {
            network: *network.get(row).ok_or_else(short)? as usize,
            counts: counts.get(row * width..(row + 1) * width).ok_or_else(short)?,
            method: method_of(*methods.get(row).ok_or_else(short)?)?,
            delta: *delta.get(row).ok_or_else(short)?,
            radius: *radius.get(row).ok_or_else(short)?,
            inputs: *inputs.get(row).ok_or_else(short)?,
        })
    };
    let requests = (0..network.len()).map(request).collect::<PyResult<Vec<_>>>()?;
    let work = requests.len().saturating_mul(BOUND);
    let answers = run(py, work, 2, progress.as_ref(), |ctx| bounds(&nets, &requests, question, ctx))?;
    Ok((
        PyArray1::from_iter(py, answers.iter().map(|answer| answer.epsilon)),
        PyArray1::from_iter(py, answers.iter().map(|answer| answer.p as u32)),
        PyArray1::from_iter(py, answers.iter().map(|answer| answer.theorem)),
    ))
}

/// What the inverse questions are asked with: epsilon, delta, radius, inputs, theorem.
#[derive(FromPyObject)]
pub(super) struct TargetWords(f64, f64, f64, f64, String);

impl TargetWords {
    fn target(self) -> PyResult<Target> {
        let Self(epsilon, delta, radius, inputs, theorem) = self;
        Ok(Target { epsilon, delta, radius, inputs, question: question(&theorem)? })
    }
}

/// The largest count of one layer that bisection finds to keep the bound at most `epsilon`.
#[pyfunction]
pub(super) fn bound_max_prunable(
    py: Python<'_>,
    network: PyRef<'_, BoundNetwork>,
    counts: Vec<u64>,
    layer: usize,
    method: u8,
    target: TargetWords,
) -> PyResult<Option<u64>> {
    let (network, method, target) = (network.0.clone(), method_of(method)?, target.target()?);
    run(py, usize::MAX, 1, None, |ctx| bound::max_prunable(&network, &counts, layer, method, &target, ctx))
}

/// Counts, one for each layer, that keep the bound at most `epsilon` and are many in total.
#[pyfunction]
pub(super) fn bound_allocate(
    py: Python<'_>,
    network: PyRef<'_, BoundNetwork>,
    chosen: Vec<bool>,
    method: u8,
    target: TargetWords,
) -> PyResult<Vec<u64>> {
    let (network, method, target) = (network.0.clone(), method_of(method)?, target.target()?);
    run(py, usize::MAX, 1, None, |ctx| bound::allocate(&network, &chosen, method, &target, ctx))
}

/// A width that keeps the bound of the square networks of Corollary 4.1 at most `epsilon`, and the bound there.
#[pyfunction]
pub(super) fn bound_min_width(
    py: Python<'_>,
    k: f64,
    depth: usize,
    alpha: f64,
    method: u8,
    target: TargetWords,
) -> PyResult<Option<(usize, f64)>> {
    let (method, target) = (method_of(method)?, target.target()?);
    run(py, usize::MAX, 1, None, |ctx| bound::min_width(k, depth, alpha, method, &target, ctx))
}

/// The textbook bound over the ball: for comparison only.
#[pyfunction]
pub(super) fn bound_classical(
    network: PyRef<'_, BoundNetwork>,
    counts: Vec<u64>,
    method: u8,
    radius: f64,
    delta: f64,
) -> PyResult<f64> {
    let layers = network.pruned(&counts, method)?;
    Ok(bound::classical_bound(&layers, radius, delta))
}

/// Mean squares after the last layer: a bound of the gap's, and one of the state's.
#[pyfunction]
pub(super) fn bound_mean_square(
    network: PyRef<'_, BoundNetwork>,
    counts: Vec<u64>,
    method: u8,
    radius: f64,
) -> PyResult<(f64, f64)> {
    let layers = network.pruned(&counts, method)?;
    let states = bound::mean_square_states(&Prepared::all(&layers), radius);
    Ok(states.last().map_or((0.0, 0.0), |last| (last.ln_gap.exp(), last.ln_state.exp())))
}

/// The closed bound of Corollary 4.1 for a share `ratio` pruned in each inner layer.
#[pyfunction]
pub(super) fn bound_closed_form(
    k: f64,
    depth: usize,
    width: f64,
    ratio: f64,
    method: u8,
    delta: f64,
) -> PyResult<f64> {
    Ok(Square { depth, k, method: method_of(method)? }.bound(width, ratio, delta))
}

/// The width of Corollary 4.2.
#[pyfunction]
pub(super) fn bound_closed_width(
    k: f64,
    depth: usize,
    alpha: f64,
    method: u8,
    epsilon: f64,
    delta: f64,
) -> PyResult<Option<f64>> {
    Ok(Square { depth, k, method: method_of(method)? }.width(alpha, epsilon, delta))
}

/// Tail bounds of the norm of each layer's matrix and of its two parts, with their orders.
#[pyfunction]
pub(super) fn bound_spectral(
    py: Python<'_>,
    network: PyRef<'_, BoundNetwork>,
    counts: Vec<u64>,
    method: u8,
    part: &str,
    delta: f64,
) -> PyResult<Vec<(f64, usize)>> {
    let layers = network.pruned(&counts, method)?;
    let part = match part {
        "all" => None,
        "removed" => Some(Part::Pruned),
        "kept" => Some(Part::Kept),
        _ => return Err(PyValueError::new_err(format!("part must be all, kept or removed, got {part}"))),
    };
    run(py, usize::MAX, 1, None, |ctx| bound::spectral_bounds(&layers, part, delta, ctx))
}

/// A bound, its order and theorem, and for each layer the levels that hold the threshold.
type GlobalAnswer = (f64, usize, u8, Vec<Option<(f64, f64)>>);

/// The largest gap over the ball, or at so many inputs, where the smallest weights of all chosen layers together are pruned: the bound, its order,
/// and the levels of each layer's law between which the common threshold lies.
#[pyfunction]
pub(super) fn bound_global(
    py: Python<'_>,
    network: PyRef<'_, BoundNetwork>,
    chosen: Vec<bool>,
    count: u64,
    radius: f64,
    inputs: Option<f64>,
    delta: f64,
) -> PyResult<GlobalAnswer> {
    let network = network.0.clone();
    let (answer, pruning) = run(py, usize::MAX, 1, None, |_| {
        bound::global_bound(&network, &chosen, count, radius, inputs, delta)
    })?;
    let range = |pruning: &Pruning| match *pruning {
        Pruning::Between { low, high } => Some((low, high)),
        _ => None,
    };
    Ok((answer.epsilon, answer.p, answer.theorem, pruning.iter().map(range).collect()))
}

/// How far a random mask's pruned part is from its mean, for given weights, and the order.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the numbers of one matrix")]
pub(super) fn bound_given_weights_random(
    rows: usize,
    cols: usize,
    row2: f64,
    col2: f64,
    largest: f64,
    ratio: f64,
    count: Option<u64>,
    delta: f64,
) -> PyResult<(f64, usize)> {
    let weights = GivenWeights { rows, cols, row2, col2, largest };
    let best = bound::random_mask_deviation(&weights.checked()?, ratio, count, delta);
    Ok((best.epsilon() * (1.0 + bound::ROUNDING), best.p))
}

/// How often an input pixel is used at most along one axis of a convolution.
#[pyfunction]
pub(super) fn bound_largest_use(taps: usize, stride: usize, dilation: usize) -> usize {
    bound::largest_use(taps, stride.max(1), dilation.max(1))
}
