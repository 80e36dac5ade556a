//! Layers without weights: their Lipschitz constants (6.14).

use crate::error::{Error, Result};
use crate::norm::round::{Up, gamma};

/// One axis of a pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Entries of the window.
    pub size: usize,
    /// Distance of the outputs.
    pub stride: usize,
    /// Distance of the entries of a window.
    pub dilation: usize,
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl Window {
    fn check(self) -> Result<()> {
        for (parameter, value) in
            [("window", self.size), ("stride", self.stride), ("dilation", self.dilation)]
        {
            if value == 0 {
                return Err(Error::NotAllowed { parameter, expected: "at least 1", got: 0.0 });
            }
        }
        Ok(())
    }

    /// Windows that hold one entry, at most: those whose places are that far from it, of which only each
    /// `stride / gcd(stride, dilation)`-th window meets it.
    fn uses(self) -> usize {
        (self.size * divisor(self.stride, self.dilation)).div_ceil(self.stride)
    }
}

/// The Lipschitz constant of a maximum over windows, with any padding: the root of the number of windows that one
/// entry is in, at most (6.14).
///
/// # Errors
/// [`Error::OutOfRange`] for a size, stride or dilation of 0.
pub fn max_pool(windows: &[Window]) -> Result<f64> {
    let mut uses = Up::ONE;
    for window in windows {
        window.check()?;
        uses = uses * Up::new(window.uses() as f64);
    }
    Ok(if uses.get() <= 1.0 + 1e-12 { 1.0 } else { uses.sqrt().get() })
}

/// One axis of an averaging layer: which inputs each output takes the mean of, in which number of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// Entries of the axis.
    pub len: usize,
    /// For each output the inputs, and the number that their sum is divided by.
    pub windows: Vec<(std::ops::Range<usize>, usize)>,
}

impl Means {
    /// Windows of a size at a stride, after that much padding on both sides; `count_padding` says whether padding
    /// counts in the divisor.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a size or stride of 0, or a padding that can fill a window.
    pub fn pool(len: usize, window: Window, padding: [usize; 2], count_padding: bool) -> Result<Self> {
        window.check()?;
        if window.dilation != 1 {
            let got = window.dilation as f64;
            return Err(Error::NotAllowed { parameter: "dilation", expected: "1 for means", got });
        }
        if let Some(&padding) = padding.iter().find(|&&padding| padding >= window.size) {
            let got = padding as f64;
            return Err(Error::NotAllowed { parameter: "padding", expected: "below the window", got });
        }
        let [before, after] = padding;
        let outputs = (len + before + after + 1).saturating_sub(window.size).div_ceil(window.stride);
        let place = |output: usize| {
            let start = output * window.stride;
            let inside = start.saturating_sub(before)..(start + window.size).saturating_sub(before).min(len);
            let count = if count_padding { window.size } else { inside.len().max(1) };
            (inside, count)
        };
        Ok(Self { len, windows: (0..outputs).map(place).collect() })
    }

    /// The windows of an adaptive mean with that many outputs.
    #[must_use]
    pub fn adaptive(len: usize, outputs: usize) -> Self {
        let window = |output: usize| {
            let range = output * len / outputs..((output + 1) * len).div_ceil(outputs);
            (range.clone(), range.len().max(1))
        };
        Self { len, windows: (0..outputs).map(window).collect() }
    }

    /// At least the norm of the matrix of the means, by Schur's bound: the root of its largest sums of a row and of
    /// a column.
    #[must_use]
    pub fn lipschitz(&self) -> f64 {
        let mut columns = vec![0.0; self.len];
        let mut row = 0.0_f64;
        let mut most = 1;
        for (range, count) in &self.windows {
            let part = 1.0 / *count as f64;
            row = row.max(range.len() as f64 * part);
            columns[range.clone()].iter_mut().for_each(|sum| *sum += part);
            most += 1;
        }
        let column = columns.into_iter().fold(0.0, f64::max);
        (Up::new(row) * Up::new(column) * (Up::ONE + gamma(most + 4))).sqrt().get()
    }
}

/// At least the Lipschitz constant of means along several axes: the product of the axes'.
#[must_use]
pub fn average_pool(axes: &[Means]) -> f64 {
    axes.iter().map(|axis| Up::new(axis.lipschitz())).fold(Up::ONE, |all, axis| all * axis).get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(len: usize, size: usize, stride: usize, padding: usize, count_padding: bool) -> f64 {
        let window = Window { size, stride, dilation: 1 };
        Means::pool(len, window, [padding; 2], count_padding).expect("windows").lipschitz()
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
    }

    /// The mean of the entries that are there can be less of a contraction.
    #[test]
    fn means_without_padding_in_the_divisor_are_bounded_by_their_matrix() {
        close(axis(9, 3, 3, 1, false), 0.5_f64.sqrt());
        close(axis(8, 2, 2, 1, false), 1.0);
        // The norm is 1.012 for three entries around their places.
        assert!(axis(8, 3, 1, 1, false) >= 1.012);
        close(axis(9, 3, 3, 0, true), (1.0_f64 / 3.0).sqrt());
        close(axis(9, 3, 1, 1, true), 1.0);
        close(average_pool(&[Means::adaptive(6, 1), Means::adaptive(8, 1)]), (1.0_f64 / 48.0).sqrt());
        close(average_pool(&[Means::adaptive(6, 3)]), 0.5_f64.sqrt());
    }

    /// A dilated window skips entries, so that those of neighbours can meet.
    #[test]
    fn dilated_maxima_count_every_window() {
        for size in 1..5 {
            for stride in 1..5 {
                for dilation in 1..5 {
                    let window = Window { size, stride, dilation };
                    let mut uses = [0; 200];
                    for output in 0..60 {
                        for tap in 0..size {
                            if let Some(uses) = uses.get_mut(output * stride + tap * dilation) {
                                *uses += 1;
                            }
                        }
                    }
                    assert_eq!(uses.into_iter().max(), Some(window.uses()), "{window:?}");
                }
            }
        }
        let window = Window { size: 2, stride: 2, dilation: 2 };
        assert!(max_pool(&[window]).expect("windows") >= 2.0_f64.sqrt());
        assert!(max_pool(&[Window { dilation: 1, ..window }; 2]).expect("windows") <= 1.0);
    }
}
