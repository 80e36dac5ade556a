//! How a call runs: without the interpreter lock, on the pool, and ended by Ctrl-C.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::Result;
use crate::parallel::{self, Context, Switches, in_pool};
use crate::simd::Level;

/// Calls on fewer entries are over before anybody could press a key.
const LONG: usize = 1 << 24;
/// Calls on fewer entries do not pay for waking a thread.
const SHORT: usize = 1 << 16;
/// An array costs about as much as so many entries.
const ARRAY: usize = 1 << 8;
/// How often a long call looks for signals and tells its progress.
const POLL: Duration = Duration::from_millis(50);

/// Runs `work`, which passes about `entries` entries in `arrays` arrays, on the pool. `progress` is called
/// with the number of entries passed so far.
///
/// # Errors
/// Those of `work`; what a signal handler or `progress` raises, once `work` has stopped.
pub(crate) fn run<R: Send>(
    py: Python<'_>,
    entries: usize,
    arrays: usize,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(&Context<'_>) -> Result<R> + Send,
) -> PyResult<R> {
    let switches = Switches::default();
    let context = switches.context();
    if entries.saturating_add(arrays.saturating_mul(ARRAY)) <= SHORT && progress.is_none() {
        return Ok(work(&context)?);
    }
    if entries < LONG && progress.is_none() {
        return Ok(py.detach(|| in_pool(|| work(&context)))??);
    }
    py.detach(|| {
        std::thread::scope(|scope| {
            let (finished, wait) = channel::<()>();
            let worker = scope.spawn(|| {
                let result = in_pool(|| work(&context));
                drop(finished);
                result
            });
            let mut raised = None;
            while wait.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                let looked = Python::attach(|py| {
                    py.check_signals()?;
                    let done = switches.done.load(Ordering::Relaxed);
                    progress.map_or(Ok(()), |progress| progress.call1(py, (done,)).map(drop))
                });
                if let Err(error) = looked {
                    switches.cancel.store(true, Ordering::Relaxed);
                    raised = Some(error);
                    break;
                }
            }
            let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            raised.map_or_else(|| Ok(result??), Err)
        })
    })
}

/// See `rustprune.set_num_threads`.
#[pyfunction]
pub(super) fn set_num_threads(n: usize) -> PyResult<()> {
    if n == 0 {
        return Err(PyValueError::new_err("n must be at least 1, got 0"));
    }
    parallel::set_num_threads(n);
    Ok(())
}

/// See `rustprune.get_num_threads`.
#[pyfunction]
pub(super) fn get_num_threads() -> usize {
    parallel::num_threads()
}

/// The instruction set that the kernels use.
#[pyfunction]
pub(super) fn simd_level() -> &'static str {
    Level::current().name()
}
