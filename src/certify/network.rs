//! Theorem 5: the gap of two networks, layer by layer.

use crate::certify::balance::{Diagonals, balance, weights};
use crate::certify::center::{State, norm};
use crate::certify::{Activation, Layer, Map, Weights};
use crate::error::{Error, Result};
use crate::norm::round::Up;
use crate::norm::{By, Convolution, Kind, Norm, Part, Settings, conv_norm, joint_norm, spectral};
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
/// that is negative or NaN; as [`spectral`].
pub fn certify(layers: &[Layer<'_>], options: Options<'_>, ctx: &Context<'_>) -> Result<Certificate> {
    check(layers, options)?;
    let runs = if options.sweeps > 0 { 2.0 } else { 1.0 };
    let mut settings = options.settings;
    settings.random.delta /= runs * 4.0 * Layer::num_weighted(layers).max(1) as f64;
    let options = Options { settings, ..options };
    let mut best = run(layers, &balance(layers, 0, ctx)?, options, ctx)?;
    if options.sweeps > 0 {
        let other = run(layers, &balance(layers, options.sweeps, ctx)?, options, ctx)?;
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

fn check(layers: &[Layer<'_>], options: Options<'_>) -> Result<()> {
    if options.radius.is_nan() || options.radius < 0.0 {
        return Err(Error::NotAllowed { parameter: "radius", expected: "at least 0", got: options.radius });
    }
    if let Some(center) = options.center {
        no_nan("center", center)?;
        if let Some(weights) = layers.first().and_then(Layer::linear) {
            fits(0, "inputs", weights.matrix.columns(), center.len())?;
        }
    }
    check_layers(layers)
}

fn fits(layer: usize, what: &'static str, expected: usize, got: usize) -> Result<()> {
    let name = format!("layer {layer}");
    if expected == got { Ok(()) } else { Err(Error::LengthMismatch { name, what, expected, got }) }
}

fn no_nan(name: &str, values: &[f64]) -> Result<()> {
    let index = values.iter().position(|value| value.is_nan());
    index.map_or(Ok(()), |index| Err(Error::NanEntry { name: name.to_owned(), index }))
}

fn check_layers(layers: &[Layer<'_>]) -> Result<()> {
    let mut width = None;
    for (number, layer) in layers.iter().enumerate() {
        let (rows, bias) = match layer {
            Layer::Linear { weights: Weights { matrix, bias }, .. } => {
                fits(number, "inputs", width.unwrap_or(matrix.columns()), matrix.columns())?;
                (matrix.rows(), *bias)
            }
            Layer::Convolution { conv, bias, .. } => (conv.matrix.rows(), *bias),
            Layer::Residual(branch) => {
                check_layers(branch)?;
                (0, None)
            }
            Layer::Map(_) => (0, None),
        };
        if let Some(bias) = bias {
            fits(number, "numbers of its bias", rows, bias.len())?;
            no_nan(&format!("bias of layer {number}"), bias)?;
        }
        width = layer.linear().map(|weights| weights.matrix.rows());
    }
    Ok(())
}

fn run(
    layers: &[Layer<'_>],
    diagonals: &Diagonals,
    options: Options<'_>,
    ctx: &Context<'_>,
) -> Result<Certificate> {
    let mut ball = Ball::new(layers, options);
    let mut steps = Vec::new();
    ball.walk(layers, diagonals, options, &mut steps, ctx)?;
    let epsilon = Norm { value: ball.gap.get(), kind: kind(ball.delta) };
    Ok(Certificate { epsilon, steps })
}

/// What is known of the states of both networks over the ball.
struct Ball {
    /// The states at the centre; without them the centre stands for 0.
    center: Option<[State; 2]>,
    /// At least how far the states of each network are from those at the centre.
    moved: [Up; 2],
    /// At least the norms of the states.
    size: [Up; 2],
    /// At least the norm of the difference of the states.
    gap: Up,
    /// The probability that a norm used was too low.
    delta: f64,
}

impl Ball {
    fn new(layers: &[Layer<'_>], options: Options<'_>) -> Self {
        let center = match (options.center, layers.first()) {
            (Some(center), _) => Some(center.to_vec()),
            (None, Some(Layer::Linear { weights, .. })) => Some(vec![0.0; weights.matrix.columns()]),
            (None, _) => None,
        };
        let center = center.map(State::exact);
        let radius = Up::new(options.radius);
        let size = center.as_ref().map_or(Up::ZERO, |center| center.norm(None)) + radius;
        Self {
            center: center.map(|center| [center.clone(), center]),
            moved: [radius; 2],
            size: [size; 2],
            gap: Up::ZERO,
            delta: 0.0,
        }
    }

    /// Goes through layers, and adds a step for each.
    fn walk(
        &mut self,
        layers: &[Layer<'_>],
        diagonals: &Diagonals,
        options: Options<'_>,
        steps: &mut Vec<Step>,
        ctx: &Context<'_>,
    ) -> Result<()> {
        for (layer, pair) in layers.iter().zip(diagonals.windows(2)) {
            let step = match layer {
                Layer::Linear { weights: own, activation } => {
                    self.linear(own, *activation, [weights(&pair[0]), weights(&pair[1])], options, ctx)?
                }
                Layer::Convolution { conv, domain, bias, places, activation } => {
                    let norm = |part| {
                        let conv = Convolution { matrix: conv.matrix.part(part), ..*conv };
                        conv_norm(&conv, *domain, By::Best, options.settings, ctx)
                    };
                    let norms = [norm(Part::All)?, norm(Part::Kept)?, norm(Part::Removed)?];
                    self.convolution(norms, conv.matrix.rows(), *bias, *places, *activation)
                }
                Layer::Map(map) => self.map(map),
                Layer::Residual(branch) => self.residual(branch, options, steps, ctx)?,
            };
            steps.push(step);
        }
        Ok(())
    }

    /// The state plus that of a branch, which starts from the norms of the state.
    fn residual(
        &mut self,
        layers: &[Layer<'_>],
        options: Options<'_>,
        steps: &mut Vec<Step>,
        ctx: &Context<'_>,
    ) -> Result<Step> {
        let mut branch = Self { center: None, moved: self.size, size: self.size, gap: self.gap, delta: 0.0 };
        branch.walk(layers, &balance(layers, 0, ctx)?, options, steps, ctx)?;
        self.delta += branch.delta;
        self.center = None;
        self.size = [0, 1].map(|side| self.size[side] + branch.size[side]);
        self.moved = self.size;
        self.gap = self.gap + branch.gap;
        self.meet();
        Ok(self.step(None, "residual"))
    }

    fn step(&self, norms: Option<[Norm; 3]>, rule: &'static str) -> Step {
        let [state, pruned_state] = self.size.map(Up::get);
        Step { norms, state, pruned_state, gap: self.gap.get(), rule }
    }

    /// A norm that the certificate rests on.
    fn trust(&mut self, norm: Norm) -> Up {
        self.delta += norm.kind.delta().unwrap_or(0.0);
        Up::new(norm.value)
    }

    fn linear(
        &mut self,
        layer: &Weights<'_>,
        activation: Activation,
        [before, after]: [Option<&[f64]>; 2],
        options: Options<'_>,
        ctx: &Context<'_>,
    ) -> Result<Step> {
        let of_part = |part| layer.matrix.part(part).balanced(after, before);
        let mut norms = [Norm { value: 0.0, kind: Kind::Certified }; 3];
        for (norm, part) in norms.iter_mut().zip([Part::All, Part::Kept, Part::Removed]) {
            *norm = spectral(&of_part(part), options.settings, ctx)?;
        }
        let [whole, kept, removed] = norms.map(|norm| self.trust(norm));

        let removed_matrix = layer.matrix.part(Part::Removed);
        let mut sides = [Up::ZERO; 2];
        for (side, other) in [(0, kept), (1, whole)] {
            let direct = removed * self.size[side];
            let through_center = match &self.center {
                Some(center) => {
                    center[side].image(&removed_matrix, removed, after, ctx)? + removed * self.moved[side]
                }
                None => direct,
            };
            sides[side] = other * self.gap + direct.min(through_center);
        }
        let mut linear = Best { value: sides[0], rule: "original" };
        linear.or(sides[1], "pruned");
        if options.joint && self.gap.get() > 0.0 && removed.get() > 0.0 && linear.value.get() < f64::INFINITY
        {
            let [gap, size] = [self.gap, self.size[0]].map(Up::get);
            let joint = joint_norm(&of_part(Part::Kept), gap, size, options.settings, ctx)?;
            linear.or(self.trust(joint), "joint");
        }

        let lipschitz = Up::new(activation.lipschitz());
        let outputs = layer.matrix.rows();
        let ones = norm(std::iter::repeat_n(1.0, outputs), after);
        let (largest, spread) = activation.range();
        let [largest, spread] = [largest, spread].map(|value| Up::new(value) * ones);
        let bias = layer.bias.map_or(Up::ZERO, |bias| norm(bias.iter().copied(), after));
        let offset = lipschitz * bias + Up::new(activation.at_zero()) * ones;
        let norms_of_layer = [whole, kept];
        let direct =
            [0, 1].map(|side| (lipschitz * norms_of_layer[side] * self.size[side] + offset).min(largest));
        let mut apart = Best { value: direct[0] + direct[1], rule: "size" };
        self.size = direct;
        if let Some([dense, pruned]) = self.center.take() {
            let dense = dense.after(layer, Part::All, whole, activation, after, ctx)?;
            let pruned = pruned.after(layer, Part::Kept, kept, activation, after, ctx)?;
            let at_center = [dense.norm(after), pruned.norm(after)];
            for side in 0..2 {
                let moved = lipschitz * norms_of_layer[side] * self.moved[side];
                self.moved[side] = moved.min(spread).min(direct[side] + at_center[side]);
                self.size[side] = self.size[side].min(at_center[side] + self.moved[side]);
            }
            apart.or(dense.distance(&pruned, after) + self.moved[0] + self.moved[1], "center");
            self.center = Some([dense, pruned]);
        } else {
            self.moved = direct;
        }
        let mut gap = Best { value: lipschitz * linear.value, rule: linear.rule };
        gap.or(apart.value, apart.rule);
        gap.or(spread, "range");
        self.gap = gap.value;
        self.meet();
        Ok(self.step(Some(norms), gap.rule))
    }

    /// A layer of which only norms are known.
    fn convolution(
        &mut self,
        norms: [Norm; 3],
        channels: usize,
        bias: Option<&[f64]>,
        places: Option<usize>,
        activation: Activation,
    ) -> Step {
        let [whole, kept, removed] = norms.map(|norm| self.trust(norm));
        let lipschitz = Up::new(activation.lipschitz());
        let places = Up::new(places.map_or(f64::INFINITY, |places| places as f64)).sqrt();
        let ones = Up::new(channels as f64).sqrt() * places;
        let (largest, spread) = activation.range();
        let bias = bias.map_or(Up::ZERO, |bias| norm(bias.iter().copied(), None) * places);
        let offset = lipschitz * bias + Up::new(activation.at_zero()) * ones;

        let mut linear = Best { value: kept * self.gap + removed * self.size[0], rule: "original" };
        linear.or(whole * self.gap + removed * self.size[1], "pruned");
        let sizes = [whole * self.size[0], kept * self.size[1]];
        self.center = None;
        self.size = sizes.map(|size| (lipschitz * size + offset).min(Up::new(largest) * ones));
        self.moved = self.size;
        let mut gap = Best { value: lipschitz * linear.value, rule: linear.rule };
        gap.or(self.size[0] + self.size[1], "size");
        gap.or(Up::new(spread) * ones, "range");
        self.gap = gap.value;
        self.meet();
        self.step(Some(norms), gap.rule)
    }

    /// Each network's states are those of the other, but for the gap.
    fn meet(&mut self) {
        let [dense, pruned] = self.size;
        self.size = [dense.min(pruned + self.gap), pruned.min(dense + self.gap)];
    }

    fn map(&mut self, map: &Map) -> Step {
        let [lipschitz, at_zero, largest] = [map.lipschitz, map.at_zero, map.largest].map(Up::new);
        self.center = None;
        self.size = self.size.map(|size| (at_zero + lipschitz * size).min(largest));
        self.moved = self.size;
        let mut gap = Best { value: lipschitz * self.gap, rule: "map" };
        gap.or(self.size[0] + self.size[1], "size");
        self.gap = gap.value;
        self.meet();
        self.step(None, gap.rule)
    }
}

/// The least bound so far.
struct Best {
    value: Up,
    rule: &'static str,
}

impl Best {
    fn or(&mut self, value: Up, rule: &'static str) {
        if value < self.value {
            *self = Self { value, rule };
        }
    }
}
