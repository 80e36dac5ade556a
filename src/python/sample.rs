//! Random masks of a shape.

use numpy::PyReadwriteArrayDyn;
use pyo3::prelude::*;

use super::arrays::outputs;
use super::call::run;
use super::select::Words;
use crate::plan::{fill, fill_bernoulli};
use crate::ratio::Ratio;
use crate::sample::Stream;
use crate::source::Blank;

/// See `rustprune.random_mask`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the parameters of the Python function")]
pub(super) fn random_mask(
    py: Python<'_>,
    shape: Vec<usize>,
    output: PyReadwriteArrayDyn<'_, u8>,
    packed: bool,
    ratio: Option<f64>,
    count: Option<u64>,
    pattern: Option<(u32, u32, usize)>,
    seed: u64,
    bernoulli: bool,
) -> PyResult<()> {
    let words = Words {
        score: "random",
        scope: "tensor",
        ratio,
        count,
        counts: None,
        pattern,
        nan: "keep",
        seed: Some(seed),
        named: false,
    };
    let (len, shapes, mut output) = (shape.iter().product(), [shape], [output]);
    let (request, layouts) = (words.request(&[String::from("shape")])?, words.layouts(&shapes));
    let mut outputs = outputs(&mut output, &shapes, packed)?;
    run(py, len, 1, None, |ctx| match (bernoulli, ratio, outputs.pop()) {
        (true, Some(ratio), Some(output)) => {
            fill_bernoulli(Stream::of_position(seed, 0), Ratio::new(ratio)?, len, output, ctx)
        }
        (_, _, output) => {
            let source = Blank { name: "shape".to_owned(), len };
            fill(&source, &layouts, output.into_iter().collect(), &request, false, ctx)
        }
    })
}
