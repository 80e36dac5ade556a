use super::*;
use crate::bound::testing::assert_close;

#[test]
fn tails_are_sums_of_probabilities() {
    for len in [1_u64, 2, 5, 40, 300] {
        for chance in [1e-9, 0.01, 0.3, 0.5, 0.9, 0.9999] {
            let mut sum = 0.0;
            for count in 0..len {
                sum += ln_binomial(count as f64, len as f64, chance).exp();
                let got = binomial_cdf(count, len, chance);
                // Smaller tails are taken by their exponential bound.
                assert!(
                    sum < 1e-30 || (got - sum).abs() <= 1e-12 * sum,
                    "{count} {len} {chance}: {got} {sum}"
                );
            }
        }
    }
}

#[test]
fn tails_of_large_counts_match_known_digits() {
    // 30-digit evaluations of the incomplete beta function.
    for (count, len, chance, expected) in LARGE_TAILS {
        let got = binomial_cdf(count, len, chance);
        assert!((got - expected).abs() <= 1e-11 * expected, "{count} {len} {chance}: {got:e} {expected:e}");
    }
}

const LARGE_TAILS: [(u64, u64, f64, f64); 5] = [
    (500_000, 1_000_000, 0.5, 0.500_398_942_180_665_9),
    (500_000, 1_000_000, 0.502, 3.180_305_604_909_645e-5),
    (104_857, 1_048_576, 0.1015, 1.722_249_606_899_119_2e-7),
    (50_000_000, 100_000_000, 0.5002, 3.168_460_477_262_714e-5),
    (300_000_000, 1_000_000_000, 0.30003, 0.019_220_640_975_243_88),
];

#[test]
fn the_inverse_error_function_inverts() {
    for v in [1e-300, 1e-12, 0.1, 0.3, 0.499, 0.5, 0.7, 0.99] {
        assert_close(libm::erf(erf_inv(v)), v);
    }
    for rest in [1e-3, 1e-9, 1e-15] {
        let v: f64 = 1.0 - rest;
        assert_close(libm::erfc(erf_inv(v)), 1.0 - v);
    }
    assert!(erf_inv(1.0) == f64::INFINITY);
}

#[test]
fn logarithms_of_sums_do_not_overflow() {
    assert_close(ln_add(1000.0, 1000.0), 1000.0 + LN_2);
    assert_close(ln_sub(1000.0 + LN_2, 1000.0), 1000.0);
    assert!(ln_add(f64::NEG_INFINITY, f64::NEG_INFINITY) == f64::NEG_INFINITY);
    assert!(ln_sub(3.0, 3.0) == f64::NEG_INFINITY);
    assert!(ln_add(f64::INFINITY, f64::NEG_INFINITY) == f64::INFINITY);
    assert!(times(0.0, f64::INFINITY) == 0.0);
}

#[test]
fn the_birthday_penalty_keeps_its_digits() {
    assert_close(ln_birthday(3.0, 2), 1.5_f64.ln());
    assert_close(ln_birthday(1e12, 2), 1e-12);
    assert!(ln_birthday(3.0, 4) == f64::INFINITY);
    assert!(ln_birthday(3.0, 1).abs() < f64::MIN_POSITIVE);
}

#[test]
fn relative_entropy_is_zero_at_itself_alone() {
    assert!(relative_entropy(0.3, 0.3) == 0.0);
    assert_close(relative_entropy(0.0, 0.25), -(0.75_f64.ln()));
    assert!(relative_entropy(0.5, 1.0) == f64::INFINITY);
}

#[test]
fn a_unimodal_sum_is_the_sum() {
    let ratio = |h: u64| 7.0 / h as f64;
    let top = mode((0, 500), |h| if h == 0 { f64::INFINITY } else { ratio(h) });
    assert_eq!(top, 7);
    let peak = (1..=7).map(|h| ratio(h).ln()).sum();
    assert_close(ln_unimodal_sum((0, top, 500), peak, ratio), 7.0);
}
