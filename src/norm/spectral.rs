//! Which norms of a matrix are wanted, and the best bound of the spectral norm.

use crate::dtype::DType;
use crate::error::Result;
use crate::norm::cholesky::{cholesky, gram_iteration, gram_of};
use crate::norm::collatz::collatz;
use crate::norm::lanczos::{Eigenvalue, Random, lanczos, power, ritz_quick};
use crate::norm::matrix::{Matrix, Part};
use crate::norm::operator::{Gram, Operator};
use crate::norm::round::{TINY, Up, exponent, power_of_two};
use crate::norm::sparse::Passes;
use crate::norm::sums::{Sums, sums};
use crate::norm::{Kind, Norm};
use crate::parallel::Context;
use crate::source::{Array, Bits};

/// Order of a Gram matrix up to which a certificate is worth its cube.
pub(crate) const SMALL: usize = 2048;
/// Products of a Gram matrix up to which it is.
pub(crate) const WORK: f64 = 1e11;

/// A norm, or a bound of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Root of the sum of squares.
    Frobenius,
    /// Largest sum of magnitudes of a column.
    One,
    /// Largest sum of magnitudes of a row.
    Infinity,
    /// Largest magnitude.
    Largest,
    /// Number of nonzero entries.
    Nonzero,
    /// The spectral norm by `sqrt(one * infinity)` (Prop. 6.1).
    Schur,
    /// The spectral norm by Collatz-Wielandt (Prop. 6.2).
    Collatz,
    /// The spectral norm by Gram iteration (Prop. 6.3).
    Gram,
    /// The spectral norm by the Cholesky certificate (Prop. 6.4).
    Cholesky,
    /// The spectral norm by Lanczos (Prop. 6.5).
    Lanczos,
    /// The spectral norm by the power method (Prop. 6.5).
    Power,
    /// The spectral norm as Lanczos sees it: no bound.
    Estimate,
    /// The spectral norm by the best of these for the size.
    Spectral,
}

impl Which {
    /// Every norm with the name that a caller gives it.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("frobenius", Self::Frobenius),
        ("one", Self::One),
        ("infinity", Self::Infinity),
        ("largest", Self::Largest),
        ("nonzero", Self::Nonzero),
        ("schur", Self::Schur),
        ("collatz", Self::Collatz),
        ("gram", Self::Gram),
        ("cholesky", Self::Cholesky),
        ("lanczos", Self::Lanczos),
        ("power", Self::Power),
        ("estimate", Self::Estimate),
        ("spectral", Self::Spectral),
    ];

    /// The norm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(own, _)| *own == name).map(|(_, which)| which)
    }
}

/// How long and how surely the iterations run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The random starts.
    pub random: Random,
    /// Vectors of Collatz-Wielandt, at most.
    pub collatz_steps: usize,
    /// Squarings of the Gram iteration.
    pub squarings: usize,
    /// Steps of the power method.
    pub power_steps: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { random: Random::default(), collatz_steps: 30, squarings: 8, power_steps: 100 }
    }
}

/// The norms that `which` names, in its order.
///
/// # Errors
/// [`crate::Error::NanEntry`] for a NaN that counts; [`crate::Error::NotAllowed`] for settings that are none;
/// [`crate::Error::Interrupted`]; those of the source.
pub fn norms(
    matrix: &Matrix<'_>,
    which: &[Which],
    settings: Settings,
    ctx: &Context<'_>,
) -> Result<Vec<Norm>> {
    let random = settings.random.checked()?;
    let sums =
        sums(matrix, !which.iter().all(|which| matches!(which, Which::Frobenius | Which::Infinity)), ctx)?;
    let known = Known::new(matrix, sums);
    let value = |which: &Which| {
        let (value, kind) = match which {
            Which::Frobenius => (sums.frobenius, Kind::Certified),
            Which::One => (sums.one, Kind::Certified),
            Which::Infinity => (sums.infinity, Kind::Certified),
            Which::Largest => (sums.largest, Kind::Certified),
            Which::Nonzero => (sums.num_nonzero as f64, Kind::Certified),
            Which::Schur => (sums.schur(), Kind::Certified),
            _ if known.is_trivial() => (sums.largest, Kind::Certified),
            Which::Collatz => {
                (known.collatz(settings.collatz_steps, f64::INFINITY, ctx)?.get(), Kind::Certified)
            }
            Which::Gram => (known.gram(settings.squarings, ctx)?.get(), Kind::Certified),
            Which::Cholesky => (known.cholesky(ctx)?.get(), Kind::Certified),
            Which::Lanczos => known.random(&lanczos(&known.passes(ctx)?, random, ctx)?),
            Which::Power => known.random(&power(&known.passes(ctx)?, settings.power_steps, random, ctx)?),
            Which::Estimate => {
                let square = ritz_quick(&known.passes(ctx)?, random, 1e-13, ctx)?;
                (square.sqrt() * power_of_two(known.exponent), Kind::Estimate)
            }
            Which::Spectral => return known.spectral(settings, ctx),
        };
        Ok(Norm { value, kind })
    };
    which.iter().map(value).collect()
}

/// The best bound of the spectral norm for the size: the Cholesky certificate for a small Gram matrix, otherwise
/// the least of Frobenius, Schur, Collatz-Wielandt and Lanczos.
///
/// # Errors
/// As [`norms`].
pub fn spectral(matrix: &Matrix<'_>, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
    settings.random.checked()?;
    let known = Known::new(matrix, sums(matrix, true, ctx)?);
    if known.is_trivial() {
        return Ok(Norm { value: known.sums.largest, kind: Kind::Certified });
    }
    known.spectral(settings, ctx)
}

/// [`spectral`] of a matrix in memory.
pub(crate) fn dense_norm(
    values: &[f64],
    shape: [usize; 2],
    settings: Settings,
    ctx: &Context<'_>,
) -> Result<Norm> {
    let bits = Bits::W64(bytemuck::cast_slice(values));
    let array = Array { name: "matrix".to_owned(), dtype: DType::F64, bits, kept: None };
    let source = std::slice::from_ref(&array);
    spectral(&Matrix::new(&source, 0, shape, None, Part::All)?, settings, ctx)
}

/// A matrix scaled to entries of at most 2, and its sums.
pub(crate) struct Known<'a> {
    pub matrix: Matrix<'a>,
    pub sums: Sums,
    pub exponent: i32,
}

impl<'a> Known<'a> {
    pub fn new(matrix: &Matrix<'a>, sums: Sums) -> Self {
        let finite = sums.largest > 0.0 && sums.largest < f64::INFINITY;
        let exponent = if finite { exponent(sums.largest).clamp(-1000, 1000) } else { 0 };
        Self { matrix: matrix.scaled_down(exponent), sums, exponent }
    }

    /// Whether the norm is 0 or infinite, as the largest magnitude is.
    pub fn is_trivial(&self) -> bool {
        self.sums.largest == 0.0 || self.sums.largest == f64::INFINITY
    }

    /// The Gram matrix to multiply with, by its entries where they are few.
    fn passes(&self, ctx: &Context<'_>) -> Result<Passes<'a>> {
        Passes::new(self.matrix, self.sums.num_nonzero, ctx)
    }

    pub fn operator(&self) -> Gram<'a> {
        Gram::smaller(self.matrix)
    }

    /// The root of a bound of the largest eigenvalue of the scaled matrix, in the unit of the matrix.
    ///
    /// Scaling pushed entries below the range of binary64 by at most the least normal number each.
    pub fn back(&self, square: Up) -> Up {
        let lost = Up::new(TINY) * Up::new(self.matrix.len() as f64);
        (square.sqrt() + lost) * Up::new(power_of_two(self.exponent))
    }

    pub fn random(&self, eigenvalue: &Eigenvalue) -> (f64, Kind) {
        (self.back(eigenvalue.bound).get(), eigenvalue.kind)
    }

    fn collatz(&self, steps: usize, enough: f64, ctx: &Context<'_>) -> Result<Up> {
        let enough = enough * power_of_two(-self.exponent);
        let magnitudes = Passes::new(self.matrix.absolute(), self.sums.num_nonzero, ctx)?;
        let bound = collatz(&magnitudes, steps, enough, ctx)?;
        Ok(self.back(bound * bound).min(Up::new(self.sums.schur())))
    }

    pub fn scaled_frobenius(&self) -> Up {
        Up::new(self.sums.frobenius) * Up::new(power_of_two(-self.exponent))
    }

    fn gram(&self, squarings: usize, ctx: &Context<'_>) -> Result<Up> {
        let computed = gram_of(&self.operator(), self.scaled_frobenius(), ctx)?;
        Ok(self.back(gram_iteration(computed, squarings, ctx)?).min(Up::new(self.sums.frobenius)))
    }

    pub fn cholesky(&self, ctx: &Context<'_>) -> Result<Up> {
        let computed = gram_of(&self.operator(), self.scaled_frobenius(), ctx)?;
        Ok(self.back(cholesky(&computed, ctx)?).min(Up::new(self.sums.frobenius)))
    }

    fn spectral(&self, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
        let order = self.operator().dim();
        let work = (order as f64).powi(2) * self.matrix.rows().max(self.matrix.columns()) as f64;
        let cheap = self.sums.frobenius.min(self.sums.schur());
        if order <= SMALL && work <= WORK {
            let value = cheap.min(self.cholesky(ctx)?.get());
            return Ok(Norm { value, kind: Kind::Certified });
        }
        let passes = self.passes(ctx)?;
        if let Some((values, shape)) = passes.compressed(SMALL * SMALL) {
            // Of small order, and so certified.
            let norm = dense_norm(&values, shape, settings, ctx)?;
            let value = self.back(Up::new(norm.value) * Up::new(norm.value)).get();
            return Ok(Norm { value: value.min(cheap), kind: norm.kind });
        }
        let (random, kind) = self.random(&lanczos(&passes, settings.random, ctx)?);
        let certified = cheap.min(self.collatz(settings.collatz_steps, cheap.min(random), ctx)?.get());
        Ok(if certified <= random {
            Norm { value: certified, kind: Kind::Certified }
        } else {
            Norm { value: random, kind }
        })
    }
}
