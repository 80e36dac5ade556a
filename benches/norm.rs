//! Norms of the removed part of a square f32 matrix against the floor: a plain loop that reads the weights and the
//! mask once, in this process, with the same threads.
//!
//! `cargo bench --bench norm [-- SIDE [RUNS]]` prints one JSON object: medians in seconds, runs interleaved.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;
use rustprune::dtype::DType;
use rustprune::mask::Mask;
use rustprune::norm::{Matrix, Part, Settings, Which, norms};
use rustprune::parallel::{Switches, in_pool};
use rustprune::source::{Array, Bits};

const CHUNK: usize = 1 << 16;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|it| it.parse::<usize>().ok());
    let side = arguments.next().unwrap_or(8192);
    let runs = arguments.next().unwrap_or(9);
    let weights: Vec<u32> = (0..side * side).into_par_iter().map(weight).collect();
    let mask: Vec<u8> = weights.iter().map(|&bits| u8::from(f32::from_bits(bits).abs() > 0.5)).collect();

    let mut times: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..=runs {
        let mut time = |name, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            let seconds = start.elapsed().as_secs_f64();
            match times.iter_mut().find(|(other, _)| *other == name) {
                // The first run warms up.
                None => times.push((name, Vec::new())),
                Some((_, all)) => all.push(seconds),
            }
        };
        time("floor", &mut || in_pool(|| read_once(&weights, &mask)).expect("threads"));
        time("frobenius", &mut || ask(&weights, &mask, side, &[Which::Frobenius]));
        time("three", &mut || {
            ask(&weights, &mask, side, &[Which::Frobenius, Which::One, Which::Infinity]);
        });
        time("lanczos", &mut || ask(&weights, &mask, side, &[Which::Lanczos]));
    }
    let medians: Vec<String> = times
        .iter_mut()
        .map(|(name, all)| {
            all.sort_by(f64::total_cmp);
            format!("\"{name}\": {:.6}", all[all.len() / 2])
        })
        .collect();
    println!("{{\"side\": {side}, \"runs\": {runs}, {}}}", medians.join(", "));
}

fn read_once(weights: &[u32], mask: &[u8]) {
    weights.par_chunks(CHUNK).zip(mask.par_chunks(CHUNK)).for_each(|(weights, mask)| {
        let weights = weights.iter().fold(0, |all, &bits| all ^ bits);
        black_box((weights, mask.iter().fold(0, |all, &bits| all ^ bits)));
    });
}

fn ask(weights: &[u32], mask: &[u8], side: usize, which: &[Which]) {
    let array =
        [Array { name: "weights".to_owned(), dtype: DType::F32, bits: Bits::W32(weights), kept: None }];
    let source = array.as_slice();
    let mask = Some(Mask::Bytes(mask));
    let matrix = Matrix::new(&source, 0, [side, side], mask, Part::Removed).expect("the shapes fit");
    let switches = Switches::default();
    let work = || norms(&matrix, which, Settings::default(), &switches.context());
    black_box(in_pool(work).expect("threads").expect("numbers"));
}

/// A number spread evenly over -1 to 1, from a hash of the index.
fn weight(number: usize) -> u32 {
    let mut z = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (((z >> 40) as f32 + 0.5) / 8_388_608.0 - 1.0).to_bits()
}
