//! The tensors of a checkpoint that are to be pruned, as one source of weights.

use std::ops::Range;

use safetensors::Dtype;

use crate::checkpoint::header::Tensor;
use crate::checkpoint::shard::Shard;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::plan::Layout;
use crate::source::{Bits, ReadBuffer, Source};

/// The float format of a safetensors format, `None` where it has none that is pruned.
///
/// Integers and quantised blocks have none; nor have the `FNUZ` formats, whose negative zero is NaN, and
/// `E8M0`, which has no zero.
#[must_use]
pub fn float_format(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F8_E4M3 => Some(DType::F8E4M3),
        Dtype::F8_E5M2 => Some(DType::F8E5M2),
        _ => None,
    }
}

/// Where a target is, and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// Number of its shard.
    pub shard: usize,
    pub tensor: &'a Tensor,
    pub dtype: DType,
}

/// Tensors of the shards of a checkpoint, in the order of ties.
#[derive(Debug)]
pub struct Targets<'a> {
    shards: &'a [Shard],
    targets: Vec<Target<'a>>,
}

impl<'a> Targets<'a> {
    /// The tensors at `places`, each a shard and a tensor of it by number.
    ///
    /// # Errors
    /// [`Error::BigEndianMachine`] where the bytes of a file are not those of the numbers in memory.
    ///
    /// # Panics
    /// If there is no tensor at a place, or one that is of no float format.
    pub fn new(shards: &'a [Shard], places: &[(usize, usize)]) -> Result<Self> {
        if cfg!(target_endian = "big") {
            return Err(Error::BigEndianMachine);
        }
        let target = |&(shard, at): &(usize, usize)| {
            let tensor = &shards[shard].tensors()[at];
            let dtype = float_format(tensor.dtype).expect("targets are chosen among float formats");
            Target { shard, tensor, dtype }
        };
        Ok(Self { shards, targets: places.iter().map(target).collect() })
    }

    /// How each target is divided into rows and groups: groups lie along the second axis of the weights of
    /// convolutions, which have more than two, and along the last of others.
    #[must_use]
    pub fn layouts(&self) -> Vec<Layout> {
        self.targets.iter().map(Target::layout).collect()
    }

    pub(super) fn shards(&self) -> &'a [Shard] {
        self.shards
    }

    pub(super) fn get(&self, part: usize) -> Target<'a> {
        self.targets[part]
    }

    /// What is no target of the file of a shard: its header, its other tensors.
    pub(super) fn rest_of_shard(&self, shard: usize) -> Vec<Range<u64>> {
        let targets = self.targets.iter().filter(|target| target.shard == shard);
        let mut targets: Vec<_> = targets.map(|target| target.tensor.bytes.clone()).collect();
        targets.sort_unstable_by_key(|bytes| bytes.start);
        let starts = std::iter::once(0).chain(targets.iter().map(|bytes| bytes.end));
        let ends = targets.iter().map(|bytes| bytes.start).chain([self.shards[shard].len()]);
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Reads the entries `range` of a part.
    pub(super) fn read_bytes<'b>(
        &self,
        part: usize,
        range: &Range<usize>,
        buffer: &'b mut ReadBuffer,
    ) -> Result<&'b mut [u8]> {
        let target = &self.targets[part];
        let bytes = buffer.bytes(range.len() * target.dtype.size());
        self.shards[target.shard].read(bytes, target.position(range.start))?;
        Ok(bytes)
    }
}

impl Target<'_> {
    pub fn layout(&self) -> Layout {
        let shape = &self.tensor.shape;
        Layout::new(shape, if shape.len() > 2 { 1 } else { shape.len().saturating_sub(1) })
    }

    /// Where an entry lies in the file.
    pub fn position(&self, entry: usize) -> u64 {
        self.tensor.bytes.start + (entry * self.dtype.size()) as u64
    }
}

impl Source for Targets<'_> {
    fn num_parts(&self) -> usize {
        self.targets.len()
    }

    fn name(&self, part: usize) -> String {
        self.targets[part].tensor.name.clone()
    }

    fn dtype(&self, part: usize) -> DType {
        self.targets[part].dtype
    }

    fn len(&self, part: usize) -> usize {
        self.targets[part].tensor.shape.iter().product()
    }

    fn read<'b>(&'b self, part: usize, range: Range<usize>, buffer: &'b mut ReadBuffer) -> Result<Bits<'b>> {
        let bytes = self.read_bytes(part, &range, buffer)?;
        Ok(Bits::from_bytes(self.dtype(part), bytes))
    }
}
