//! Handing out pieces of work in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::parallel::{Context, for_each, num_threads};

/// Hands `pieces` one by one, in their order, to the threads of the pool, and gives back what each thread
/// made of its state. Memory is one piece and one state for each thread, however many pieces there are.
///
/// # Errors
/// An error of `work`, or [`crate::Error::Interrupted`].
pub(super) fn share<P, S: Default + Send>(
    pieces: impl Iterator<Item = P> + Send,
    ctx: &Context<'_>,
    work: impl Fn(&mut S, P) -> Result<()> + Sync + Send,
) -> Result<Vec<S>> {
    let pieces = Mutex::new(pieces);
    let failed = AtomicBool::new(false);
    let next = || pieces.lock().ok().and_then(|mut pieces| pieces.next());
    let mut states: Vec<S> = (0..num_threads()).map(|_| S::default()).collect();
    for_each(
        &mut states,
        ctx,
        || (),
        |(), state| {
            while let Some(piece) = next() {
                if failed.load(Ordering::Relaxed) {
                    break;
                }
                ctx.check()
                    .and_then(|()| work(state, piece))
                    .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            }
            Ok(())
        },
    )?;
    Ok(states)
}
