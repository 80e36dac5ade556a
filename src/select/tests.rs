//! The cut against a stable sort, for every way that its guess can go right or wrong.

use proptest::prelude::*;

use super::rows::{RowBuffers, keep_row};
use super::{Buffers, Nan, Ranking, Score, Tuning, append_pieces, keep_top};
use crate::dtype::DType;
use crate::mask::Output;
use crate::parallel::Switches;
use crate::simd::{Level, with_kernels};
use crate::source::{Array, Bits};

/// As it is; then brackets that nearly always miss, a guess too high, one too low, too many candidates, and all.
fn tunings() -> Vec<Tuning> {
    let usual = Tuning { in_cache: 0, ..Tuning::default() };
    vec![
        Tuning::default(),
        usual,
        Tuning { spreads: [0.0, 4.0], ..usual },
        Tuning { spreads: [0.0, 0.0], ..usual },
        Tuning { spreads: [0.5, 0.5], shift: -0.2, ..usual },
        Tuning { spreads: [0.5, 0.5], shift: 0.2, ..usual },
        Tuning { spreads: [1000.0, 3.0], entries_per_candidate: 1_000_000, ..usual },
        Tuning { spreads: [1000.0, 3.0], entries_per_candidate: 1, ..usual },
    ]
}

/// The definition: a stable sort, the highest first.
fn keep_top_by_sorting(arrays: &[Array<'_>], score: Score, num_kept: usize) -> Vec<bool> {
    let value = |array: &Array<'_>, at: usize| {
        let (Bits::W32(bits), DType::F32) = (array.bits, array.dtype) else { return f64::NAN };
        let value = f64::from(f32::from_bits(bits[at]));
        if score == Score::Magnitude { value.abs() } else { value + 0.0 }
    };
    let values: Vec<f64> =
        arrays.iter().flat_map(|array| (0..array.bits.len()).map(|at| value(array, at))).collect();
    let mut order: Vec<_> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].partial_cmp(&values[a]).expect("no NaN"));
    let mut kept = vec![false; values.len()];
    order[..num_kept].iter().for_each(|&at| kept[at] = true);
    kept
}

fn check(entries: &[Vec<u32>], num_kept: usize, score: Score) {
    let arrays: Vec<_> = entries
        .iter()
        .map(|bits| Array { name: "w".to_owned(), dtype: DType::F32, bits: Bits::W32(bits), kept: None })
        .collect();
    let expected = keep_top_by_sorting(&arrays, score, num_kept);
    for level in Level::available() {
        for tuning in tunings() {
            let mut masks: Vec<_> = entries.iter().map(|bits| vec![0xaa_u8; bits.len()]).collect();
            let mut pieces = Vec::new();
            for (part, mask) in masks.iter_mut().enumerate() {
                append_pieces(&mut pieces, part, 0..mask.len(), Some(Output::Bytes(mask)));
            }
            let switches = Switches::default();
            let ctx = crate::parallel::Context { level, ..switches.context() };
            let source = arrays.as_slice();
            let ranking = Ranking::new(source, 0..arrays.len(), score, Nan::Raise);
            keep_top(source, &mut pieces, ranking, num_kept as u64, tuning, &mut Buffers::default(), &ctx)
                .expect("no NaN");
            let count: u64 = pieces.iter().map(|piece| piece.certain).sum();
            assert_eq!(count, num_kept as u64, "{tuning:?}");
            let got: Vec<_> = masks.concat().iter().map(|&byte| byte == 1).collect();
            assert!(got == expected, "{tuning:?} {level:?} keep {num_kept} of {}", expected.len());
        }
    }
}

/// Numbers without a pattern: a linear congruential generator's high bits.
fn noise(len: usize) -> impl Iterator<Item = f32> {
    let mut state = 1_u64;
    (0..len).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn inputs(len: usize) -> Vec<Vec<f32>> {
    let uniform: Vec<f32> = noise(len).collect();
    let zeros = |share: f32| uniform.iter().map(|&x| if x.abs() < share { 0.0 } else { x }).collect();
    let mut sorted = uniform.clone();
    sorted.sort_by(f32::total_cmp);
    vec![
        zeros(0.45),
        zeros(0.9),
        vec![0.0; len],
        vec![-1.5; len],
        uniform.iter().map(|x| (x * 4.0).round()).collect(),
        uniform.iter().enumerate().map(|(at, x)| x * 10_f32.powi((at / 4096 % 7) as i32 - 3)).collect(),
        uniform.iter().enumerate().map(|(at, _)| (at % 16) as f32).collect(),
        uniform.iter().map(|x| f32::from_bits((x.abs() * 1000.0) as u32)).collect(),
        sorted.iter().rev().copied().collect(),
        sorted,
        uniform,
    ]
}

#[test]
fn the_cut_is_exact_on_every_kind_of_input() {
    for len in [1, 63, 64, 65, 2048, 2049, 65_535, 65_536, 65_537, 200_000] {
        for values in inputs(len) {
            let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
            for num_kept in [0, 1, len / 10, len / 2, len - 1, len] {
                check(std::slice::from_ref(&bits), num_kept, Score::Magnitude);
            }
            check(&[bits], len / 3, Score::Value);
        }
    }
}

#[test]
fn rows_keep_their_highest_keys_and_tell_where_they_end() {
    for len in [1, 2, 63, 64, 65, 700, 5000] {
        for values in inputs(len) {
            let keys: Vec<i32> = values.iter().map(|value| (value * 1e6) as i32).collect();
            let mut order: Vec<_> = (0..len).collect();
            order.sort_by_key(|&at| std::cmp::Reverse(keys[at]));
            for num_kept in [0, 1, len / 10, len / 2, len - 1, len] {
                let mut expected = vec![false; len];
                order[..num_kept].iter().for_each(|&at| expected[at] = true);
                for level in Level::available() {
                    let mut words = vec![u64::MAX; len.div_ceil(64)];
                    let (key, boundary) = with_kernels!(level, kernels =>
                        keep_row(kernels, &keys, num_kept, &mut RowBuffers::default(), &mut words));
                    let bits: Vec<_> = (0..len).map(|at| words[at / 64] >> (at % 64) & 1 == 1).collect();
                    assert!(bits == expected, "{level:?} {num_kept} of {len}");
                    let cut = |(at, &other): (usize, &i32)| other > key || other == key && at < boundary;
                    let kept: Vec<_> = keys.iter().enumerate().map(cut).collect();
                    assert!(kept == expected, "{level:?} {num_kept} of {len}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn ties_go_to_the_earlier_array_and_index(
        entries in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![-2.0_f32, -1.0, -0.0, 0.0, 1.0]), 0..70), 1..5),
        share in 0.0..=1.0,
    ) {
        let bits: Vec<Vec<u32>> =
            entries.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect();
        let len: usize = bits.iter().map(Vec::len).sum();
        check(&bits, (share * len as f64) as usize, Score::Magnitude);
        check(&bits, (share * len as f64) as usize, Score::Value);
    }
}
