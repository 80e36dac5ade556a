use super::*;
use crate::bound::testing::assert_close;

const BELOW: fn(f64) -> Side = Side::Below;
const ABOVE: fn(f64) -> Side = Side::Above;

#[test]
fn moments_match_the_reference() {
    let rows = [
        (
            Family::Uniform,
            0.3,
            [(-3.506_557_897_319_98, -0.769_308_541_525_509), (-11.877_797_176_113_1, -4.297_504_130_137_12)],
        ),
        (
            Family::Uniform,
            0.9,
            [(-1.309_333_319_983_76, -0.101_663_653_776_5), (-5.286_123_444_104_48, -3.002_031_884_022_6)],
        ),
        (
            Family::Normal,
            0.3,
            [(-3.025_822_769_912_44, 0.342_012_609_620_074), (-10.409_190_371_453_6, 0.356_665_897_674_275)],
        ),
        (
            Family::Normal,
            0.9,
            [(-0.473_183_906_354_772, 1.479_980_641_929_09), (-2.311_976_581_717_49, 2.209_198_467_089_18)],
        ),
        (
            Family::Laplace,
            0.3,
            [(-3.252_504_349_837_5, 1.044_003_646_165_29), (-10.977_804_149_514_1, 4.227_875_848_118_16)],
        ),
        (
            Family::Laplace,
            0.9,
            [(-0.106_233_525_813_717, 2.477_132_198_277_44), (-0.688_854_193_498_169, 6.164_326_166_186_87)],
        ),
    ];
    for (family, v, moments) in rows {
        for (k, (below, above)) in [1, 3].into_iter().zip(moments) {
            assert_close(family.ln_moment(BELOW(v), k), below);
            assert_close(family.ln_moment(ABOVE(v), k), above);
        }
    }
}

#[test]
fn the_two_sides_add_up_to_the_whole() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for v in [1e-9, 1e-3, 0.2, 0.5, 0.8, 0.999, 1.0 - 1e-9] {
            for k in [1, 2, 5, 20, 100, 512] {
                let whole = family.ln_moment(WHOLE, k);
                let below = family.ln_moment(BELOW(v), k) + v.ln() - whole;
                let above = family.ln_moment(ABOVE(v), k) + (1.0 - v).ln() - whole;
                let sum = below.exp() + above.exp();
                assert!((sum - 1.0).abs() < 1e-11, "{family:?} {v} {k} {sum}");
            }
        }
    }
}

#[test]
fn moments_rise_with_the_threshold() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for k in [1, 2, 7, 60, 512] {
            let levels = [1e-12, 1e-6, 0.01, 0.3, 0.7, 0.99, 1.0 - 1e-9];
            for pair in levels.windows(2) {
                for side in [BELOW, ABOVE] {
                    assert!(family.ln_moment(side(pair[0]), k) < family.ln_moment(side(pair[1]), k));
                }
            }
            assert!(family.ln_moment(BELOW(1.0 - 1e-9), k) <= family.ln_moment(WHOLE, k) + 1e-8);
            assert!(family.ln_moment(ABOVE(0.0), k) <= family.ln_moment(ABOVE(1e-12), k) + 1e-11);
        }
    }
}

#[test]
fn the_first_step_grows_most() {
    // What `ln_growth` relies on for uniform and normal weights.
    for family in [Family::Uniform, Family::Normal] {
        for v in [0.0_f64, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999_999, 1.0] {
            for side in [BELOW(v.max(1e-9)), ABOVE(v.min(1.0 - 1e-12))] {
                let first = family.ln_moment(side, 1);
                let step = family.ln_moment(side, 2) - first;
                for j in 3..=512 {
                    let mean = (family.ln_moment(side, j) - first) / (j - 1) as f64;
                    assert!(mean <= step + 1e-12, "{family:?} {side:?} {j}: {mean} {step}");
                }
            }
        }
    }
}

#[test]
fn whole_laws_have_their_known_moments() {
    for k in 1..=512 {
        let gaussian = ln_gaussian_moment(k);
        assert_close(Family::Uniform.ln_moment(WHOLE, k) + gaussian, -((2 * k + 1) as f64).ln());
        assert!(Family::Normal.ln_moment(WHOLE, k).abs() < 1e-15);
        assert_close(Family::Laplace.ln_moment(WHOLE, k) + gaussian, ln_factorial(2 * k));
    }
}

#[test]
fn quantiles_and_levels_are_inverse() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for v in [1e-12, 0.01, 0.3, 0.75, 0.999] {
            assert_close(family.level(family.quantile(v)), v);
        }
        assert!(family.quantile(0.0).abs() < f64::MIN_POSITIVE);
    }
    assert!(Family::Normal.largest() == f64::INFINITY);
    assert!(Family::Laplace.largest() == f64::INFINITY);
}

#[test]
fn the_threshold_moment_is_that_of_a_beta_variable() {
    // E V^2 of the smallest of two uniform variables: 2 int v^2 (1 - v) = 1/6.
    assert_close(ln_threshold_moment(0, 2, 1), (1.0_f64 / 6.0).ln());
    // E V^2 of the largest of three: 3 int v^4 = 3/5.
    assert_close(ln_threshold_moment(2, 3, 1), 0.6_f64.ln());
    // Sums keep every digit where a difference of log-gammas has none: V is k/D within 1e-9 here.
    let got = ln_threshold_moment(500_000_000_000, 1_000_000_000_000, 8);
    assert!((got - 16.0 * 0.5_f64.ln()).abs() < 1e-9);
}

#[test]
fn a_fine_table_is_just_above_its_law() {
    let levels: Vec<f64> = (1..=4000).map(|i| f64::from(i) / 4000.0).collect();
    let table =
        Family::Table(Arc::new(Table::new(levels.clone(), levels).unwrap_or_else(|e| unreachable!("{e}"))));
    for v in [0.013, 0.1, 0.5, 0.77, 0.999, 1.0] {
        for k in [1, 2, 8, 40] {
            for side in [BELOW(v), ABOVE(v)] {
                let (got, exact) = (table.ln_moment(side, k), Family::Uniform.ln_moment(side, k));
                assert!(got >= exact - 1e-12, "{side:?} {k} {got} {exact}");
                assert!(got <= exact + 0.1 * k as f64, "{side:?} {k} {got} {exact}");
            }
        }
    }
}

#[test]
fn a_table_that_describes_no_law_is_refused() {
    for (levels, quantiles) in [
        (vec![], vec![]),
        (vec![0.5], vec![1.0]),
        (vec![0.5, 1.0], vec![1.0]),
        (vec![0.0, 1.0], vec![1.0, 1.0]),
        (vec![0.6, 0.5, 1.0], vec![1.0, 1.0, 1.0]),
        (vec![0.5, 1.0], vec![2.0, 1.0]),
        (vec![0.5, 1.0], vec![-2.0, 1.0]),
        (vec![0.5, 1.0], vec![0.0, 0.0]),
        (vec![0.5, 1.0], vec![1.0, f64::INFINITY]),
        (vec![f64::NAN, 1.0], vec![1.0, 1.0]),
    ] {
        assert!(Table::new(levels, quantiles).is_err());
    }
}
