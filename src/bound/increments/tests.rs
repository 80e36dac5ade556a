use super::*;
use crate::bound::testing::{assert_close, network, reference_networks, smoothing_rows};
use crate::bound::{Activation, Family, Pruning, input_states};

/// The two rates and the gap, for the orders 16 and 64: values of a plain implementation without its rounding of shares to six
/// digits, which is not needed.
#[test]
fn values_match_the_reference() {
    let expected = [
        [
            [0.456_074_005_449_1, 0.427_333_965_133_1, 0.168_542_617_578_8],
            [1.420_227_624_827, 1.332_073_013_574, 0.548_107_627_3],
        ],
        [
            [0.397_304_128_280_3, 0.372_006_181_951, 0.415_691_364_025_9],
            [1.712_675_272, 1.653_964_282_719, 2.143_733_404_982],
        ],
        [
            [0.171_338_099_635_3, 0.171_286_232_016_3, 0.006_922_257_700_017],
            [0.376_940_836_383_2, 0.376_833_987_228_3, 0.019_440_911_248_53],
        ],
        [
            [0.073_771_761_241_28, 0.001_921_939_495_707, 0.075_693_700_736_98],
            [0.255_647_911_310_4, 0.017_136_872_604_88, 0.272_784_783_915_3],
        ],
        [
            [0.073_771_761_241_28, 0.009_234_512_709_792, 0.083_006_273_951_07],
            [0.255_647_911_310_4, 0.060_273_196_279_14, 0.315_921_107_589_6],
        ],
        [
            [0.029_028_333_241_12, 0.028_975_716_810_6, 0.002_314_542_511_544],
            [0.060_857_209_644_17, 0.060_747_190_689_03, 0.006_846_848_414_295],
        ],
    ];
    for ((shape, family, ratio, pruning), expected) in smoothing_rows().into_iter().zip(expected) {
        let layers = Prepared::all(&network(shape, &family, ratio, pruning));
        for (p, [rate, pruned_rate, gap]) in [16, 64].into_iter().zip(expected) {
            let found = Pointwise::of(&layers, 1.0, p);
            assert_close(found.ln_rate.exp(), rate);
            assert_close(found.ln_pruned_rate.exp(), pruned_rate);
            assert_close(found.ln_gap.exp(), gap);
            // Without biases one input and zero are two inputs.
            assert_close(found.ln_state, found.ln_rate);
            assert_close(found.ln_pruned_state, found.ln_pruned_rate);
        }
    }
}

#[test]
fn gaps_are_at_most_those_of_theorem_2() {
    let biased = |layer: &Prepared| Prepared::new(crate::bound::Layer { bias: 0.3, ..layer.layer.clone() });
    for layers in reference_networks() {
        for layers in [layers.iter().map(biased).collect(), layers] {
            for p in [1, 2, 3, 7, 16, 64, 512] {
                let states = input_states(&layers, 1.0, p);
                let (plain, found) = (states[states.len() - 1], Pointwise::of(&layers, 1.0, p));
                assert!(found.ln_gap <= plain.ln_gap / 2.0 + 1e-12);
                assert_close(found.ln_state, plain.ln_state / 2.0);
            }
        }
    }
}

#[test]
fn coefficients_of_one_weight_are_its_moments() {
    // One weight, kept or not: E (w^2)^p for the increments; the gap is all of it where it is pruned.
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for p in [1, 2, 5, 16] {
            let layer = |pruning| {
                let shape = crate::bound::Shape::dense(1, 1);
                let law = crate::bound::Law { family: family.clone(), scale: 1.0 };
                Prepared::new(crate::bound::Layer::dense(
                    shape.rows,
                    shape.cols,
                    law,
                    pruning,
                    Activation::IDENTITY,
                ))
            };
            let exact = crate::bound::law::ln_plain_moment(&family, crate::bound::WHOLE, p);
            for pruning in [Pruning::Random(1), Pruning::Magnitude(1), Pruning::Bernoulli(1.0)] {
                let found = Pointwise::of(&[layer(pruning)], 1.0, p);
                assert!(found.ln_gap >= exact / (2 * p) as f64 - 1e-12);
                assert!(found.ln_pruned_rate == f64::NEG_INFINITY);
                if family == Family::Normal || p == 1 {
                    assert!((found.ln_gap - exact / (2 * p) as f64).abs() < 1e-12);
                }
            }
            let found = Pointwise::of(&[layer(Pruning::NONE)], 1.0, p);
            assert!(
                found.ln_gap == f64::NEG_INFINITY
                    && found.ln_pruned_rate.to_bits() == found.ln_rate.to_bits()
            );
        }
    }
}

#[test]
fn an_independent_mask_pays_nothing_for_large_orders() {
    // Four weights, order 8: a mask of a fixed size has no pairs of coefficients, and the gap is that of both states.
    let at = |pruning| {
        let layers = Prepared::all(&network((2, 3, 2, 2), &Family::Uniform, 0.5, |_| pruning));
        Pointwise::of(&layers[1..2], 1.0, 8)
    };
    let (counted, coin) = (at(Pruning::Random(2)), at(Pruning::Bernoulli(0.5)));
    assert_close(counted.ln_gap, ln_add(counted.ln_state, counted.ln_pruned_state));
    assert!(coin.ln_gap < counted.ln_gap);
}

#[test]
fn the_least_detail_is_at_most_the_bound() {
    for layers in reference_networks() {
        for p in [1, 2, 7, 16, 64, 512] {
            let [least, full] = [Detail::Least, Detail::Full]
                .map(|detail| Pointwise::in_detail(&layers, 1.0, p, detail).ln_gap);
            assert!(least <= full + 1e-12, "{p}: {least} {full}");
        }
    }
}
