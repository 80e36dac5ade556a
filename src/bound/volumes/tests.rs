use super::*;
use crate::bound::testing::assert_close;

/// Fails unless the logarithm is at most the allowance for rounding above.
#[track_caller]
fn assert_just_above(got: f64, expected: f64) {
    assert!(got > expected && got <= expected + 1.1e-9 + 1e-12 * expected, "expected {expected}, got {got}");
}

#[test]
fn volumes_match_the_reference() {
    // Those of a plain implementation are larger where the chance underflows.
    assert_just_above(ln_caps(0.3, 8), 10.425_342_509_83);
    assert_just_above(ln_caps(0.01, 784), 3_610.112_079_965);
    assert_just_above(ln_lenses(0.3, 8), 10.636_212_115_86);
    assert_just_above(ln_lenses(0.01, 784), 3_611.264_336_847);
    assert_close(ln_coordinate_moment(7, 1), 7_f64.ln());
    assert!(ln_coordinate_moment(1, 7) == 0.0);
    assert_close(ln_coordinate_moment(10, 20), 11.347_539_536_16);
    assert_close(ln_coordinate_moment(256, 64), 121.661_848_187_7);
}

#[test]
fn low_dimensions_are_geometry() {
    for angle in [1e-6, 0.1, 0.7, 1.2, 1.5, FRAC_PI_2 - 1e-9] {
        // Two points; an arc; a cap, which has the area of a disc of the chord's radius.
        assert_close(ln_caps(angle, 1), LN_2);
        assert_just_above(ln_caps(angle, 2), (PI / angle).ln());
        assert_just_above(
            ln_caps(angle, 3),
            (2.0 / (1.0 - angle.cos())).ln().max(-2.0 * (angle / 2.0).sin().ln()),
        );
    }
    for radius in [1e-9_f64, 0.1, 0.5, 1.0] {
        // An interval; and a lens of balls, twice its caps of two radii.
        assert_just_above(ln_lenses(radius, 1), (2.0 / radius).ln());
        let cap = |r: f64, height: f64| height * height * (3.0 * r - height) / 4.0;
        let lens = cap(1.0, radius * radius / 2.0) + cap(radius, radius - radius * radius / 2.0);
        assert_just_above(ln_lenses(radius, 3), -lens.ln());
    }
    assert_close(ln_caps(FRAC_PI_2, 5), LN_2);
}

#[test]
fn volumes_are_monotone_and_below_those_of_balls() {
    for dimension in [1, 2, 3, 5, 17, 100, 784, 100_000] {
        let (mut cap, mut lens) = (0.0, 0.0);
        for step in 0..80 {
            let radius = (-0.2 * f64::from(step)).exp();
            let (next_cap, next_lens) =
                (ln_caps(FRAC_PI_2 * radius, dimension), ln_lenses(radius, dimension));
            assert!(next_cap >= cap && next_lens > lens, "{dimension} {radius}");
            // A ball of half the radius is in the lens.
            assert!(next_lens <= dimension as f64 * (2.0 / radius).ln() + 1e-8 + 2e-15 * dimension as f64);
            (cap, lens) = (next_cap, next_lens);
        }
    }
}
