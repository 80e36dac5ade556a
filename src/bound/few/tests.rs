use super::*;
use crate::bound::law::{Family, WHOLE, ln_plain_moment};
use crate::bound::special::ln_add;
use crate::bound::testing::assert_close;

#[test]
fn hypergeometric_moments_are_the_full_sum() {
    for (marked, len, draws) in
        [(1_u64, 1_u64, 1_u64), (2, 6, 3), (5, 9, 8), (40, 1600, 100), (20_000, 40_000, 20_000)]
    {
        for q in [2, 8, 64] {
            let low = (draws + marked).saturating_sub(len).max(1);
            let sum = (low..=marked.min(draws)).fold(f64::NEG_INFINITY, |sum: f64, h| {
                let chance = ln_hypergeometric(h as f64, len as f64, marked as f64, draws as f64);
                ln_add(sum, chance + q as f64 * (h as f64).ln())
            });
            assert_close(ln_hypergeometric_moment(marked, len, draws, q), sum);
        }
    }
}

#[test]
fn binomial_moments_are_the_full_sum() {
    for (len, chance) in [(1, 0.3), (7, 1e-9), (50, 0.5), (3000, 0.01), (20, 1.0)] {
        for q in [2, 8, 64] {
            let sum = (1..=len).fold(f64::NEG_INFINITY, |sum: f64, h| {
                ln_add(sum, ln_binomial(h as f64, len as f64, chance) + q as f64 * (h as f64).ln())
            });
            let got = ln_binomial_moment(len, chance, q);
            assert!((got - sum).abs() <= 1e-10 * sum.abs().max(1.0), "{len} {chance} {q}: {got} {sum}");
        }
    }
}

#[test]
fn one_entry_has_the_moment_of_its_weight() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for p in [1, 2, 9, 64] {
            let moment = |j| ln_plain_moment(&family, WHOLE, j);
            assert_close(ln_frobenius_moment(Positions::Exactly(1), 100, p, moment), moment(p));
        }
    }
}

#[test]
fn a_full_chance_is_a_full_count() {
    let moment = |j| ln_plain_moment(&Family::Normal, WHOLE, j);
    for p in [1, 3, 20] {
        let (each, all) = (Positions::Each(1.0), Positions::Exactly(30));
        assert_close(ln_frobenius_moment(each, 30, p, moment), ln_frobenius_moment(all, 30, p, moment));
        assert_close(ln_schur_moment(each, 5, 6, p), ln_schur_moment(all, 5, 6, p));
    }
}
