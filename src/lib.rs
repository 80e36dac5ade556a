//! Exact top-k and random pruning masks over huge weight arrays.
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`ratio`] | how much to prune; the only place where a fraction becomes a count |
//! | [`activation`] | names and constants of activations |
//! | [`dtype`] | the float formats and the integer keys that order their values |
//! | [`source`] | where weights come from, in pieces |
//! | [`mask`] | how masks lie in memory |
//! | [`norm`] | norms of a matrix, of its kept and of its removed part, each with what it guarantees |
//! | [`certify`] | how far a pruned network with these weights can be from the original |
//! | [`allocate`] | one number to prune split over arrays, where that depends on their entries |
//! | [`select`] | keeping entries by score |
//! | [`sample`] | random masks and their versioned stream |
//! | [`bound`] | how far a pruned network can be from the original, for random weights |
//! | [`plan`] | one request over many arrays: decided once, emitted anywhere |
//! | [`checkpoint`] | safetensors in and out, streamed |
//! | [`parallel`] | threads, the stop switch, progress |
//!
//! # Words
//!
//! A *ratio* is the fraction of entries asked to be pruned, *sparsity* the fraction that is. A *mask* is true
//! where an entry is *kept*. A *score* ranks an entry, larger kept first; of equal scores the lowest row-major
//! index is kept first, and across arrays the earlier array. *N:M* keeps N of each M. *Scope* is what competes
//! for one budget: a row of the matrix view, an array, or everything given.

pub mod activation;
pub mod allocate;
pub mod bound;
pub mod certify;
pub mod checkpoint;
pub mod dtype;
pub mod error;
pub mod mask;
pub mod norm;
pub mod parallel;
pub mod plan;
#[cfg(feature = "python")]
mod python;
pub mod ratio;
pub mod sample;
pub mod select;
mod simd;
pub mod source;

pub use error::{Error, Result};
pub use simd::Level;
