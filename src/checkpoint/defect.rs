//! What can be wrong with a safetensors file.

/// One variant per way in which a file is no whole safetensors file; tensors are called by their names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// Too short to hold the length of its header.
    #[error("expected at least 8 bytes, got {len}")]
    TooShort {
        /// Bytes of the file.
        len: u64,
    },
    /// A header that is empty, longer than the format allows, or longer than the file.
    #[error("header length must be 2 to {limit}, got {got}")]
    HeaderLength {
        /// The length given.
        got: u64,
        /// The largest length that this file can have.
        limit: u64,
    },
    /// A header that is no text.
    #[error("expected a header in UTF-8, got {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// A header that is no JSON object.
    #[error("expected a header that is a JSON object, got {0}")]
    NotJson(#[from] serde_json::Error),
    /// Metadata other than text by name.
    #[error("__metadata__ must map strings to strings")]
    Metadata,
    /// A name that the header gives twice.
    #[error("tensor {tensor:?} must be listed once, got it twice")]
    Duplicate {
        /// The name.
        tensor: String,
    },
    /// An entry of the header that describes no tensor.
    #[error("tensor {tensor:?} must have a dtype, a shape and two data_offsets of whole numbers")]
    Entry {
        /// The name.
        tensor: String,
    },
    /// A format that this version of safetensors does not have.
    #[error("tensor {tensor:?} must have a known dtype, got {dtype:?}")]
    UnknownDtype {
        /// The name.
        tensor: String,
        /// The format given.
        dtype: String,
    },
    /// A shape of more bytes than any file can hold, or of a part of a byte.
    #[error("tensor {tensor:?} must fill whole bytes, fewer than 2**61 of them")]
    Shape {
        /// The name.
        tensor: String,
    },
    /// Offsets that do not span what shape and format need.
    #[error(
        "tensor {tensor:?} must span the {expected} bytes of its shape and dtype, got offsets {begin} to {end}"
    )]
    Span {
        /// The name.
        tensor: String,
        /// Bytes that shape and format need.
        expected: u64,
        /// First byte of the data.
        begin: u64,
        /// First byte past the data.
        end: u64,
    },
    /// A tensor that overlaps the one before it or leaves a hole.
    #[error("tensor {tensor:?} must begin where the one before it ends, at offset {expected}, got {got}")]
    Begin {
        /// The name.
        tensor: String,
        /// Where the tensor before it ends.
        expected: u64,
        /// Where it begins.
        got: u64,
    },
    /// A tensor beyond the end of the file.
    #[error("tensor {tensor:?} must end within the {data_len} bytes of data that the file holds, got {end}")]
    PastEnd {
        /// The name.
        tensor: String,
        /// First byte past the tensor.
        end: u64,
        /// Bytes that the file holds behind its header.
        data_len: u64,
    },
    /// Bytes behind the last tensor.
    #[error("expected {expected} bytes of data, as the header says, got {got}")]
    Trailing {
        /// Where the last tensor ends.
        expected: u64,
        /// Bytes that the file holds behind its header.
        got: u64,
    },
    /// No regular file.
    #[error("expected a file")]
    NotAFile,
}
