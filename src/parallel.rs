//! Threads: the pool, the work loop and its stop switch. The only place that knows rayon.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::error::{Error, Result};
use crate::simd::Level;

/// Names of the environment variables that set the number of threads, the first that is set wins.
const VARIABLES: [&str; 2] = ["RUSTPRUNE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// How a long call runs: its kernels, its stop switch and its progress.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The instruction set of the kernels.
    pub level: Level,
    /// Set by another thread to end the call with [`Error::Interrupted`].
    pub cancel: &'a AtomicBool,
    /// Grows by the entries that have been passed.
    pub done: &'a AtomicU64,
}

/// Owns what a [`Context`] points to.
#[derive(Debug, Default)]
pub struct Switches {
    /// See [`Context::cancel`].
    pub cancel: AtomicBool,
    /// See [`Context::done`].
    pub done: AtomicU64,
}

impl Switches {
    /// A context of the current level with these switches.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context { level: Level::current(), cancel: &self.cancel, done: &self.done }
    }
}

impl Context<'_> {
    /// # Errors
    /// [`Error::Interrupted`] once `cancel` is set.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    pub(crate) fn advance(&self, entries: usize) {
        self.done.fetch_add(entries as u64, Ordering::Relaxed);
    }
}

/// Runs `work` on every item on the current pool, each thread with a state of its own; the stop switch is
/// looked at before each item.
///
/// Each thread has a run of neighbouring items, and helps with the ends of the others' runs after its own: two
/// threads that took turns at one run would read half as fast.
///
/// # Errors
/// An error of `work`, of whichever item meets one first in time.
pub(crate) fn for_each<T: Send, S>(
    items: &mut [T],
    ctx: &Context<'_>,
    state: impl Fn() -> S + Send + Sync,
    work: impl Fn(&mut S, &mut T) -> Result<()> + Send + Sync,
) -> Result<()> {
    let workers = rayon::current_num_threads().min(items.len()).max(1);
    let runs = items.chunks_mut(items.len().div_ceil(workers).max(1));
    let runs: Vec<_> = runs.map(|run| Mutex::new(run.iter_mut())).collect();
    let failure = Mutex::new(None);
    let next = |own: usize| {
        // A statement of its own, so that no thread holds two locks.
        let item = lock(&runs[own]).next();
        item.or_else(|| (0..runs.len()).find_map(|other| lock(&runs[other]).next_back()))
    };
    let worker = &|own: usize| {
        let mut state = state();
        while let Some(item) = next(own) {
            if let Err(error) = ctx.check().and_then(|()| work(&mut state, item)) {
                lock(&failure).get_or_insert(error);
                // The others find nothing more to do.
                while next(own).is_some() {}
            }
        }
    };
    match runs.len() {
        0 => {}
        1 => worker(0),
        workers => rayon::scope(|scope| {
            (1..workers).for_each(|own| scope.spawn(move |_| worker(own)));
            worker(0);
        }),
    }
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Sorts on the current pool; equal items may change places.
pub(crate) fn sort<T: Ord + Send>(items: &mut [T]) {
    rayon::slice::ParallelSliceMut::par_sort_unstable(items);
}

/// Takes a lock, also after a panic elsewhere: what is under it is never half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pool {
    process: u32,
    threads: usize,
    workers: rayon::ThreadPool,
}

static POOL: ArcSwapOption<Pool> = ArcSwapOption::const_empty();
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets the number of threads that later calls of [`in_pool`] use; 0 goes back to the default.
pub fn set_num_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// The number of threads that [`in_pool`] uses: the number set, else `RUSTPRUNE_NUM_THREADS`, else
/// `RAYON_NUM_THREADS`, else the number of processors this process may use.
#[must_use]
pub fn num_threads() -> usize {
    let set = THREADS.load(Ordering::Relaxed);
    if set > 0 {
        return set;
    }
    VARIABLES
        .into_iter()
        .filter_map(|name| std::env::var(name).ok()?.parse().ok())
        .find(|&threads| threads > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Runs `work` on this process's own pool.
///
/// The pool belongs to a process and a number of threads: a child made by `fork` has none of its parent's
/// threads, so it makes a pool of its own at its first call.
///
/// # Errors
/// [`Error::Threads`] when the system gives no threads.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R> {
    let (process, threads) = (std::process::id(), num_threads());
    let current = POOL.load_full().filter(|pool| pool.process == process && pool.threads == threads);
    let pool = if let Some(pool) = current {
        pool
    } else {
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("rustprune-{number}"))
            .build()
            .map_err(|source| Error::Threads { threads, source: source.into() })?;
        let pool = Arc::new(Pool { process, threads, workers });
        let old = POOL.swap(Some(Arc::clone(&pool)));
        if let Some(old) = old.filter(|old| old.process != process) {
            // The parent's pool: its threads are not here, so it must not be told to end.
            std::mem::forget(old);
        }
        pool
    };
    Ok(pool.workers.install(work))
}
