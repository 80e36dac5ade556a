use super::*;
use crate::bound::testing::network;
use crate::bound::{Family, Pruning};
use crate::parallel::Switches;

fn ask(layers: &[Layer], part: Option<Part>, delta: f64) -> Vec<f64> {
    let switches = Switches::default();
    let bounds = spectral_bounds(layers, part, delta, &switches.context());
    bounds.unwrap_or_default().into_iter().map(|(bound, _)| bound).collect()
}

#[test]
fn a_square_gaussian_is_near_twice_its_root() {
    let layers = network((1024, 3, 1024, 10), &Family::Normal, 0.0, Pruning::Random);
    // Over 2 sqrt(n), on the grid of orders.
    let bound = ask(&layers, None, 0.01)[1] / 2.0;
    assert!((bound - 1.012_868_937).abs() < 1e-8, "{bound}");
    let bound = ask(&layers, None, 1e-8)[1] / 2.0;
    assert!((bound - 1.041_364_537).abs() < 1e-8, "{bound}");
}

#[test]
fn parts_are_at_most_the_whole_and_rise_with_confidence() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for method in [Pruning::Magnitude, Pruning::Random] {
            let layers = network((48, 3, 48, 10), &family, 0.4, method);
            let mut last = 0.0;
            for delta in [0.5, 0.1, 1e-3, 1e-9] {
                let whole = ask(&layers, None, delta)[1];
                for part in [Part::Pruned, Part::Kept] {
                    assert!(ask(&layers, Some(part), delta)[1] <= whole);
                }
                assert!(whole > last);
                last = whole;
            }
            assert!(ask(&layers, Some(Part::Pruned), 0.1)[0] == 0.0);
            assert!(ask(&layers, Some(Part::Kept), 0.1)[0] > 0.0);
        }
    }
}
