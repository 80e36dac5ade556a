//! Normalisation by the entries' own mean and variance, and softmax (6.14).

use crate::certify::center::{State, norm};
use crate::certify::map::Facts;
use crate::norm::round::{U, Up, gamma};

/// `gain * z / sqrt(mean z^2 + epsilon) + shift` for each group of entries, where `z` is the group, less its mean if it
/// is centred: layer, group and root-mean-square normalisation.
#[derive(Debug, Clone, Copy)]
pub struct Normalization<'a> {
    /// Entries of a group; groups follow each other.
    pub len: usize,
    /// Whether the mean is taken off.
    pub centered: bool,
    /// Added to the variance.
    pub epsilon: f64,
    /// One number per entry, or ones.
    pub gain: Option<&'a [f64]>,
    /// One number per entry, or none.
    pub shift: Option<&'a [f64]>,
}

/// A group less its mean, as computed.
struct Group {
    values: Vec<f64>,
    /// At least the norm of the error.
    error: Up,
    /// At most the norm of the exact group.
    least: f64,
    /// The mean of the squares.
    square: f64,
}

impl Normalization<'_> {
    fn largest_gain(&self) -> Up {
        Up::new(self.gain.map_or(1.0, |gain| gain.iter().fold(0.0, |largest, it| it.abs().max(largest))))
    }

    /// At least `1 / sqrt(v + epsilon)` for groups of at least that norm.
    fn steepest(&self, least: f64) -> Up {
        let square = least * least / self.len as f64 * (1.0 - 8.0 * U);
        Up::ONE.over(((square + self.epsilon) * (1.0 - 8.0 * U)).sqrt() * (1.0 - 8.0 * U))
    }

    pub(super) fn facts(&self, len: usize) -> Facts {
        // Each group has norm sqrt(len) at most before its gain.
        let gain = self.largest_gain();
        let scaled = gain * Up::new(len as f64).sqrt();
        let shift = self.shift.map_or(Up::ZERO, |shift| norm(shift.iter().copied(), None));
        Facts {
            lipschitz: gain * self.steepest(0.0),
            at_zero: shift,
            largest: scaled + shift,
            spread: scaled + scaled,
        }
    }

    /// 6.14, from the least variance of a group that a state of either network can have.
    pub(super) fn lipschitz_near(&self, center: &[State; 2], moved: [Up; 2]) -> Up {
        let least = center.iter().zip(moved).flat_map(|(state, moved)| {
            let away = (state.error + moved).get();
            self.groups(&state.values).map(move |group| (group.least - away).next_down().max(0.0))
        });
        self.largest_gain() * self.steepest(least.fold(f64::INFINITY, f64::min))
    }

    fn groups(&self, x: &[f64]) -> impl Iterator<Item = Group> {
        x.chunks(self.len.max(1)).map(|group| self.group(group))
    }

    fn group(&self, x: &[f64]) -> Group {
        let count = x.len() as f64;
        let mean = if self.centered { x.iter().sum::<f64>() / count } else { 0.0 };
        let values: Vec<_> = x.iter().map(|x| x - mean).collect();
        let own = norm(values.iter().copied(), None);
        let error = if self.centered {
            let sizes = Up::new(x.iter().map(|x| x.abs()).sum::<f64>() / count).grown(x.len() + 1);
            let of_mean = gamma(x.len() + 1) * sizes + Up::new(f64::MIN_POSITIVE);
            of_mean * Up::new(count).sqrt() + Up::new(2.0 * U) * own
        } else {
            Up::ZERO
        };
        // The norm was rounded up at each of its operations.
        let least = own.get() * (1.0 - 4.0 * U * (count + 8.0)) - error.get();
        let square = values.iter().map(|z| z * z).sum::<f64>() / count;
        Group { values, error, least: least.next_down().max(0.0), square }
    }

    pub(super) fn value(&self, x: &[f64]) -> (Vec<f64>, Up) {
        let (mut values, mut error) = (Vec::with_capacity(x.len()), Up::ZERO);
        for group in self.groups(x) {
            let root = (group.square + self.epsilon).sqrt();
            let start = values.len();
            let mut sizes = Vec::with_capacity(group.values.len());
            for (at, z) in group.values.iter().enumerate() {
                let scaled = z / root * self.gain.map_or(1.0, |gain| gain[start + at]);
                let shift = self.shift.map_or(0.0, |shift| shift[start + at]);
                values.push(scaled + shift);
                sizes.push(scaled.abs() + shift.abs());
            }
            let moved = self.largest_gain() * self.steepest(group.least) * group.error;
            let roundings = gamma(self.len + 10) * norm(sizes.into_iter(), None);
            // Squares that vanish below the normal range are seen beside no more than this.
            let lost = if root * root > 1e-280 || group.values.iter().all(|&z| z == 0.0) {
                0.0
            } else {
                f64::INFINITY
            };
            let tiny = Up::new(f64::MIN_POSITIVE * self.len as f64) * self.largest_gain();
            error = error.hypot(moved + roundings + Up::new(lost) + tiny);
        }
        (values, error)
    }
}

/// `exp(x) / sum exp(x)` of each group of entries, or its logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Softmax {
    /// Entries of a group; groups follow each other.
    pub len: usize,
    /// Whether the logarithm is taken.
    pub log: bool,
}

/// The exponent below which `exp` gives 0, and beyond it in roundings what it loses for its argument's rounding.
const LOWEST: usize = 760;

impl Softmax {
    pub(super) fn facts(self, len: usize) -> Facts {
        let own = Up::new(self.len as f64);
        if self.log {
            let at_zero = Up::new((self.len as f64).ln().next_up()) * Up::new(len as f64).sqrt();
            // The Jacobian is a projection; of one entry it is 0.
            let lipschitz = if self.len <= 1 { Up::ZERO } else { own.sqrt() };
            return Facts { at_zero, ..Facts::linear(lipschitz.get()) };
        }
        let groups = Up::new((len / self.len.max(1)) as f64).sqrt();
        let at_zero = groups * Up::ONE.over((self.len.max(1) as f64).sqrt().next_down());
        let lipschitz = if self.len <= 1 { 0.0 } else { 0.5 };
        Facts { at_zero, largest: groups, spread: Up::new(2.0).sqrt() * groups, ..Facts::linear(lipschitz) }
    }

    pub(super) fn value(self, x: &[f64]) -> (Vec<f64>, Up) {
        let (mut values, mut error) = (Vec::with_capacity(x.len()), Up::ZERO);
        for group in x.chunks(self.len.max(1)) {
            let largest = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<_> = group.iter().map(|x| (x - largest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            // Relative, of each power that does not vanish and of the sum.
            let relative = gamma(2 * LOWEST + group.len() + 16);
            let start = values.len();
            if self.log {
                values.extend(group.iter().map(|x| (x - largest) - sum.ln()));
                let spread = group.iter().map(|x| (x - largest).abs() + sum.ln().abs());
                let rounded = Up::new(8.0 * U) * norm(spread, None);
                error = error.hypot(rounded + relative * Up::new(2.0 * group.len() as f64).sqrt());
            } else {
                values.extend(powers.iter().map(|power| power / sum));
                let own = norm(values[start..].iter().copied(), None);
                error = error.hypot(relative * own + Up::new(1e-300 * group.len() as f64));
            }
        }
        (values, error)
    }
}
