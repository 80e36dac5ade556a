//! The matrix whose norm is asked for: weights and a mask, read row by row, never built.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::mask::{Mask, packed_len, read_packed};
use crate::norm::round::power_of_two;
use crate::norm::widen::{Wanted, widen};
use crate::simd::{Kernels, Level, with_kernels};
use crate::source::{ReadBuffer, Source};

/// Values that are held at once: they stay in the first-level cache.
pub(crate) const SEGMENT: usize = 2048;

/// Which entries of the weights count; the others are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Every entry: `W`.
    All,
    /// What the mask keeps: `M * W`.
    Kept,
    /// What the mask prunes: `W - M * W`.
    Removed,
}

/// One part of a matrix of weights, row-major.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    source: &'a dyn Source,
    array: usize,
    rows: usize,
    columns: usize,
    mask: Option<Mask<'a>>,
    part: Part,
    scale: f64,
    absolute: bool,
    factors: [Option<&'a [f64]>; 2],
}

/// Memory of one thread for what it reads.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    buffer: ReadBuffer,
    words: Vec<u64>,
    bytes: Vec<u8>,
    /// Values, for whoever reads.
    pub values: Vec<f64>,
}

impl<'a> Matrix<'a> {
    /// A part of one array of a source, seen as a matrix; without a mask every entry is kept.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] where the shape or the mask does not fit the array.
    pub fn new(
        source: &'a dyn Source,
        array: usize,
        [rows, columns]: [usize; 2],
        mask: Option<Mask<'a>>,
        part: Part,
    ) -> Result<Self> {
        let mismatch = |what, expected, got| {
            let name = source.name(array);
            if expected == got { Ok(()) } else { Err(Error::LengthMismatch { name, what, expected, got }) }
        };
        let len = source.len(array);
        mismatch("entries", rows.saturating_mul(columns), len)?;
        match mask {
            None => {}
            Some(Mask::Bytes(bytes)) => mismatch("mask entries", len, bytes.len())?,
            Some(Mask::Bits { bytes, row_len }) => {
                mismatch("mask bytes", packed_len(len, row_len), bytes.len())?;
            }
        }
        Ok(Self { source, array, rows, columns, mask, part, scale: 1.0, absolute: false, factors: [None; 2] })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of entries, those that do not count among them.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// The same weights with another part of them counting.
    #[must_use]
    pub fn part(self, part: Part) -> Self {
        Self { part, ..self }
    }

    /// Whether no entry counts, whatever the weights are.
    pub(crate) fn is_nothing(&self) -> bool {
        self.len() == 0 || self.mask.is_none() && self.part == Part::Removed
    }

    /// The same matrix times `2^-e`: exact, but for what leaves the range of binary64.
    pub(crate) fn scaled_down(self, e: i32) -> Self {
        Self { scale: power_of_two(-e), ..self }
    }

    /// The matrix with its rows over and its columns times powers of two, none for ones: exact, but for what leaves
    /// the range of binary64.
    pub(crate) fn balanced(self, rows: Option<&'a [f64]>, columns: Option<&'a [f64]>) -> Self {
        Self { factors: [rows, columns], ..self }
    }

    fn balance(&self, rows: Range<usize>, columns: Range<usize>, values: &mut [f64]) {
        let width = columns.len().max(1);
        let [divisors, factors] = self.factors;
        if let Some(factors) = factors {
            for values in values.chunks_mut(width) {
                values.iter_mut().zip(&factors[columns.clone()]).for_each(|(value, factor)| *value *= factor);
            }
        }
        if let Some(divisors) = divisors {
            for (values, divisor) in values.chunks_mut(width).zip(&divisors[rows]) {
                for value in values {
                    *value /= divisor;
                }
            }
        }
    }

    /// The matrix of the magnitudes.
    pub(crate) fn absolute(self) -> Self {
        Self { absolute: true, ..self }
    }

    /// The largest width of a value that is a product of two entries without rounding.
    pub(crate) fn is_wide(&self) -> bool {
        self.source.dtype(self.array).size() == 8 || self.factors != [None; 2]
    }

    /// Writes a block of entries, row after row.
    pub(crate) fn read(
        &self,
        scratch: &mut Scratch,
        rows: Range<usize>,
        columns: Range<usize>,
        level: Level,
        values: &mut [f64],
    ) -> Result<()> {
        if columns.len() == self.columns {
            let range = rows.start * self.columns..rows.end * self.columns;
            self.read_run(scratch, range, level, values)?;
        } else {
            for (row, values) in rows.clone().zip(values.chunks_mut(columns.len().max(1))) {
                let first = row * self.columns;
                self.read_run(scratch, first + columns.start..first + columns.end, level, values)?;
            }
        }
        self.balance(rows, columns, values);
        Ok(())
    }

    fn read_run(
        &self,
        scratch: &mut Scratch,
        range: Range<usize>,
        level: Level,
        values: &mut [f64],
    ) -> Result<()> {
        if self.is_nothing() {
            values.fill(0.0);
            return Ok(());
        }
        let Scratch { buffer, words, bytes, .. } = scratch;
        let wanted = self.wanted(range.clone(), level, words, bytes);
        let bits = self.source.read(self.array, range, buffer)?;
        widen(level, self.source.dtype(self.array), bits, wanted, self.scale, values);
        if self.absolute {
            with_kernels!(level, kernels =>
                kernels.vectorized(|| values.iter_mut().for_each(|value| *value = value.abs())));
        }
        Ok(())
    }

    fn wanted<'b>(
        &'b self,
        range: Range<usize>,
        level: Level,
        words: &mut Vec<u64>,
        buffer: &'b mut Vec<u8>,
    ) -> Wanted<'b> {
        let kept = match (self.mask, self.part) {
            (None, _) | (_, Part::All) => return None,
            (Some(Mask::Bytes(bytes)), _) => &bytes[range],
            (Some(Mask::Bits { bytes, row_len }), _) => {
                buffer.resize(range.len(), 0);
                unpack(bytes, row_len, range, level, words, buffer);
                buffer
            }
        };
        Some((kept, self.part == Part::Kept))
    }

    /// The error that names the first NaN that counts.
    pub(crate) fn nan_error(&self, level: Level) -> Result<Error> {
        let (mut scratch, mut values) = (Scratch::default(), vec![0.0; SEGMENT]);
        let mut index = 0;
        for start in (0..self.len()).step_by(SEGMENT) {
            let range = start..self.len().min(start + SEGMENT);
            let values = &mut values[..range.len()];
            self.read_run(&mut scratch, range, level, values)?;
            if let Some(at) = values.iter().position(|value| value.is_nan()) {
                index = start + at;
                break;
            }
        }
        Ok(Error::NanEntry { name: self.source.name(self.array), index })
    }
}

/// Writes a byte per entry of a packed mask, row by row.
fn unpack(
    mask: &[u8],
    row_len: usize,
    range: Range<usize>,
    level: Level,
    words: &mut Vec<u64>,
    bytes: &mut [u8],
) {
    let mut start = range.start;
    while start < range.end {
        let (row, column) = (start / row_len, start % row_len);
        let end = range.end.min((row + 1) * row_len);
        if column.is_multiple_of(8) {
            // The bits of the rest of a row start with a byte.
            let first = row * row_len.div_ceil(8) + column / 8;
            read_packed(&mask[first..], (end - start).next_multiple_of(8), 0, end - start, words);
        } else {
            read_packed(mask, row_len, start, end - start, words);
        }
        let bytes = &mut bytes[start - range.start..end - range.start];
        with_kernels!(level, kernels => kernels.expand(words, bytes));
        start = end;
    }
}
