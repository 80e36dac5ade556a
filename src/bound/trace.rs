//! Trace moments of Gaussian matrices, and the comparison that carries them to masked and heavy entries.

use std::cell::RefCell;
use std::f64::consts::{E, LN_2};
use std::sync::OnceLock;

use super::orders::Slots;
use super::special::{ln_gaussian_moment, ln_product};

/// A first run of the recursion goes this far: further than any optimum of a network met in practice.
const SHORT: usize = 128;
/// The last run: twice the largest `p` of the grid, for the Cauchy-Schwarz step of Proposition 2.10.
const LONG: usize = 1024;

/// Above this the scaled recursion stops, and its moments count as infinite.
const OVERFLOW: f64 = 1e280;

/// `ln` of a bound of `E Z^{2p}` for `Z >= 0` with `E e^{tZ} <= e^{t mean + t^2/2}` for all `t > 0` (Lemma 2.1).
#[must_use]
pub fn ln_gaussian_sup_moment(mean: f64, p: usize) -> f64 {
    let p = p as f64;
    let top = f64::midpoint(mean, (mean * mean + 8.0 * p).sqrt());
    2.0 * p * top.ln() - 2.0 * p * p / (top * top)
}

/// `c_p = sqrt(2p/e)`: the `2p`-norm of the positive part of a centred 1-sub-Gaussian variable is at most this
/// (Lemma 2.2).
#[must_use]
pub fn one_sided_moment(p: usize) -> f64 {
    (2.0 * p as f64 / E).sqrt()
}

/// The `2p`-norm of the length of a standard normal vector of `len` entries.
#[must_use]
pub fn chi_norm(len: usize, p: usize) -> f64 {
    (ln_product((0..p).map(|j| (len + 2 * j) as f64)) / (2 * p) as f64).exp()
}

/// The `2p`-norm of a standard normal variable.
#[must_use]
pub fn gaussian_norm(p: usize) -> f64 {
    (ln_gaussian_moment(p) / (2 * p) as f64).exp()
}

/// What the recursion works in: terms and `p` times them, each forward and reversed, so that the convolution is a product
/// of contiguous runs.
#[derive(Debug, Default)]
struct Room {
    terms: [Vec<f64>; 2],
    reversed: [Vec<f64>; 2],
}

impl Room {
    /// Runs the recursion of Proposition 2.4: entry `p` is `T_p / (n s^p)`, with `n` the shorter side and
    /// `s = (sqrt n + sqrt m)^2`; the list ends before the first entry that overflows.
    fn run(&mut self, rows: usize, cols: usize, last: usize) -> &[f64] {
        let (n, m) = (rows.min(cols) as f64, rows.max(cols) as f64);
        let scale = (n.sqrt() + m.sqrt()).powi(2);
        self.terms.iter_mut().for_each(Vec::clear);
        self.reversed.iter_mut().for_each(|reversed| reversed.resize(last + 1, 0.0));
        self.push(1.0, last);
        self.push(m / scale, last);
        for p in 2..=last {
            let mut value = (n + m + (p - 1) as f64) / scale * self.terms[0][p - 1];
            if p >= 3 {
                value += n / scale * (self.convolution(0, p, last) + self.convolution(1, p, last) / (n * m));
                value += (p * (p - 1) * (p - 2)) as f64 / 6.0 / (scale * scale) * self.terms[0][p - 2];
            }
            if value > OVERFLOW {
                break;
            }
            self.push(value, last);
        }
        &self.terms[0]
    }

    fn push(&mut self, value: f64, last: usize) {
        let p = self.terms[0].len();
        for (kind, value) in [value, p as f64 * value].into_iter().enumerate() {
            self.terms[kind].push(value);
            self.reversed[kind][last - p] = value;
        }
    }

    /// `sum_{a=1}^{p-2} x_a x_{p-1-a}`: each pair once, and the one in the middle.
    fn convolution(&self, kind: usize, p: usize, last: usize) -> f64 {
        let half = (p - 2) / 2;
        let (terms, reversed) = (&self.terms[kind], &self.reversed[kind]);
        let first = last + 2 - p;
        let pairs = 2.0 * dot(&terms[1..=half], &reversed[first..first + half]);
        if p % 2 == 1 { pairs + terms[half + 1] * terms[half + 1] } else { pairs }
    }
}

/// Sum of products, in eight runs that the compiler keeps in registers.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f64>() + rest
}

/// How many moments each thread remembers: a power of two.
const REMEMBERED: usize = 1 << 15;

/// A moment of a shape, and its logarithm; empty for order zero.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    rows: u32,
    cols: u32,
    p: u32,
    ln_moment: f64,
}

/// What a thread keeps between moments: neighbouring thresholds, orders and ratios ask for the same shapes again.
#[derive(Debug, Default)]
struct Memory {
    room: Room,
    known: Vec<Known>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Memory {
    fn ln_moment(&mut self, rows: usize, cols: usize, p: usize) -> f64 {
        let (n, m) = (rows.min(cols), rows.max(cols));
        let (Ok(rows), Ok(cols)) = (u32::try_from(n), u32::try_from(m)) else {
            return self.compute(n, m, p);
        };
        if self.known.is_empty() {
            self.known.resize(REMEMBERED, Known::default());
        }
        let mixed = (u64::from(rows) << 20 ^ u64::from(cols)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ p as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = (mixed >> 40) as usize % REMEMBERED;
        let known = self.known[slot];
        if known.rows == rows && known.cols == cols && known.p == p as u32 {
            return known.ln_moment;
        }
        let ln_moment = self.compute(n, m, p);
        self.known[slot] = Known { rows, cols, p: p as u32, ln_moment };
        ln_moment
    }

    fn compute(&mut self, rows: usize, cols: usize, p: usize) -> f64 {
        unscale(rows, cols, p, self.room.run(rows, cols, p.max(1))).min(ln_rank_moment(rows, cols, p))
    }
}

/// Bounds of `E Tr (G G^T)^p` of a standard normal matrix `G` of one shape, for all `p` (Proposition 2.4): exact
/// for `p <= 6`.
#[derive(Debug)]
pub struct GaussianTrace {
    rows: usize,
    cols: usize,
    runs: [OnceLock<Vec<f64>>; 2],
    /// `ln (n-start) .. (n-J)` of both sides, for a start of zero and of one.
    falling: [[Slots; 2]; 2],
}

impl GaussianTrace {
    /// Of matrices with so many rows and columns, each at least one.
    #[must_use]
    pub fn new(rows: usize, cols: usize) -> Self {
        let (runs, falling) = Default::default();
        Self { rows, cols, runs, falling }
    }

    /// [`effective_len`] of one side, counted 0 for the rows and 1 for the columns.
    fn effective_len(&self, share: LnShare, side: usize, p: usize, start: usize) -> usize {
        let len = [self.rows, self.cols][side];
        let last = p.min(len) - 1;
        let falling = self.falling[side][start].get(p, || ln_falling(len, start, last));
        effective_len_of(share, len, (start, last), falling)
    }

    /// `ln T_p`, infinite where the recursion overflows or is not carried so far.
    #[must_use]
    pub fn ln_recursion(&self, p: usize) -> f64 {
        if p > LONG {
            return f64::INFINITY;
        }
        let (run_at, last) = if p <= SHORT { (0, SHORT) } else { (1, LONG) };
        let terms =
            self.runs[run_at].get_or_init(|| Room::default().run(self.rows, self.cols, last).to_vec());
        unscale(self.rows, self.cols, p, terms)
    }

    /// `ln` of the smaller of `T_p` and the bound of Lemma 2.1 times the rank.
    #[must_use]
    pub fn ln_moment(&self, p: usize) -> f64 {
        self.ln_recursion(p).min(ln_rank_moment(self.rows, self.cols, p))
    }
}

fn unscale(rows: usize, cols: usize, p: usize, terms: &[f64]) -> f64 {
    let (n, m) = (rows.min(cols) as f64, rows.max(cols) as f64);
    let ln_scale = 2.0 * (n.sqrt() + m.sqrt()).ln();
    terms.get(p).map_or(f64::INFINITY, |term| (term * n).ln() + p as f64 * ln_scale)
}

/// `ln (min(n, m) E ||G||^{2p})` by Lemma 2.1: within a few per cent of [`GaussianTrace::ln_moment`] at the best
/// `p`, in constant time.
fn ln_rank_moment(rows: usize, cols: usize, p: usize) -> f64 {
    (rows.min(cols) as f64).ln() + ln_gaussian_sup_moment((rows as f64).sqrt() + (cols as f64).sqrt(), p)
}

/// [`GaussianTrace::ln_moment`] for one `p` of one shape.
pub(crate) fn ln_gaussian_trace(rows: usize, cols: usize, p: usize) -> f64 {
    MEMORY.with_borrow_mut(|memory| memory.ln_moment(rows, cols, p))
}

/// `ln (r-start) (r-start-1) .. (r-last)`, zero for no factors.
fn ln_falling(r: usize, start: usize, last: usize) -> f64 {
    // So many factors below 2^53 do not overflow; lanes keep the multiplications apart.
    const FACTORS: usize = 16;
    const LANES: usize = 4;
    let (mut mantissa, mut exponent) = (1.0, 0);
    let mut take = |product: f64| {
        let (part, power) = split(mantissa * product);
        (mantissa, exponent) = (part, exponent + power);
    };
    let mut at = start;
    while at + LANES <= last + 1 {
        let rounds = ((last + 1 - at) / LANES).min(FACTORS);
        let mut products = [1.0; LANES];
        for _ in 0..rounds {
            let factor = |lane: usize| (r - at - lane) as f64;
            products.iter_mut().enumerate().for_each(|(lane, product)| *product *= factor(lane));
            at += LANES;
        }
        products.into_iter().for_each(&mut take);
    }
    (at..=last).for_each(|j| take((r - j) as f64));
    mantissa.ln() + f64::from(exponent) * LN_2
}

/// A positive number as a number in [1, 2) times a power of two.
fn split(value: f64) -> (f64, i32) {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    (f64::from_bits(bits & MANTISSA | 1023 << 52), (bits >> 52) as i32 - 1023)
}

/// The smallest integer `r > J` with `prod_{j=start..=J} (r-j) >= prod_{j=start..=J} share (len-j)`,
/// `J = min(p, len) - 1` (Proposition 2.6); `len` itself for a share of one.
#[must_use]
pub fn effective_len(share: f64, len: usize, p: usize, start: usize) -> usize {
    let last = p.min(len) - 1;
    effective_len_of(LnShare::new(share), len, (start, last), ln_falling(len, start, last))
}

/// A share and its logarithm.
#[derive(Clone, Copy)]
struct LnShare {
    share: f64,
    ln: f64,
}

impl LnShare {
    fn new(share: f64) -> Self {
        Self { share, ln: share.ln() }
    }
}

fn effective_len_of(
    LnShare { share, ln }: LnShare,
    len: usize,
    (start, last): (usize, usize),
    falling: f64,
) -> usize {
    if share >= 1.0 {
        return len;
    }
    if last < start {
        return 1;
    }
    let factors = (last - start + 1) as f64;
    let ln_target = factors * ln + falling + SLACK;
    let holds = |r: usize| ln_falling(r, start, last) >= ln_target;
    // The second-order solution: mean and spread of the factors.
    let middle = f64::midpoint(start as f64, last as f64);
    let spread = (factors * factors - 1.0) / 12.0;
    let (from, to) = (len as f64 - middle, share * (len as f64 - middle));
    let guess = middle + to * (1.0 + spread / 2.0 * ((to * to).recip() - (from * from).recip()));
    let above = guess.ceil();
    // The next order moves it by less than this: one look is enough where no integer is near.
    let error = spread * spread / (to * to * to) + 1e-3;
    let is_clear = above - guess > error && above - guess < 1.0 - error;
    let r = above as usize;
    if is_clear && r > last && r <= len && holds(r) {
        return r;
    }
    first_integer(above, (last + 1, len), holds)
}

/// The smallest integer `r >= p` with `prod_{j=start..p} (r-j) >= size^{p-start}` (Proposition 2.8).
#[must_use]
pub fn effective_size(size: f64, p: usize, start: usize) -> usize {
    if p <= start {
        return p.max(1);
    }
    let high = size.ceil() as usize + p;
    let guess = size + f64::midpoint(start as f64, p as f64 - 1.0);
    first_integer(guess, (p, high), |r| ln_product((start..p).map(|j| (r - j) as f64 / size)) >= SLACK)
}

/// Logarithms of products of at most 1024 factors are off by less.
const SLACK: f64 = 1e-11;

/// The smallest integer of `low..=high` at which `holds`, which is false below some point and true from it on,
/// and true at `high`; looked for from `guess` outwards.
fn first_integer(guess: f64, (mut low, mut high): (usize, usize), holds: impl Fn(usize) -> bool) -> usize {
    let mut at = (guess as usize).clamp(low, high);
    let mut step = 1;
    // `low` may hold, `high` does.
    while low < high {
        if at >= high {
            at = high - 1;
        }
        let (below, above) = (at, at + 1);
        if holds(at) {
            high = below;
            at = at.saturating_sub(step).max(low);
        } else {
            low = above;
            at += step;
        }
        step *= 2;
        if step > 8 {
            at = usize::midpoint(low, high);
        }
    }
    high
}

/// `ln` of a bound of `E Tr (X X^T)^p / tau^{2p}` for independent symmetric entries with
/// `E x^{2k} <= v tau^{2k-2} (2k-1)!!`, `k <= p`, and `share = v / tau^2` (Proposition 2.6).
#[must_use]
pub fn ln_trace(share: f64, gauss: &GaussianTrace, p: usize) -> f64 {
    let share = round_up(share);
    if share >= 1.0 {
        return gauss.ln_moment(p);
    }
    let share = LnShare::new(share);
    let side = |first: usize| {
        let r = gauss.effective_len(share, first, p, 1);
        let c = gauss.effective_len(share, 1 - first, p, 0);
        ([gauss.rows, gauss.cols][first] as f64 / r as f64).ln() + ln_gaussian_trace(r, c, p)
    };
    if gauss.rows == gauss.cols { side(0) } else { side(0).min(side(1)) }
}

/// Shares in here are rounded to multiples of 1e-6, so that near ones share their work; that is little of them.
const ROUNDED: std::ops::Range<f64> = 1e-3..1.0 - 1e-9;

/// Rounds a share up, which is the safe side: a larger share has larger bounds.
pub(crate) fn round_up(share: f64) -> f64 {
    if ROUNDED.contains(&share) { (share * 1e6).ceil() / 1e6 } else { (share * (1.0 + 1e-12)).min(1.0) }
}

/// Rounds a share down, the safe side of Lemma 3.1.
pub(crate) fn round_down(share: f64) -> f64 {
    if ROUNDED.contains(&share) { (share * 1e6).floor() / 1e6 } else { share }
}

/// `ln` of a bound of `E Tr (X X^T)^p` for independent symmetric entries with
/// `E x_ij^{2k} <= b_ij^2 tau^{2k-2} (2k-1)!!` and `b_ij <= tau`, where `row2` is the largest sum of `b_ij^2` over a
/// row, `col2` over a column (Proposition 2.8).
#[must_use]
pub fn ln_profile_trace(row2: f64, col2: f64, tau2: f64, rows: usize, cols: usize, p: usize) -> f64 {
    if row2 <= 0.0 || col2 <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let side = |len: usize, first: f64, second: f64| {
        let r = effective_size((first / tau2).max(1e-12), p, 1);
        let c = effective_size((second / tau2).max(1e-12), p, 0);
        (len as f64 / r as f64).ln() + ln_gaussian_trace(r, c, p)
    };
    p as f64 * tau2.ln() + side(rows, col2, row2).min(side(cols, row2, col2))
}

#[cfg(test)]
mod tests;
