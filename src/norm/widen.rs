//! Bits of any format as binary64 values, exactly, where a mask says so.

use crate::dtype::DType;
use crate::simd::{Kernels, Level, Word, with_kernels};
use crate::source::Bits;

/// Which entries to take: those whose byte is nonzero (`true`) or zero (`false`).
pub(crate) type Wanted<'a> = Option<(&'a [u8], bool)>;

/// Entries whose bits are masked at once.
const BLOCK: usize = 256;

/// Writes each value times `scale`, 0 for the entries that are not wanted.
pub(crate) fn widen(
    level: Level,
    dtype: DType,
    bits: Bits<'_>,
    wanted: Wanted<'_>,
    scale: f64,
    values: &mut [f64],
) {
    with_kernels!(level, kernels => kernels.vectorized(|| match (dtype, bits) {
        (DType::F64, Bits::W64(words)) => fill(kernels, words, wanted, values, |word| f64::from_bits(word) * scale),
        (DType::F32, Bits::W32(words)) => {
            fill(kernels, words, wanted, values, |word| f64::from(f32::from_bits(word)) * scale);
        }
        (DType::BF16, Bits::W16(words)) => {
            fill(kernels, words, wanted, values, |word| f64::from(f32::from_bits(u32::from(word) << 16)) * scale);
        }
        (DType::F16, Bits::W16(words)) => fill(kernels, words, wanted, values, |word| half(word) * scale),
        (DType::F8E5M2, Bits::W8(words)) => {
            fill(kernels, words, wanted, values, |word| half(u16::from(word) << 8) * scale);
        }
        (DType::F8E4M3, Bits::W8(words)) => fill(kernels, words, wanted, values, |word| e4m3(word) * scale),
        _ => unreachable!("the width of the bits is that of their format"),
    }));
}

#[inline(always)]
fn fill<W: Word>(
    kernels: impl Kernels,
    words: &[W],
    wanted: Wanted<'_>,
    values: &mut [f64],
    value: impl Fn(W) -> f64,
) {
    let Some((bytes, keep)) = wanted else {
        kernels.fetch_behind(words);
        return values.iter_mut().zip(words).for_each(|(out, &word)| *out = value(word));
    };
    let mut block = [W::zeroed(); BLOCK];
    for ((words, bytes), values) in words.chunks(BLOCK).zip(bytes.chunks(BLOCK)).zip(values.chunks_mut(BLOCK))
    {
        kernels.fetch_behind(words);
        kernels.fetch_behind(bytes);
        let block = &mut block[..words.len()];
        if keep {
            zero_unless(words, bytes, block, |byte| byte != 0);
        } else {
            zero_unless(words, bytes, block, |byte| byte == 0);
        }
        values.iter_mut().zip(block).for_each(|(out, word)| *out = value(*word));
    }
}

/// Bits are set to 0 before they are widened: a byte makes a mask of 4 bytes more cheaply than one of 8.
#[inline(always)]
fn zero_unless<W: Word>(words: &[W], bytes: &[u8], block: &mut [W], wanted: impl Fn(u8) -> bool) {
    for ((out, &word), &byte) in block.iter_mut().zip(words).zip(bytes) {
        *out = word.zero_unless(wanted(byte));
    }
}

#[inline(always)]
fn half(word: u16) -> f64 {
    small(i32::from(word & 0x7fff), word >> 15 == 1, 10, 15, 0x7c00)
}

#[inline(always)]
fn e4m3(word: u8) -> f64 {
    // No infinity: one above the last finite value is NaN, as one above infinity is elsewhere.
    small(i32::from(word & 0x7f), word >> 7 == 1, 3, 7, 0x7e + 0x100)
        + if word & 0x7f == 0x7f { f64::NAN } else { 0.0 }
}

/// The value of a magnitude in a format of `mantissa` stored bits and that exponent bias; `infinity` is the
/// magnitude of infinity.
#[inline(always)]
fn small(magnitude: i32, negative: bool, mantissa: u32, bias: i32, infinity: i32) -> f64 {
    let normal = f64::from_bits(((magnitude as u64) << (52 - mantissa)) + (((1023 - bias) as u64) << 52));
    let subnormal = f64::from(magnitude) * f64::from_bits(((1024 - bias - mantissa as i32) as u64) << 52);
    let finite = if magnitude >> mantissa == 0 { subnormal } else { normal };
    let value = if magnitude == infinity { f64::INFINITY } else { finite };
    let value = if magnitude > infinity { f64::NAN } else { value };
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dtype: DType, bits: Bits<'_>, wanted: Wanted<'_>, scale: f64) -> Vec<f64> {
        let mut values = vec![9.0; bits.len()];
        widen(Level::current(), dtype, bits, wanted, scale, &mut values);
        values
    }

    #[test]
    fn small_formats_have_the_values_of_their_keys() {
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let words: Vec<u16> = (0..1 << (8 * dtype.size() - 1)).collect();
            let bytes: Vec<u8> = words.iter().map(|&word| word as u8).collect();
            let bits = if dtype.size() == 2 { Bits::W16(&words) } else { Bits::W8(&bytes) };
            for (magnitude, value) in all(dtype, bits, None, 1.0).into_iter().enumerate() {
                let expected = DType::value_of_wide(dtype.widen(magnitude as i64));
                assert!(value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan());
            }
        }
    }

    #[test]
    fn signs_scales_and_masks_are_kept() {
        let words = [1.5_f32, -2.0, 3.0, f32::from_bits(1)].map(f32::to_bits);
        let bits = Bits::W32(&words);
        let least = 2.0_f64.powi(-149);
        assert_eq!(all(DType::F32, bits, None, 2.0), [3.0, -4.0, 6.0, 2.0 * least]);
        assert_eq!(all(DType::F32, bits, Some((&[1, 0, 2, 0], true)), 1.0), [1.5, 0.0, 3.0, 0.0]);
        assert_eq!(all(DType::F32, bits, Some((&[1, 0, 2, 0], false)), 1.0), [0.0, -2.0, 0.0, least]);
        assert_eq!(
            all(DType::F16, Bits::W16(&[0x8001, 0xfc00]), None, 1.0),
            [-(2.0_f64.powi(-24)), f64::NEG_INFINITY]
        );
    }
}
