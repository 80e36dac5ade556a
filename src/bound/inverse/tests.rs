use super::*;
use crate::bound::Pruning;
use crate::bound::testing::network;
use crate::parallel::Switches;

fn target(epsilon: f64, delta: f64) -> Target {
    Target { epsilon, delta, radius: 1.0, inputs: 1.0, question: Question::Ball }
}

fn reference() -> Network {
    let layers = network((64, 3, 64, 10), &Family::Uniform, 0.0, Pruning::Magnitude);
    Network::new(layers, None).unwrap_or_else(|e| unreachable!("{e}"))
}

fn bound(network: &Network, counts: &[u64], method: Method, target: &Target) -> f64 {
    let mut store = Store::default();
    let answer = single(network, &target.request(counts, method), target.question, &mut store);
    answer.map_or(f64::NAN, |answer| answer.epsilon)
}

#[test]
fn the_largest_count_matches_the_reference() {
    let switches = Switches::default();
    let found =
        max_prunable(&reference(), &[], 1, Method::Magnitude, &target(0.5, 0.01), &switches.context());
    assert_eq!(found.ok(), Some(Some(905)));
}

#[test]
fn the_largest_count_is_met_and_the_next_is_not() {
    let (network, switches) = (reference(), Switches::default());
    for method in [Method::Magnitude, Method::Random, Method::Bernoulli] {
        for question in [Question::Ball, Question::Inputs, Question::Best] {
            let target = Target { question, ..target(0.3, 0.05) };
            let found = max_prunable(&network, &[], 1, method, &target, &switches.context());
            let Ok(Some(count)) = found else { unreachable!() };
            assert!(bound(&network, &[0, count, 0], method, &target) <= 0.3);
            assert!(count == 4096 || bound(&network, &[0, count + 1, 0], method, &target) > 0.3);
        }
    }
}

#[test]
fn other_counts_may_already_be_too_many() {
    let switches = Switches::default();
    let found =
        max_prunable(&reference(), &[4096, 0, 0], 1, Method::Random, &target(0.1, 0.05), &switches.context());
    assert_eq!(found.ok(), Some(None));
}

#[test]
fn widths_match_the_reference() {
    let switches = Switches::default();
    let width = |alpha, method, target: Target| {
        let found = min_width(1.0, 4, alpha, method, &target, &switches.context());
        found.ok().flatten().map(|(width, _)| width)
    };
    assert_eq!(width(0.25, Method::Magnitude, target(0.1, 0.05)), Some(98));
    assert_eq!(width(0.5, Method::Random, target(0.5, 0.05)), Some(26));
}

#[test]
fn a_split_meets_the_target_and_beats_equal_shares() {
    let switches = Switches::default();
    let layers = network((64, 5, 64, 10), &Family::Uniform, 0.0, Pruning::Magnitude);
    let network = Network::new(layers, None).unwrap_or_else(|e| unreachable!("{e}"));
    let chosen = [false, true, true, true, false];
    for (method, question, epsilon) in [
        (Method::Magnitude, Question::Ball, 0.5),
        (Method::Random, Question::Ball, 3.0),
        (Method::Magnitude, Question::Inputs, 0.02),
        (Method::Random, Question::Inputs, 0.1),
    ] {
        let target = Target { question, ..target(epsilon, 0.05) };
        let Ok(counts) = allocate(&network, &chosen, method, &target, &switches.context()) else {
            unreachable!()
        };
        assert!(bound(&network, &counts, method, &target) <= epsilon);
        assert!(counts[0] == 0 && counts[4] == 0);
        let mut store = Store::default();
        let equal =
            last_met(4096, |count| target.is_met(&network, &[0, count, count, count, 0], method, &mut store));
        let Ok(Some(equal)) = equal else { unreachable!() };
        let total: u64 = counts.iter().sum();
        assert!(total + 3 >= 3 * equal, "{method:?} {question:?}: {counts:?} {equal}");
    }
}

#[test]
fn a_target_of_nothing_prunes_nothing() {
    let switches = Switches::default();
    let counts = allocate(&reference(), &[true; 3], Method::Random, &target(0.0, 0.05), &switches.context());
    assert_eq!(counts.ok(), Some(vec![0, 0, 0]));
}
