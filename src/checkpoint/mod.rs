//! Checkpoints in safetensors files, in and out, streamed: no file is ever whole in memory.
//!
//! | file | holds |
//! | --- | --- |
//! | `header`, `defect` | the header of a file, and what can be wrong with it |
//! | `shard` | one file, open for reading |
//! | `targets` | the tensors that are worked on, as a [`Source`](crate::source::Source) |
//! | `prune`, `staged` | pruned copies, and files that appear when they are whole |
//! | `masks`, `digest` | the mask side file, and what its weights are known by |
//! | `inspect`, `order` | zeros, groups and quantiles |
//! | `share`, `at` | handing out pieces; reading and writing at a position |

mod at;
mod defect;
mod digest;
mod header;
mod inspect;
mod masks;
mod order;
mod prune;
mod shard;
mod share;
mod staged;
mod targets;

pub use defect::Defect;
pub use header::Tensor;
pub use inspect::{PATTERNS, PERCENTS, Statistics, inspect, num_passed};
pub use prune::{MaskFile, Outputs, prune};
pub use shard::Shard;
pub use targets::{Targets, float_format};
