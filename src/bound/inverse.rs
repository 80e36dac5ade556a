//! The inverse questions: how much can be pruned, how to split it over layers, how wide a network must be (4.2 to 4.4).

use super::activation::Activation;
use super::ball::{Ball, ball_states};
use super::batch::{Question, Request, bounds, single};
use super::law::{Family, Law};
use super::layer::{Layer, Prepared};
use super::network::{Method, Network};
use super::orders::Detail;
use super::shape::Part;
use super::store::Store;
use crate::error::{Error, Result};
use crate::parallel::{Context, for_each};

/// What a bound must stay below, and how it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The bound must be at most this.
    pub epsilon: f64,
    /// The chance with which it may fail.
    pub delta: f64,
    /// The largest norm of an input.
    pub radius: f64,
    /// The number of inputs, for [`Question::Inputs`].
    pub inputs: f64,
    /// Which bound.
    pub question: Question,
}

impl Target {
    fn request<'a>(&self, counts: &'a [u64], method: Method) -> Request<'a> {
        let Self { delta, radius, inputs, .. } = *self;
        Request { network: 0, counts, method, delta, radius, inputs }
    }

    /// Whether the bound for these counts is met.
    fn is_met(&self, network: &Network, counts: &[u64], method: Method, store: &mut Store) -> Result<bool> {
        store.trim();
        let answer = single(network, &self.request(counts, method), self.question, store)?;
        Ok(answer.epsilon <= self.epsilon)
    }
}

/// The largest number of weights of one layer, the other counts as given, that bisection finds to meet the target; none if
/// nothing can be pruned there (4.3).
///
/// Bounds are not monotone in the count to the last digit: a larger one may do too. That found does.
///
/// # Errors
/// As for [`bounds`].
pub fn max_prunable(
    network: &Network,
    counts: &[u64],
    layer: usize,
    method: Method,
    target: &Target,
    ctx: &Context<'_>,
) -> Result<Option<u64>> {
    let layers = network.layers();
    Error::check_range("layer", layer as f64, 0.0, (layers.len() - 1) as f64)?;
    let mut counts: Vec<u64> = (0..layers.len()).map(|i| counts.get(i).copied().unwrap_or(0)).collect();
    let mut store = Store::default();
    let most = layers[layer].shape.len();
    last_met(most, |count| {
        ctx.check()?;
        counts[layer] = count;
        target.is_met(network, &counts, method, &mut store)
    })
}

/// The largest of `0..=most` that bisection finds to be met; none if not even zero is.
fn last_met(most: u64, mut is_met: impl FnMut(u64) -> Result<bool>) -> Result<Option<u64>> {
    if !is_met(0)? {
        return Ok(None);
    }
    if is_met(most)? {
        return Ok(Some(most));
    }
    let (mut low, mut high) = (0, most);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if is_met(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(low))
}

/// Budget cells of the split.
const CELLS: usize = 256;
/// Counts of one layer whose cost is computed: so many even steps, and as many geometric ones below the first.
const STEPS: u64 = 192;
/// Orders that the split is tried with.
const SPLIT_ORDERS: [usize; 5] = [4, 8, 16, 32, 64];

/// Counts, one for each layer and zero outside `chosen`, that meet the target and are many in total (4.4).
///
/// Each layer's part of the gap is priced apart; a knapsack over cells of the budget, costs rounded up, picks counts; the
/// budget and then each count are raised while the full bound allows it. Optimal for the separable bound up to its cells,
/// never less than equal shares or one layer alone, and always within the full bound.
///
/// # Errors
/// As for [`bounds`].
pub fn allocate(
    network: &Network,
    chosen: &[bool],
    method: Method,
    target: &Target,
    ctx: &Context<'_>,
) -> Result<Vec<u64>> {
    let is_chosen = |layer: usize| chosen.get(layer).copied().unwrap_or(false);
    let lens: Vec<u64> = network.layers().iter().map(|layer| layer.shape.len()).collect();
    let mut store = Store::default();
    let mut best = equal_shares(&is_chosen, &lens, &mut |counts| {
        ctx.check()?;
        target.is_met(network, counts, method, &mut store)
    })?;
    for p in SPLIT_ORDERS {
        let mut prices = Prices::new(network, chosen, method, target, p, &mut store);
        prices.compute(ctx)?;
        let mut met = |counts: &[u64]| target.is_met(network, counts, method, &mut store);
        if let Some(counts) = prices.largest_met(best.len(), &mut met, ctx)?
            && counts.iter().sum::<u64>() > best.iter().sum::<u64>()
        {
            best = counts;
        }
    }
    let alone = filled(vec![0; best.len()], network, chosen, method, target, &mut store, ctx)?;
    let best = filled(best, network, chosen, method, target, &mut store, ctx)?;
    Ok(if alone.iter().sum::<u64>() > best.iter().sum() { alone } else { best })
}

/// The counts, raised one layer after another, the largest first, as far as bisection finds the target met.
fn filled(
    mut counts: Vec<u64>,
    network: &Network,
    chosen: &[bool],
    method: Method,
    target: &Target,
    store: &mut Store,
    ctx: &Context<'_>,
) -> Result<Vec<u64>> {
    let len = |layer: usize| network.layers()[layer].shape.len();
    let mut order: Vec<usize> = (0..counts.len()).filter(|&layer| chosen.get(layer) == Some(&true)).collect();
    order.sort_by_key(|&layer| std::cmp::Reverse(len(layer)));
    for layer in order {
        let before = counts[layer];
        let more = last_met(len(layer) - before, |more| {
            ctx.check()?;
            counts[layer] = before + more;
            target.is_met(network, &counts, method, store)
        })?;
        counts[layer] = before + more.unwrap_or(0);
    }
    Ok(counts)
}

/// The counts of the largest common ratio that bisection finds to be met, in parts of 2^20; zeros where none is.
fn equal_shares(
    is_chosen: &dyn Fn(usize) -> bool,
    lens: &[u64],
    met: &mut dyn FnMut(&[u64]) -> Result<bool>,
) -> Result<Vec<u64>> {
    const PARTS: u64 = 1 << 20;
    let counts = |parts: u64| -> Vec<u64> {
        let ratio = parts as f64 / PARTS as f64;
        let count =
            |(layer, &len): (usize, &u64)| if is_chosen(layer) { (ratio * len as f64) as u64 } else { 0 };
        lens.iter().enumerate().map(count).collect()
    };
    let found = last_met(PARTS, |parts| met(&counts(parts)))?;
    Ok(counts(found.unwrap_or(0)))
}

/// What pruning each count of each layer costs, for one order.
struct Prices {
    items: Vec<Price>,
}

struct Price {
    layer: usize,
    /// Of the layer at each of the counts.
    prepared: Vec<Prepared>,
    counts: Vec<u64>,
    factor: f64,
    costs: Vec<f64>,
    p: usize,
    is_fixed_inputs: bool,
}

impl Prices {
    fn new(
        network: &Network,
        chosen: &[bool],
        method: Method,
        target: &Target,
        p: usize,
        store: &mut Store,
    ) -> Self {
        let whole: Vec<Prepared> =
            network.layers().iter().map(|layer| store.prepare(layer.clone())).collect();
        let ball = Ball { radius: target.radius, dimension: network.dimension };
        let states = ball_states(&whole, ball, p);
        let grown =
            |layer: &Prepared| layer.dense.norm(p) * layer.layer.law.scale * layer.layer.activation.lipschitz;
        let price = |layer: usize| {
            // What enters the layer, times what the layers after it do to its gap.
            let entering = if layer == 0 {
                target.radius
            } else {
                states[layer - 1].original * states[layer - 1].ln_unit.exp()
            };
            let own = &whole[layer].layer;
            let after: f64 = whole[layer + 1..].iter().map(grown).product();
            let counts = steps(own.shape.len());
            let prepare = |&count: &u64| {
                let pruning = method.pruning(count, own.shape.len());
                Prepared::new(Layer { pruning, ..own.clone() })
            };
            Price {
                layer,
                prepared: counts.iter().map(prepare).collect(),
                counts,
                factor: entering * after * own.law.scale * own.activation.lipschitz,
                costs: Vec::new(),
                p,
                is_fixed_inputs: target.question == Question::Inputs,
            }
        };
        let is_chosen = |layer: &usize| chosen.get(*layer).copied().unwrap_or(false);
        Self { items: (0..whole.len()).filter(is_chosen).map(price).collect() }
    }

    fn compute(&mut self, ctx: &Context<'_>) -> Result<()> {
        for_each(
            &mut self.items,
            ctx,
            || (),
            |(), price| {
                ctx.check()?;
                price.compute();
                Ok(())
            },
        )
    }

    /// The counts of the largest budget that is found to be met.
    fn largest_met(
        &self,
        layers: usize,
        met: &mut dyn FnMut(&[u64]) -> Result<bool>,
        ctx: &Context<'_>,
    ) -> Result<Option<Vec<u64>>> {
        let total: f64 = self.items.iter().filter_map(|price| price.costs.last()).sum();
        if self.items.is_empty() || total == 0.0 || !total.is_finite() {
            return Ok(None);
        }
        let mut best = None;
        // From all of it down to a part in 2^40, by bisection on the exponent.
        let (mut low, mut high) = (-40.0_f64, 0.0_f64);
        for step in 0..14 {
            ctx.check()?;
            let exponent = if step == 0 { high } else { f64::midpoint(low, high) };
            let counts = self.split(layers, total * exponent.exp2());
            if met(&counts)? {
                best = Some(counts);
                low = exponent;
                if step == 0 {
                    break;
                }
            } else {
                high = exponent;
            }
        }
        Ok(best)
    }

    /// The counts with the largest total whose costs, rounded up to cells, add up to at most `budget`.
    fn split(&self, layers: usize, budget: f64) -> Vec<u64> {
        let mut totals = [0_u64; CELLS + 1];
        let mut picks: Vec<Vec<(usize, u64)>> = Vec::new();
        for price in &self.items {
            let affordable = price.affordable(budget);
            let pick = |cells: usize| {
                let with = |spent: usize| (totals[cells - spent] + affordable[spent], spent);
                let (total, spent) = (0..=cells).map(with).max().unwrap_or((0, 0));
                (spent, total)
            };
            let row: Vec<(usize, u64)> = (0..=CELLS).map(pick).collect();
            row.iter().zip(&mut totals).for_each(|((_, total), kept)| *kept = *total);
            picks.push(row);
        }
        let mut counts = vec![0; layers];
        let mut cells = CELLS;
        for (price, row) in self.items.iter().zip(&picks).rev() {
            let (spent, _) = row[cells];
            counts[price.layer] = price.affordable(budget)[spent];
            cells -= spent;
        }
        counts
    }
}

impl Price {
    fn compute(&mut self) {
        let cost = |prepared: &Prepared| match &prepared.masked {
            None => 0.0,
            Some(_) if self.is_fixed_inputs => {
                let whole = prepared.state.coefficients(self.p).ln_kept;
                (prepared.gap.coefficients(self.p).ln_pruned - whole).exp()
            }
            Some(masked) => self.factor * masked.norm(Part::Pruned, self.p, Detail::Full),
        };
        let mut most = 0.0;
        let rising = |prepared| {
            most = f64::max(most, cost(prepared));
            most
        };
        self.costs = self.prepared.iter().map(rising).collect();
        self.prepared.clear();
    }

    /// The largest count that so many cells of the budget pay for.
    fn affordable(&self, budget: f64) -> Vec<u64> {
        let within = |cells: usize| {
            let limit = budget * (cells as f64 / CELLS as f64);
            let last = self.costs.partition_point(|&cost| cost <= limit);
            last.checked_sub(1).map_or(0, |last| self.counts[last])
        };
        (0..=CELLS).map(within).collect()
    }
}

/// Counts of a layer of `len` weights, rising from zero to all.
fn steps(len: u64) -> Vec<u64> {
    let even = (1..=STEPS).map(|step| (len as f64 * step as f64 / STEPS as f64) as u64);
    let first = len as f64 / STEPS as f64;
    let geometric = (0..STEPS).map(|step| first.powf(step as f64 / STEPS as f64) as u64);
    let mut steps: Vec<u64> =
        std::iter::once(0).chain(geometric).chain(even).map(|step| step.min(len)).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// A width at which `floor(D^{1-alpha})` of the `D` weights of each layer but the first and the last can be pruned, and the
/// bound there: found by doubling and bisection to one part in 64, none up to 65536. Layers are width by width, weights
/// uniform on `+-k / sqrt(width)`, `relu` between them, inputs in the unit ball (4.2, the setting of Corollary 4.1).
///
/// # Errors
/// As for [`bounds`].
pub fn min_width(
    k: f64,
    depth: usize,
    alpha: f64,
    method: Method,
    target: &Target,
    ctx: &Context<'_>,
) -> Result<Option<(usize, f64)>> {
    const MOST: usize = 1 << 16;
    Error::check_range("alpha", alpha, 0.0, 1.0)?;
    let bound = |width: usize| -> Result<f64> {
        let len = (width * width) as u64;
        let count = ((len as f64).powf(1.0 - alpha) * (1.0 + 1e-12)) as u64;
        let is_inner = |i: usize| i > 0 && i + 1 < depth;
        let counts: Vec<u64> = (0..depth).map(|i| if is_inner(i) { count.min(len) } else { 0 }).collect();
        let network = square_network(width, depth, k)?;
        let answers = bounds(&[network], &[target.request(&counts, method)], target.question, ctx)?;
        Ok(answers[0].epsilon)
    };
    let mut high = 4;
    let mut found = bound(high)?;
    while found > target.epsilon {
        high *= 2;
        if high > MOST {
            return Ok(None);
        }
        found = bound(high)?;
    }
    let mut low = high / 2;
    while high - low > (high / 64).max(1) {
        let middle = usize::midpoint(low, high);
        let at = bound(middle)?;
        if at <= target.epsilon {
            (high, found) = (middle, at);
        } else {
            low = middle;
        }
    }
    Ok(Some((high, found)))
}

fn square_network(width: usize, depth: usize, k: f64) -> Result<Network> {
    let layer = |i: usize| {
        let activation = if i + 1 == depth { Activation::IDENTITY } else { Activation::RELU };
        let law = Law { family: Family::Uniform, scale: k / (width as f64).sqrt() };
        Layer::dense(width, width, law, super::Pruning::NONE, activation)
    };
    Network::new((0..depth).map(layer).collect(), None)
}

#[cfg(test)]
mod tests;
