//! What is known of the states of both networks over the ball, and how each layer changes it (Theorem 5, 6.14).

use crate::certify::center::{State, norm};
use crate::certify::map::Facts;
use crate::certify::{Activation, Map, Weights};
use crate::error::Result;
use crate::norm::round::Up;
use crate::norm::{Norm, Part, Settings, joint_norm};
use crate::parallel::Context;

/// The same state of both networks: the original first.
#[derive(Clone)]
pub(crate) struct Ball {
    /// At the centre.
    center: [State; 2],
    /// At least how far those of other inputs are from there.
    moved: [Up; 2],
    /// At least their norms.
    pub size: [Up; 2],
    /// At least the norm of the difference of both.
    pub gap: Up,
}

/// The layer that is passed: its norms, its weights on both sides (6.15), and whether the joint norm is tried.
pub(crate) struct Passed<'a> {
    pub norms: [Up; 3],
    pub sides: [Option<&'a [f64]>; 2],
    pub joint: Option<Settings>,
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

impl Ball {
    /// The inputs.
    pub fn new(center: Vec<f64>, radius: f64) -> Self {
        let (center, radius) = (State::exact(center), Up::new(radius));
        let size = center.norm(None) + radius;
        Self { center: [center.clone(), center], moved: [radius; 2], size: [size; 2], gap: Up::ZERO }
    }

    /// The states behind a layer with weights, the rule that gave the gap, and the joint norm if it was used.
    pub fn affine(
        &self,
        layer: &Weights<'_>,
        activation: Activation,
        passed: &Passed<'_>,
        ctx: &Context<'_>,
    ) -> Result<(Self, &'static str, Option<Norm>)> {
        let ([whole, kept, removed], [before, after]) = (passed.norms, passed.sides);
        let mut sides = [Up::ZERO; 2];
        for (side, other) in [(0, kept), (1, whole)] {
            let direct = removed * self.size[side];
            let through_center =
                self.center[side].image(layer, removed, after, ctx)? + removed * self.moved[side];
            sides[side] = other * self.gap + direct.min(through_center);
        }
        let mut linear = Best { value: sides[0], rule: "original" };
        linear.or(sides[1], "pruned");
        let mut joint = None;
        if let Some(settings) = passed.joint
            && self.gap.get() > 0.0
            && removed.get() > 0.0
            && linear.value.get() < f64::INFINITY
        {
            let [gap, size] = [self.gap, self.size[0]].map(Up::get);
            let found =
                joint_norm(&layer.matrix.part(Part::Kept).balanced(after, before), gap, size, settings, ctx)?;
            let lost = layer.rounding(Part::All, ctx)? * (self.gap + self.size[0]);
            linear.or(Up::new(found.value) + lost, "joint");
            joint = Some(found);
        }

        let ones = norm(std::iter::repeat_n(1.0, layer.outputs()), after);
        let facts = Facts::of_activation(activation, ones);
        let offset = facts.lipschitz * layer.bias_norm(after) + facts.at_zero;
        let mut center = Vec::with_capacity(2);
        for (side, part, norm) in [(0, Part::All, whole), (1, Part::Kept, kept)] {
            center.push(self.center[side].after(layer, part, norm, activation, after, ctx)?);
        }
        let norms = [whole, kept];
        let step = Settled {
            direct: [0, 1]
                .map(|side| (facts.lipschitz * norms[side] * self.size[side] + offset).min(facts.largest)),
            moved: [0, 1].map(|side| facts.lipschitz * norms[side] * self.moved[side]),
            spread: facts.spread,
            gap: Best { value: facts.lipschitz * linear.value, rule: linear.rule },
        };
        let (ball, rule) = step.at(pair(center), after);
        Ok((ball, rule, joint))
    }

    /// The states behind a layer without weights.
    pub fn map(&self, map: &Map<'_>) -> (Self, &'static str) {
        let facts = map.facts(self.center[0].values.len());
        let lipschitz = map.lipschitz_near(&facts, &self.center, self.moved);
        let step = Settled {
            direct: self.size.map(|size| (facts.at_zero + facts.lipschitz * size).min(facts.largest)),
            moved: self.moved.map(|moved| lipschitz * moved),
            spread: facts.spread,
            gap: Best { value: lipschitz * self.gap, rule: "map" },
        };
        step.at(self.center.each_ref().map(|state| state.mapped(map, lipschitz)), None)
    }

    /// The sum of states.
    pub fn sum(states: &[&Self]) -> (Self, &'static str) {
        Self::joined(states, State::plus, |a, b| a + b, "sum")
    }

    /// States side by side.
    pub fn beside(states: &[&Self]) -> (Self, &'static str) {
        Self::joined(states, State::beside, Up::hypot, "concatenation")
    }

    fn joined(
        states: &[&Self],
        join: impl Fn(&State, &State) -> State,
        add: impl Fn(Up, Up) -> Up,
        rule: &'static str,
    ) -> (Self, &'static str) {
        let all =
            |of: &dyn Fn(&Self) -> Up| states.iter().map(|state| of(state)).reduce(&add).unwrap_or(Up::ZERO);
        let step = Settled {
            direct: [0, 1].map(|side| all(&|state| state.size[side])),
            moved: [0, 1].map(|side| all(&|state| state.moved[side])),
            spread: Up::new(f64::INFINITY),
            gap: Best { value: all(&|state| state.gap), rule },
        };
        let [first, rest @ ..] = states else { unreachable!("a join has an input") };
        let center = [0, 1].map(|side| {
            rest.iter().fold(first.center[side].clone(), |sum, state| join(&sum, &state.center[side]))
        });
        step.at(center, None)
    }
}

fn pair(states: Vec<State>) -> [State; 2] {
    states.try_into().unwrap_or_else(|_| unreachable!("two were made"))
}

/// What a layer says of its states before their centres are looked at.
struct Settled {
    /// At least their norms.
    direct: [Up; 2],
    /// At least how far they are from the centre's.
    moved: [Up; 2],
    /// At least the distance of any two.
    spread: Up,
    /// At least the gap.
    gap: Best,
}

impl Settled {
    /// The states, with these at the centre: each bound the least of what is known.
    fn at(self, center: [State; 2], weights: Option<&[f64]>) -> (Ball, &'static str) {
        let at_center = center.each_ref().map(|state| state.norm(weights));
        let moved =
            [0, 1].map(|side| self.moved[side].min(self.spread).min(self.direct[side] + at_center[side]));
        let [dense, pruned] = [0, 1].map(|side| self.direct[side].min(at_center[side] + moved[side]));
        let mut gap = self.gap;
        gap.or(self.direct[0] + self.direct[1], "size");
        gap.or(center[0].distance(&center[1], weights) + moved[0] + moved[1], "center");
        gap.or(self.spread, "range");
        // Each network's states are those of the other, but for the gap.
        let size = [dense.min(pruned + gap.value), pruned.min(dense + gap.value)];
        (Ball { center, moved, size, gap: gap.value }, gap.rule)
    }
}
