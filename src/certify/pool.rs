//! Maxima and means over windows: their Lipschitz constants and values (6.14).

use crate::certify::center::norm;
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

/// One axis of a maximum over windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maxima {
    /// Entries of the axis.
    pub len: usize,
    /// Its windows.
    pub window: Window,
    /// Entries before the first that are below everything.
    pub padding: usize,
    /// How many windows there are.
    pub outputs: usize,
}

impl Maxima {
    pub(crate) fn check(&self) -> Result<()> {
        self.window.check()
    }

    /// The Lipschitz constant, with any padding: the root of the number of windows that one entry is in, at most
    /// (6.14).
    pub(crate) fn lipschitz(axes: &[Self]) -> f64 {
        let uses =
            axes.iter().map(|axis| Up::new(axis.window.uses() as f64)).fold(Up::ONE, |all, axis| all * axis);
        if uses.get() <= 1.0 + 1e-12 { 1.0 } else { uses.sqrt().get() }
    }
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

    /// At least the Lipschitz constant along several axes: the product of the axes'.
    pub(crate) fn lipschitz_along(axes: &[Self]) -> f64 {
        axes.iter().map(|axis| Up::new(axis.lipschitz())).fold(Up::ONE, |all, axis| all * axis).get()
    }
}

/// An array with its axes put in place of each other, the last first: `value` makes an output of an axis out of one of
/// its lines.
fn along<A>(
    axes: &[A],
    x: &[f64],
    shape: impl Fn(&A) -> [usize; 2],
    value: impl Fn(&A, usize, &dyn Fn(usize) -> f64) -> f64,
) -> Vec<f64> {
    let mut inner = 1;
    let mut values = x.to_vec();
    for axis in axes.iter().rev() {
        let [len, outputs] = shape(axis);
        let mut after = Vec::with_capacity(values.len() / len.max(1) * outputs);
        for lines in values.chunks((len * inner).max(1)) {
            for output in 0..outputs {
                after.extend((0..inner).map(|at| value(axis, output, &|place| lines[place * inner + at])));
            }
        }
        values = after;
        inner *= outputs;
    }
    values
}

/// The largest entries of windows along the last axes.
pub(crate) fn largest_of(axes: &[Maxima], x: &[f64]) -> Vec<f64> {
    along(
        axes,
        x,
        |axis| [axis.len, axis.outputs],
        |axis, output, line| {
            let Window { size, stride, dilation } = axis.window;
            let places =
                (0..size).filter_map(|tap| (output * stride + tap * dilation).checked_sub(axis.padding));
            places.filter(|&place| place < axis.len).map(line).fold(f64::NEG_INFINITY, f64::max)
        },
    )
}

/// Means over windows along the last axes, and at least the norm of the error of computing them.
pub(crate) fn means_of(axes: &[Means], x: &[f64]) -> (Vec<f64>, Up) {
    let means = |x: &[f64]| {
        along(
            axes,
            x,
            |axis| [axis.len, axis.windows.len()],
            |axis, output, line| {
                let (range, count) = &axis.windows[output];
                range.clone().map(line).sum::<f64>() / *count as f64
            },
        )
    };
    let magnitudes: Vec<_> = x.iter().map(|x| x.abs()).collect();
    let longest = |axis: &Means| axis.windows.iter().map(|(range, _)| range.len()).max().unwrap_or(0);
    let roundings = axes.iter().map(|axis| longest(axis) + 2).sum::<usize>();
    let values = means(x);
    let sizes = norm(means(&magnitudes).into_iter(), None).grown(roundings);
    let underflow = Up::new(f64::MIN_POSITIVE * values.len() as f64);
    let lost = if sizes.get() == 0.0 { Up::ZERO } else { gamma(roundings) * sizes + underflow };
    (values, lost)
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
        close(
            Means::lipschitz_along(&[Means::adaptive(6, 1), Means::adaptive(8, 1)]),
            (1.0_f64 / 48.0).sqrt(),
        );
        close(Means::lipschitz_along(&[Means::adaptive(6, 3)]), 0.5_f64.sqrt());
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
        let axis = |window| Maxima { len: 9, window, padding: 0, outputs: 4 };
        assert!(Maxima::lipschitz(&[axis(window)]) >= 2.0_f64.sqrt());
        assert!(Maxima::lipschitz(&[axis(Window { dilation: 1, ..window }); 2]) <= 1.0);
    }
}
