//! A-priori bounds: how far a pruned network can be from the original, for random weights.
//!
//! Statements carry the numbers of the theory page. Each file holds one of them and what it needs:
//!
//! | file | holds |
//! | --- | --- |
//! | `law`, `table` | what is needed of the law of the weights (Definition 1.2) |
//! | `trace` | moments of Gaussian matrices and the comparison with others (2.1 to 2.8) |
//! | `cells` | averages over the threshold of magnitude pruning (2.9, 2.10) |
//! | `few` | very few nonzero entries (2.13) |
//! | `convex` | Gaussians above masked uniform weights (2.14) |
//! | `shape`, `dense`, `masked` | norms of a matrix, of its parts, and of both together (2.4 to 2.17) |
//! | `conv` | convolutions (Theorem 4) |
//! | `activation`, `layer` | a network as the bounds see it (1.1, 1.4) |
//! | `widths` | radii and widths of sets of states (2.16, 2.18) |
//! | `ball`, `inputs`, `covering` | Theorems 1, 2 and 3 |
//! | `increments`, `volumes`, `smoothing` | Theorem 6 |
//! | `network`, `store`, `batch` | many bounds at once |
//! | `mean_square`, `closed` | Corollaries 2.5, 3.2, 4.1 and 4.2 |
//! | `inverse` | how much can be pruned, where, and at which width (4.2 to 4.4) |
//! | `global` | one threshold for several layers (2.12) |
//! | `spectral` | norms of single matrices |
//! | `given` | random masks of given weights (2.8) |
//! | `classical` | textbook bounds, for comparison only (section 5) |
//! | `montecarlo` | what a sample of measured gaps proves (section 7) |
//!
//! Moments are logarithms throughout. Infinity is a bound, NaN never is.

mod activation;
mod ball;
mod batch;
mod cells;
mod classical;
mod closed;
mod conv;
mod convex;
mod covering;
mod dense;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod exact;
mod few;
mod given;
mod global;
mod increments;
mod inputs;
mod inverse;
mod law;
mod layer;
mod masked;
mod mean_square;
mod montecarlo;
mod network;
mod orders;
mod rising;
mod shape;
mod smoothing;
mod special;
mod spectral;
mod store;
mod table;
#[cfg(test)]
mod testing;
mod trace;
mod volumes;
mod widths;

pub use activation::Activation;
pub use ball::{Ball, BallState, ball_bound, ball_states};
pub use batch::{Answer, Question, ROUNDING, Request, bounds};
pub use cells::{Cell, threshold_cells, threshold_level};
pub use classical::{
    classical_bound, davidson_szarek, largest_row_count, matrix_bernstein, symmetrization_talagrand,
};
pub use closed::{Square, closed_norm};
pub use conv::{grid_factor, largest_use};
pub use convex::masked_uniform_scale;
pub use covering::covering_bound;
pub use dense::Dense;
pub use given::{GivenWeights, random_mask_deviation};
pub use global::{common_threshold, global_bound};
pub use increments::Pointwise;
pub use inputs::{Coefficients, Fluctuation, InputState, input_states, inputs_bound};
pub use inverse::{Target, allocate, max_prunable, min_width};
pub use law::{Family, Law, Side, Spread, WHOLE, ln_threshold_moment};
pub use layer::{Layer, Prepared};
pub use masked::Masked;
pub use mean_square::{mean_square_states, pruned_share};
pub use montecarlo::{
    chance_lower, chance_upper, distribution_error, mean_error, quantile_rank, samples_for_distribution,
    samples_for_quantile, share_at_look,
};
pub use network::{Method, Network};
pub use orders::{Best, ORDERS, norm_tail};
pub use rising::ln_chi_square_moment;
pub use shape::{Kernel, Part, Pruning, Shape};
pub use smoothing::{linear_bound, smoothing_bound};
pub use spectral::spectral_bounds;
pub use table::Table;
pub use trace::{
    GaussianTrace, chi_norm, effective_len, effective_size, gaussian_norm, ln_gaussian_sup_moment,
    ln_profile_trace, ln_trace, one_sided_moment,
};
pub use volumes::{ln_caps, ln_lenses};
