use super::*;
use crate::bound::testing::{assert_close, reference_networks};

const UNIT: Ball = Ball { radius: 1.0, dimension: None };

#[test]
fn states_match_the_reference() {
    let rows = [
        (0, 8, 3.862_376_038_116_62, 1.950_078_483_078_18),
        (0, 16, 4.626_523_773_760_25, 1.949_680_440_105_33),
        (1, 8, 3.914_220_910_933_89, 6.141_804_571_067_26),
        (1, 16, 5.222_498_678_955_43, 8.477_452_963_891_18),
        (2, 8, 3.000_200_004_469_56, 0.542_117_855_238_35),
        (2, 16, 3.513_691_277_851_61, 0.524_718_708_379_633),
        (3, 8, 1.392_963_441_899_21, 1.861_015_861_992_59),
        (3, 16, 2.009_259_134_768_34, 2.628_360_809_096_05),
    ];
    let networks = reference_networks();
    for (network, p, original, gap) in rows {
        let states = ball_states(&networks[network], UNIT, p);
        let last = states[states.len() - 1];
        assert_close(last.ln_unit.exp() * last.original, original);
        assert_close(last.ln_unit.exp() * last.gap, gap);
    }
}

#[test]
fn bounds_match_the_reference() {
    let expected = [2.209_077_736_819_9, 8.190_228_027_676_86, 0.593_924_824_082_331, 2.469_091_276_431_09];
    for (network, expected) in reference_networks().iter().zip(expected) {
        assert_close(ball_bound(network, UNIT, 0.01).epsilon(), expected);
    }
}
