use super::*;
use crate::bound::testing::{assert_close, law};
use crate::bound::{Activation, Layer, inputs::input_states};

fn layer(pruning: Pruning, activation: Activation) -> Layer {
    Layer::dense(24, 24, law(Family::Uniform, 0.25), pruning, activation)
}

#[test]
fn the_law_is_the_product_of_the_kept_shares() {
    // Corollary 3.2 for two layers of uniform weights, one pruned at random and one by magnitude.
    let layers =
        [layer(Pruning::Random(144), Activation::IDENTITY), layer(Pruning::Magnitude(288), Activation::RELU)];
    let states = mean_square_states(&Prepared::all(&layers), 2.0);
    let c = 24.0 * 0.0625 / 3.0;
    let magnitude = 288.0 * 289.0 * 290.0 / (576.0 * 577.0 * 578.0);
    assert_close(states[1].ln_state.exp(), 4.0 * c * c / 2.0);
    assert_close(states[1].ln_gap.exp(), 4.0 * c * c / 2.0 * (1.0 - 0.75 * (1.0 - magnitude)));
}

#[test]
fn it_is_not_above_theorem_two_of_order_one() {
    for pruning in
        [Pruning::Random(100), Pruning::Magnitude(100), Pruning::Bernoulli(0.3), Pruning::Magnitude(576)]
    {
        for family in [Family::Uniform, Family::Normal, Family::Laplace] {
            let layer = Layer { law: law(family, 0.3), ..layer(pruning, Activation::RELU) };
            let layers = Prepared::all(&[layer.clone(), layer]);
            let (law, theorem) = (mean_square_states(&layers, 1.0), input_states(&layers, 1.0, 1));
            assert!(law[1].ln_gap <= theorem[1].ln_gap + 1e-9);
            assert!((law[1].ln_state - theorem[1].ln_state).abs() < 1e-9);
        }
    }
}
