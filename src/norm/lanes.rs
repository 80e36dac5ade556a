//! Sums and products of values in a fixed order: sixteen lanes, then a tree, whatever the instruction set.
//!
//! Called inside [`crate::simd::Kernels::vectorized`]; nothing here is contracted to fused operations, so the bits
//! are the same on every level.

/// Partial sums of every sum.
pub(crate) const LANES: usize = 16;

/// A partial sum of each lane.
pub(crate) type Lanes = [f64; LANES];

/// The sum of the lanes.
#[inline(always)]
pub(crate) fn total(lanes: &Lanes) -> f64 {
    let mut sums = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            sums[at] += sums[at + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `a . b`.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let [sum] = dots([a], b);
    sum
}

/// The products of `R` rows with one vector.
#[inline(always)]
pub(crate) fn dots<const R: usize>(rows: [&[f64]; R], x: &[f64]) -> [f64; R] {
    let mut sums = [[0.0; LANES]; R];
    let (blocks, rest) = x.as_chunks::<LANES>();
    let split = rows.map(|row| row[..x.len()].as_chunks::<LANES>());
    for (number, x) in blocks.iter().enumerate() {
        for (sums, (row, _)) in sums.iter_mut().zip(&split) {
            let row = &row[number];
            for lane in 0..LANES {
                sums[lane] += row[lane] * x[lane];
            }
        }
    }
    for (sums, (_, row)) in sums.iter_mut().zip(&split) {
        for (lane, (a, b)) in row.iter().zip(rest).enumerate() {
            sums[lane] += a * b;
        }
    }
    sums.map(|sums| total(&sums))
}

/// `z += factors[0] * rows[0] + factors[1] * rows[1] + ...`, summed in this order.
#[inline(always)]
pub(crate) fn add_rows<const R: usize>(factors: [f64; R], rows: [&[f64]; R], z: &mut [f64]) {
    let rows = rows.map(|row| &row[..z.len()]);
    for (at, z) in z.iter_mut().enumerate() {
        let mut sum = factors[0] * rows[0][at];
        for row in 1..R {
            sum += factors[row] * rows[row][at];
        }
        *z += sum;
    }
}

/// The sum of the squares.
#[inline(always)]
pub(crate) fn squares(values: &[f64]) -> f64 {
    dot(values, values)
}

/// What one row adds to the sums of a matrix.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowSums {
    pub sums: Lanes,
    pub squares: Lanes,
    pub largest: Lanes,
    pub nonzero: Lanes,
}

impl RowSums {
    /// Adds the magnitudes of `values` to the lanes, and to `columns` one by one.
    #[inline(always)]
    pub fn add(&mut self, values: &[f64], columns: &mut [f64]) {
        // A copy, which stays in registers.
        let mut all = *self;
        let (blocks, rest) = values.as_chunks::<LANES>();
        let (column_blocks, column_rest) = columns.as_chunks_mut::<LANES>();
        for (values, columns) in blocks.iter().zip(column_blocks) {
            let magnitudes = all.block(values);
            columns.iter_mut().zip(magnitudes).for_each(|(column, magnitude)| *column += magnitude);
        }
        let magnitudes = all.block(&padded(rest));
        column_rest.iter_mut().zip(magnitudes).for_each(|(column, magnitude)| *column += magnitude);
        *self = all;
    }

    /// The same without the columns.
    #[inline(always)]
    pub fn add_row(&mut self, values: &[f64]) {
        let mut all = *self;
        let (blocks, rest) = values.as_chunks::<LANES>();
        for values in blocks {
            all.block(values);
        }
        all.block(&padded(rest));
        *self = all;
    }

    #[inline(always)]
    fn block(&mut self, values: &Lanes) -> Lanes {
        let magnitudes = values.map(f64::abs);
        // A loop for each, over whole registers.
        for (sum, magnitude) in self.sums.iter_mut().zip(magnitudes) {
            *sum += magnitude;
        }
        for (sum, magnitude) in self.squares.iter_mut().zip(magnitudes) {
            *sum += magnitude * magnitude;
        }
        for (largest, magnitude) in self.largest.iter_mut().zip(magnitudes) {
            *largest = if magnitude > *largest { magnitude } else { *largest };
        }
        for (count, magnitude) in self.nonzero.iter_mut().zip(magnitudes) {
            *count += if magnitude == 0.0 { 0.0 } else { 1.0 };
        }
        magnitudes
    }
}

/// A block that ends in zeros, which change no sum.
#[inline(always)]
fn padded(rest: &[f64]) -> Lanes {
    let mut block = [0.0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernels, Level, with_kernels};

    fn values(len: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        crate::sample::Stream::of_position(seed, 0).normals(0, &mut values);
        values
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        for len in (0..70).chain([127, 128, 300]) {
            let (a, b) = (values(len, 1), values(len, 2));
            let all: Vec<_> = Level::available()
                .into_iter()
                .map(|level| {
                    let mut z = values(len, 3);
                    let mut row = RowSums::default();
                    let dots = with_kernels!(level, kernels => kernels.vectorized(|| {
                        add_rows([1.5, -0.1], [&a, &b], &mut z);
                        row.add(&a, &mut z);
                        dots([&a, &b], &b)
                    }));
                    z.extend(dots.iter().chain(&row.sums).chain(&row.squares).chain(&row.largest));
                    z.into_iter().map(f64::to_bits).collect::<Vec<_>>()
                })
                .collect();
            assert!(all.iter().all(|bits| *bits == all[0]), "{len}");
        }
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for len in [0, 1, 15, 16, 17, 50] {
            let (a, b) = (values(len, 4), values(len, 5));
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b) - plain).abs() <= 1e-14 * (1.0 + len as f64));
        }
    }
}
