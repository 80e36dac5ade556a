//! Convex order: which Gaussian dominates a masked uniform entry (Lemma 2.14).

use std::f64::consts::{PI, SQRT_2};
use std::sync::LazyLock;

use super::law::Side;

/// Cells of the check. Part of the definition: another number gives another, equally valid, scale.
const CELLS: usize = 1000;
/// The scale is found to this relative accuracy, from above.
const ACCURACY: f64 = 1e-13;

/// `E (s g - c)_+` of a standard normal `g`, and its slopes in `c` and in `s`.
fn gaussian_stop_loss(s: f64, c: f64) -> (f64, f64, f64) {
    let z = c / s;
    let (tail, density) = (0.5 * libm::erfc(z / SQRT_2), density(z));
    (s * (density - z * tail), -tail, density)
}

/// The standard normal density.
fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * PI).sqrt()
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
        let (value, slope, _) = gaussian_stop_loss(s, middle);
        // Room for the rounding of both.
        let tangent = |c: f64| value + slope * (c - middle) - 1e-15 * s;
        tangent(near) >= self.stop_loss(first) && tangent(far) >= self.stop_loss(last)
    }

    /// The smallest scale that dominates on one cell, at least `s`.
    fn scale_of(self, cell: usize, s: f64) -> f64 {
        self.scale_near(cell, s, if 8.0 * s > self.largest() { s } else { self.largest() })
    }

    /// The same from a start at least `s`.
    fn scale_near(self, cell: usize, s: f64, start: f64) -> f64 {
        let (target, c) = (self.stop_loss(self.edge(cell)), self.edge(cell + 1));
        let (mut low, mut high) = (s, self.largest());
        // The stop-loss is convex and increasing in the scale: Newton's steps go above the root and stay there.
        let mut at = start.min(high);
        loop {
            let (value, _, slope) = gaussian_stop_loss(at, c);
            let miss = value - target;
            if miss >= 0.0 {
                high = at;
            } else {
                low = at;
            }
            let step = miss / slope;
            if (miss >= 0.0 && step <= ACCURACY * at) || high - low <= ACCURACY * high {
                return high;
            }
            let next = at - step + ACCURACY / 4.0 * at;
            at = if next > low && next < high { next } else { f64::midpoint(low, high) };
        }
    }

    /// How much the Gaussian of scale `s` has to spare on a cell.
    fn room(self, s: f64, cell: usize) -> f64 {
        gaussian_stop_loss(s, self.edge(cell + 1)).0 - self.stop_loss(self.edge(cell))
    }

    /// The smallest scale that dominates on all cells, for magnitudes from zero on, from where it touches.
    ///
    /// What the Gaussian has to spare is then convex in the cell up to one point and concave beyond, so that it is least
    /// at the last cell or where both neighbours of a cell in the convex part have more. None where that is not found.
    fn touching(self) -> Option<f64> {
        let (point, scale) = touch(self.chance)?;
        let mut cell = ((point * CELLS as f64) as usize).min(CELLS - 1);
        // A cell asks for a little more than its left end does.
        let (_, slope, growth) = gaussian_stop_loss(scale, point);
        let near = scale - slope / growth / CELLS as f64;
        let mut s = self.scale_near(cell, 0.999 * scale * self.high, near * self.high);
        for _ in 0..CELLS {
            let room = self.room(s, cell);
            let neighbours = [cell.saturating_sub(1), (cell + 1).min(CELLS - 1)];
            let Some(&next) = neighbours.iter().find(|&&next| next != cell && self.room(s, next) < room)
            else {
                let bends = density(self.edge(cell + 1) / s) / s > self.chance / (2.0 * self.high);
                return (bends && self.fits(s, CELLS - 1)).then_some(s);
            };
            cell = next;
            if !self.fits(s, cell) {
                s = self.scale_of(cell, s);
            }
        }
        None
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

/// Chances, and where the smallest Gaussian above a uniform magnitude of that chance touches it: the point, and the
/// scale, both over the largest magnitude.
///
/// There values and slopes are equal: `s (phi(z) - z T) = chance (1-c)^2 / 4` and `T = chance (1-c) / 2` for `c = s z` and the
/// tail `T` of `z`.
static TOUCHES: LazyLock<Vec<(f64, f64, f64)>> = LazyLock::new(|| {
    const STEPS: usize = 768;
    const LARGEST: f64 = 6.0;
    let at = |step: usize| {
        let z = LARGEST * step as f64 / STEPS as f64;
        let (excess, slope, _) = gaussian_stop_loss(1.0, z);
        let chance = slope * slope * z / excess - 2.0 * slope;
        let s = slope * slope / (chance * excess);
        (chance, s * z, s)
    };
    (0..=STEPS).rev().map(at).collect()
});

/// Near where it touches for a chance, and near the scale; none for chances too small to be tabled.
fn touch(chance: f64) -> Option<(f64, f64)> {
    let above = TOUCHES.partition_point(|touch| touch.0 < chance).min(TOUCHES.len() - 1);
    let (from, to) = (TOUCHES[above.checked_sub(1)?], TOUCHES[above]);
    let share = (chance - from.0) / (to.0 - from.0);
    let between = |from: f64, to: f64| from + share * (to - from);
    Some((between(from.1, to.1), between(from.2, to.2)))
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
    if entry.low == 0.0
        && let Some(s) = entry.touching()
    {
        return Scale { s: s.min(largest), cell: 0 };
    }
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
