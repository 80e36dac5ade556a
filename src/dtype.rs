//! The float formats, and the integer keys that order their values.
//!
//! A key is the value's magnitude bits as a signed integer, negated for a negative score, so that
//! integer order is value order: exact for subnormals, immune to flush-to-zero, and `-0.0 == 0.0`.

/// A float format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// 8-bit float, 4 exponent and 3 mantissa bits, no infinity (`float8_e4m3fn`).
    F8E4M3,
    /// 8-bit float, 5 exponent and 2 mantissa bits (`float8_e5m2`).
    F8E5M2,
}

impl DType {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::F64, Self::F32, Self::F16, Self::BF16, Self::F8E4M3, Self::F8E5M2];

    /// Bytes of one value.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::F8E4M3 | Self::F8E5M2 => 1,
        }
    }

    /// The name that `NumPy`, torch and `ml_dtypes` give the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F8E4M3 => "float8_e4m3fn",
            Self::F8E5M2 => "float8_e5m2",
        }
    }

    /// The format of that name, as [`DType::name`] gives it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The largest magnitude that is not NaN: infinity, or the largest finite value.
    pub(crate) const fn limit(self) -> i64 {
        match self {
            Self::F64 => 0x7ff0_0000_0000_0000,
            Self::F32 => 0x7f80_0000,
            Self::F16 => 0x7c00,
            Self::BF16 => 0x7f80,
            Self::F8E4M3 => 0x7e,
            Self::F8E5M2 => 0x7c,
        }
    }

    /// Bits of the mantissa that are stored, and the exponent bias.
    const fn layout(self) -> (u32, i64) {
        match self {
            Self::F64 => (52, 1023),
            Self::F32 => (23, 127),
            Self::F16 => (10, 15),
            Self::BF16 => (7, 127),
            Self::F8E4M3 => (3, 7),
            Self::F8E5M2 => (2, 15),
        }
    }

    /// Bits of the mantissa that are stored.
    pub(crate) const fn mantissa_bits(self) -> u32 {
        self.layout().0
    }

    /// The key, in the `F64` format, of the same value: integer arithmetic only.
    ///
    /// NaN keys (one above the limit in magnitude) go to NaN keys, the key of an entry that is no
    /// candidate (the least integer of its width) to the least `i64`.
    pub(crate) fn widen(self, key: i64) -> i64 {
        if key == self.excluded() {
            return i64::MIN;
        }
        let magnitude = key.abs();
        key.signum() * self.widen_magnitude(magnitude)
    }

    fn widen_magnitude(self, magnitude: i64) -> i64 {
        let (mantissa_bits, bias) = self.layout();
        let up = 52 - mantissa_bits;
        if magnitude > self.limit() {
            return Self::F64.limit() + 1;
        }
        if magnitude == self.limit() && !matches!(self, Self::F8E4M3) {
            return Self::F64.limit();
        }
        if matches!(self, Self::F64) || magnitude == 0 {
            return magnitude;
        }
        let exponent = magnitude >> mantissa_bits;
        if exponent > 0 {
            return (magnitude << up) + ((1023 - bias) << 52);
        }
        // A subnormal m * 2^(1 - bias - mantissa_bits): its leading bit becomes the implicit one.
        let lead = i64::from(63 - magnitude.leading_zeros());
        let fraction = (magnitude << (52 - lead)) & ((1 << 52) - 1);
        let exponent = lead + 1 - bias - i64::from(mantissa_bits) + 1023;
        (exponent << 52) | fraction
    }

    /// The key of an entry that is not a candidate: below every score.
    pub(crate) const fn excluded(self) -> i64 {
        match self.size() {
            8 => i64::MIN,
            4 => i32::MIN as i64,
            _ => i16::MIN as i64,
        }
    }

    /// The value of an `F64` key, NaN for a NaN key.
    pub(crate) fn value_of_wide(key: i64) -> f64 {
        let magnitude = f64::from_bits(key.unsigned_abs());
        if key < 0 { -magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_f32_agrees_with_the_hardware() {
        for magnitude in (0..=0x7f80_0000_u32).step_by(997).chain([1, 2, 3, 0x7f_ffff, 0x80_0000]) {
            let wide = f64::from(f32::from_bits(magnitude)).to_bits().cast_signed();
            assert_eq!(DType::F32.widen(i64::from(magnitude)), wide);
            assert_eq!(DType::F32.widen(-i64::from(magnitude)), -wide);
        }
    }

    #[test]
    fn widening_is_strictly_increasing_on_every_small_format() {
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let keys = (-dtype.limit() - 1)..=(dtype.limit() + 1);
            let wide: Vec<_> = keys.map(|key| dtype.widen(key)).collect();
            assert!(wide.is_sorted_by(|a, b| a < b), "{dtype:?}");
            assert!(dtype.widen(dtype.excluded()) < wide[0]);
        }
    }

    #[test]
    fn known_values_widen_to_themselves() {
        for (dtype, bits, value) in [
            (DType::F16, 0x3c00, 1.0),
            (DType::F16, 0x0001, 2.0_f64.powi(-24)),
            (DType::F16, 0x7bff, 65504.0),
            (DType::BF16, 0x3f80, 1.0),
            (DType::BF16, 0x0001, 2.0_f64.powi(-133)),
            (DType::F8E4M3, 0x38, 1.0),
            (DType::F8E4M3, 0x7e, 448.0),
            (DType::F8E4M3, 0x01, 2.0_f64.powi(-9)),
            (DType::F8E5M2, 0x3c, 1.0),
            (DType::F8E5M2, 0x7b, 57344.0),
            (DType::F8E5M2, 0x01, 2.0_f64.powi(-16)),
            (DType::F8E5M2, 0x7c, f64::INFINITY),
        ] {
            let wide = DType::value_of_wide(dtype.widen(bits));
            assert_eq!(wide.to_bits(), value.to_bits(), "{dtype:?} {bits:#x}");
        }
    }
}
