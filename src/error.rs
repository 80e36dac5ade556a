//! What can be wrong with a request, and nothing about Python.

use std::path::PathBuf;

/// The result of a core function.
pub type Result<T> = std::result::Result<T, Error>;

/// One variant per cause that a caller can act on, with the numbers of its message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A ratio outside [0, 1], NaN included.
    #[error("ratio must be between 0 and 1, got {got}")]
    RatioOutOfRange {
        /// The value given.
        got: f64,
    },
    /// A count of entries to prune above the number of entries it is taken from.
    #[error("count must be at most the number of entries in {group}, {len}, got {got}")]
    CountOutOfRange {
        /// The value given.
        got: u64,
        /// How many entries there are.
        len: u64,
        /// What the count is taken from: a row, an array or its name, or all arrays.
        group: String,
    },
    /// Fewer pruned entries asked for than the existing mask already has.
    #[error(
        "{name}: num_pruned must be at least the {pruned} entries that `where` already prunes, got {got}"
    )]
    FewerThanWhere {
        /// Name of the array, or of the group.
        name: String,
        /// How many the existing mask prunes.
        pruned: u64,
        /// How many were asked for.
        got: u64,
    },
    /// An N:M pattern that keeps nothing of anything or more than its group.
    #[error("pattern must keep 1 to group entries of a group of at most 32, got {kept}:{group}")]
    PatternOutOfRange {
        /// Entries kept of each group.
        kept: u32,
        /// Entries in each group.
        group: u32,
    },
    /// An axis that does not split into whole groups.
    #[error("{name}: the grouped axis must be divisible by {group}, got length {axis_len}")]
    NotDivisible {
        /// Name of the array.
        name: String,
        /// Length of the axis.
        axis_len: usize,
        /// Entries in each group.
        group: u32,
    },
    /// A NaN where the policy is to raise.
    #[error(
        "{name}: expected no NaN, got one at flat index {index}; pass nan=\"keep\" or nan=\"prune\" to rank it"
    )]
    Nan {
        /// Name of the array.
        name: String,
        /// The first row-major index that holds NaN.
        index: usize,
    },
    /// A NaN among entries whose norm is asked for.
    #[error("{name}: expected no NaN, got one at flat index {index}")]
    NanEntry {
        /// Name of the array.
        name: String,
        /// The first row-major index that holds NaN.
        index: usize,
    },
    /// A number that makes no sense.
    #[error("{parameter} must be {expected}, got {got}")]
    NotAllowed {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// The value given.
        got: f64,
    },
    /// A number outside its range, NaN included.
    #[error("{name} must be between {low} and {high}, got {got}")]
    OutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        got: f64,
        /// The least value allowed.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// An activation that the bounds do not know.
    #[error(
        "activation must be identity, linear, relu, relu6, hardtanh, tanh, softsign, leaky_relu, gelu, gelu_tanh, \
         silu, mish, sigmoid, softplus, elu, selu or hardswish, got {name}"
    )]
    UnknownActivation {
        /// The name given.
        name: String,
    },
    /// A table of quantiles that describes no law.
    #[error(
        "a table needs as many levels as quantiles, the levels rising strictly from above 0 to 1, the quantiles finite \
         and not falling, the last above 0"
    )]
    BadTable,
    /// Two lengths that must agree.
    #[error("{name}: expected {expected} {what}, got {got}")]
    LengthMismatch {
        /// Name of the array.
        name: String,
        /// What is counted.
        what: &'static str,
        /// The length wanted.
        expected: usize,
        /// The length given.
        got: usize,
    },
    /// The system gave no threads.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not a whole safetensors file.
    #[error("{}: {defect}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        defect: crate::checkpoint::Defect,
    },
    /// A file that is not as it was when its header was read.
    #[error("{}: the file changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Checkpoints are little-endian and read without conversion.
    #[error("checkpoints need a little-endian machine, got a big-endian one")]
    BigEndianMachine,
}

impl Error {
    /// The value, where it is in `low..=high`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] elsewhere, and for NaN.
    pub(crate) fn check_range(name: &'static str, got: f64, low: f64, high: f64) -> Result<f64> {
        if (low..=high).contains(&got) { Ok(got) } else { Err(Self::OutOfRange { name, got, low, high }) }
    }
}
