//! Theorem 5: the gap of two networks, layer by layer.

use crate::certify::balance::{Diagonals, balance, weights};
use crate::certify::ball::{Ball, Passed};
use crate::certify::layer::{fits, no_nan};
use crate::certify::{Layer, Network};
use crate::error::{Error, Result};
use crate::norm::round::Up;
use crate::norm::{Kind, Norm, Settings};
use crate::parallel::Context;

/// What is asked of a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Radius of the ball of inputs.
    pub radius: f64,
    /// Its centre; the origin if none.
    pub center: Option<&'a [f64]>,
    /// Whether the joint norm is tried (Prop. 6.13).
    pub joint: bool,
    /// Sweeps of diagonal weights (Prop. 6.15), tried beside the plain network; 0 for none.
    pub sweeps: usize,
    /// The norms; `delta` is that of the whole certificate.
    pub settings: Settings,
}

/// One layer of a certificate. Norms of states are weighted where diagonal weights were better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The spectral norm of the weights, of their kept and of their removed part; none for a layer without weights.
    pub norms: Option<[Norm; 3]>,
    /// At least the norm of any state of the original network.
    pub state: f64,
    /// The same of the pruned network.
    pub pruned_state: f64,
    /// At least the norm of the difference of the two.
    pub gap: f64,
    /// The inequality that gave it.
    pub rule: &'static str,
}

/// A bound of the gap of two networks over a ball.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// At least the supremum of `|F(x) - f(x)|`, and what that promises.
    pub epsilon: Norm,
    /// The layers in order.
    pub steps: Vec<Step>,
}

/// Theorem 5: a bound of `|F(x) - f(x)|` over all `x` of a ball, for a network `F` and its pruned form `f`.
///
/// The least of three inequalities per layer (through the original's states, through the pruned one's, through the
/// joint norm), and of the distance of the states at the centre plus what both networks can move from there. States
/// are bounded by what the activation can give, too, and each network's by the other's plus the gap.
///
/// # Errors
/// [`Error::LengthMismatch`] where neighbours, biases or the centre do not fit; [`Error::NotAllowed`] for a radius
/// that is negative or NaN, or a geometry that is none; as [`crate::norm::spectral`].
pub fn certify(network: &Network<'_>, options: Options<'_>, ctx: &Context<'_>) -> Result<Certificate> {
    if options.radius.is_nan() || options.radius < 0.0 {
        return Err(Error::NotAllowed { parameter: "radius", expected: "at least 0", got: options.radius });
    }
    if let Some(center) = options.center {
        no_nan("center", center)?;
        fits(0, "inputs", network.inputs, center.len())?;
    }
    let lengths = network.lengths()?;
    let mut settings = options.settings;
    let runs = if options.sweeps > 0 { 2.0 } else { 1.0 };
    settings.random.delta /= runs * 4.0 * network.num_weighted().max(1) as f64;
    let options = Options { settings, ..options };
    let mut norms = vec![None; network.nodes.len()];
    let mut best = run(network, &balance(network, &lengths, 0, ctx)?, &mut norms, options, ctx)?;
    let diagonals = balance(network, &lengths, options.sweeps, ctx)?;
    if diagonals.iter().any(|diagonal| weights(diagonal).is_some()) {
        let other = run(network, &diagonals, &mut norms, options, ctx)?;
        let delta = best.epsilon.kind.delta().unwrap_or(0.0) + other.epsilon.kind.delta().unwrap_or(0.0);
        if other.epsilon.value < best.epsilon.value {
            best = other;
        }
        best.epsilon.kind = kind(delta);
    }
    Ok(best)
}

fn kind(delta: f64) -> Kind {
    if delta > 0.0 { Kind::Probabilistic { delta: delta.next_up() } } else { Kind::Certified }
}

/// One certificate; `plain` keeps the norms of layers with no weights beside them from run to run.
fn run(
    network: &Network<'_>,
    diagonals: &Diagonals,
    plain: &mut [Option<[Norm; 3]>],
    options: Options<'_>,
    ctx: &Context<'_>,
) -> Result<Certificate> {
    let center = options.center.map_or_else(|| vec![0.0; network.inputs], <[f64]>::to_vec);
    let mut states = vec![Some(Ball::new(center, options.radius))];
    let uses = network.uses();
    let (mut steps, mut delta) = (Vec::new(), 0.0);
    let mut epsilon = 0.0;
    for (number, node) in network.nodes.iter().enumerate() {
        let inputs: Vec<_> = node.inputs.iter().filter_map(|&state| states[state].as_ref()).collect();
        let mut found = None;
        let (ball, rule) = match &node.layer {
            Layer::Affine(layer, activation) => {
                let sides = [node.inputs[0], number + 1].map(|state| weights(&diagonals[state]));
                let norms = match plain[number] {
                    Some(norms) if sides == [None; 2] => norms,
                    _ => layer.norms(sides, options.settings, ctx)?,
                };
                if sides == [None; 2] {
                    plain[number] = Some(norms);
                }
                let joint = (options.joint && layer.geometry.is_none()).then_some(options.settings);
                let passed = Passed { norms: norms.map(|norm| Up::new(norm.value)), sides, joint };
                let (ball, rule, joint) = inputs[0].affine(layer, *activation, &passed, ctx)?;
                delta += norms.into_iter().chain(joint).filter_map(|norm| norm.kind.delta()).sum::<f64>();
                found = Some(norms);
                (ball, rule)
            }
            Layer::Map(map) => inputs[0].map(map),
            Layer::Sum => Ball::sum(&inputs),
            Layer::Concatenation => Ball::beside(&inputs),
        };
        let [state, pruned_state] = ball.size.map(Up::get);
        epsilon = ball.gap.get();
        steps.push(Step { norms: found, state, pruned_state, gap: epsilon, rule });
        states.push(Some(ball));
        // Their vectors are as large as images.
        node.inputs.iter().filter(|&&state| uses[state].0 == number).for_each(|&state| states[state] = None);
    }
    Ok(Certificate { epsilon: Norm { value: epsilon, kind: kind(delta) }, steps })
}
