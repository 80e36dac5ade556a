//! Counts against the ranking of all scores.

use proptest::prelude::*;

use super::{lamp_counts, lamp_scores};
use crate::dtype::DType;
use crate::parallel::Switches;
use crate::ratio::Amount;
use crate::source::{Array, Bits};

fn array(bits: &[u32]) -> Array<'_> {
    Array { name: "w".to_owned(), dtype: DType::F32, bits: Bits::W32(bits), kept: None }
}

/// The definition: all scores in one order, the earlier array first among equal ones.
fn counts_by_sorting(arrays: &[Array<'_>], num_kept: usize) -> Vec<u64> {
    let switches = Switches::default();
    let mut scores = Vec::new();
    for (part, array) in arrays.iter().enumerate() {
        let mut own = vec![0.0; array.bits.len()];
        lamp_scores(arrays, part, &mut own, &switches.context()).expect("no NaN");
        scores.extend(own.into_iter().map(|score| (score, part)));
    }
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut pruned: Vec<_> = arrays.iter().map(|array| array.bits.len() as u64).collect();
    scores[..num_kept].iter().for_each(|&(_, part)| pruned[part] -= 1);
    pruned
}

fn check(entries: &[Vec<u32>]) {
    let switches = Switches::default();
    let arrays: Vec<_> = entries.iter().map(|bits| array(bits)).collect();
    let len: usize = entries.iter().map(Vec::len).sum();
    for num_kept in 0..=len {
        let amount = Amount::Count((len - num_kept) as u64);
        let counts = lamp_counts(arrays.as_slice(), amount, &switches.context()).expect("no NaN");
        assert_eq!(counts, counts_by_sorting(&arrays, num_kept), "{num_kept} kept of {entries:?}");
    }
}

fn finite() -> impl Strategy<Value = u32> {
    // Any magnitude up to infinity; a few that share a bin; few distinct ones.
    prop_oneof![0..=0x7f80_0000_u32, 0x3f80_0000..0x3f81_ffff_u32, (0..4_u32).prop_map(|at| at << 22)]
}

proptest! {
    #[test]
    fn counts_are_those_of_the_ranking(entries in prop::collection::vec(prop::collection::vec(finite(), 0..24), 1..5)) {
        check(&entries);
    }
}

#[test]
fn infinity_shares_with_infinity_and_leaves_nothing_to_the_rest() {
    let bits = [f32::MAX, f32::INFINITY, f32::NEG_INFINITY].map(f32::to_bits);
    let (switches, mut scores) = (Switches::default(), [0.0; 3]);
    lamp_scores([array(&bits)].as_slice(), 0, &mut scores, &switches.context()).expect("no NaN");
    assert_eq!(scores.map(f64::to_bits), [0.0, 1.0, 0.5].map(f64::to_bits));
}
