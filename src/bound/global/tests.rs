use super::*;
use crate::bound::testing::{law, network};
use crate::bound::{Ball, Family, Prepared, ball_bound};

#[test]
fn the_range_holds_the_share_and_shrinks_with_the_size() {
    let mut last = 1.0;
    for width in [8, 32, 128, 512] {
        let layers = network((width, 4, width, width), &Family::Normal, 0.0, Pruning::Magnitude);
        let len = (width * width) as u64;
        let pruning = common_threshold(&layers, &[false, true, true, false], len, 1e-3);
        let Ok(pruning) = pruning else { unreachable!() };
        assert_eq!(pruning[0], Pruning::NONE);
        let Pruning::Between { low, high } = pruning[1] else { unreachable!() };
        assert!(low < 0.5 && high > 0.5 && high - low < last);
        last = high - low;
    }
    assert!(last < 0.02);
}

#[test]
fn a_layer_of_small_weights_loses_more() {
    let mut layers = network((64, 4, 64, 10), &Family::Uniform, 0.0, Pruning::Magnitude);
    layers[1].law = law(Family::Uniform, 0.01);
    let Ok(pruning) = common_threshold(&layers, &[false, true, true, false], 4096, 1e-3) else {
        unreachable!()
    };
    let (Pruning::Between { low, .. }, Pruning::Between { high, .. }) = (pruning[1], pruning[2]) else {
        unreachable!()
    };
    assert!(low > 0.9 && high < 0.1);
}

#[test]
fn the_bound_is_a_little_above_that_of_fixed_counts() {
    let layers = network((256, 4, 64, 10), &Family::Uniform, 0.3, Pruning::Magnitude);
    let count = 2 * (0.3 * 65_536.0) as u64;
    let Ok(pruning) = common_threshold(&layers, &[false, true, true, false], count, 0.005) else {
        unreachable!()
    };
    let ball = Ball { radius: 1.0, dimension: None };
    let global: Vec<Layer> =
        layers.iter().zip(pruning).map(|(layer, pruning)| Layer { pruning, ..layer.clone() }).collect();
    let (own, common) = (Prepared::all(&layers), Prepared::all(&global));
    let (own, common) = (ball_bound(&own, ball, 0.01).epsilon(), ball_bound(&common, ball, 0.005).epsilon());
    assert!(common > own && common < 1.2 * own, "{own} {common}");
}

#[test]
fn nothing_and_everything_are_exact() {
    let layers = network((16, 4, 16, 10), &Family::Laplace, 0.0, Pruning::Magnitude);
    let chosen = [false, true, true, false];
    assert_eq!(common_threshold(&layers, &chosen, 0, 0.1).ok(), Some(vec![Pruning::NONE; 4]));
    let Ok(all) = common_threshold(&layers, &chosen, 512, 0.1) else { unreachable!() };
    assert_eq!(all[1], Pruning::Between { low: 1.0, high: 1.0 });
    assert!(common_threshold(&layers, &chosen, 513, 0.1).is_err());
}
