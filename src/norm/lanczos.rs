//! Lanczos and the power method from random starts: the spectral norm with a stated probability.

use crate::error::Result;
use crate::norm::Kind;
use crate::norm::failure::{lanczos_epsilon, least_epsilon, power_failure};
use crate::norm::lanes::{add_rows, dot, squares};
use crate::norm::operator::Operator;
use crate::norm::round::{U, Up};
use crate::parallel::Context;
use crate::sample::Stream;
use crate::simd::{Kernels, with_kernels};

/// How a random start is made and what may go wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Random {
    /// The probability with which the bound may be below the norm.
    pub delta: f64,
    /// Independent starts, all taken in the same passes.
    pub starts: usize,
    /// The seed of the starts.
    pub seed: u64,
    /// Relative width that the bound may have above the norm; sets the number of steps.
    pub slack: f64,
}

/// No start is trusted to fail less often. It fails where its part along the wanted eigenvector is below about as much of
/// what that part is on average, and the rounding of its entries moves the part by some units of 1e-16 of that.
pub const LEAST_FAILURE: f64 = 1e-14;

impl Default for Random {
    fn default() -> Self {
        Self { delta: 1e-9, starts: 2, seed: 0, slack: 0.01 }
    }
}

impl Random {
    /// # Errors
    /// [`crate::Error::NotAllowed`] for a `delta` or a `slack` that is not above 0 and below 1, no start, or a `delta` that
    /// asks more of each start than doubles can give: `LEAST_FAILURE`.
    pub fn checked(self) -> Result<Self> {
        for (parameter, got) in [("delta", self.delta), ("slack", self.slack)] {
            if !(got > 0.0 && got < 1.0) {
                return Err(crate::Error::NotAllowed { parameter, expected: "above 0 and below 1", got });
            }
        }
        if self.starts == 0 {
            return Err(crate::Error::NotAllowed { parameter: "starts", expected: "at least 1", got: 0.0 });
        }
        if self.delta.powf((self.starts as f64).recip()) < LEAST_FAILURE {
            return Err(crate::Error::NotAllowed {
                parameter: "delta",
                expected: "at least 1e-14 to the power of starts",
                got: self.delta,
            });
        }
        Ok(self)
    }

    /// The least number of Lanczos steps that reaches the slack on a matrix of order `n`, and its `epsilon`.
    pub(crate) fn steps(&self, n: usize) -> (usize, f64) {
        // 1 / sqrt(1 - epsilon) <= 1 + slack.
        let wanted = 1.0 - (1.0 + self.slack).powi(-2);
        let epsilon = |steps| lanczos_epsilon(n, steps, self.delta, self.starts);
        let (mut few, mut enough) = (0, 1);
        while epsilon(enough) > wanted {
            (few, enough) = (enough, 2 * enough);
        }
        while enough - few > 1 {
            let middle = few.midpoint(enough);
            (few, enough) = if epsilon(middle) > wanted { (middle, enough) } else { (few, middle) };
        }
        (enough, epsilon(enough))
    }
}

/// What random starts tell of the largest eigenvalue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Eigenvalue {
    /// At least the largest eigenvalue, unless the starts were unlucky.
    pub bound: Up,
    pub kind: Kind,
}

/// Prop. 6.5 with Lanczos: the steps and starts of `random`, with full reorthogonalisation.
///
/// The statement is one of exact arithmetic. Rounding changes the matrix that the steps see by a few roundings
/// of its products, and the bound has room for a hundred times as much.
pub(crate) fn lanczos(operator: &impl Operator, random: Random, ctx: &Context<'_>) -> Result<Eigenvalue> {
    let (steps, epsilon) = match random.steps(operator.dim()) {
        // The Krylov space is complete.
        (steps, _) if steps >= operator.dim() => (operator.dim(), 0.0),
        reached => reached,
    };
    let estimate = ritz(operator, steps, random, ctx)?;
    Ok(closed(operator, estimate, epsilon, random.delta))
}

/// Prop. 6.5 with the power method: the largest Rayleigh quotient after `steps` steps from each start.
pub(crate) fn power(
    operator: &impl Operator,
    steps: usize,
    random: Random,
    ctx: &Context<'_>,
) -> Result<Eigenvalue> {
    let epsilon =
        least_epsilon(random.delta, random.starts, |epsilon| power_failure(operator.dim(), steps, epsilon));
    let mut vectors = starts(operator.dim(), random, ctx);
    let mut estimate = 0.0_f64;
    for _ in 0..=steps {
        let products = operator.apply(&vectors, ctx)?;
        estimate = vectors.iter().zip(&products).map(|(x, y)| product(x, y, ctx)).fold(0.0, f64::max);
        vectors = products.into_iter().map(|product| normalized(product, ctx)).collect();
    }
    Ok(closed(operator, estimate, epsilon, random.delta))
}

fn closed(operator: &impl Operator, estimate: f64, epsilon: f64, delta: f64) -> Eigenvalue {
    let room = 100.0 * U * (operator.roundings() as f64).sqrt().max(64.0);
    let bound = if epsilon >= 1.0 {
        Up::new(f64::INFINITY)
    } else {
        Up::new(estimate).over((1.0 - epsilon).next_down()) * Up::new(1.0 + room)
    };
    let bound = if estimate == 0.0 && epsilon < 1.0 { Up::ZERO } else { bound };
    Eigenvalue { bound, kind: Kind::Probabilistic { delta } }
}

fn starts(dim: usize, random: Random, ctx: &Context<'_>) -> Vec<Vec<f64>> {
    let stream = Stream::of_position(random.seed, 0);
    let start = |number| {
        let mut start = vec![0.0; dim];
        stream.normals(number as u32, &mut start);
        normalized(start, ctx)
    };
    (0..random.starts).map(start).collect()
}

fn product(x: &[f64], y: &[f64], ctx: &Context<'_>) -> f64 {
    with_kernels!(ctx.level, kernels => kernels.vectorized(|| dot(x, y)))
}

fn normalized(mut vector: Vec<f64>, ctx: &Context<'_>) -> Vec<f64> {
    let norm = with_kernels!(ctx.level, kernels => kernels.vectorized(|| squares(&vector))).sqrt();
    if norm > 0.0 {
        for value in &mut vector {
            *value /= norm;
        }
    }
    vector
}

/// The Krylov vectors of one start and the matrix in their basis.
struct Krylov {
    basis: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
    beside: Vec<f64>,
    closed: bool,
}

impl Krylov {
    /// Takes in the product with the last vector of the basis, and makes the next one.
    fn step(&mut self, product: Vec<f64>, ctx: &Context<'_>) {
        let Some(last) = self.basis.last() else { return };
        let mut next = product;
        self.diagonal.push(with_kernels!(ctx.level, kernels => kernels.vectorized(|| dot(&next, last))));
        for _ in 0..2 {
            for vector in &self.basis {
                with_kernels!(ctx.level, kernels => kernels.vectorized(|| {
                    let along = dot(vector, &next);
                    add_rows([-along], [vector], &mut next);
                }));
            }
        }
        let norm = with_kernels!(ctx.level, kernels => kernels.vectorized(|| squares(&next))).sqrt();
        let scale = self.diagonal.iter().copied().fold(0.0, f64::max);
        self.closed = norm <= 1e-14 * scale || self.basis.len() == next.len();
        if !self.closed {
            self.beside.push(norm);
            self.basis.push(normalized(next, ctx));
        }
    }

    fn largest(&self) -> f64 {
        largest_tridiagonal(&self.diagonal, &self.beside[..self.diagonal.len().saturating_sub(1)])
    }
}

/// The largest Ritz value of all starts.
fn ritz(operator: &impl Operator, steps: usize, random: Random, ctx: &Context<'_>) -> Result<f64> {
    let start =
        |start| Krylov { basis: vec![start], diagonal: Vec::new(), beside: Vec::new(), closed: false };
    let mut all: Vec<_> = starts(operator.dim(), random, ctx).into_iter().map(start).collect();
    for _ in 0..steps {
        let mut open: Vec<_> = all.iter_mut().filter(|krylov| !krylov.closed).collect();
        let vectors: Vec<_> = open.iter().filter_map(|krylov| krylov.basis.last().cloned()).collect();
        if vectors.is_empty() {
            break;
        }
        let products = operator.apply(&vectors, ctx)?;
        open.iter_mut().zip(products).for_each(|(krylov, product)| krylov.step(product, ctx));
    }
    Ok(all.iter().map(Krylov::largest).fold(0.0, f64::max))
}

/// The largest eigenvalue of a symmetric tridiagonal matrix, by bisection on the signs of its pivots.
fn largest_tridiagonal(diagonal: &[f64], beside: &[f64]) -> f64 {
    let reach = |at: usize| {
        let before = at.checked_sub(1).map_or(0.0, |at| beside[at]);
        diagonal[at] + before + beside.get(at).copied().unwrap_or(0.0)
    };
    let mut high = (0..diagonal.len()).map(reach).fold(0.0, f64::max).next_up();
    let mut low = diagonal.iter().copied().fold(0.0, f64::max);
    let is_above = |value: f64| {
        let mut pivot = value - diagonal[0];
        for (diagonal, beside) in diagonal[1..].iter().zip(beside) {
            if pivot <= 0.0 {
                return false;
            }
            pivot = value - diagonal - beside * (beside / pivot);
        }
        pivot > 0.0
    };
    while high - low > 2.0 * U * high {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        (low, high) = if is_above(middle) { (low, middle) } else { (middle, high) };
    }
    high
}

/// The largest Ritz value of one start, stepping until it moves by less than that part: a good guess and no more.
pub(crate) fn ritz_quick(
    operator: &impl Operator,
    random: Random,
    tolerance: f64,
    ctx: &Context<'_>,
) -> Result<f64> {
    let start = starts(operator.dim(), Random { starts: 1, ..random }, ctx).pop().unwrap_or_default();
    let mut krylov =
        Krylov { basis: vec![start], diagonal: Vec::new(), beside: Vec::new(), closed: operator.dim() == 0 };
    let (mut before, mut largest) = (0.0, 0.0);
    for step in 1..=QUICK {
        if krylov.closed {
            break;
        }
        let vector = krylov.basis.last().cloned().unwrap_or_default();
        let product = operator.apply(&[vector], ctx)?.pop().unwrap_or_default();
        krylov.step(product, ctx);
        if step % 8 == 0 {
            largest = krylov.largest();
            if largest - before <= tolerance * largest {
                break;
            }
            before = largest;
        }
    }
    Ok(largest.max(if krylov.diagonal.is_empty() { 0.0 } else { krylov.largest() }))
}

/// Steps of a guess, at most.
const QUICK: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm::failure::lanczos_failure;
    use crate::parallel::Switches;

    /// A diagonal matrix.
    struct Diagonal(Vec<f64>);

    impl Operator for Diagonal {
        fn dim(&self) -> usize {
            self.0.len()
        }

        fn apply(&self, vectors: &[Vec<f64>], _: &Context<'_>) -> Result<Vec<Vec<f64>>> {
            let product = |x: &Vec<f64>| x.iter().zip(&self.0).map(|(x, value)| x * value).collect();
            Ok(vectors.iter().map(product).collect())
        }

        fn roundings(&self) -> usize {
            1
        }
    }

    /// Spectra on which the polynomials of the proof are largest: 1, and the squares where Chebyshev's polynomial of
    /// degree `2 steps - 1` is, below `1 - epsilon`. The frequency of failure stays within the bound at six standard
    /// deviations: a false alarm in `1e9` runs.
    #[test]
    fn adversarial_spectra_fail_no_more_often_than_stated() {
        let switches = Switches::default();
        let runs = 2000;
        for (dim, steps, epsilon) in [(2, 1, 0.5), (5, 2, 0.3), (20, 2, 0.3), (20, 4, 0.05), (40, 3, 0.2)] {
            let bound = lanczos_failure(dim, steps, epsilon);
            let degree = (2 * steps - 1) as f64;
            let extremum = |k: usize| {
                let y = (std::f64::consts::PI * (k % steps) as f64 / degree).cos();
                (1.0 - epsilon) * (1.0 - y * y)
            };
            let values = std::iter::once(1.0).chain((0..dim - 1).map(extremum)).collect();
            let operator = Diagonal(values);
            let fails = (0..runs).filter(|&seed| {
                let random = Random { starts: 1, seed, ..Random::default() };
                ritz(&operator, steps, random, &switches.context()).expect("numbers") < 1.0 - epsilon
            });
            let (fails, expected) = (fails.count() as f64, bound * runs as f64);
            let spread = (expected * (1.0 - bound)).sqrt();
            assert!(fails <= expected + 6.0 * spread, "{dim} {steps} {epsilon}: {fails} of {expected}");
            if steps == 1 {
                // One step is the Rayleigh quotient, for which the bound is attained.
                assert!(fails >= 0.5 * expected, "{fails} of {expected}");
            }
        }
    }

    #[test]
    fn no_more_is_asked_of_a_start_than_doubles_give() {
        let with = |delta, starts| Random { delta, starts, ..Random::default() }.checked();
        for (delta, starts) in [(1.1e-14, 1), (1.1e-28, 2), (1e-9, 2), (1e-40, 3)] {
            assert!(with(delta, starts).is_ok(), "{delta} {starts}");
        }
        for (delta, starts) in [(0.9e-14, 1), (0.9e-28, 2), (1e-300, 20), (5e-324, 1)] {
            let refused = with(delta, starts).expect_err("refused").to_string();
            assert!(refused.starts_with("delta must be at least 1e-14 to the power of starts"), "{refused}");
        }
    }

    #[test]
    fn the_largest_eigenvalue_of_a_tridiagonal_matrix_is_found() {
        // The second difference matrix: 2 + 2 cos(pi / (n + 1)).
        for n in [1, 2, 3, 10, 50] {
            let value = largest_tridiagonal(&vec![2.0; n], &vec![1.0; n - 1]);
            let exact = 2.0 + 2.0 * (std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - exact).abs() <= 1e-14, "{n} {value} {exact}");
        }
    }
}
