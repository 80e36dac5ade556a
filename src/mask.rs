//! How masks lie in memory: a byte per entry, or a bit per entry in rows of whole bytes.

use crate::parallel::Context;
use crate::simd::{Kernels, Level, with_kernels};

/// Entries of one piece of work: a piece of f32 weights stays in a core's own cache.
pub(crate) const PIECE: usize = 1 << 16;

/// A fixed division of an array into pieces, each of whole units (rows or groups) where a unit fits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    len: usize,
    unit: usize,
    piece: usize,
}

impl Grid {
    /// Pieces of whole units; a unit larger than a piece is cut, each unit on its own.
    pub fn new(len: usize, unit: usize) -> Self {
        let unit = unit.clamp(1, len.max(1));
        Self { len, unit, piece: if unit <= PIECE { PIECE / unit * unit } else { PIECE } }
    }

    /// Pieces of whole units, however large a unit is.
    pub fn whole(len: usize, unit: usize) -> Self {
        let unit = unit.clamp(1, len.max(1));
        let piece = if unit <= PIECE { PIECE / unit * unit } else { unit };
        Self { len, unit: piece, piece }
    }

    pub fn pieces(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let unit_end =
                if self.unit > self.piece { (start / self.unit + 1) * self.unit } else { self.len };
            let end = self.len.min(unit_end).min(start.saturating_add(self.piece));
            let range = start..end;
            start = end;
            (!range.is_empty()).then_some(range)
        })
    }
}

/// Where a mask goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// A byte per entry, 1 = kept.
    Bytes(&'a mut [u8]),
    /// A bit per entry, 1 = kept, lowest bit first, in rows of `row_len` entries padded to whole bytes
    /// with zero bits: `numpy.packbits(mask, axis=-1, bitorder="little")`.
    Bits {
        /// The rows.
        bytes: &'a mut [u8],
        /// Entries of a row.
        row_len: usize,
    },
}

/// A mask to read, in the same layouts as [`Output`]; a byte is kept unless it is 0.
#[derive(Debug, Clone, Copy)]
pub enum Mask<'a> {
    /// A byte per entry.
    Bytes(&'a [u8]),
    /// A bit per entry, in rows.
    Bits {
        /// The rows.
        bytes: &'a [u8],
        /// Entries of a row.
        row_len: usize,
    },
}

/// Bytes of a packed mask of `len` entries in rows of `row_len`.
#[must_use]
pub fn packed_len(len: usize, row_len: usize) -> usize {
    len.checked_div(row_len).unwrap_or(0) * row_len.div_ceil(8)
}

impl Output<'_> {
    /// The unit that pieces of this output must hold whole: one entry, or a padded row.
    pub(crate) fn unit(&self, len: usize) -> usize {
        match self {
            Self::Bits { row_len, .. } if row_len % 8 != 0 => *row_len,
            Self::Bits { .. } => len,
            Self::Bytes(_) => 1,
        }
    }

    /// Bytes wanted for `len` entries, and bytes there.
    pub(crate) fn sizes(&self, len: usize) -> (usize, usize) {
        match self {
            Self::Bytes(bytes) => (len, bytes.len()),
            Self::Bits { bytes, row_len } => (packed_len(len, *row_len), bytes.len()),
        }
    }

    /// Cuts off the part of the next `len` entries.
    pub(crate) fn take(&mut self, len: usize) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.split_off_mut(..len).unwrap_or_default()),
            Self::Bits { bytes, row_len } => {
                let row_len = if *row_len % 8 == 0 || len < *row_len { len } else { *row_len };
                let size = packed_len(len, row_len);
                Self::Bits { bytes: bytes.split_off_mut(..size).unwrap_or_default(), row_len }
            }
        }
    }

    /// Writes `len` bits from entry `start` on, a multiple of 64.
    pub(crate) fn write(&mut self, level: Level, start: usize, len: usize, words: &[u64]) {
        match self {
            Self::Bytes(bytes) => {
                with_kernels!(level, kernels => kernels.expand(words, &mut bytes[start..start + len]));
            }
            Self::Bits { bytes, row_len } if *row_len >= start + len => {
                let bytes = &mut bytes[start / 8..(start + len).div_ceil(8)];
                for (bytes, word) in bytes.chunks_mut(8).zip(words) {
                    bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
                }
            }
            Self::Bits { bytes, row_len } => {
                if start == 0 {
                    bytes.fill(0);
                }
                let (row_len, stride) = (*row_len, row_len.div_ceil(8));
                for at in 0..len {
                    let (row, column) = ((start + at) / row_len, (start + at) % row_len);
                    let bit = words[at / 64] >> (at % 64) & 1;
                    bytes[row * stride + column / 8] |= (bit as u8) << (column % 8);
                }
            }
        }
    }

    /// The state of one entry.
    pub(crate) fn get(&self, at: usize) -> bool {
        match self {
            Self::Bytes(bytes) => bytes[at] != 0,
            Self::Bits { bytes, row_len } => {
                let byte = bytes[at / *row_len * row_len.div_ceil(8) + at % *row_len / 8];
                byte >> (at % *row_len % 8) & 1 == 1
            }
        }
    }

    /// Sets the state of one entry.
    pub(crate) fn set(&mut self, at: usize, kept: bool) {
        match self {
            Self::Bytes(bytes) => bytes[at] = u8::from(kept),
            Self::Bits { bytes, row_len } => {
                let byte = &mut bytes[at / *row_len * row_len.div_ceil(8) + at % *row_len / 8];
                let bit = 1 << (at % *row_len % 8);
                *byte = if kept { *byte | bit } else { *byte & !bit };
            }
        }
    }
}

/// Reads `len` bits from entry `start` on of a packed mask in rows of `row_len` into `words`.
pub(crate) fn read_packed(bytes: &[u8], row_len: usize, start: usize, len: usize, words: &mut Vec<u64>) {
    words.clear();
    words.resize(len.div_ceil(64), 0);
    if len == 0 {
        return;
    }
    let stride = row_len.div_ceil(8);
    let (mut row, mut column) = (start / row_len, start % row_len);
    // Whole bytes follow each other within a row, and over rows of whole bytes.
    if column.is_multiple_of(8) && (row_len.is_multiple_of(8) || column + len <= row_len) {
        let from = row * stride + column / 8;
        let bytes = &bytes[from..from + len.div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        clear_tail(words, len);
        return;
    }
    for at in 0..len {
        let bit = bytes[row * stride + column / 8] >> (column % 8) & 1;
        words[at / 64] |= u64::from(bit) << (at % 64);
        column += 1;
        if column == row_len {
            (row, column) = (row + 1, 0);
        }
    }
}

/// Clears the bits from `len` on.
pub(crate) fn clear_tail(words: &mut [u64], len: usize) {
    if !len.is_multiple_of(64)
        && let Some(last) = words.get_mut(len / 64)
    {
        *last &= (1 << (len % 64)) - 1;
    }
}

/// Packs a byte per entry, nonzero = kept, into words.
pub(crate) fn words_of_bytes(bytes: &[u8], words: &mut Vec<u64>) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    words.clear();
    words.extend(bytes.chunks(64).map(|bytes| {
        let mut word = 0;
        for (number, bytes) in bytes.chunks(8).enumerate() {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            let eight = u64::from_le_bytes(eight);
            // The top bit of each byte that is not zero; then the eight of them side by side.
            let set = (((eight & LOW) + LOW) | eight) & !LOW;
            word |= ((set >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * number);
        }
        word
    }));
}

/// How many bytes of an existing mask are nonzero.
pub(crate) fn count_kept(bytes: &[u8], ctx: &Context<'_>) -> crate::error::Result<u64> {
    let mut counts: Vec<_> = bytes.chunks(1 << 20).map(|bytes| (bytes, 0)).collect();
    crate::parallel::for_each(
        &mut counts,
        ctx,
        || (),
        |(), (bytes, count)| {
            *count = num_nonzero(bytes) as u64;
            Ok(())
        },
    )?;
    Ok(counts.iter().map(|(_, count)| count).sum())
}

/// Sets the bits of `more` in `words` from bit `start` on.
pub(crate) fn append_bits(words: &mut [u64], start: usize, more: &[u64]) {
    let shift = start % 64;
    for (at, &word) in more.iter().enumerate() {
        let at = start / 64 + at;
        words[at] |= word << shift;
        if shift > 0 && at + 1 < words.len() {
            words[at + 1] |= word >> (64 - shift);
        }
    }
}

/// How many bytes are not 0.
pub(crate) fn num_nonzero(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| usize::from(byte != 0)).sum()
}
