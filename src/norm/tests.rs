//! Every norm against its definition, known values and exact arithmetic.

mod agree;
mod exact;

use super::*;
use crate::dtype::DType;
use crate::mask::Mask;
use crate::parallel::Switches;
use crate::source::{Array, Bits, Source};

/// Weights in memory with their shape.
pub(super) struct Weights {
    bits: Vec<u64>,
    /// The same as f32, where that is their format.
    single: Option<Vec<u32>>,
    pub shape: [usize; 2],
}

impl Weights {
    pub fn new(shape: [usize; 2], values: &[f64]) -> Self {
        Self { bits: values.iter().map(|value| value.to_bits()).collect(), single: None, shape }
    }

    pub fn single(shape: [usize; 2], values: &[f64]) -> Self {
        let single = values.iter().map(|&value| (value as f32).to_bits()).collect();
        Self { single: Some(single), ..Self::new(shape, values) }
    }

    pub fn normal(shape: [usize; 2], seed: u64) -> Self {
        let mut values = vec![0.0; shape[0] * shape[1]];
        crate::sample::Stream::of_position(seed, 0).normals(0, &mut values);
        Self::new(shape, &values)
    }

    pub fn scaled(&self, factor: f64) -> Self {
        let values: Vec<_> = self.bits.iter().map(|&bits| f64::from_bits(bits) * factor).collect();
        Self::new(self.shape, &values)
    }

    pub fn array(&self) -> Array<'_> {
        let (dtype, bits) = match &self.single {
            Some(bits) => (DType::F32, Bits::W32(bits)),
            None => (DType::F64, Bits::W64(&self.bits)),
        };
        Array { name: "weights".to_owned(), dtype, bits, kept: None }
    }

    pub fn norms(&self, names: &[Which]) -> Vec<Norm> {
        self.part(names, None, Part::All)
    }

    pub fn part(&self, names: &[Which], mask: Option<Mask<'_>>, part: Part) -> Vec<Norm> {
        let (array, switches) = ([self.array()], Switches::default());
        let source = &array[..];
        let matrix = Matrix::new(&source as &dyn Source, 0, self.shape, mask, part).expect("the shapes fit");
        norms(&matrix, names, Settings::default(), &switches.context()).expect("no NaN")
    }

    pub fn one(&self, which: Which) -> f64 {
        self.norms(&[which])[0].value
    }
}

const CERTIFIED: [Which; 5] = [Which::Frobenius, Which::Schur, Which::Collatz, Which::Gram, Which::Cholesky];

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value / expected - 1.0).abs() <= tolerance, "{value} is not {expected}");
}

/// Known values; their last digits hold margins for rounding.
#[test]
fn reference_values_agree() {
    let a = Weights::new([2, 3], &[1.0, 2.0, 0.0, 0.0, -3.0, 1.0]);
    close(a.one(Which::Frobenius), 3.872_983_346_207_42, 1e-12);
    close(a.one(Which::Schur), 4.472_135_954_999_58, 1e-12);
    close(a.one(Which::Collatz), 3.741_657_386_773_95, 1e-12);
    close(a.one(Which::Gram), 3.741_657_386_773_95, 1e-12);
    close(a.one(Which::Cholesky), 3.741_657_386_773_94, 1e-12);
    close(a.one(Which::Estimate), 3.741_657_386_773_94, 1e-12);
}

#[test]
fn no_certified_bound_is_below_a_norm_that_is_known_exactly() {
    // Orthogonal columns of exact length, so that the norm is one of them; or rank one.
    let cases: [([usize; 2], Vec<f64>, f64); 6] = [
        ([1, 1], vec![-0.1], 0.1),
        ([2, 2], vec![3.0, 4.0, -4.0, 3.0], 5.0),
        ([3, 1], vec![2.0, 3.0, 6.0], 7.0),
        ([1, 3], vec![2.0, 3.0, 6.0], 7.0),
        ([2, 3], vec![6.0, 3.0, 2.0, 12.0, 6.0, 4.0], 7.0 * 5.0_f64.sqrt()),
        ([2, 2], vec![1e8, 0.0, 0.0, 1e-8], 1e8),
    ];
    for (shape, values, norm) in cases {
        for scale in [1.0, 2.0_f64.powi(-548), 2.0_f64.powi(498), 2.0_f64.powi(-1000)] {
            let weights = Weights::new(shape, &values).scaled(scale);
            for which in CERTIFIED {
                let value = weights.one(which);
                assert!(value >= norm * scale, "{which:?} {shape:?} {scale:e}: {value:e}");
                assert!(value <= 2.0 * norm * scale, "{which:?} {shape:?} {scale:e}: {value:e}");
            }
            close(weights.one(Which::Cholesky), norm * scale, 1e-12);
            close(weights.one(Which::Lanczos), norm * scale, 1e-2);
        }
    }
}

#[test]
fn subnormal_matrices_have_norms() {
    let weights = Weights::new([2, 2], &[3.0 * 5e-324, 0.0, 0.0, 4.0 * 5e-324]);
    for which in CERTIFIED {
        let value = weights.one(which);
        assert!((4.0 * 5e-324..40.0 * 5e-324).contains(&value), "{which:?} {value:e}");
    }
}

#[test]
fn infinity_is_a_norm_and_nan_is_an_error() {
    let weights = Weights::new([2, 2], &[1.0, f64::INFINITY, 0.0, -2.0]);
    for (_, which) in Which::NAMES {
        if which != Which::Nonzero {
            assert!(weights.one(which) == f64::INFINITY, "{which:?}");
        }
    }
    let huge = Weights::new([1, 2], &[f64::MAX, f64::MAX]);
    assert!(CERTIFIED.iter().all(|&which| huge.one(which) == f64::INFINITY));
    assert_eq!(huge.one(Which::One), f64::MAX.next_up().min(f64::INFINITY));

    let mut values = vec![1.0; 10_000];
    values[7777] = f64::NAN;
    let weights = Weights::new([100, 100], &values);
    let (array, switches) = ([weights.array()], Switches::default());
    let source = &array[..];
    let matrix = Matrix::new(&source, 0, [100, 100], None, Part::All).expect("the shapes fit");
    let error =
        norms(&matrix, &[Which::One], Settings::default(), &switches.context()).expect_err("there is a NaN");
    assert_eq!(error.to_string(), "weights: expected no NaN, got one at flat index 7777");
}

#[test]
fn parts_are_those_of_the_mask_in_both_layouts() {
    let shape = [37, 53];
    let weights = Weights::normal(shape, 3);
    let kept: Vec<u8> = (0..37 * 53).map(|at| u8::from(at * at % 7 < 3)).collect();
    let mut bits = Vec::new();
    for row in kept.chunks(53) {
        bits.extend(
            row.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |byte, (at, &bit)| byte | bit << at)),
        );
    }
    for (part, keep) in [(Part::Kept, 1), (Part::Removed, 0)] {
        let values = weights.bits.iter().zip(&kept);
        let values: Vec<_> =
            values.map(|(&bits, &kept)| if kept == keep { f64::from_bits(bits) } else { 0.0 }).collect();
        let names = Which::NAMES.map(|(_, which)| which);
        let expected = Weights::new(shape, &values).norms(&names);
        assert_eq!(weights.part(&names, Some(Mask::Bytes(&kept)), part), expected);
        assert_eq!(weights.part(&names, Some(Mask::Bits { bytes: &bits, row_len: 53 }), part), expected);
    }
    assert!(weights.part(&CERTIFIED, None, Part::Removed).iter().all(|norm| norm.value == 0.0));
}

#[test]
fn every_way_to_the_spectral_norm_agrees() {
    for shape in [[40, 30], [30, 70], [200, 130], [3, 900], [900, 3], [65, 64]] {
        let weights = Weights::normal(shape, 5);
        let estimate = weights.one(Which::Estimate);
        close(weights.one(Which::Cholesky), estimate, 1e-11);
        let gram = weights.one(Which::Gram);
        assert!(gram >= estimate * (1.0 - 1e-13) && gram <= estimate * 1.01);
        let lanczos = weights.one(Which::Lanczos);
        assert!(lanczos >= estimate * (1.0 - 1e-13) && lanczos <= estimate * 1.010_1);
        assert!(weights.one(Which::Power) >= estimate && weights.one(Which::Collatz) >= estimate);
        close(weights.one(Which::Spectral), estimate, 1e-11);
    }
}

#[test]
fn empty_and_zero_matrices_have_norm_zero() {
    for shape in [[0, 0], [0, 5], [5, 0], [3, 4]] {
        let weights = Weights::new(shape, &vec![0.0; shape[0] * shape[1]]);
        for (_, which) in Which::NAMES {
            assert!(weights.one(which) == 0.0, "{which:?}");
        }
    }
}
