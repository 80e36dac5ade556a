//! The squared magnitudes of one array as whole numbers, bin by bin, and as fractions of their sum.
//!
//! A bin holds the keys that share an exponent and the first bits of the mantissa, so their squares are whole
//! multiples of one unit: sums within a bin are exact, in any order. Only the sums of whole bins are rounded, and
//! those are few.

use crate::dtype::DType;

/// At most so many bits of the mantissa tell bins apart: their sums stay in the cache of a core.
const MOST_BITS: u32 = 9;

/// Above every difference of exponents: beside infinity all finite magnitudes count as zero.
const BEYOND: i32 = 1 << 13;

/// How the keys of an array become squares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    mantissa_bits: u32,
    /// Bits of a key below its bin.
    shift: u32,
    /// Bits dropped of a square, so that the sum of all fits: none for up to 2^22 entries, or in small formats.
    drop: u32,
    limit: u64,
    has_infinity: bool,
}

impl Scale {
    /// That of an array of `len` entries.
    pub fn new(dtype: DType, len: usize) -> Self {
        let mantissa_bits = dtype.mantissa_bits();
        // With twice the bins there are half the entries in those at the threshold: memory is least, and below a
        // tenth of a byte per entry, where the number of either grows as the square root of the entries.
        let bin_bits = (len.max(1).ilog2() / 2).saturating_sub(2).min(MOST_BITS);
        let sum_bits = 2 * (mantissa_bits + 1) + (usize::BITS - len.leading_zeros());
        Self {
            mantissa_bits,
            shift: mantissa_bits.saturating_sub(bin_bits),
            drop: sum_bits.saturating_sub(u128::BITS),
            limit: dtype.limit().unsigned_abs(),
            has_infinity: dtype != DType::F8E4M3,
        }
    }

    /// Whether the key is that of NaN.
    pub fn is_nan(self, key: u64) -> bool {
        key > self.limit
    }

    /// The bin of a key.
    pub fn bin(self, key: u64) -> usize {
        (key >> self.shift) as usize
    }

    /// How many bins there are.
    pub fn num_bins(self) -> usize {
        self.bin(self.limit) + 1
    }

    /// The least and the largest key of a bin.
    pub fn keys(self, bin: usize) -> [u64; 2] {
        let least = (bin as u64) << self.shift;
        [least, least | ((1 << self.shift) - 1)]
    }

    /// The square of a magnitude, in the unit of its bin.
    pub fn square(self, key: u64) -> u128 {
        let fraction = key & ((1 << self.mantissa_bits) - 1);
        let implicit = u64::from(key >> self.mantissa_bits > 0) << self.mantissa_bits;
        let mantissa = u128::from(fraction | implicit);
        (mantissa * mantissa) >> self.drop
    }

    /// A sum of squares of a bin as a number, in the unit of the bin `top`, which is not below it.
    #[expect(clippy::cast_precision_loss, reason = "rounded once, to nearest")]
    pub fn in_unit_of(self, top: usize, bin: usize, sum: u128) -> f64 {
        libm::ldexp(sum as f64, self.unit(bin) - self.unit(top))
    }

    /// The unit of a bin, as a power of two.
    fn unit(self, bin: usize) -> i32 {
        if self.has_infinity && bin == self.bin(self.limit) {
            return BEYOND;
        }
        let exponent = (bin as u64) << self.shift >> self.mantissa_bits;
        2 * exponent.max(1) as i32
    }
}

/// A square over the sum of those not below it; zero over nothing is zero.
pub(super) fn fraction(square: f64, sum: f64) -> f64 {
    if sum > 0.0 { square / sum } else { 0.0 }
}
