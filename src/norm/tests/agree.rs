//! The same bits for every number of threads and every instruction set.

use super::Weights;
use crate::mask::Mask;
use crate::norm::{Matrix, Norm, Part, Settings, Which, joint_norm, norms};
use crate::parallel::{Context, Switches, in_pool, set_num_threads};
use crate::simd::Level;

fn all(weights: &Weights, kept: &[u8], level: Level) -> Vec<u64> {
    let array = [weights.array()];
    let source = &array[..];
    let switches = Switches::default();
    let ctx = Context { level, ..switches.context() };
    let mut found: Vec<Norm> = Vec::new();
    for part in [Part::All, Part::Kept, Part::Removed] {
        let matrix =
            Matrix::new(&source, 0, weights.shape, Some(Mask::Bytes(kept)), part).expect("the shapes fit");
        let names = Which::NAMES.map(|(_, which)| which);
        found.extend(norms(&matrix, &names, Settings::default(), &ctx).expect("numbers"));
        found.push(joint_norm(&matrix, 1.0, 2.0, Settings::default(), &ctx).expect("numbers"));
    }
    found.into_iter().map(|norm| norm.value.to_bits()).collect()
}

#[test]
fn threads_and_levels_change_no_bit() {
    for shape in [[700, 65], [65, 700], [1, 5000], [130, 129]] {
        let weights = Weights::normal(shape, 8);
        let kept: Vec<_> = (0..shape[0] * shape[1]).map(|at| u8::from(at % 3 > 0)).collect();
        let mut answers = Vec::new();
        for threads in [1, 2, 7] {
            set_num_threads(threads);
            for level in Level::available() {
                answers.push(in_pool(|| all(&weights, &kept, level)).expect("threads"));
            }
        }
        set_num_threads(0);
        assert!(answers.iter().all(|bits| *bits == answers[0]), "{shape:?}");
    }
}
