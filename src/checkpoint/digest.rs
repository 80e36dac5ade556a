//! What identifies the weights that masks were made from.

use sha2::{Digest, Sha256};

use crate::checkpoint::targets::Targets;
use crate::error::Result;
use crate::parallel::Context;
use crate::source::{ReadBuffer, Source};

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// Entries read at once.
const PIECE: usize = 1 << 16;

/// The digest of the data of one target, as the bytes lie in the file.
pub(super) fn of_target(
    targets: &Targets<'_>,
    part: usize,
    buffer: &mut ReadBuffer,
    ctx: &Context<'_>,
) -> Result<Sum> {
    let mut hash = Sha256::new();
    let len = targets.len(part);
    for start in (0..len).step_by(PIECE) {
        ctx.check()?;
        hash.update(targets.read_bytes(part, &(start..len.min(start + PIECE)), buffer)?);
    }
    Ok(hash.finalize().into())
}

/// The digest of the digests of all targets in their order, in hexadecimal.
pub(super) fn of_all(digests: impl IntoIterator<Item = Sum>) -> String {
    let mut hash = Sha256::new();
    digests.into_iter().for_each(|digest| hash.update(digest));
    let digits = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
