//! Layers without weights: what bounds them (6.14), and their values with the error of computing them (6.16).

use crate::certify::center::{State, norm};
use crate::certify::layer::fits;
use crate::certify::pool::{largest_of, means_of};
use crate::certify::{Activation, Maxima, Means, Normalization, Softmax};
use crate::error::{Error, Result};
use crate::norm::round::{Up, gamma};

/// A layer whose two forms are the same (6.14).
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// An activation of each entry.
    Activation(Activation),
    /// Copies of entries: where each output is from, 0 where that number is negative. Flattening, shuffles, padding
    /// and nearest up-sampling.
    Copies(&'a [i64]),
    /// The largest entries of windows, along the last axes.
    Maxima(Vec<Maxima>),
    /// Means over windows, along the last axes.
    Means(Vec<Means>),
    /// A factor and a shift for each entry.
    Scale(Scale<'a>),
    /// Layer, group and root-mean-square normalisation.
    Normalization(Normalization<'a>),
    /// Softmax, or its logarithm.
    Softmax(Softmax),
}

/// `factor * x + shift`, entry by entry: a batch normalisation that no layer before it takes up.
#[derive(Debug, Clone, Copy)]
pub struct Scale<'a> {
    /// One number per entry.
    pub factors: &'a [f64],
    /// One number per entry.
    pub shifts: &'a [f64],
    /// How many roundings each factor went through.
    pub roundings: usize,
    /// At least the norm of the difference of the shifts to the exact ones.
    pub shift_error: f64,
}

/// What is known of a map of vectors of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// At least its Lipschitz constant.
    pub lipschitz: Up,
    /// At least the norm of its value at 0.
    pub at_zero: Up,
    /// At least the norm of any value.
    pub largest: Up,
    /// At least the distance of any two values.
    pub spread: Up,
}

impl Facts {
    /// Those of a linear map.
    pub fn linear(lipschitz: f64) -> Self {
        let [largest, spread] = [Up::new(f64::INFINITY); 2];
        Self { lipschitz: Up::new(lipschitz), at_zero: Up::ZERO, largest, spread }
    }

    /// Those of an activation of entries; `ones` is at least the norm of as many ones.
    pub fn of_activation(activation: Activation, ones: Up) -> Self {
        let (largest, spread) = activation.range();
        Self {
            lipschitz: Up::new(activation.lipschitz()),
            at_zero: Up::new(activation.at_zero()) * ones,
            largest: Up::new(largest) * ones,
            spread: Up::new(spread) * ones,
        }
    }
}

impl Map<'_> {
    /// How many numbers it makes of so many.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] where the length does not fit.
    pub(crate) fn outputs(&self, layer: usize, len: usize) -> Result<usize> {
        let whole = |part: usize| fits(layer, "entries in whole groups", len / part.max(1) * part, len);
        let pooled = |axes: &mut dyn Iterator<Item = (usize, usize)>| {
            let (before, after) = axes.fold((1, 1), |all, axis| (all.0 * axis.0, all.1 * axis.1));
            whole(before).map(|()| len / before.max(1) * after)
        };
        match self {
            Self::Activation(_) => Ok(len),
            Self::Copies(from) => {
                let last =
                    from.iter().copied().max().map_or(0, |last| usize::try_from(last + 1).unwrap_or(0));
                fits(layer, "inputs", last.max(len), len).map(|()| from.len())
            }
            Self::Maxima(axes) => {
                axes.iter().try_for_each(Maxima::check)?;
                pooled(&mut axes.iter().map(|axis| (axis.len, axis.outputs)))
            }
            Self::Means(axes) => pooled(&mut axes.iter().map(|axis| (axis.len, axis.windows.len()))),
            Self::Scale(scale) => {
                fits(layer, "factors", len, scale.factors.len())?;
                fits(layer, "shifts", len, scale.shifts.len()).map(|()| len)
            }
            Self::Normalization(it) => {
                if it.epsilon.is_nan() || it.epsilon < 0.0 {
                    let expected = "at least 0";
                    return Err(Error::NotAllowed { parameter: "eps", expected, got: it.epsilon });
                }
                whole(it.len)?;
                for (what, values) in [("factors", it.gain), ("shifts", it.shift)] {
                    values.map_or(Ok(()), |values| fits(layer, what, len, values.len()))?;
                }
                Ok(len)
            }
            Self::Softmax(it) => whole(it.len).map(|()| len),
        }
    }

    /// What bounds it, for vectors of that length.
    pub(crate) fn facts(&self, len: usize) -> Facts {
        match self {
            Self::Activation(it) => Facts::of_activation(*it, Up::new(len as f64).sqrt()),
            Self::Copies(from) => {
                let mut copies = vec![0_u32; len];
                from.iter().filter_map(|&at| usize::try_from(at).ok()).for_each(|at| copies[at] += 1);
                let most = copies.into_iter().max().unwrap_or(0);
                Facts::linear(if most <= 1 { f64::from(most) } else { Up::new(f64::from(most)).sqrt().get() })
            }
            Self::Maxima(axes) => Facts::linear(Maxima::lipschitz(axes)),
            Self::Means(axes) => Facts::linear(Means::lipschitz_along(axes)),
            Self::Scale(it) => {
                let largest = it.factors.iter().fold(0.0, |largest: f64, factor| largest.max(factor.abs()));
                let shift = norm(it.shifts.iter().copied(), None) + Up::new(it.shift_error);
                Facts { at_zero: shift, ..Facts::linear(Up::new(largest).grown(it.roundings).get()) }
            }
            Self::Normalization(it) => it.facts(len),
            Self::Softmax(it) => it.facts(len),
        }
    }

    /// At least its Lipschitz constant between any two states of either network that far from their centres.
    pub(crate) fn lipschitz_near(&self, facts: &Facts, center: &[State; 2], moved: [Up; 2]) -> Up {
        match self {
            Self::Normalization(it) => facts.lipschitz.min(it.lipschitz_near(center, moved)),
            _ => facts.lipschitz,
        }
    }

    /// Its value, and at least the norm of the error of computing it.
    pub(crate) fn value(&self, x: &[f64]) -> (Vec<f64>, Up) {
        match self {
            Self::Activation(activation) => activated(*activation, x.iter().copied(), None),
            Self::Copies(from) => {
                let copy = |&at: &i64| usize::try_from(at).map_or(0.0, |at| x[at]);
                (from.iter().map(copy).collect(), Up::ZERO)
            }
            Self::Maxima(axes) => (largest_of(axes, x), Up::ZERO),
            Self::Means(axes) => means_of(axes, x),
            Self::Scale(it) => {
                let pairs = it.factors.iter().zip(it.shifts).zip(x);
                let values = pairs.clone().map(|((factor, shift), x)| factor * x + shift).collect();
                let sizes = norm(pairs.map(|((factor, shift), x)| (factor * x).abs() + shift.abs()), None);
                let lost = gamma(it.roundings + 4) * sizes + Up::new(it.shift_error);
                (values, lost + Up::new(f64::MIN_POSITIVE * x.len() as f64))
            }
            Self::Normalization(it) => it.value(x),
            Self::Softmax(it) => it.value(x),
        }
    }
}

/// The values of an activation, and at least the weighted norm of the error of evaluating it.
pub(crate) fn activated(
    activation: Activation,
    arguments: impl Iterator<Item = f64>,
    weights: Option<&[f64]>,
) -> (Vec<f64>, Up) {
    let (values, errors): (Vec<_>, Vec<_>) = arguments.map(|z| activation.value(z)).unzip();
    let above = |error: f64| if error == 0.0 { 0.0 } else { error.next_up() };
    (values, norm(errors.into_iter().map(above), weights))
}
