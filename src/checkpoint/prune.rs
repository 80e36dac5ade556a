//! Pruned copies of the files of a checkpoint: every byte as it was but for the pruned values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoint::masks::{Contents, Masks};
use crate::checkpoint::shard::Shard;
use crate::checkpoint::share::share;
use crate::checkpoint::staged::Staged;
use crate::checkpoint::targets::Targets;
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::plan::{Plan, Request, Scratch, Summary, decide, zero_pruned};
use crate::source::{Bits, ReadBuffer, Source};

/// Bytes copied between two looks at the stop switch.
const COPY: usize = 1 << 26;

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
    let writer = Writer::create(targets, plan, outputs)?;
    share(writer.tasks(), ctx, |memory, task| writer.run(memory, task, ctx))?;
    writer.finish()
}

fn num_kept(plan: &Plan, part: usize) -> u64 {
    let summary = plan.summary(part);
    summary.num_entries - summary.num_pruned
}

/// The outputs of a plan while they are written.
struct Writer<'a> {
    targets: &'a Targets<'a>,
    plan: &'a Plan,
    copies: Vec<Staged>,
    masks: Option<Masks<'a>>,
    /// Entries of each target that were kept so far.
    num_kept: Vec<AtomicU64>,
}

/// Something to be written.
enum Task {
    /// What is no target of a shard: the header, the other tensors.
    Rest(usize),
    /// The digest of a target.
    Digest(usize),
    /// A run of entries of a target.
    Piece(usize, Range<usize>),
}

/// What a thread works in.
#[derive(Debug, Default)]
struct Memory {
    buffer: ReadBuffer,
    scratch: Scratch,
    words: Vec<u64>,
    packed: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn create(targets: &'a Targets<'a>, plan: &'a Plan, outputs: Outputs<'a>) -> Result<Self> {
        let parts = 0..targets.num_parts();
        let num_kept = parts.clone().map(|part| num_kept(plan, part)).collect();
        let masks = match outputs.masks {
            Some(MaskFile { path, notes }) => {
                Some(Masks::create(path, Contents { targets, num_kept, notes })?)
            }
            None => None,
        };
        let copy = |(shard, path): (&Shard, &PathBuf)| {
            let copy = Staged::create(path, shard.len())?;
            copy.set_permissions(shard.metadata()?.permissions())?;
            Ok(copy)
        };
        let copies = targets.shards().iter().zip(outputs.shards).map(copy).collect::<Result<_>>()?;
        let num_kept = parts.map(|_| AtomicU64::new(0)).collect();
        Ok(Self { targets, plan, copies, masks, num_kept })
    }

    /// All there is to write, target after target, with digests between the pieces: threads wait for each other
    /// to write the same file, and a digest is what one can do meanwhile.
    ///
    /// Tried and not kept: writing as many shards side by side as there are threads, no faster.
    fn tasks(&self) -> impl Iterator<Item = Task> + Send {
        let parts = (0..self.targets.num_parts()).flat_map(|part| {
            let digest = self.masks.is_some().then_some(Task::Digest(part));
            digest.into_iter().chain(self.plan.pieces(part).map(move |range| Task::Piece(part, range)))
        });
        (0..self.copies.len()).map(Task::Rest).chain(parts)
    }

    fn run(&self, memory: &mut Memory, task: Task, ctx: &Context<'_>) -> Result<()> {
        match (task, &self.masks) {
            (Task::Rest(shard), _) => self.copy_rest(shard, ctx),
            (Task::Digest(part), Some(masks)) => masks.identify(part, &mut memory.buffer, ctx),
            (Task::Digest(_), None) => Ok(()),
            (Task::Piece(part, range), _) => self.write_piece(memory, part, range, ctx),
        }
    }

    fn copy_rest(&self, number: usize, ctx: &Context<'_>) -> Result<()> {
        let (shard, copy) = (&self.targets.shards()[number], &self.copies[number]);
        for rest in self.targets.rest_of_shard(number) {
            for start in rest.clone().step_by(COPY) {
                ctx.check()?;
                copy.copy(shard.file(), start..rest.end.min(start + COPY as u64))?;
            }
        }
        Ok(())
    }

    /// Writes entries with zeros where they are pruned, and their mask.
    fn write_piece(
        &self,
        memory: &mut Memory,
        part: usize,
        range: Range<usize>,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let Memory { buffer, scratch, words, packed } = memory;
        let target = self.targets.get(part);
        let bytes = self.targets.read_bytes(part, &range, buffer)?;
        let entries = Bits::from_bytes(target.dtype, bytes);
        self.plan.emit(part, range.clone(), entries, None, scratch, words, ctx)?;
        zero_pruned(words, target.dtype, bytes, ctx);
        let copy = &self.copies[target.shard];
        copy.write(bytes, target.position(range.start))?;
        if let Some(masks) = &self.masks {
            masks.write(part, range.start, range.len(), words, packed)?;
        }
        let num_kept = words.iter().map(|word| u64::from(word.count_ones())).sum();
        self.num_kept[part].fetch_add(num_kept, Ordering::Relaxed);
        ctx.advance(range.len());
        Ok(())
    }

    /// The files, the masks first, whole.
    fn finish(self) -> Result<Vec<Staged>> {
        for (part, counted) in self.num_kept.into_iter().enumerate() {
            // The plan promised a count of the entries that it read: another one now is of other entries.
            if counted.into_inner() != num_kept(self.plan, part) {
                let shard = &self.targets.shards()[self.targets.get(part).shard];
                return Err(Error::Changed { path: shard.path().to_owned() });
            }
        }
        let masks = self.masks.map(Masks::finish).transpose()?;
        let staged: Vec<_> = masks.into_iter().chain(self.copies).collect();
        staged.iter().try_for_each(Staged::secure)?;
        Ok(staged)
    }
}

#[cfg(test)]
mod tests;
