use super::*;
use crate::bound::testing::assert_close;

const WEIGHTS: GivenWeights = GivenWeights { rows: 40, cols: 30, row2: 12.0, col2: 15.0, largest: 2.0 };

#[test]
fn the_deviation_scales_with_the_weights() {
    let one = random_mask_deviation(&WEIGHTS, 0.3, None, 0.05).epsilon();
    for scale in [1e-150, 1e-3, 1e150] {
        let scaled = GivenWeights {
            row2: WEIGHTS.row2 * scale * scale,
            col2: WEIGHTS.col2 * scale * scale,
            largest: WEIGHTS.largest * scale,
            ..WEIGHTS
        };
        assert_close(random_mask_deviation(&scaled, 0.3, None, 0.05).epsilon(), one * scale);
    }
}

#[test]
fn a_fixed_number_costs_more() {
    let free = random_mask_deviation(&WEIGHTS, 0.3, None, 0.05).epsilon();
    let fixed = random_mask_deviation(&WEIGHTS, 0.0, Some(360), 0.05).epsilon();
    assert!(fixed > free && fixed < 1.5 * free);
}

#[test]
fn nothing_or_everything_pruned_does_not_deviate() {
    for (ratio, count) in [(0.0, None), (1.0, None), (0.0, Some(0)), (0.0, Some(1200))] {
        assert!(random_mask_deviation(&WEIGHTS, ratio, count, 0.05).epsilon() == 0.0);
    }
    let zero = GivenWeights { row2: 0.0, col2: 0.0, largest: 0.0, ..WEIGHTS };
    assert!(random_mask_deviation(&zero, 0.3, None, 0.05).epsilon() == 0.0);
}

#[test]
fn one_entry_is_bounded_by_its_exact_deviation() {
    // |D - r W| of one weight of one is 1-r or r.
    let one = GivenWeights { rows: 1, cols: 1, row2: 1.0, col2: 1.0, largest: 1.0 };
    for ratio in [0.01, 0.5, 0.9] {
        assert!(random_mask_deviation(&one, ratio, None, ratio * 0.99).epsilon() >= 1.0 - ratio);
    }
}
