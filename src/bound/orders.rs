//! The orders `p` of moments that are tried, and results kept for each.

use std::array::from_fn;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Bounds are minimised over these `p` (Lemma 1.6): a minimum over fixed numbers costs nothing.
pub const ORDERS: [usize; 31] = [
    1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224,
    256, 320, 384, 448, 512,
];

/// [`ORDERS`], and larger ones for suprema over balls of many dimensions.
pub(crate) const LONG_ORDERS: [usize; 38] = [
    1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224,
    256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048,
];

/// The search ends after so many orders in a row that are no better.
pub(crate) const PATIENCE: usize = 8;

/// How far a bound is worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// A number that the bound is not below, from one threshold: it tells which orders are worth the whole.
    Least,
    /// The bound.
    Full,
}

/// `N` numbers for each order, computed when they are first asked for; nothing is allocated before. Threads that ask at once
/// compute the same numbers.
#[derive(Debug)]
pub(crate) struct Slots<const N: usize = 1>(OnceLock<Box<[[AtomicU64; N]; LONG_ORDERS.len()]>>);

impl<const N: usize> Default for Slots<N> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

/// What no number is: not computed yet.
const UNKNOWN: u64 = f64::NAN.to_bits();

impl<const N: usize> Slots<N> {
    /// The numbers of order `p`; computed each time for an order that is not tried.
    pub(crate) fn get_all(&self, p: usize, compute: impl FnOnce() -> [f64; N]) -> [f64; N] {
        let Some(&place) = PLACES.get(p).filter(|&&place| usize::from(place) < LONG_ORDERS.len()) else {
            return compute();
        };
        let unknown = || Box::new(from_fn(|_| from_fn(|_| AtomicU64::new(UNKNOWN))));
        let slot = &self.0.get_or_init(unknown)[usize::from(place)];
        let known = slot.each_ref().map(|number| f64::from_bits(number.load(Relaxed)));
        if known.iter().all(|number| !number.is_nan()) {
            return known;
        }
        let numbers = compute();
        slot.iter().zip(numbers).for_each(|(slot, number)| slot.store(number.to_bits(), Relaxed));
        numbers
    }
}

impl Slots {
    /// The one number of order `p`.
    pub(crate) fn get(&self, p: usize, compute: impl FnOnce() -> f64) -> f64 {
        self.get_all(p, || [compute()])[0]
    }
}

/// Where each order stands in [`LONG_ORDERS`]; their number for those that do not.
static PLACES: [u8; LONG_ORDERS[LONG_ORDERS.len() - 1] + 1] = {
    let mut places = [LONG_ORDERS.len() as u8; LONG_ORDERS[LONG_ORDERS.len() - 1] + 1];
    let mut place = 0;
    while place < LONG_ORDERS.len() {
        places[LONG_ORDERS[place]] = place as u8;
        place += 1;
    }
    places
};

/// The `2p`-norm from the logarithm of the `2p`-th moment.
pub(crate) fn root(ln_moment: f64, p: usize) -> f64 {
    (ln_moment / (2 * p) as f64).exp()
}

/// A bound that holds with the chance asked for, and the order that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// `ln` of the bound; infinite where there is none.
    pub ln_epsilon: f64,
    /// The order, zero where there is none.
    pub p: usize,
}

impl Best {
    /// No bound.
    pub const NONE: Self = Self { ln_epsilon: f64::INFINITY, p: 0 };

    /// The bound itself: never rounded down to zero.
    #[must_use]
    pub fn epsilon(self) -> f64 {
        epsilon(self.ln_epsilon)
    }
}

/// `e^ln`, at least the smallest positive number unless it is exactly zero.
pub(crate) fn epsilon(ln: f64) -> f64 {
    if ln == f64::NEG_INFINITY { 0.0 } else { ln.exp().max(f64::from_bits(1)) }
}

/// The least of `ln_bound` over the orders, which rise until several in a row are no better.
pub(crate) fn best(mut ln_bound: impl FnMut(usize) -> f64) -> Best {
    let (mut best, mut worse) = (Best::NONE, 0);
    for p in ORDERS {
        let ln_epsilon = ln_bound(p);
        if ln_epsilon < best.ln_epsilon {
            (best, worse) = (Best { ln_epsilon, p }, 0);
        } else {
            worse += 1;
            if worse >= PATIENCE {
                break;
            }
        }
    }
    best
}

/// The least tail bound of one matrix: `P(||X|| > t) <= delta` from `ln E ||X||^{2p}` (Lemma 1.6).
#[must_use]
pub fn norm_tail(delta: f64, ln_norm: impl Fn(usize) -> f64) -> Best {
    best(|p| (ln_norm(p) - delta.ln()) / (2 * p) as f64)
}
