use super::*;
use crate::bound::special::{ln_add, ln_binomial};
use crate::bound::testing::assert_close;

#[test]
fn moments_match_the_reference() {
    assert_close(ln_chi_square_moment(10, 1.0, 4), 10.199_137_794_637_1);
    assert_close(ln_chi_square_moment(64, 0.5, 6), 21.808_903_518_243_8);
    assert_close(ln_chi_square_moment(256, 0.15, 20), 82.403_235_072_624);
}

#[test]
fn moments_are_the_sum_over_the_degrees_of_freedom() {
    for n in [1, 2, 7, 40, 900] {
        for share in [1e-9, 1e-3, 0.2, 0.5, 0.99, 1.0 - 1e-12] {
            for p in [1, 2, 3, 7, 40, 41, 512, 1024] {
                let sum = (1..=n).fold(f64::NEG_INFINITY, |sum, count| {
                    let product: f64 = (0..p).map(|j| ((count + 2 * j) as f64).ln()).sum();
                    ln_add(sum, ln_binomial(count as f64, n as f64, share) + product)
                });
                let got = ln_chi_square_moment(n, share, p);
                assert!((got - sum).abs() <= 1e-11 * sum.abs().max(1.0), "{n} {share} {p}: {got} {sum}");
            }
        }
    }
}

#[test]
fn a_full_share_is_the_limit() {
    for p in [1, 5, 64, 512] {
        let (full, near) = (ln_chi_square_moment(300, 1.0, p), ln_chi_square_moment(300, 1.0 - 1e-15, p));
        assert!((full - near).abs() < 1e-11 * full);
    }
}

#[test]
fn shares_at_once_are_as_one_by_one() {
    let shares = [1e-9, 1e-3, 0.2, 0.5, 0.99, 1.0];
    for (n, p) in [(1, 1), (7, 40), (900, 64), (900, 1024), (3, 2048), (900, 2048)] {
        let one = |share| ln_chi_square_moment(n, share, p);
        let one = shares.map(one).map(f64::to_bits);
        assert_eq!(ln_chi_square_moments(n, shares, p).map(f64::to_bits), one, "{n} {p}");
    }
}
