//! Bits of any format as binary64 values, exactly, where a mask says so.

use crate::dtype::DType;
use crate::simd::{Kernels, Level, with_kernels};
use crate::source::Bits;

/// Which entries to take: those whose byte is nonzero (`true`) or zero (`false`).
pub(crate) type Wanted<'a> = Option<(&'a [u8], bool)>;

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
        (DType::F64, Bits::W64(words)) => fill(words, wanted, values, |word| f64::from_bits(word) * scale),
        (DType::F32, Bits::W32(words)) => {
            fill(words, wanted, values, |word| f64::from(f32::from_bits(word)) * scale);
        }
        (DType::BF16, Bits::W16(words)) => {
            fill(words, wanted, values, |word| f64::from(f32::from_bits(u32::from(word) << 16)) * scale);
        }
        (DType::F16, Bits::W16(words)) => fill(words, wanted, values, |word| half(word) * scale),
        (DType::F8E5M2, Bits::W8(words)) => {
            fill(words, wanted, values, |word| half(u16::from(word) << 8) * scale);
        }
        (DType::F8E4M3, Bits::W8(words)) => fill(words, wanted, values, |word| e4m3(word) * scale),
        _ => unreachable!("the width of the bits is that of their format"),
    }));
}

#[inline(always)]
fn fill<W: Copy>(words: &[W], wanted: Wanted<'_>, values: &mut [f64], value: impl Fn(W) -> f64) {
    match wanted {
        None => values.iter_mut().zip(words).for_each(|(out, &word)| *out = value(word)),
        Some((bytes, true)) => {
            masked(words, bytes, values, |word, byte| if byte == 0 { 0.0 } else { value(word) });
        }
        Some((bytes, false)) => {
            masked(words, bytes, values, |word, byte| if byte == 0 { value(word) } else { 0.0 });
        }
    }
}

#[inline(always)]
fn masked<W: Copy>(words: &[W], bytes: &[u8], values: &mut [f64], value: impl Fn(W, u8) -> f64) {
    for ((out, &word), &byte) in values.iter_mut().zip(words).zip(bytes) {
        *out = value(word, byte);
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
