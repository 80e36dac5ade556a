use std::sync::Arc;

use super::*;
use crate::bound::testing::assert_close;
use crate::bound::{Dense, Family, Masked, Part, Pruning, Shape};

fn conv(circular: Option<(usize, usize)>, pruning: Pruning) -> Masked {
    let kernel = Kernel { taps: (3, 3), circular };
    Masked::new(Arc::new(Dense::new(Shape { rows: 16, cols: 8, kernel }, Family::Uniform)), pruning)
}

#[test]
fn norms_match_the_reference() {
    let ln_scale = 32.0 * 0.1_f64.ln();
    let pruned = conv(None, Pruning::Magnitude(576)).ln_norm(Part::Pruned, 16);
    // With the exact moment of the threshold in place of its cells, which give -18.9987723789678.
    assert_close(pruned + ln_scale, -19.293_250_894_144);
    let kept = conv(Some((16, 16)), Pruning::Random(576)).ln_norm(Part::Kept, 16);
    assert_close(kept + ln_scale, 1.199_935_139_944_01);
}

#[test]
fn grid_factors_match_the_reference() {
    assert_close(grid_factor(3, 16), 1.019_591_158_208_32);
    assert_close(grid_factor(5, 32), 1.019_591_158_208_32);
    assert!(grid_factor(5, 4) == f64::INFINITY);
}

#[test]
fn a_pixel_is_used_by_as_many_windows_as_cover_it() {
    for taps in 1..8 {
        for stride in 1..6 {
            for dilation in 1..5 {
                let uses = |pixel: usize| {
                    (0..taps).filter(|tap| (pixel + 1000 - tap * dilation).is_multiple_of(stride)).count()
                };
                let most = (0..stride * dilation).map(uses).max();
                assert_eq!(most, Some(largest_use(taps, stride, dilation)), "{taps} {stride} {dilation}");
            }
        }
    }
}
