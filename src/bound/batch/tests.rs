use super::*;
use crate::bound::testing::{assert_close, network, reference_networks};
use crate::bound::{
    Ball, Family, Pruning, ball_bound, covering_bound, inputs_bound, linear_bound, smoothing_bound,
};
use crate::parallel::Switches;

fn reference() -> (Network, Vec<u64>) {
    let layers = network((64, 3, 64, 10), &Family::Uniform, 0.0, Pruning::Magnitude);
    (Network::new(layers, None).unwrap_or_else(|e| unreachable!("{e}")), vec![0, 2048, 0])
}

fn ask(networks: &[Network], requests: &[Request<'_>], question: Question) -> Vec<Answer> {
    bounds(networks, requests, question, &Switches::default().context())
        .unwrap_or_else(|e| unreachable!("{e}"))
}

#[test]
fn answers_are_those_of_the_theorems() {
    let (network, counts) = reference();
    let single = &reference_networks()[0];
    let mut requests = Vec::new();
    for delta in [0.5, 0.01, 1e-12] {
        for radius in [0.0, 1e-200, 1.0, 3.0] {
            requests.push(Request {
                network: 0,
                counts: &counts,
                method: Method::Magnitude,
                delta,
                radius,
                inputs: 7.0,
            });
        }
    }
    for question in
        [Question::Ball, Question::Inputs, Question::Covering, Question::Smoothing, Question::Best]
    {
        let answers = ask(std::slice::from_ref(&network), &requests, question);
        for (request, answer) in requests.iter().zip(answers) {
            let ball = Ball { radius: request.radius, dimension: None };
            let best = match answer.theorem {
                1 => ball_bound(single, ball, request.delta),
                2 => inputs_bound(single, request.radius, 7.0, request.delta),
                6 => smoothing_bound(single, ball, request.delta),
                _ => covering_bound(single, ball, request.delta),
            };
            assert_close(answer.epsilon, best.epsilon() * (1.0 + ROUNDING));
        }
    }
}

#[test]
fn nothing_pruned_is_no_gap() {
    let (network, _) = reference();
    let request =
        Request { network: 0, counts: &[], method: Method::Random, delta: 0.1, radius: 1.0, inputs: 1.0 };
    for question in
        [Question::Ball, Question::Inputs, Question::Covering, Question::Smoothing, Question::Best]
    {
        assert!(ask(std::slice::from_ref(&network), &[request], question)[0].epsilon == 0.0);
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (network, counts) = reference();
    let good =
        Request { network: 0, counts: &counts, method: Method::Random, delta: 0.1, radius: 1.0, inputs: 1.0 };
    let bad = [
        Request { network: 1, ..good },
        Request { delta: 0.0, ..good },
        Request { delta: 1.5, ..good },
        Request { delta: f64::NAN, ..good },
        Request { radius: -1.0, ..good },
        Request { radius: f64::INFINITY, ..good },
        Request { inputs: 0.5, ..good },
        Request { counts: &[5000], ..good },
    ];
    for request in bad {
        let switches = Switches::default();
        assert!(
            bounds(std::slice::from_ref(&network), &[request], Question::Best, &switches.context()).is_err()
        );
    }
}

#[test]
fn networks_without_activations_have_a_bound_of_their_own() {
    let mut layers = network((64, 3, 32, 10), &Family::Normal, 0.0, Pruning::Magnitude);
    for layer in &mut layers {
        layer.activation = crate::bound::Activation::IDENTITY;
    }
    let network = Network::new(layers, None).unwrap_or_else(|e| unreachable!("{e}"));
    let counts = [0, 1000, 0];
    let request = Request {
        network: 0,
        counts: &counts,
        method: Method::Magnitude,
        delta: 0.05,
        radius: 2.0,
        inputs: 1.0,
    };
    let answer = ask(std::slice::from_ref(&network), &[request], Question::Best)[0];
    let layers = network.pruned(&counts, Method::Magnitude).unwrap_or_else(|e| unreachable!("{e}"));
    let linear = linear_bound(&Prepared::all(&layers), Ball { radius: 2.0, dimension: None }, 0.05);
    assert!(answer.theorem == 6);
    assert_close(answer.epsilon, linear.epsilon() * (1.0 + ROUNDING));
    let ball = ask(std::slice::from_ref(&network), &[request], Question::Ball)[0];
    assert!(answer.epsilon < ball.epsilon);
}

/// Looking at every third order first loses nothing: the least over all orders, for masks of which no detail can be spared.
#[test]
fn no_order_is_missed_for_random_masks() {
    let sizes = [(1, 1), (5, 1), (7, 64), (321, 138), (3, 368), (64, 64), (900, 70), (500, 700)];
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for (rows, cols) in sizes {
            for depth in [1, 3] {
                let width = |i: usize| if i.is_multiple_of(2) { cols } else { rows };
                let scale = (rows.max(cols) as f64).sqrt().recip();
                let layer = |i: usize| {
                    let law = crate::bound::testing::law(family.clone(), scale);
                    let activation = crate::bound::Activation::RELU;
                    crate::bound::Layer::dense(width(i + 1), width(i), law, Pruning::NONE, activation)
                };
                let network = Network::new((0..depth).map(layer).collect(), None);
                let network = network.unwrap_or_else(|e| unreachable!("{e}"));
                for ratio in [0.012, 0.24, 0.7, 0.999] {
                    let counts = vec![(ratio * (rows * cols) as f64) as u64; depth];
                    let layers = network.pruned(&counts, Method::Random);
                    let layers = Prepared::all(&layers.unwrap_or_else(|e| unreachable!("{e}")));
                    for delta in [0.05, 1e-6] {
                        let method = Method::Random;
                        let (radius, inputs) = (1.0, 3.0);
                        let request = Request { network: 0, counts: &counts, method, delta, radius, inputs };
                        let networks = std::slice::from_ref(&network);
                        let ball = ball_bound(&layers, Ball { radius, dimension: None }, delta);
                        let points = inputs_bound(&layers, radius, inputs, delta);
                        for (question, best) in [(Question::Ball, ball), (Question::Inputs, points)] {
                            let answer = ask(networks, &[request], question)[0];
                            let (got, least) = (answer.epsilon, best.epsilon() * (1.0 + ROUNDING));
                            let what = (rows, cols, depth, ratio, delta, question, answer.p, best.p);
                            assert!(
                                (got - least).abs() <= 1e-10 * least,
                                "{family:?} {what:?}: {got} {least}"
                            );
                        }
                    }
                }
            }
        }
    }
}
