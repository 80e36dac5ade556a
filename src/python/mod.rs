//! The extension module: transcription between Python and the core. No loop over entries lives here.

mod allocate;
mod arrays;
mod bound;
mod call;
mod certify;
mod checkpoint;
mod errors;
mod norm;
mod sample;
mod select;
mod statistics;

use pyo3::prelude::*;

/// The extension behind `rustprune`. Private: use the functions of the package.
#[pymodule]
mod _rustprune {
    #[pymodule_export]
    use super::allocate::{lamp_counts, lamp_scores};
    #[pymodule_export]
    use super::bound::{
        BoundNetwork, bound_allocate, bound_classical, bound_closed_form, bound_closed_width, bound_estimate,
        bound_given_weights_random, bound_global, bound_largest_use, bound_max_prunable, bound_mean_square,
        bound_min_width, bound_spectral,
    };
    #[pymodule_export]
    use super::call::{get_num_threads, set_num_threads, simd_level};
    #[pymodule_export]
    use super::certify::certify;
    #[pymodule_export]
    use super::checkpoint::Checkpoint;
    #[pymodule_export]
    use super::norm::{conv_norm, norms};
    #[pymodule_export]
    use super::sample::random_mask;
    #[pymodule_export]
    use super::select::{apply, num_pruned, prune, select};
    #[pymodule_export]
    use super::statistics::{
        bound_chance, bound_distribution_error, bound_mean_error, bound_quantile_rank,
        bound_samples_for_distribution, bound_samples_for_quantile,
    };

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
