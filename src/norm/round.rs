//! Rounding upwards: what makes a computed number a bound.

use std::iter::Sum;
use std::ops::{Add, Mul};

/// The unit roundoff of binary64.
pub(crate) const U: f64 = f64::EPSILON / 2.0;

/// What one operation can lose below the normal range, with some to spare.
pub(crate) const TINY: f64 = f64::MIN_POSITIVE;

/// A nonnegative number that is at least the exact value it stands for; infinity where there is no bound.
///
/// Every operation is rounded up, and 0 is exact: 0 times infinity is 0, for a factor that is 0 because
/// nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub(crate) struct Up(f64);

impl Up {
    pub const ZERO: Self = Self(0.0);
    pub const ONE: Self = Self(1.0);

    /// The bound of that value; NaN is no bound.
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { f64::INFINITY } else { value.max(0.0) })
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// A bound of the sum whose rounded value this is, of nonnegative terms that each went through `terms`
    /// roundings: times `1 + gamma`.
    pub fn grown(self, terms: usize) -> Self {
        self * (Self::ONE + gamma(terms))
    }

    pub fn sqrt(self) -> Self {
        Self::rounded(self.0.sqrt())
    }

    /// The quotient by a positive number that is exact or too low.
    pub fn over(self, divisor: f64) -> Self {
        if self.0 == 0.0 { Self::ZERO } else { Self::rounded(self.0 / divisor) }
    }

    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The norm of a vector with these two norms as its parts.
    pub fn hypot(self, other: Self) -> Self {
        let scale = self.max(other).0;
        if scale == 0.0 || scale == f64::INFINITY {
            return Self(scale);
        }
        let scale = power_of_two(exponent(scale));
        let [a, b] = [self, other].map(|part| part.over(scale));
        (a * a + b * b).sqrt() * Self(scale)
    }

    fn rounded(value: f64) -> Self {
        Self::new(if value == 0.0 { 0.0 } else { value.next_up() })
    }
}

impl Add for Up {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        if self.0 == 0.0 || other.0 == 0.0 { self.max(other) } else { Self::rounded(self.0 + other.0) }
    }
}

impl Mul for Up {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        if self.0 == 0.0 || other.0 == 0.0 {
            return Self::ZERO;
        }
        // Also where the product underflows to 0.
        Self::new((self.0 * other.0).next_up())
    }
}

impl Sum for Up {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

/// At least `n u / (1 - n u)`: the relative error of `n` roundings.
pub(crate) fn gamma(n: usize) -> Up {
    let product = n as f64 * U;
    if product >= 0.5 {
        return Up(f64::INFINITY);
    }
    Up(product / (1.0 - product) * (1.0 + 4.0 * f64::EPSILON))
}

/// The `e` with `2^e <= value < 2^(e + 1)`, of a positive finite number.
pub(crate) fn exponent(value: f64) -> i32 {
    let field = (value.to_bits() >> 52 & 0x7ff) as i32;
    if field > 0 { field - 1023 } else { 63 - value.to_bits().leading_zeros() as i32 - 1074 }
}

/// `2^e`, for `e` from -1000 to 1000; beyond it the nearest of these.
pub(crate) fn power_of_two(e: i32) -> f64 {
    f64::from_bits(((e.clamp(-1000, 1000) + 1023) as u64) << 52)
}

/// Roundings that a term of a sum over `len` values in lanes goes through, its own product among them.
pub(crate) fn lane_roundings(len: usize) -> usize {
    len.div_ceil(super::lanes::LANES) + 6
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_are_above_the_exact_ones() {
        let third = Up::new(1.0).over(3.0);
        assert!(third.get() > 1.0 / 3.0 - U && third.get() < 1.0 / 3.0 + 2.0 * U);
        assert!((Up::new(1.0) + Up::new(1e-300)).get() > 1.0);
        assert!((Up::new(1e-200) * Up::new(1e-200)).get() > 0.0);
        assert!(Up::new(2.0).sqrt().get() > 2.0_f64.sqrt());
    }

    #[test]
    fn zero_is_exact_and_wins_over_infinity() {
        assert_eq!(Up::ZERO * Up::new(f64::INFINITY), Up::ZERO);
        assert_eq!(Up::ZERO + Up::new(0.5), Up::new(0.5));
        assert_eq!(Up::new(f64::NAN).get(), f64::INFINITY);
    }

    #[test]
    fn exponents_are_those_of_the_number() {
        for (value, e) in [(1.0, 0), (1.5, 0), (0.5, -1), (5e-324, -1074), (f64::MAX, 1023), (3e-310, -1029)]
        {
            assert_eq!(exponent(value), e, "{value}");
        }
        assert_eq!(power_of_two(-3), 0.125);
    }

    #[test]
    fn the_norm_of_two_parts_neither_overflows_nor_vanishes() {
        let five = Up::new(3e200).hypot(Up::new(4e200)).get();
        assert!((5e200..5e200 * (1.0 + 1e-14)).contains(&five));
        assert!(Up::new(3e-300).hypot(Up::new(4e-300)).get() >= 5e-300);
    }
}
