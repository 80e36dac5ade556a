use super::*;
use crate::bound::testing::{assert_close, law};
use crate::bound::{Activation, Ball, Family, Layer, Prepared, ball_bound};

#[test]
fn the_norm_matches_the_reference() {
    assert_close(closed_norm(1024, 1024, 1.0 / 32.0, 0.01), 2.150_458_587_655_5);
}

#[test]
fn the_formula_is_above_theorem_one() {
    for (width, depth, ratio, delta) in
        [(1, 3, 1.0, 1e-12), (8, 3, 0.5, 0.1), (64, 4, 0.1, 0.01), (128, 3, 0.9, 1e-6)]
    {
        for method in [Method::Magnitude, Method::Random] {
            for k in [0.5, 1.0, 3_f64.sqrt()] {
                let len = (width * width) as u64;
                let count = (ratio * len as f64) as u64;
                let layer = |i: usize| {
                    let pruning = method.pruning(if i == 0 || i + 1 == depth { 0 } else { count }, len);
                    let scale = k / (width as f64).sqrt();
                    Layer::dense(width, width, law(Family::Uniform, scale), pruning, Activation::RELU)
                };
                let layers: Vec<Layer> = (0..depth).map(layer).collect();
                let exact = ball_bound(&Prepared::all(&layers), Ball { radius: 1.0, dimension: None }, delta)
                    .epsilon();
                let square = Square { depth, k, method };
                let closed = square.bound(width as f64, count as f64 / len as f64, delta);
                assert!(closed >= exact, "{width} {depth} {ratio} {method:?} {k}: {closed} {exact}");
            }
        }
    }
}

#[test]
fn the_width_is_enough_and_one_less_is_not() {
    for (alpha, epsilon) in [(0.1, 0.5), (0.25, 0.1), (0.5, 0.5), (0.8, 1e-3)] {
        for method in [Method::Magnitude, Method::Random] {
            let square = Square { depth: 4, k: 1.0, method };
            let Some(width) = square.width(alpha, epsilon, 0.05) else { continue };
            assert!(square.is_wide_enough(width, alpha, epsilon, 0.05));
            // The corollary follows from the formula.
            let ratio = (width * width).powf(1.0 - alpha).floor() / (width * width);
            assert!(
                square.bound(width, ratio, 0.05) <= epsilon * (1.0 + 1e-12),
                "{alpha} {epsilon} {method:?}"
            );
        }
    }
}

#[test]
fn nothing_between_the_ends_is_no_gap() {
    let square = Square { depth: 2, k: 1.0, method: Method::Random };
    assert!(square.bound(64.0, 0.5, 0.1) == 0.0);
}
