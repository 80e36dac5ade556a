use super::*;
use crate::bound::testing::{assert_close, reference_networks};

#[test]
fn states_match_the_reference() {
    let rows = [
        (0, 8, 0.100_408_455_631_829, 0.013_294_175_061_422_3),
        (0, 16, 0.208_003_498_446_375, 0.028_406_618_450_756_9),
        // Normal weights: a share of one that rounding had put just below one was rounded down to 0.999999.
        (1, 8, 0.062_946_641_364_916_1, 0.054_588_054_438_703_2),
        (1, 16, 0.157_850_570_348_6, 0.241_787_393_213_146),
        (2, 8, 0.009_694_554_851_354_27, 3.038_382_551_041_73e-5),
        (2, 16, 0.016_739_097_112_002_3, 7.140_161_875_310_34e-5),
        (3, 8, 0.002_758_518_853_634_63, 0.002_652_329_408_972_85),
        (3, 16, 0.005_442_272_756_640_08, 0.005_354_643_728_918_83),
    ];
    let networks = reference_networks();
    for (network, p, state, gap) in rows {
        let states = input_states(&networks[network], 1.0, p);
        let last = states[states.len() - 1];
        assert_close(last.ln_state.exp(), state);
        assert_close(last.ln_gap.exp(), gap);
    }
}

/// `ln` of the bound of Theorem 2 as it stands.
fn plain_gap(layers: &[Prepared], p: usize) -> f64 {
    input_states(layers, 1.0, p).last().map_or(f64::INFINITY, |state| state.ln_gap / 2.0)
}

#[test]
fn bounds_are_at_most_the_reference() {
    // Corollary 6.2 has smaller coefficients than Theorem 2: somewhat for large orders.
    let expected = [
        (0.150_233_708_107_372, 0.228_286_164_767_181),
        // As above: with a share of one exactly.
        (0.229_895_512_575_436, 0.469_420_840_989_179),
        (0.007_073_593_639_398_7, 0.011_062_060_087_670_4),
        (0.068_088_099_219_142_1, 0.100_268_738_310_288),
    ];
    for (network, (one, thousand)) in reference_networks().iter().zip(expected) {
        for (inputs, plain) in [(1.0, one), (1000.0, thousand)] {
            let found = inputs_bound(network, 1.0, inputs, 0.01).epsilon();
            assert!(found <= plain * (1.0 + 1e-10) && found > plain * 0.95, "{found} {plain}");
            assert_close(
                best(|p| plain_gap(network, p) + (f64::ln(inputs) - f64::ln(0.01)) / (2 * p) as f64)
                    .epsilon(),
                plain,
            );
        }
    }
}
