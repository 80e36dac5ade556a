use super::*;
use crate::bound::testing::assert_close;

#[test]
fn scales_match_the_reference() {
    // On 1000 cells; the limits of finer ones are 0.3381, 0.4040, 0.4563, 0.5103 and 0.5775.
    for (chance, scale) in [
        (0.1, 0.338_495_699_410_177_2),
        (0.3, 0.404_493_084_236_027_26),
        (0.5, 0.456_882_225_103_239_5),
        (0.7, 0.510_988_269_867_281_4),
        (0.9, 0.578_400_536_433_342_3),
    ] {
        assert_close(masked_uniform_scale(chance, Side::Below(1.0)), scale);
    }
    assert_close(masked_uniform_scale(0.4, Side::Above(0.31)), 0.477_729_135_242_652_6);
    assert_close(masked_uniform_scale(0.003, Side::Above(0.99)), 0.306_166_494_950_443_96);
}

#[test]
fn the_scale_is_the_largest_of_all_cells() {
    for chance in [1e-6, 0.003, 0.2, 0.5, 0.77, 0.999_999, 1.0] {
        for side in [
            Side::Below(1.0),
            Side::Below(0.2),
            Side::Above(1e-6),
            Side::Above(0.3),
            Side::Above(0.99),
            Side::Above(1.0),
        ] {
            let entry = MaskedUniform::new(chance, side);
            let scale = masked_uniform_scale(chance, side);
            let largest = (0..CELLS).map(|cell| entry.scale_of(cell, 1e-9)).fold(0.0, f64::max);
            assert_close(scale, largest.min(entry.largest()));
            let all_fit = (0..CELLS).all(|cell| entry.fits(scale, cell));
            assert!(all_fit || scale >= entry.largest(), "{chance} {side:?}");
        }
    }
}

#[test]
fn a_smaller_entry_helps_and_changes_nothing() {
    let mut last = None;
    for v in [0.3, 0.31, 0.5, 0.9, 0.99, 1.0] {
        let found = smallest_scale(0.4, Side::Above(v), last);
        assert_close(found.s, masked_uniform_scale(0.4, Side::Above(v)));
        last = Some(found);
    }
}

#[test]
fn the_whole_uniform_law_is_near_its_best_scale() {
    // Lemma 2.14: sqrt(pi/8), which the cells approach from above.
    let best = (PI / 8.0_f64).sqrt();
    let scale = masked_uniform_scale(1.0, Side::Below(1.0));
    assert!(scale >= best && scale < best * 1.002);
}

#[test]
fn where_it_touches_is_found_without_looking_at_all_cells() {
    for step in 0..=400 {
        let chance = (-14.0 * f64::from(step) / 400.0).exp();
        let entry = MaskedUniform::new(chance, Side::Below(1.0));
        let Some(scale) = entry.touching() else { unreachable!("chance {chance}") };
        let largest = (0..CELLS).map(|cell| entry.scale_of(cell, 1e-9)).fold(0.0, f64::max);
        assert_close(scale, largest);
        assert!((0..CELLS).all(|cell| entry.fits(scale, cell)), "{chance}");
    }
}
