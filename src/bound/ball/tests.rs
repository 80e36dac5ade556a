use super::*;
use crate::bound::testing::{Numbers, assert_close, forward, law, network, reference_networks};
use crate::bound::{Activation, Family, Layer, Pruning};

const UNIT: Ball = Ball { radius: 1.0, dimension: None };

#[test]
fn states_match_the_reference() {
    let rows = [
        (0, 8, 1.123_818_116_626_23, 1.182_830_844_649_25),
        (0, 16, 1.190_317_801_621_02, 1.171_696_038_564_24),
        (1, 8, 0.889_809_762_931_041, 1.710_643_296_665_67),
        (1, 16, 1.036_932_977_760_78, 2.007_840_276_573_55),
        (2, 8, 0.672_735_767_886_423, 0.334_565_294_901_667),
        (2, 16, 0.627_387_768_801_441, 0.338_460_173_386_448),
        (3, 8, 0.105_043_207_369_818, 0.132_075_646_865_993),
        (3, 16, 0.118_142_410_283_609, 0.149_351_851_474_225),
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
    let expected = [1.350_438_825_070_65, 2.216_362_214_102_88, 0.364_426_505_926_08, 0.167_588_649_359_399];
    for (network, expected) in reference_networks().iter().zip(expected) {
        assert_close(ball_bound(network, UNIT, 0.01).epsilon(), expected);
    }
    let normal = Prepared::all(&network((256, 4, 256, 10), &Family::Normal, 0.1, Pruning::Magnitude));
    assert_close(ball_bound(&normal, UNIT, 0.01).epsilon(), 0.222_588_931_031_029);
}

#[test]
fn bounds_are_below_those_without_gates() {
    // The recursion with the widths of Lemma 2.2 and without Proposition 2.18 gave these.
    let before = [2.209_077_736_819_9, 8.190_228_027_676_86, 0.593_924_824_082_331, 2.469_091_276_431_09];
    for (network, before) in reference_networks().iter().zip(before) {
        assert!(ball_bound(network, UNIT, 0.01).epsilon() < 0.7 * before);
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Of one network without biases and with one input, whose ball is two points up to a factor: the squares of radii and
/// of widths after each layer, in the order of [`Set::all`].
fn squares(layers: &[Layer], activations: &[fn(f64) -> f64], numbers: &mut Numbers) -> Vec<[f64; 6]> {
    let mut states = [1.0, -1.0].map(|x| [vec![x], vec![x]]);
    let step = |(layer, &activation): (&Layer, &fn(f64) -> f64)| {
        let [whole, kept] = numbers.matrix(layer);
        let along: Vec<f64> = (0..layer.shape.rows).map(|_| numbers.normal()).collect();
        let mut largest = [0.0_f64; 6];
        for [state, pruned] in &mut states {
            *state = forward(&whole, state, activation);
            *pruned = forward(&kept, pruned, activation);
            let gap: Vec<f64> = state.iter().zip(pruned.iter()).map(|(a, b)| a - b).collect();
            for (at, vector) in [&*state, &*pruned, &gap].into_iter().enumerate() {
                largest[at] = largest[at].max(dot(vector, vector));
                largest[at + 3] = largest[at + 3].max(dot(vector, &along).max(0.0).powi(2));
            }
        }
        largest
    };
    layers.iter().zip(activations).map(step).collect()
}

#[test]
fn moments_of_suprema_are_below_the_states() {
    const NETWORKS: usize = 20_000;
    let relu: fn(f64) -> f64 = |u| u.max(0.0);
    let leaky: fn(f64) -> f64 = |u| u.max(0.25 * u);
    let tanh: fn(f64) -> f64 = f64::tanh;
    let named = |name| Activation::named(name, 0.25).unwrap_or(Activation::IDENTITY);
    let kinds = [(relu, "relu"), (leaky, "leaky_relu"), (tanh, "tanh")];
    let mut numbers = Numbers(1);
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for pruning in [Pruning::Magnitude as fn(u64) -> Pruning, Pruning::Random] {
            for (function, name) in kinds {
                let sizes = [(6, 1, 0), (5, 6, 15), (5, 5, 20), (2, 5, 0)];
                let layer = |(rows, cols, count)| {
                    Layer::dense(rows, cols, law(family.clone(), 1.0), pruning(count), named(name))
                };
                let mut layers = sizes.map(layer);
                layers[3].activation = Activation::IDENTITY;
                let functions = [function, function, function, |u| u];
                let prepared = Prepared::all(&layers);
                for p in [1, 2] {
                    let states = ball_states(&prepared, UNIT, p);
                    let mut sums = [[[0.0; 2]; 6]; 4];
                    for _ in 0..NETWORKS {
                        let found = squares(&layers, &functions, &mut numbers);
                        for (sums, found) in sums.iter_mut().zip(found) {
                            for ([sum, square], value) in sums.iter_mut().zip(found) {
                                *sum += value.powi(p as i32);
                                *square += value.powi(2 * p as i32);
                            }
                        }
                    }
                    for (state, sums) in states.iter().zip(sums) {
                        let bounds = Set::all(state).map(|set| set.radius);
                        let widths = Set::all(state).map(|set| set.width);
                        for (at, [sum, square]) in sums.into_iter().enumerate() {
                            let mean = sum / NETWORKS as f64;
                            let error =
                                (square / NETWORKS as f64 - mean * mean).sqrt() / (NETWORKS as f64).sqrt();
                            let bound = if at < 3 { bounds[at] } else { widths[at - 3] };
                            let bound = (state.ln_unit.exp() * bound).powi(2 * p as i32);
                            // Six standard errors.
                            assert!(mean <= bound + 6.0 * error, "{name} {p} {at}: {mean} {bound}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_width_of_states_along_one_input_is_reached() {
    // Of normal weights and ReLU, `sup <g, h>_+^2` over two points: their states have disjoint supports, so that the
    // mean is near half of `E |g|^2 |w|^2 / 2` for each, against the whole of it.
    let layers = [Layer::dense(400, 1, law(Family::Normal, 1.0), Pruning::NONE, Activation::RELU)];
    let state = ball_states(&Prepared::all(&layers), UNIT, 1)[0];
    let width = (state.ln_unit.exp() * state.width).powi(2);
    assert_close(width, 200.0);
    let mut numbers = Numbers(2);
    let relu: fn(f64) -> f64 = |u| u.max(0.0);
    let mean = (0..4000).map(|_| squares(&layers, &[relu], &mut numbers)[0][3]).sum::<f64>() / 4000.0;
    // E max(a, b)_+^2 of independent normals of variance 200: half of each, and a share of both.
    assert!(mean > 0.6 * width && mean < width, "{mean} {width}");
}
