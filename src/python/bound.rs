//! Bounds for random weights: laws and layers as numbers in, numbers out.
#![expect(clippy::needless_pass_by_value, reason = "arguments are extracted as values")]

use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::call::run;
use crate::bound::{
    Activation, Family, Kernel, Law, Layer, Method, Network, Pruning, Question, Request, Shape, Table, bounds,
};

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

fn method(name: u8) -> PyResult<Method> {
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
        "best" => Ok(Question::Best),
        _ => Err(PyValueError::new_err(format!(
            "theorem must be ball, inputs, covering or best, got {theorem}"
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
            method: method(*methods.get(row).ok_or_else(short)?)?,
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
