//! Layer-adaptive magnitude scores: each squared weight over the sum of those that are at least as large.
//!
//! J. Lee, S. Park, S. Mo, S. Ahn and J. Shin, "Layer-adaptive sparsity for the magnitude-based pruning", ICLR
//! 2021, arXiv:2010.07611. Within an array the score rises with the magnitude, so that what a budget over many
//! arrays keeps of one of them is a mask by magnitude: only the counts are new.
//!
//! Sums are of binary64, from the largest entry down. The published code subtracts a running sum from the whole in
//! binary32: at ten million weights its largest score is 1.045 instead of 1.

use crate::error::{Error, Result};
use crate::norm::widen;
use crate::parallel::{Context, for_each};
use crate::source::{ReadBuffer, Source};

/// Entries that are read at a time.
const PIECE: usize = 1 << 16;

/// The scores of one array, in its own order.
///
/// Of equal magnitudes the one of the lower index counts as the larger. An array of zeros has scores of zero.
///
/// # Errors
/// [`Error::NotFinite`]; those of the source.
///
/// # Panics
/// If `scores` is not of the length of the array.
pub fn lamp_scores<S: Source + ?Sized>(
    source: &S,
    part: usize,
    scores: &mut [f64],
    ctx: &Context<'_>,
) -> Result<()> {
    let magnitudes = magnitudes(source, part, ctx)?;
    assert_eq!(magnitudes.len(), scores.len(), "a score for each entry");
    let mut order: Vec<usize> = (0..magnitudes.len()).collect();
    order
        .sort_unstable_by(|&one, &other| magnitudes[other].total_cmp(&magnitudes[one]).then(one.cmp(&other)));
    let mut sum = 0.0;
    for index in order {
        scores[index] = score(magnitudes[index], &mut sum);
    }
    Ok(())
}

/// How many entries each array keeps when `num_kept` of all are kept, those of the largest scores; of equal
/// scores those of the earlier array.
///
/// Takes 8 bytes for each entry. The counts sum to `num_kept`, or to the number of entries if that is less.
///
/// # Errors
/// [`Error::NotFinite`]; [`Error::Interrupted`]; those of the source.
pub fn lamp_counts<S: Source + ?Sized>(source: &S, num_kept: u64, ctx: &Context<'_>) -> Result<Vec<u64>> {
    // Scores, the largest first.
    let mut lists: Vec<(usize, Vec<f64>)> = (0..source.num_parts()).map(|part| (part, Vec::new())).collect();
    for_each(
        &mut lists,
        ctx,
        || (),
        |(), (part, list)| {
            *list = magnitudes(source, *part, ctx)?;
            list.sort_unstable_by(|one, other| other.total_cmp(one));
            let mut sum = 0.0;
            list.iter_mut().for_each(|value| *value = score(*value, &mut sum));
            Ok(())
        },
    )?;
    let at_least = |bits: u64| -> u64 {
        let count = |list: &[f64]| list.partition_point(|score| score.to_bits() >= bits) as u64;
        lists.iter().map(|(_, list)| count(list)).sum()
    };
    // The least bits that no more entries reach than may be kept: scores are not negative, so bits are in order.
    let (mut low, mut high) = (0, 1.0_f64.to_bits() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if at_least(middle) <= num_kept { high = middle } else { low = middle + 1 }
    }
    let mut left = num_kept - at_least(high);
    let counts = lists.iter().map(|(_, list)| {
        let above = list.partition_point(|score| score.to_bits() >= high);
        let tied = list[above..].partition_point(|score| score.to_bits() + 1 >= high) as u64;
        let taken = tied.min(left);
        left -= taken;
        above as u64 + taken
    });
    Ok(counts.collect())
}

/// The score of the next smaller magnitude; `sum` is of the squares so far.
fn score(magnitude: f64, sum: &mut f64) -> f64 {
    let square = magnitude * magnitude;
    *sum += square;
    if square == 0.0 { 0.0 } else { square / *sum }
}

/// The magnitudes of an array over the largest power of two in them, so that squares do not overflow.
fn magnitudes<S: Source + ?Sized>(source: &S, part: usize, ctx: &Context<'_>) -> Result<Vec<f64>> {
    let mut values = vec![0.0; source.len(part)];
    let mut buffer = ReadBuffer::default();
    for (piece, values) in values.chunks_mut(PIECE).enumerate() {
        ctx.check()?;
        let start = piece * PIECE;
        let bits = source.read(part, start..start + values.len(), &mut buffer)?;
        widen(ctx.level, source.dtype(part), bits, None, 1.0, values);
        values.iter_mut().for_each(|value| *value = value.abs());
        ctx.advance(values.len());
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { name: source.name(part), index });
    }
    let largest = values.iter().fold(0.0, |one: f64, &other| one.max(other));
    // Of subnormals too: the exponent of the largest, and both factors are in range.
    let exponent = libm::ilogb(largest.max(f64::from_bits(1)));
    let (first, second) =
        (libm::exp2(f64::from(-exponent / 2)), libm::exp2(f64::from(-exponent - -exponent / 2)));
    values.iter_mut().for_each(|value| *value = *value * first * second);
    Ok(values)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::parallel::Switches;
    use crate::source::{Array, Bits};

    fn arrays<'a>(bits: &'a [Vec<u64>]) -> Vec<Array<'a>> {
        let array = |(part, bits): (usize, &'a Vec<u64>)| Array {
            name: format!("layer {part}"),
            dtype: DType::F64,
            bits: Bits::W64(bits),
            kept: None,
        };
        bits.iter().enumerate().map(array).collect()
    }

    fn bits(layers: &[&[f64]]) -> Vec<Vec<u64>> {
        layers.iter().map(|layer| layer.iter().map(|value| value.to_bits()).collect()).collect()
    }

    fn scores(layers: &[&[f64]]) -> Vec<Vec<f64>> {
        let (bits, switches) = (bits(layers), Switches::default());
        let source = arrays(&bits);
        let of = |part: usize| {
            let mut scores = vec![0.0; bits[part].len()];
            lamp_scores(source.as_slice(), part, &mut scores, &switches.context()).expect("finite");
            scores
        };
        (0..bits.len()).map(of).collect()
    }

    fn counts(layers: &[&[f64]], num_kept: u64) -> Vec<u64> {
        let (bits, switches) = (bits(layers), Switches::default());
        lamp_counts(arrays(&bits).as_slice(), num_kept, &switches.context()).expect("finite")
    }

    #[test]
    fn scores_are_those_of_the_paper() {
        let found = scores(&[&[1.0, -2.0, 3.0], &[0.1, 0.2]]);
        assert_eq!(found[0], [1.0 / 14.0, 4.0 / 13.0, 1.0]);
        assert!((found[1][0] - 0.2).abs() < 1e-15);
        assert_eq!(found[1][1], 1.0);
        assert_eq!(counts(&[&[1.0, -2.0, 3.0], &[0.1, 0.2]], 3), [2, 1]);
    }

    #[test]
    fn scale_does_not_count_and_the_largest_score_is_one() {
        for scale in [1.0, 2.0_f64.powi(900), 2.0_f64.powi(-1000), f64::from_bits(1)] {
            assert_eq!(scores(&[&[scale, 0.0, 2.0 * scale]])[0], [0.2, 0.0, 1.0]);
        }
        assert_eq!(scores(&[&[0.0, -0.0]])[0], [0.0, 0.0]);
        assert_eq!(scores(&[&[2.0, -2.0, 2.0]])[0], [1.0, 0.5, 1.0 / 3.0]);
    }

    #[test]
    fn counts_are_those_of_the_largest_scores_with_ties_to_the_earlier_array() {
        let layers: [&[f64]; 4] = [&[1.0, 1.0, 0.0], &[], &[0.0, 5.0, 5.0, 2.0], &[3.0, 3.0]];
        let all = scores(&layers);
        let mut ranked: Vec<(f64, usize)> = all
            .iter()
            .enumerate()
            .flat_map(|(part, list)| list.iter().map(move |&score| (score, part)))
            .collect();
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for num_kept in 0..=ranked.len() + 1 {
            let mut expected = [0; 4];
            ranked.iter().take(num_kept).for_each(|&(_, part)| expected[part] += 1);
            assert_eq!(counts(&layers, num_kept as u64), expected);
        }
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let (bits, switches) = (bits(&[&[1.0], &[1.0, f64::INFINITY, f64::NAN]]), Switches::default());
        let error = lamp_counts(arrays(&bits).as_slice(), 1, &switches.context()).expect_err("not finite");
        assert_eq!(error.to_string(), "layer 1: expected finite entries, got another at flat index 1");
    }
}
