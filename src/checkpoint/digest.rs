//! What identifies the weights that masks were made from.

use sha2::{Digest, Sha256};

use crate::checkpoint::targets::Targets;
use crate::error::Result;
use crate::parallel::Context;
use crate::source::{ReadBuffer, Source};

/// Entries read at once.
const PIECE: usize = 1 << 17;

/// SHA-256, in hexadecimal, of the data of all targets in their order, as the bytes lie in the files.
pub(super) fn sha256(targets: &Targets<'_>, ctx: &Context<'_>) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = ReadBuffer::default();
    for part in 0..targets.num_parts() {
        let len = targets.len(part);
        for start in (0..len).step_by(PIECE) {
            ctx.check()?;
            hash.update(targets.read_bytes(part, &(start..len.min(start + PIECE)), &mut buffer)?);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
