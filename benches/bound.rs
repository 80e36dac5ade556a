//! A-priori bounds per second: networks of six layers of width 1024, each asked for once (cold: no two alike), and on a grid
//! of ratios by confidences that shares them.
//!
//! `cargo bench --bench bound [-- CONFIGURATIONS] [PART OF A NAME ..]` prints one JSON object: bounds per second, best
//! of several rounds.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use rustprune::bound::{Activation, Family, Law, Layer, Method, Network, Pruning, Question, Request, bounds};
use rustprune::parallel::{Switches, in_pool};

const WIDTH: usize = 1024;
const DEPTH: usize = 6;
/// Confidences of the grid.
const DELTAS: usize = 100;
/// Each measurement is the best of so many.
const ROUNDS: usize = 3;

fn network(family: &Family) -> rustprune::Result<Network> {
    let size = |i: usize| {
        if i == 0 {
            784
        } else if i == DEPTH {
            10
        } else {
            WIDTH
        }
    };
    let layer = |i: usize| {
        let (rows, cols) = (size(i + 1), size(i));
        let longer = rows.max(cols) as f64;
        let scale = if *family == Family::Uniform { (3.0 / longer).sqrt() } else { longer.sqrt().recip() };
        let activation = if i + 1 == DEPTH { Activation::IDENTITY } else { Activation::RELU };
        Layer::dense(rows, cols, Law { family: family.clone(), scale }, Pruning::NONE, activation)
    };
    Network::new((0..DEPTH).map(layer).collect(), None)
}

/// Counts of so many ratios, no two alike.
fn counts(ratios: usize) -> Vec<Vec<u64>> {
    let len = (WIDTH * WIDTH) as f64;
    let row = |i: usize| {
        let count = ((0.01 + 0.98 * (i as f64 + 0.5) / ratios as f64) * len) as u64;
        (0..DEPTH).map(|layer| if layer == 0 || layer + 1 == DEPTH { 0 } else { count }).collect()
    };
    (0..ratios).map(row).collect()
}

fn per_second(network: &Network, requests: &[Request<'_>], question: Question) -> rustprune::Result<f64> {
    let switches = Switches::default();
    let networks = std::slice::from_ref(network);
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        in_pool(|| bounds(networks, requests, question, &switches.context()))??;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(requests.len() as f64 / least)
}

fn main() -> rustprune::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let configurations = words.iter().find_map(|word| word.parse().ok()).unwrap_or(2000_usize);
    let is_wanted =
        |name: &str| words.iter().all(|word| word.parse::<usize>().is_ok() || name.contains(word.as_str()));
    let (cold, shared) = (counts(configurations), counts(configurations.div_ceil(DELTAS)));
    let mut figures = Vec::new();
    for (law, family) in [("uniform", Family::Uniform), ("normal", Family::Normal)] {
        let network = network(&family)?;
        for (name, method) in [("magnitude", Method::Magnitude), ("random", Method::Random)] {
            for (theorem, question) in
                [("T1", Question::Ball), ("T2", Question::Inputs), ("best", Question::Best)]
            {
                let request =
                    |counts, delta| Request { network: 0, counts, method, delta, radius: 1.0, inputs: 1.0 };
                let once: Vec<_> = cold.iter().map(|counts| request(counts, 0.05)).collect();
                let delta = |i: usize| 0.5 * 0.9_f64.powi(i as i32);
                let grid: Vec<_> = shared
                    .iter()
                    .flat_map(|counts| (0..DELTAS).map(move |i| request(counts, delta(i))))
                    .collect();
                for (kind, requests) in [("cold", &once), ("grid", &grid)] {
                    let figure = format!("{theorem} {law} {name} {kind}");
                    if is_wanted(&figure) {
                        let rate = per_second(&network, requests, question)?;
                        figures.push(format!("\"{figure}\": {rate:.0}"));
                    }
                }
            }
        }
    }
    println!("{{{}}}", figures.join(", "));
    Ok(())
}
