//! Magnitude selection against the floor: a plain streaming kernel that reads the weights, compares them with
//! a known threshold and writes a mask of the same kind, in this process, with the same threads. Then the main jobs
//! on each instruction set of this CPU, on 2^22 entries, which stay in cache.
//!
//! `cargo bench --bench select [-- ENTRIES [RUNS]]` prints one JSON object: medians in seconds, runs interleaved.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the floor is compiled for the instruction set that it is called on")
)]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use rayon::prelude::*;
use rustprune::Level;
use rustprune::dtype::DType;
use rustprune::mask::Output;
use rustprune::parallel::{Context, Switches, in_pool};
use rustprune::plan::{Layout, Method, Request, Rule, fill};
use rustprune::ratio::{Amount, NofM, Ratio};
use rustprune::sample::Stream;
use rustprune::select::{Nan, Scope, Score};

use rustprune::source::{Array, Bits};

const CHUNK: usize = 1 << 16;
const COLUMNS: usize = 4096;
const IN_CACHE: usize = 1 << 22;

fn half(scope: Scope) -> Request {
    let amount = Amount::Ratio(Ratio::new(0.5).expect("in range"));
    Request { method: Method::Top(Score::Magnitude, Nan::Raise), rule: Rule::Amount(amount, scope) }
}

macro_rules! floor {
    ($name:ident, $word:ty, $magnitude:expr, [$($features:tt),+]) => {
        /// The fastest of the same loop compiled for each instruction set of this CPU.
        fn $name(weights: &[$word], threshold: $word, mask: &mut [u8]) {
            #[inline(always)]
            fn plain(weights: &[$word], threshold: $word, mask: &mut [u8]) {
                for (kept, &weight) in mask.iter_mut().zip(weights) {
                    *kept = u8::from(weight & $magnitude >= threshold);
                }
            }
            $(
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!($features) {
                    #[target_feature(enable = $features)]
                    fn kernel(weights: &[$word], threshold: $word, mask: &mut [u8]) {
                        plain(weights, threshold, mask);
                    }
                    // SAFETY: the line above has found the feature.
                    return unsafe { kernel(weights, threshold, mask) };
                }
            )+
            plain(weights, threshold, mask);
        }
    };
}
floor!(floor_f32, u32, 0x7fff_ffff, ["avx512bw", "avx2"]);
floor!(floor_bf16, u16, 0x7fff, ["avx512bw", "avx2"]);

fn floor_bits(weights: &[u32], threshold: u32, bits: &mut [u8]) {
    let mut bytes = [0; 1024];
    for (weights, bits) in weights.chunks(1024).zip(bits.chunks_mut(128)) {
        floor_f32(weights, threshold, &mut bytes[..weights.len()]);
        for (byte, eight) in bits.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *byte = (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|it| it.parse::<f64>().ok());
    let len = arguments.next().unwrap_or(1e8) as usize;
    let runs = arguments.next().unwrap_or(15.0) as usize;
    let weights: Vec<u32> = normal(len).into_iter().map(f32::to_bits).collect();
    let halves: Vec<u16> = weights.iter().map(|&bits| (bits >> 16) as u16).collect();
    let (mut bytes, mut bits) = (vec![0_u8; len], vec![0_u8; len.div_ceil(8)]);
    let threshold = 0.674_5_f32.to_bits();
    let (tensor, rows) = (half(Scope::Tensor), half(Scope::Row));
    let groups = Request { rule: Rule::Pattern(NofM::new(2, 4).expect("a good pattern")), ..tensor.clone() };
    let streams = vec![Stream::of_position(0, 0)];
    let random = Request { method: Method::Random { seed: 0, streams }, ..tensor.clone() };
    let jobs = [("tensor", &tensor), ("rows", &rows), ("groups", &groups), ("random", &random)];

    let mut times: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..=runs {
        let mut time = |name: &str, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            let seconds = start.elapsed().as_secs_f64();
            match times.iter_mut().find(|(other, _)| *other == name) {
                // The first run warms up.
                None => times.push((name.to_owned(), Vec::new())),
                Some((_, all)) => all.push(seconds),
            }
        };
        time("floor_f32_bytes", &mut || stream(&weights, &mut bytes, 1, |w, m| floor_f32(w, threshold, m)));
        time("select_f32_bytes", &mut || {
            select(Level::current(), &tensor, DType::F32, Bits::W32(&weights), Output::Bytes(&mut bytes));
        });
        time("floor_f32_bits", &mut || stream(&weights, &mut bits, 8, |w, m| floor_bits(w, threshold, m)));
        time("select_f32_bits", &mut || {
            let output = Output::Bits { bytes: &mut bits, row_len: len };
            select(Level::current(), &tensor, DType::F32, Bits::W32(&weights), output);
        });
        time("floor_bf16_bytes", &mut || {
            stream(&halves, &mut bytes, 1, |w, m| floor_bf16(w, (threshold >> 16) as u16, m));
        });
        time("select_bf16_bytes", &mut || {
            select(Level::current(), &tensor, DType::BF16, Bits::W16(&halves), Output::Bytes(&mut bytes));
        });
        let some = &weights[..len.min(IN_CACHE) / COLUMNS * COLUMNS];
        for (job, request) in jobs {
            for level in Level::available() {
                time(&format!("{job}_{}", level.name()), &mut || {
                    let output = Output::Bytes(&mut bytes[..some.len()]);
                    select(level, request, DType::F32, Bits::W32(some), output);
                });
            }
        }
    }
    let medians: Vec<String> = times
        .iter_mut()
        .map(|(name, all)| {
            all.sort_by(f64::total_cmp);
            format!("\"{name}\": {:.6}", all[all.len() / 2])
        })
        .collect();
    println!("{{\"entries\": {len}, \"runs\": {runs}, {}}}", medians.join(", "));
}

/// Runs a floor kernel over chunks on the pool.
fn stream<W: Sync>(
    weights: &[W],
    mask: &mut [u8],
    per_byte: usize,
    kernel: impl Fn(&[W], &mut [u8]) + Sync + Send,
) {
    let work = || {
        mask.par_chunks_mut(CHUNK / per_byte)
            .zip(weights.par_chunks(CHUNK))
            .for_each(|(mask, weights)| kernel(weights, mask));
    };
    in_pool(work).expect("threads");
}

fn select(level: Level, request: &Request, dtype: DType, bits: Bits<'_>, output: Output<'_>) {
    let source = [Array { name: "weights".to_owned(), dtype, bits, kept: None }];
    let rows = if bits.len().is_multiple_of(COLUMNS) { bits.len() / COLUMNS } else { 1 };
    let layouts = [Layout::new(&[rows, bits.len() / rows], 1)];
    let switches = Switches::default();
    let ctx = Context { level, ..switches.context() };
    let work = || fill(source.as_slice(), &layouts, vec![output], request, false, &ctx);
    in_pool(work).expect("threads").expect("a good request");
}

/// Standard normal numbers, by Box and Muller from a hash of the index.
fn normal(len: usize) -> Vec<f32> {
    let hash = |number: usize| {
        let mut z = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 31)
    };
    let number = |at| {
        let bits = hash(at);
        let radius = (-2.0 * (((bits >> 40) as f32 + 0.5) / 16_777_216.0).ln()).sqrt();
        radius * (std::f32::consts::TAU * (bits as u32 as f32 / 4_294_967_296.0)).cos()
    };
    (0..len).into_par_iter().map(number).collect()
}
