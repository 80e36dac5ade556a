//! Zeroing pruned entries.

use crate::dtype::DType;
use crate::error::Result;
use crate::mask::{Mask, PIECE, read_packed, words_of_bytes};
use crate::parallel::{Context, for_each};
use crate::plan::{Plan, Scratch};
use crate::simd::{Kernels, with_kernels};
use crate::source::Bits;

/// Zeroes the pruned entries of a piece, given the bits that [`Plan::emit`] made of it.
pub fn zero_pruned(words: &[u64], dtype: DType, bytes: &mut [u8], ctx: &Context<'_>) {
    with_kernels!(ctx.level, kernels => match dtype.size() {
        8 => kernels.zero::<u64>(words, bytemuck::cast_slice_mut(bytes)),
        4 => kernels.zero::<u32>(words, bytemuck::cast_slice_mut(bytes)),
        2 => kernels.zero::<u16>(words, bytemuck::cast_slice_mut(bytes)),
        _ => kernels.zero::<u8>(words, bytes),
    });
}

/// Zeroes the pruned entries of arrays in memory: `bytes` holds the entries of each, `kept` its existing mask.
///
/// # Errors
/// [`crate::Error::Interrupted`], with some pieces done; the same plan then does the rest.
pub fn apply_plan(plan: &Plan, arrays: Vec<(&mut [u8], Option<&[u8]>)>, ctx: &Context<'_>) -> Result<()> {
    let mut jobs = Vec::new();
    for (part, (mut bytes, kept)) in arrays.into_iter().enumerate() {
        let size = plan.parts[part].dtype.size();
        for range in plan.pieces(part) {
            let own = bytes.split_off_mut(..range.len() * size).unwrap_or_default();
            jobs.push((part, range.clone(), own, kept.map(|kept| &kept[range])));
        }
    }
    let state = || (Scratch::default(), Vec::new());
    for_each(&mut jobs, ctx, state, |(scratch, words), (part, range, bytes, kept)| {
        let dtype = plan.parts[*part].dtype;
        plan.emit(*part, range.clone(), Bits::from_bytes(dtype, bytes), *kept, scratch, words, ctx)?;
        zero_pruned(words, dtype, bytes, ctx);
        ctx.advance(range.len());
        Ok(())
    })
}

/// Zeroes the entries of arrays in memory where their masks are false: the format of each, its entries, its mask.
///
/// # Errors
/// [`crate::Error::Interrupted`], with some pieces done.
pub fn apply_masks(arrays: &mut [(DType, &mut [u8], Mask<'_>)], ctx: &Context<'_>) -> Result<()> {
    let mut jobs = Vec::new();
    for (dtype, bytes, mask) in arrays {
        for (number, bytes) in bytes.chunks_mut(PIECE * dtype.size()).enumerate() {
            jobs.push((*dtype, number * PIECE, bytes, *mask));
        }
    }
    for_each(&mut jobs, ctx, Vec::new, |words, (dtype, start, bytes, mask)| {
        let len = bytes.len() / dtype.size();
        match *mask {
            Mask::Bytes(mask) => words_of_bytes(&mask[*start..*start + len], words),
            Mask::Bits { bytes, row_len } => read_packed(bytes, row_len, *start, len, words),
        }
        zero_pruned(words, *dtype, bytes, ctx);
        ctx.advance(len);
        Ok(())
    })
}
