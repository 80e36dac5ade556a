//! Convex order: which Gaussian dominates a masked uniform entry (Lemma 2.14).

use std::f64::consts::{PI, SQRT_2};

use super::law::Side;

/// Cells of the check. Part of the definition: another number gives another, equally valid, scale.
const CELLS: usize = 1000;
/// The scale is found to this relative accuracy, from above.
const ACCURACY: f64 = 1e-13;

/// `E (s g - c)_+` of a standard normal `g`, and its slope in `c`.
fn gaussian_stop_loss(s: f64, c: f64) -> (f64, f64) {
    let z = c / s;
    let tail = 0.5 * libm::erfc(z / SQRT_2);
    (s * ((-z * z / 2.0).exp() / (2.0 * PI).sqrt() - z * tail), -tail)
}

/// An entry that is nonzero with chance `chance`, its magnitude then uniform on `[low, high]`.
#[derive(Debug, Clone, Copy)]
struct MaskedUniform {
    chance: f64,
    low: f64,
    high: f64,
}

impl MaskedUniform {
    fn new(chance: f64, side: Side) -> Self {
        let (low, high) = match side {
            Side::Below(v) => (0.0, v),
            Side::Above(v) => (v.min(1.0 - 1e-9), 1.0),
        };
        Self { chance, low, high }
    }

    /// The left end of a cell.
    fn edge(self, cell: usize) -> f64 {
        self.high * (cell as f64 / CELLS as f64)
    }

    /// `E (x - c)_+`
    fn stop_loss(self, c: f64) -> f64 {
        let width = self.high - self.low;
        let above = if c <= self.low {
            (f64::midpoint(self.low, self.high) - c) / 2.0
        } else {
            (self.high - c).powi(2) / (4.0 * width)
        };
        self.chance * above
    }

    /// Whether the Gaussian of scale `s` dominates on a cell: both sides fall, so that the left end of one against the
    /// right end of the other decides.
    fn fits(self, s: f64, cell: usize) -> bool {
        gaussian_stop_loss(s, self.edge(cell + 1)).0 >= self.stop_loss(self.edge(cell))
    }

    /// Whether it is sure to on all cells of a run: both sides are convex, so that the chord of one against a tangent of
    /// the other decides.
    fn surely_fits(self, s: f64, from: usize, to: usize) -> bool {
        let (first, last) = (self.edge(from), self.edge(to - 1));
        let (near, far) = (self.edge(from + 1), self.edge(to));
        let middle = f64::midpoint(near, far);
        let (value, slope) = gaussian_stop_loss(s, middle);
        // Room for the rounding of both.
        let tangent = |c: f64| value + slope * (c - middle) - 1e-15 * s;
        tangent(near) >= self.stop_loss(first) && tangent(far) >= self.stop_loss(last)
    }

    /// The smallest scale that dominates on one cell, at least `s`.
    fn scale_of(self, cell: usize, s: f64) -> f64 {
        let (target, c) = (self.stop_loss(self.edge(cell)), self.edge(cell + 1));
        let (mut low, mut high) = (s, self.largest());
        // The stop-loss is convex and increasing in the scale: Newton's steps go above the root and stay there.
        let mut at = if 8.0 * s > high { s } else { high };
        loop {
            let miss = gaussian_stop_loss(at, c).0 - target;
            if miss >= 0.0 {
                high = at;
            } else {
                low = at;
            }
            let z = c / at;
            let step = miss / ((-z * z / 2.0).exp() / (2.0 * PI).sqrt());
            if (miss >= 0.0 && step <= ACCURACY * at) || high - low <= ACCURACY * high {
                return high;
            }
            let next = at - step + ACCURACY / 4.0 * at;
            at = if next > low && next < high { next } else { f64::midpoint(low, high) };
        }
    }

    /// The standard deviation: no smaller scale dominates.
    fn deviation(self) -> f64 {
        (self.chance * (self.low * self.low + self.low * self.high + self.high * self.high) / 3.0).sqrt()
    }

    /// The scale of a coin: `|x| <= high` is below `+-high` in convex order.
    fn largest(self) -> f64 {
        self.high * (PI / 2.0).sqrt()
    }
}

/// A scale, and the cell that asks for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The standard deviation of the Gaussian.
    pub s: f64,
    cell: usize,
}

/// A scale `s` such that a masked uniform entry is below `N(0, s^2)` in convex order: nonzero with chance `chance`,
/// then of the uniform law on [-1, 1] given `side`.
#[must_use]
pub fn masked_uniform_scale(chance: f64, side: Side) -> f64 {
    smallest_scale(chance, side, None).s
}

/// The same, helped by the scale of a smaller entry with the same cells.
pub(crate) fn smallest_scale(chance: f64, side: Side, smaller: Option<Scale>) -> Scale {
    let entry = MaskedUniform::new(chance, side);
    let largest = entry.largest();
    let mut best = smaller.unwrap_or(Scale { s: entry.deviation() * (1.0 - 1e-9), cell: 0 });
    let raise = |best: &mut Scale, cell: usize| {
        if !entry.fits(best.s, cell) {
            *best = Scale { s: entry.scale_of(cell, best.s), cell };
        }
    };
    // Near the largest first, so that few of the others have to be solved.
    let mut step = if smaller.is_some() { 4 } else { CELLS / 16 };
    if smaller.is_none() {
        (0..CELLS).step_by(step).for_each(|cell| raise(&mut best, cell));
    }
    while step > 0 && best.s < largest {
        let around = best.cell;
        raise(&mut best, around.saturating_sub(step));
        raise(&mut best, around);
        raise(&mut best, (around + step).min(CELLS - 1));
        if best.cell == around {
            step /= 2;
        }
    }
    // Then all: whole runs that fit need no closer look.
    let (mut from, mut run) = (0, 32);
    while from < CELLS && best.s < largest {
        let to = (from + run).min(CELLS);
        if run == 1 {
            raise(&mut best, from);
        }
        if run == 1 || entry.surely_fits(best.s, from, to) {
            (from, run) = (to, run * 2);
        } else {
            run /= 2;
        }
    }
    Scale { s: best.s.min(largest), cell: best.cell }
}

#[cfg(test)]
mod tests;
