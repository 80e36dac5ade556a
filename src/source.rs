//! Where weights come from: arrays in memory or tensors in files, read in pieces.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::Result;

/// The raw bits of a piece of an array, by the width of its format.
#[derive(Debug, Clone, Copy)]
pub enum Bits<'a> {
    /// 8-bit formats.
    W8(&'a [u8]),
    /// 16-bit formats.
    W16(&'a [u16]),
    /// 32-bit formats.
    W32(&'a [u32]),
    /// 64-bit formats.
    W64(&'a [u64]),
}

/// Runs the same expression on the slice of whichever width it is.
macro_rules! for_bits {
    ($bits:expr, $slice:ident => $body:expr) => {
        match $bits {
            $crate::source::Bits::W8($slice) => $body,
            $crate::source::Bits::W16($slice) => $body,
            $crate::source::Bits::W32($slice) => $body,
            $crate::source::Bits::W64($slice) => $body,
        }
    };
}
pub(crate) use for_bits;

impl<'a> Bits<'a> {
    /// Number of entries.
    #[must_use]
    pub fn len(self) -> usize {
        for_bits!(self, slice => slice.len())
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Bytes of an entry.
    #[must_use]
    pub fn width(self) -> usize {
        fn width<T>(_: &[T]) -> usize {
            size_of::<T>()
        }
        for_bits!(self, slice => width(slice))
    }

    /// The entries in `range`.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::W8(bits) => Self::W8(&bits[range]),
            Self::W16(bits) => Self::W16(&bits[range]),
            Self::W32(bits) => Self::W32(&bits[range]),
            Self::W64(bits) => Self::W64(&bits[range]),
        }
    }

    /// The same entries seen as `dtype`, from `bytes` of native order and any 8-byte aligned start.
    ///
    /// # Panics
    /// If `bytes` is not aligned for the format or holds a part of an entry.
    #[must_use]
    pub fn from_bytes(dtype: DType, bytes: &'a [u8]) -> Self {
        match dtype.size() {
            8 => Self::W64(bytemuck::cast_slice(bytes)),
            4 => Self::W32(bytemuck::cast_slice(bytes)),
            2 => Self::W16(bytemuck::cast_slice(bytes)),
            _ => Self::W8(bytes),
        }
    }
}

/// Reusable memory of one thread for the pieces it reads.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    words: Vec<u64>,
}

impl ReadBuffer {
    /// `len` bytes, 8-byte aligned, of unspecified content.
    pub fn bytes(&mut self, len: usize) -> &mut [u8] {
        let words = len.div_ceil(8);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        &mut bytemuck::cast_slice_mut(&mut self.words)[..len]
    }

    /// `len` values of unspecified content.
    pub(crate) fn values<T: bytemuck::Pod>(&mut self, len: usize) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes(len * size_of::<T>()))
    }
}

/// An ordered list of arrays, the parts, that can be read piece by piece from any thread.
///
/// The order of the parts is the order of ties under global scope.
pub trait Source: Sync {
    /// How many parts there are.
    fn num_parts(&self) -> usize;

    /// Name of a part, for messages.
    fn name(&self, part: usize) -> String;

    /// Format of a part.
    fn dtype(&self, part: usize) -> DType;

    /// Number of entries of a part.
    fn len(&self, part: usize) -> usize;

    /// The entries `range` of a part, borrowed or read into `buffer`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when a file cannot be read.
    fn read<'a>(&'a self, part: usize, range: Range<usize>, buffer: &'a mut ReadBuffer) -> Result<Bits<'a>>;

    /// Hints that the entry at `index` will be read soon.
    fn prefetch(&self, _part: usize, _index: usize) {}

    /// The existing mask of a part, a byte per entry, nonzero = kept; `None` where all are.
    fn kept(&self, _part: usize) -> Option<&[u8]> {
        None
    }
}

/// An array in memory, with the mask it already has.
#[derive(Debug, Clone)]
pub struct Array<'a> {
    /// What messages call it.
    pub name: String,
    /// Its format.
    pub dtype: DType,
    /// Its entries in row-major order.
    pub bits: Bits<'a>,
    /// The existing mask, a byte per entry, nonzero = kept.
    pub kept: Option<&'a [u8]>,
}

impl Source for [Array<'_>] {
    fn num_parts(&self) -> usize {
        <[_]>::len(self)
    }

    fn name(&self, part: usize) -> String {
        self[part].name.clone()
    }

    fn dtype(&self, part: usize) -> DType {
        self[part].dtype
    }

    fn len(&self, part: usize) -> usize {
        self[part].bits.len()
    }

    fn read<'a>(&'a self, part: usize, range: Range<usize>, _: &'a mut ReadBuffer) -> Result<Bits<'a>> {
        Ok(self[part].bits.slice(range))
    }

    fn prefetch(&self, part: usize, index: usize) {
        // A load that nothing waits for: the next ones start before it ends.
        for_bits!(self[part].bits, slice => drop(std::hint::black_box(slice.get(index).copied())));
    }

    fn kept(&self, part: usize) -> Option<&[u8]> {
        self[part].kept
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn num_parts(&self) -> usize {
        (**self).num_parts()
    }

    fn name(&self, part: usize) -> String {
        (**self).name(part)
    }

    fn dtype(&self, part: usize) -> DType {
        (**self).dtype(part)
    }

    fn len(&self, part: usize) -> usize {
        (**self).len(part)
    }

    fn read<'a>(&'a self, part: usize, range: Range<usize>, buffer: &'a mut ReadBuffer) -> Result<Bits<'a>> {
        (**self).read(part, range, buffer)
    }

    fn prefetch(&self, part: usize, index: usize) {
        (**self).prefetch(part, index);
    }

    fn kept(&self, part: usize) -> Option<&[u8]> {
        (**self).kept(part)
    }
}

/// One array without entries to read, for masks that do not depend on them.
#[derive(Debug, Clone)]
pub struct Blank {
    /// What messages call it.
    pub name: String,
    /// How many entries it would have.
    pub len: usize,
}

impl Source for Blank {
    fn num_parts(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> String {
        self.name.clone()
    }

    fn dtype(&self, _: usize) -> DType {
        DType::F32
    }

    fn len(&self, _: usize) -> usize {
        self.len
    }

    fn read<'a>(&'a self, _: usize, _: Range<usize>, _: &'a mut ReadBuffer) -> Result<Bits<'a>> {
        Ok(Bits::W32(&[]))
    }
}
