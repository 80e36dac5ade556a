//! The symbol of a convolution: its matrix at one frequency.

use crate::error::Result;
use crate::norm::round::{Up, gamma};
use crate::norm::{Norm, Settings, dense_norm};
use crate::parallel::Context;

/// A tap: where it looks, in which phase of the stride, and its matrix, `(outputs, inputs)`.
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    pub offset: [usize; 2],
    pub phase: usize,
    pub values: Vec<f64>,
}

/// The taps of a group of channels; inputs have as many channels as there are phases for each one.
#[derive(Debug, Clone)]
pub(crate) struct Taps {
    pub outputs: usize,
    pub inputs: usize,
    pub phases: usize,
    pub list: Vec<Tap>,
}

/// `cos` and `sin` of a whole turn times `part / whole`, each within 8 roundings: the angle is reduced to an eighth
/// of a turn in integers.
fn turn(part: u64, whole: u64) -> (f64, f64) {
    let part = part % whole;
    let (eighths, octant) = (8 * part, 8 * part / whole);
    // Odd octants are measured back from their end.
    let rest = if octant % 2 == 0 { eighths - octant * whole } else { (octant + 1) * whole - eighths };
    let (sin, cos) = (std::f64::consts::FRAC_PI_4 * (rest as f64 / whole as f64)).sin_cos();
    let (x, y) = if matches!(octant, 1 | 2 | 5 | 6) { (sin, cos) } else { (cos, sin) };
    let [left, below] = [matches!(octant, 2..=5), octant >= 4];
    (if left { -x } else { x }, if below { -y } else { y })
}

impl Tap {
    /// The factor of the tap at the frequency `at / grid`.
    fn turn_at(&self, at: [usize; 2], grid: [usize; 2]) -> (f64, f64) {
        let [first, second] =
            [0, 1].map(|axis| (at[axis] as u64 * self.offset[axis] as u64) % grid[axis] as u64);
        let [one, two] = grid.map(|len| len as u64);
        turn(first * two + second * one, one * two)
    }
}

impl Taps {
    /// A bound of the norm at the frequency `at / grid`, in turns per axis.
    ///
    /// Computed by direct summation, each term a product with a cosine or sine of 8 roundings, so that every entry
    /// is within `gamma_{2S+40}` of the sum of the magnitudes of its `S` taps; as real parts beside imaginary ones
    /// the matrix has the same norm.
    pub fn norm_at(
        &self,
        at: [usize; 2],
        grid: [usize; 2],
        settings: Settings,
        ctx: &Context<'_>,
    ) -> Result<Norm> {
        let columns = self.inputs * self.phases;
        let mut values = vec![0.0; 4 * self.outputs * columns];
        let (upper, lower) = values.split_at_mut(2 * self.outputs * columns);
        for tap in &self.list {
            let (cos, sin) = tap.turn_at(at, grid);
            for (entry, &value) in tap.values.iter().enumerate() {
                let (output, input) = (entry / self.inputs, entry % self.inputs);
                let place = output * 2 * columns + input * self.phases + tap.phase;
                upper[place] += value * cos;
                upper[place + columns] -= value * sin;
                lower[place] += value * sin;
                lower[place + columns] += value * cos;
            }
        }
        let norm = dense_norm(&values, [2 * self.outputs, 2 * columns], settings, ctx)?;
        Ok(Norm { value: (Up::new(norm.value) + self.rounding()).get(), kind: norm.kind })
    }

    /// At least the Frobenius norm of the rounding of a symbol.
    fn rounding(&self) -> Up {
        let mut sums = vec![Up::ZERO; self.outputs * self.inputs * self.phases];
        for tap in &self.list {
            for (entry, value) in tap.values.iter().enumerate() {
                let sum = &mut sums[entry * self.phases + tap.phase];
                *sum = *sum + Up::new(value.abs());
            }
        }
        let square: Up = sums.into_iter().map(|sum| sum * sum).sum();
        gamma(2 * self.list.len() + 40) * square.sqrt() + Up::new(1e-290)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_exact_where_they_can_be() {
        assert_eq!(
            [0, 2, 4, 6].map(|part| turn(part, 8)),
            [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
        );
        for whole in [3, 5, 7, 8, 12, 100, 224 * 224] {
            for part in 0..whole {
                let angle = std::f64::consts::TAU * part as f64 / whole as f64;
                let (x, y) = turn(part + 3 * whole, whole);
                assert!(
                    (x - angle.cos()).abs() < 3e-15 && (y - angle.sin()).abs() < 3e-15,
                    "{part} of {whole}"
                );
                assert!((x * x + y * y - 1.0).abs() < 4e-16);
            }
        }
    }
}
