//! The one place where a core error becomes a Python exception.

use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};

use crate::error::Error;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::RatioOutOfRange { .. }
            | Error::CountOutOfRange { .. }
            | Error::FewerThanWhere { .. }
            | Error::PatternOutOfRange { .. }
            | Error::NotDivisible { .. }
            | Error::Nan { .. }
            | Error::NanEntry { .. }
            | Error::NotAllowed { .. }
            | Error::OutOfRange { .. }
            | Error::UnknownActivation { .. }
            | Error::BadTable
            | Error::LengthMismatch { .. }
            | Error::Malformed { .. } => PyValueError::new_err(message),
            Error::Changed { .. } | Error::BigEndianMachine | Error::Threads { .. } => {
                PyRuntimeError::new_err(message)
            }
            Error::Interrupted => PyKeyboardInterrupt::new_err(message),
            Error::Io { source, .. } => source_error(&source, message),
        }
    }
}

/// The exception of the system error's own class, with the file in its message.
fn source_error(source: &std::io::Error, message: String) -> PyErr {
    PyErr::from(std::io::Error::new(source.kind(), message))
}
