//! Inputs at the edges of what is allowed (section 9 of the theory page), across all theorems.

use super::batch::{Question, Request, bounds};
use super::orders::Detail;
use super::testing::law;
use super::{Activation, Ball, Family, Layer, Method, Network, Part, Prepared, Pruning, ball_states};
use crate::parallel::Switches;

const QUESTIONS: [Question; 4] = [Question::Ball, Question::Inputs, Question::Covering, Question::Best];
const METHODS: [Method; 3] = [Method::Magnitude, Method::Random, Method::Bernoulli];

fn square(width: usize, depth: usize, family: &Family, scale: f64, activation: &str) -> Network {
    let activation = Activation::named(activation, 0.1).unwrap_or(Activation::IDENTITY);
    let layer = |_| Layer::dense(width, width, law(family.clone(), scale), Pruning::NONE, activation);
    Network::new((0..depth).map(layer).collect(), None).unwrap_or_else(|e| unreachable!("{e}"))
}

fn ask(network: &Network, request: Request<'_>, question: Question) -> f64 {
    let switches = Switches::default();
    let answers = bounds(std::slice::from_ref(network), &[request], question, &switches.context());
    answers.unwrap_or_else(|e| unreachable!("{e}"))[0].epsilon
}

fn request(counts: &[u64], method: Method) -> Request<'_> {
    Request { network: 0, counts, method, delta: 0.1, radius: 1.0, inputs: 1.0 }
}

#[test]
fn no_bound_is_ever_nan_or_negative() {
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for activation in ["relu", "identity", "sigmoid", "gelu", "elu"] {
            for width in [1, 7] {
                for scale in [1e-150, 1.0, 1e150] {
                    let network = square(width, 3, &family, scale, activation);
                    let len = (width * width) as u64;
                    for count in [0, 1, len - 1, len] {
                        for method in METHODS {
                            for (radius, delta) in [(0.0, 0.5), (1e-300, 1e-300), (1.0, 1.0), (1e300, 1e-3)] {
                                for question in [Question::Inputs, Question::Best] {
                                    let counts = [count, count, count];
                                    let request = Request { delta, radius, ..request(&counts, method) };
                                    let epsilon = ask(&network, request, question);
                                    assert!(
                                        epsilon >= 0.0,
                                        "{family:?} {activation} {width} {scale} {count} {epsilon}"
                                    );
                                    assert!(count > 0 || epsilon == 0.0);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_radius_of_zero_has_no_gap_without_offsets_and_one_with_them() {
    for method in METHODS {
        for question in QUESTIONS {
            let request = Request { radius: 0.0, ..request(&[20, 20, 20], method) };
            assert!(ask(&square(8, 3, &Family::Uniform, 0.3, "relu"), request, question) == 0.0);
            assert!(ask(&square(8, 3, &Family::Uniform, 0.3, "sigmoid"), request, question) > 0.0);
        }
    }
}

#[test]
fn bounds_follow_the_scale_of_the_weights_beyond_the_range_of_doubles() {
    for question in QUESTIONS {
        let at = |scale: f64, radius: f64| {
            let network = square(8, 3, &Family::Normal, scale, "relu");
            ask(&network, Request { radius, ..request(&[30, 30, 30], Method::Random) }, question)
        };
        let unit = at(1.0, 1.0);
        // The product of the scales is one, though each state on the way is out of range.
        let wide = at(1e100, 1e-300);
        assert!((wide / unit - 1.0).abs() < 1e-9, "{question:?} {wide} {unit}");
        assert!(at(1e150, 1.0) == f64::INFINITY);
        // Too small for a double, but not nothing.
        assert!(at(1e-150, 1.0) > 0.0);
    }
}

#[test]
fn a_deep_network_neither_overflows_nor_vanishes_on_the_way() {
    let depth = 600;
    let counts = vec![100; depth];
    for scale in [0.01, 1.0] {
        let network = square(16, depth, &Family::Uniform, scale, "relu");
        for question in [Question::Ball, Question::Inputs] {
            let epsilon = ask(&network, request(&counts, Method::Magnitude), question);
            assert!(epsilon > 0.0 && !epsilon.is_nan());
        }
    }
}

#[test]
fn a_pruned_away_layer_after_one_without_a_width_is_no_nan() {
    // Zero times infinity.
    let mut layers = square(6, 2, &Family::Laplace, 0.4, "relu").layers().to_vec();
    layers[1].law = law(Family::Uniform, 0.4);
    let network = Network::new(layers, None).unwrap_or_else(|e| unreachable!("{e}"));
    for method in METHODS {
        let pruned = network.pruned(&[0, 36], method).unwrap_or_default();
        let states = ball_states(&Prepared::all(&pruned), Ball { radius: 1.0, dimension: None }, 4);
        let last = states[1];
        for value in [last.original, last.pruned, last.gap, last.width, last.pruned_width, last.gap_width] {
            assert!(!value.is_nan());
        }
        assert!(last.pruned == 0.0 && last.gap.is_finite() && last.gap > 0.0);
    }
}

#[test]
fn all_pruned_everywhere_is_the_network_itself() {
    for method in METHODS {
        let network = square(8, 4, &Family::Normal, 0.4, "relu");
        let pruned = network.pruned(&[64; 4], method).unwrap_or_default();
        let states = ball_states(&Prepared::all(&pruned), Ball { radius: 1.0, dimension: None }, 8);
        let last = states[3];
        assert!((last.gap - last.original).abs() <= 1e-12 * last.original);
    }
}

#[test]
fn one_layer_has_the_norm_of_its_pruned_part() {
    for method in METHODS {
        let network = square(12, 1, &Family::Normal, 0.3, "identity");
        let pruned = network.pruned(&[70], method).unwrap_or_default();
        let prepared = Prepared::all(&pruned);
        let states = ball_states(&prepared, Ball { radius: 2.0, dimension: None }, 8);
        let norm =
            prepared[0].masked.as_ref().map_or(f64::NAN, |masked| masked.norm(Part::Pruned, 8, Detail::Full));
        let gap = states[0].gap * states[0].ln_unit.exp();
        assert!(gap <= 2.0 * 0.3 * norm * (1.0 + 1e-12) && gap > 0.0);
    }
}

#[test]
fn bounds_rise_with_the_radius_and_with_confidence() {
    let network = square(10, 3, &Family::Uniform, 0.5, "sigmoid");
    for method in METHODS {
        for question in QUESTIONS {
            let mut last = 0.0;
            for radius in [0.0, 1e-3, 0.5, 1.0, 30.0, 1e9] {
                let epsilon = ask(&network, Request { radius, ..request(&[40, 0, 90], method) }, question);
                assert!(epsilon >= last * (1.0 - 1e-12), "{method:?} {question:?} {radius}");
                last = epsilon;
            }
            let mut last = 0.0;
            for delta in [1.0, 0.5, 0.1, 1e-3, 1e-9, 1e-100] {
                let epsilon = ask(&network, Request { delta, ..request(&[40, 0, 90], method) }, question);
                assert!(epsilon >= last, "{method:?} {question:?} {delta}");
                last = epsilon;
            }
        }
    }
}

#[test]
fn huge_layers_and_single_weights_are_ordinary() {
    // A ratio below 10^-12 has a share that must not be rounded up.
    let wide = 1 << 22;
    let layer = |family| Layer::dense(wide, wide, law(family, 1e-3), Pruning::NONE, Activation::RELU);
    for family in [Family::Uniform, Family::Normal] {
        let network = Network::new(vec![layer(family)], None).unwrap_or_else(|e| unreachable!("{e}"));
        for method in METHODS {
            for question in [Question::Ball, Question::Inputs] {
                let few = ask(&network, request(&[1], method), question);
                let many = ask(&network, request(&[1 << 43], method), question);
                assert!(few > 0.0 && few < many && many.is_finite(), "{method:?} {question:?} {few} {many}");
            }
        }
    }
}

#[test]
fn a_table_of_a_law_is_near_its_closed_form() {
    let levels: Vec<f64> = (1..=2000).map(|i| f64::from(i) / 2000.0).collect();
    let table = super::Table::new(levels.clone(), levels).unwrap_or_else(|e| unreachable!("{e}"));
    let table = Family::Table(std::sync::Arc::new(table));
    for method in METHODS {
        // Theorem 2 uses moments alone, which the table has.
        let at = |family: &Family| {
            ask(&square(16, 3, family, 0.4, "relu"), request(&[0, 100, 0], method), Question::Inputs)
        };
        let (exact, tabled) = (at(&Family::Uniform), at(&table));
        assert!(tabled >= exact * (1.0 - 1e-9) && tabled < 1.02 * exact, "{method:?} {tabled} {exact}");
    }
}
