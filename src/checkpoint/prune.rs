//! Pruned copies of the files of a checkpoint: every byte as it was but for the pruned values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoint::digest::sha256;
use crate::checkpoint::masks::Masks;
use crate::checkpoint::share::share;
use crate::checkpoint::shard::Shard;
use crate::checkpoint::staged::Staged;
use crate::checkpoint::targets::Targets;
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::plan::{Plan, Request, Scratch, Summary, decide, zero_pruned};
use crate::source::{Bits, ReadBuffer, Source};

/// Bytes copied between two looks at the stop switch.
const COPY: u64 = 1 << 26;

/// Bytes written between two waits of one thread for the disk: the others go on meanwhile, so that little is
/// left to wait for at the end.
const FLUSH: u64 = 1 << 29;

/// Where the results of [`prune`] go.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// The pruned copy of each shard; may be the shard itself, which is then replaced.
    pub shards: &'a [PathBuf],
    /// The mask side file.
    pub masks: Option<MaskFile<'a>>,
}

/// A mask side file to be written.
#[derive(Debug, Clone, Copy)]
pub struct MaskFile<'a> {
    /// Where.
    pub path: &'a Path,
    /// What its metadata says besides format, shapes, counts and digest, by key.
    pub notes: &'a BTreeMap<String, String>,
}

/// Decides which entries of `targets` are kept and writes the outputs, if any; returns the summary of each
/// target.
///
/// Every file is written under a temporary name beside its own, and renamed when all of them are whole: the
/// masks first, then the shards in their order. An error leaves no file behind.
///
/// # Errors
/// Those of [`decide`]; [`Error::Io`]; [`Error::Changed`] when a shard was written to meanwhile.
pub fn prune(
    targets: &Targets<'_>,
    request: &Request,
    outputs: Option<Outputs<'_>>,
    ctx: &Context<'_>,
) -> Result<Vec<Summary>> {
    let plan = decide(targets, &targets.layouts(), request, ctx)?;
    let summaries = (0..targets.num_parts()).map(|part| plan.summary(part)).collect();
    let staged = match outputs {
        Some(outputs) => write(targets, &plan, outputs, ctx)?,
        None => Vec::new(),
    };
    targets.shards().iter().try_for_each(Shard::check_unchanged)?;
    staged.into_iter().try_for_each(Staged::publish)?;
    Ok(summaries)
}

/// Writes every output under its temporary name.
fn write(targets: &Targets<'_>, plan: &Plan, outputs: Outputs<'_>, ctx: &Context<'_>) -> Result<Vec<Staged>> {
    let masks = match outputs.masks {
        Some(file) => Some(create_masks(targets, plan, file, ctx)?),
        None => None,
    };
    let copies = targets.shards().iter().zip(outputs.shards).map(|(shard, path)| Staged::create(path, shard.len()));
    let copies: Vec<_> = copies.collect::<Result<_>>()?;
    for (number, (shard, copy)) in targets.shards().iter().zip(&copies).enumerate() {
        copy_rest(targets, number, shard, copy, ctx)?;
        copy.set_permissions(shard.metadata()?.permissions())?;
    }
    write_targets(targets, plan, &copies, masks.as_ref(), ctx)?;
    let masks = masks.map(Masks::finish).transpose()?;
    let staged: Vec<_> = masks.into_iter().chain(copies).collect();
    staged.iter().try_for_each(Staged::sync)?;
    Ok(staged)
}

fn create_masks(targets: &Targets<'_>, plan: &Plan, file: MaskFile<'_>, ctx: &Context<'_>) -> Result<Masks> {
    let num_kept: Vec<_> = (0..targets.num_parts()).map(|part| num_kept(plan, part)).collect();
    Masks::create(file.path, targets, &num_kept, &sha256(targets, ctx)?, file.notes)
}

fn num_kept(plan: &Plan, part: usize) -> u64 {
    let summary = plan.summary(part);
    summary.num_entries - summary.num_pruned
}

/// Copies what is no target of a shard: the header, the other tensors.
fn copy_rest(targets: &Targets<'_>, number: usize, shard: &Shard, copy: &Staged, ctx: &Context<'_>) -> Result<()> {
    let parts = (0..targets.num_parts()).map(|part| targets.get(part));
    let mut pruned: Vec<_> =
        parts.filter(|target| target.shard == number).map(|target| target.tensor.bytes.clone()).collect();
    pruned.sort_unstable_by_key(|bytes| bytes.start);
    pruned.push(shard.len()..shard.len());
    let mut start = 0;
    for bytes in pruned {
        while start < bytes.start {
            ctx.check()?;
            let end = bytes.start.min(start + COPY);
            copy.copy(shard.file(), start..end)?;
            start = end;
        }
        start = bytes.end;
    }
    Ok(())
}

/// What a thread works in.
#[derive(Debug, Default)]
struct Memory {
    buffer: ReadBuffer,
    scratch: Scratch,
    words: Vec<u64>,
    packed: Vec<u8>,
}

/// Writes every target with zeros in its pruned entries, and its mask.
fn write_targets(
    targets: &Targets<'_>,
    plan: &Plan,
    copies: &[Staged],
    masks: Option<&Masks>,
    ctx: &Context<'_>,
) -> Result<()> {
    let parts = 0..targets.num_parts();
    let pieces = parts.clone().flat_map(|part| plan.pieces(part).map(move |range| (part, range)));
    let written = AtomicU64::new(0);
    let counts: Vec<_> = parts.clone().map(|_| AtomicU64::new(0)).collect();
    share(pieces, ctx, |memory: &mut Memory, (part, range)| {
        let Memory { buffer, scratch, words, packed } = memory;
        let target = targets.get(part);
        let bytes = targets.read_bytes(part, &range, buffer)?;
        plan.emit(part, range.clone(), Bits::from_bytes(target.dtype, bytes), None, scratch, words, ctx)?;
        zero_pruned(words, target.dtype, bytes, ctx);
        let copy = &copies[target.shard];
        copy.write(bytes, target.position(range.start))?;
        let before = written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before / FLUSH != (before + bytes.len() as u64) / FLUSH {
            copy.sync()?;
        }
        if let Some(masks) = masks {
            masks.write(part, range.start, range.len(), words, packed)?;
        }
        let num_kept: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        counts[part].fetch_add(num_kept, Ordering::Relaxed);
        ctx.advance(range.len());
        Ok(())
    })?;
    // The plan promised a count of the entries it read; another count now is of other entries.
    match parts.into_iter().find(|&part| counts[part].load(Ordering::Relaxed) != num_kept(plan, part)) {
        Some(part) => Err(Error::Changed { path: targets.shards()[targets.get(part).shard].path().to_owned() }),
        None => Ok(()),
    }
}
