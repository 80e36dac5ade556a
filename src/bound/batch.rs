//! Many bounds at once, on all threads, with what they share computed once.

use std::collections::HashMap;

use super::ball::{Ball, ln_ball_gap};
use super::covering::{Net, dimension};
use super::inputs::ln_input_gap;
use super::layer::Prepared;
use super::network::{Method, Network};
use super::orders::{Best, Detail, ORDERS, PATIENCE, epsilon};
use super::shape::Part;
use super::smoothing::{Linear, smoothing_bounds};
use super::store::Store;
use crate::error::{Error, Result};
use crate::parallel::{Context, for_each};

/// What computed bounds are raised by, relatively, against the rounding of all that leads to them.
pub const ROUNDING: f64 = 1e-9;

/// Networks that are made ready before the threads get to work on them.
const ROOM: usize = 1024;

/// Which bound is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Over the ball: Theorem 1.
    Ball,
    /// At so many fixed inputs: Theorem 2.
    Inputs,
    /// Over the ball: Theorem 3.
    Covering,
    /// Over the ball: Theorem 6.
    Smoothing,
    /// Over the ball: the smaller of Theorems 1 and 6, which is at most Theorem 3.
    Best,
}

impl Question {
    /// The theorems that answer it.
    fn theorems(self) -> &'static [u8] {
        match self {
            Self::Ball => &[1],
            Self::Inputs => &[2],
            Self::Covering => &[3],
            Self::Smoothing => &[6],
            Self::Best => &[1, 6],
        }
    }
}

/// One bound asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The position of its network.
    pub network: usize,
    /// How many weights are pruned in each layer.
    pub counts: &'a [u64],
    /// How they are chosen.
    pub method: Method,
    /// The chance with which the bound may fail, above 0, at most 1.
    pub delta: f64,
    /// The largest norm of an input, at least 0.
    pub radius: f64,
    /// The number of inputs, at least 1; only for [`Question::Inputs`].
    pub inputs: f64,
}

/// A bound, raised by [`ROUNDING`], and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The bound; infinite where there is none.
    pub epsilon: f64,
    /// The order of its moments, zero where there is none.
    pub p: usize,
    /// The number of its theorem.
    pub theorem: u8,
}

impl Answer {
    pub(crate) const NONE: Self = Self { epsilon: f64::INFINITY, p: 0, theorem: 0 };

    fn new(best: Best, theorem: u8) -> Self {
        Self { epsilon: epsilon(best.ln_epsilon) * (1.0 + ROUNDING), p: best.p, theorem }
    }
}

/// Requests that differ only in numbers that enter at the end.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    network: usize,
    method: Method,
    counts: &'a [u64],
    radius: u64,
}

/// The requests of one key, and their answers.
struct Group {
    layers: Vec<Prepared>,
    /// The layers again, where Theorem 6 is asked for and there are no activations.
    linear: Option<Linear>,
    dimension: Option<usize>,
    /// The radius of the moments: one where bounds are proportional to it.
    radius: f64,
    /// `ln` of the inputs over delta, and of the factor from that radius to the one asked for.
    ends: Vec<(f64, f64)>,
    members: Vec<usize>,
    answers: Vec<(Best, u8)>,
}

/// Bounds for all requests.
///
/// # Errors
/// [`Error::OutOfRange`] and [`Error::CountOutOfRange`] for requests that make no sense, before anything is computed;
/// [`Error::Interrupted`].
pub fn bounds(
    networks: &[Network],
    requests: &[Request<'_>],
    question: Question,
    ctx: &Context<'_>,
) -> Result<Vec<Answer>> {
    requests.iter().try_for_each(|request| check(networks, request))?;
    let mut answers = vec![Answer::NONE; requests.len()];
    let mut store = Store::default();
    for keys in grouped(networks, requests).chunks(ROOM) {
        store.trim();
        let prepare = |(key, members): &(Key<'_>, Vec<usize>)| {
            Group::new(networks, requests, key, members, question, &mut store)
        };
        let mut groups = keys.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        for_each(
            &mut groups,
            ctx,
            || (),
            |(), group| {
                group.answer(question);
                ctx.advance(group.members.len());
                Ok(())
            },
        )?;
        for group in groups {
            for (member, (best, theorem)) in group.members.into_iter().zip(group.answers) {
                answers[member] = Answer::new(best, theorem);
            }
        }
    }
    Ok(answers)
}

/// The bound for one request of one network, its matrices kept in `store`.
pub(crate) fn single(
    network: &Network,
    request: &Request<'_>,
    question: Question,
    store: &mut Store,
) -> Result<Answer> {
    let (networks, requests) = (std::slice::from_ref(network), std::slice::from_ref(request));
    check(networks, request)?;
    let mut answer = Answer::NONE;
    for (key, members) in grouped(networks, requests) {
        let mut group = Group::new(networks, requests, &key, &members, question, store)?;
        group.answer(question);
        for (best, theorem) in group.answers {
            answer = Answer::new(best, theorem);
        }
    }
    Ok(answer)
}

/// The bound for layers that are ready, `ln_chance` being that of the inputs over delta.
pub(crate) fn answer(
    layers: Vec<Prepared>,
    dimension: Option<usize>,
    radius: f64,
    ln_chance: f64,
    question: Question,
) -> Answer {
    let (ends, members) = (vec![(ln_chance, 0.0)], vec![0]);
    let linear = Linear::new(&layers, Prepared::new).filter(|_| question.theorems().contains(&6));
    let mut group = Group { layers, linear, dimension, radius, ends, members, answers: Vec::new() };
    group.answer(question);
    let (best, theorem) = group.answers[0];
    Answer::new(best, theorem)
}

fn check(networks: &[Network], request: &Request<'_>) -> Result<()> {
    let last = networks.len().saturating_sub(1) as f64;
    Error::check_range("position of a network", request.network as f64, 0.0, last)?;
    Error::check_range("delta", request.delta, f64::from_bits(1), 1.0)?;
    Error::check_range("radius", request.radius, 0.0, f64::MAX)?;
    Error::check_range("inputs", request.inputs, 1.0, f64::MAX)?;
    let layers = networks[request.network].layers();
    for (layer, &count) in layers.iter().zip(request.counts) {
        let len = layer.shape.len();
        if count > len {
            return Err(Error::CountOutOfRange { got: count, len, group: "a layer".to_owned() });
        }
    }
    Ok(())
}

/// The requests by their keys, in the order in which these first appear.
fn grouped<'a>(networks: &[Network], requests: &[Request<'a>]) -> Vec<(Key<'a>, Vec<usize>)> {
    let homogeneous: Vec<bool> = networks.iter().map(Network::is_homogeneous).collect();
    let mut places: HashMap<Key<'a>, usize> = HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let free = homogeneous[request.network] && request.radius > 0.0;
        let radius = if free { 1.0 } else { request.radius };
        let Request { network, method, counts, .. } = *request;
        let counts = &counts[..counts.len().min(networks[network].layers().len())];
        let place =
            *places.entry(Key { network, method, counts, radius: radius.to_bits() }).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
        members[place].push(index);
    }
    let mut keys: Vec<(usize, Key<'a>)> = places.into_iter().map(|(key, place)| (place, key)).collect();
    keys.sort_unstable_by_key(|(place, _)| *place);
    keys.into_iter().map(|(_, key)| key).zip(members).collect()
}

impl Group {
    fn new(
        networks: &[Network],
        requests: &[Request<'_>],
        key: &Key<'_>,
        members: &[usize],
        question: Question,
        store: &mut Store,
    ) -> Result<Self> {
        let network = &networks[key.network];
        let layers = network.pruned(key.counts, key.method)?;
        let radius = f64::from_bits(key.radius);
        let end = |&member: &usize| {
            let Request { delta, radius: asked, inputs, .. } = requests[member];
            let inputs = if question == Question::Inputs { inputs } else { 1.0 };
            let ln_radius = if asked > 0.0 { asked.ln() - radius.ln() } else { 0.0 };
            (inputs.ln() - delta.ln(), ln_radius)
        };
        let layers = store.prepare_all(layers);
        let smooth = question.theorems().contains(&6);
        let linear = if smooth { Linear::new(&layers, |layer| store.prepare(layer)) } else { None };
        Ok(Self {
            layers,
            linear,
            dimension: network.dimension,
            radius,
            ends: members.iter().map(end).collect(),
            members: members.to_vec(),
            answers: Vec::new(),
        })
    }

    fn answer(&mut self, question: Question) {
        self.answers = vec![(Best::NONE, question.theorems()[0]); self.members.len()];
        if self.layers.iter().all(|layer| layer.masked.is_none()) {
            let nothing = Best { ln_epsilon: f64::NEG_INFINITY, p: ORDERS[0] };
            self.answers.iter_mut().for_each(|answer| answer.0 = nothing);
            return;
        }
        for &theorem in question.theorems() {
            let minima = match theorem {
                6 => self.smoothed(),
                _ => self.minima(|p, detail| self.ln_gap(theorem, p, detail)),
            };
            for (answer, best) in self.answers.iter_mut().zip(minima) {
                if best.ln_epsilon < answer.0.ln_epsilon {
                    *answer = (best, theorem);
                }
            }
        }
    }

    /// The smaller of the two forms of Theorem 6.
    fn smoothed(&self) -> Vec<Best> {
        let ball = self.ball();
        let mut found = smoothing_bounds(&self.layers, ball, &self.ends);
        if let Some(linear) = &self.linear {
            let others = self.minima(|p, detail| linear.ln_gap(&self.layers, ball, p, detail));
            for (best, other) in found.iter_mut().zip(others) {
                if other.ln_epsilon < best.ln_epsilon {
                    *best = other;
                }
            }
        }
        found
    }

    /// For each end the least bound over the orders.
    fn minima(&self, ln_gap: impl Fn(usize, Detail) -> f64) -> Vec<Best> {
        let is_regular = |layer: &Prepared| {
            let Some(masked) = &layer.masked else { return true };
            let shape = layer.layer.shape;
            let rarer =
                [Part::Pruned, Part::Kept].map(|part| masked.chance(part)).into_iter().fold(1.0, f64::min);
            masked.cells().len() == 1
                && layer.dense.family.is_settled()
                && shape.rows.min(shape.cols) as f64 * rarer >= LEAST_REGULAR
        };
        if self.layers.iter().all(is_regular) {
            minima_nearby(&self.ends, |p| ln_gap(p, Detail::Full))
        } else {
            minima(&self.ends, ln_gap)
        }
    }

    fn ball(&self) -> Ball {
        Ball { radius: self.radius, dimension: self.dimension }
    }

    fn ln_gap(&self, theorem: u8, p: usize, detail: Detail) -> f64 {
        let ball = self.ball();
        match theorem {
            1 => ln_ball_gap(&self.layers, ball, p, detail),
            2 => ln_input_gap(&self.layers, self.radius, p, detail),
            _ => dimension(&self.layers, ball).map_or(f64::INFINITY, |dimension| {
                Net::new(&self.layers, self.radius, p, detail).ln_ball_gap(self.radius, dimension, p)
            }),
        }
    }
}

/// `ln` of the bound at one end.
fn at(&(ln_chance, ln_radius): &(f64, f64), ln_gap: f64, p: usize) -> f64 {
    ln_gap + ln_radius + ln_chance / (2 * p) as f64
}

/// Where a line of the rarer part has fewer entries on average, effective sizes are so small that their rounding shows.
const LEAST_REGULAR: f64 = 32.0;
/// Of the orders every third is looked at first.
const STRIDE: usize = 3;
/// Until so many of these in a row are no better.
const COARSE_PATIENCE: usize = 3;
/// One less suffices where the last is that far above the least, in logarithms.
const FAR: f64 = 0.1;
/// All around minima of these that are less far above the least are looked at.
const NEAR: f64 = 0.3;

/// For each end the least bound over every third order, and over all around the minima of these, for bounds of which no
/// detail can be spared.
///
/// Were moments exact, the logarithms of their roots would be convex in `1 / 2p` (Lyapunov), and so those of their products
/// and sums, which networks have: there is one minimum, up to the rounding of effective sizes to integers and changes from
/// one candidate to another. Each order has a bound, whichever are looked at.
fn minima_nearby(ends: &[(f64, f64)], ln_gap: impl Fn(usize) -> f64) -> Vec<Best> {
    let mut known = [None; ORDERS.len()];
    let mut value = |end: &(f64, f64), slot: usize| {
        let p = ORDERS[slot];
        at(end, *known[slot].get_or_insert_with(|| ln_gap(p)), p)
    };
    let mut minimum = |end: &(f64, f64)| {
        let (mut coarse, mut least, mut worse) = (Vec::new(), f64::INFINITY, 0);
        for slot in (0..ORDERS.len()).step_by(STRIDE) {
            let found = value(end, slot);
            coarse.push(found);
            (least, worse) = if found < least { (found, 0) } else { (least, worse + 1) };
            if worse >= COARSE_PATIENCE || (worse + 1 >= COARSE_PATIENCE && found > least + FAR) {
                break;
            }
        }
        let mut best = Best::NONE;
        for (i, &found) in coarse.iter().enumerate() {
            let before = i.checked_sub(1).map_or(f64::INFINITY, |before| coarse[before]);
            let after = coarse.get(i + 1).copied().unwrap_or(f64::INFINITY);
            if found > before.min(after) || found > least + NEAR {
                continue;
            }
            let around = (STRIDE * i + 1).saturating_sub(STRIDE)..(STRIDE * (i + 1)).min(ORDERS.len());
            for (slot, &p) in ORDERS.iter().enumerate().skip(around.start).take(around.len()) {
                let ln_epsilon = value(end, slot);
                if ln_epsilon < best.ln_epsilon {
                    best = Best { ln_epsilon, p };
                }
            }
        }
        best
    };
    ends.iter().map(&mut minimum).collect()
}

/// For each end the least bound over the orders, which rise until several in a row have no lesser number below their
/// bound; bounds are worked out only for orders that may have the least.
fn minima(ends: &[(f64, f64)], ln_gap: impl Fn(usize, Detail) -> f64) -> Vec<Best> {
    let mut least: Vec<(usize, f64)> = Vec::with_capacity(ORDERS.len());
    let mut found = vec![(f64::INFINITY, 0); ends.len()];
    for p in ORDERS {
        let ln_least = ln_gap(p, Detail::Least);
        least.push((p, ln_least));
        let mut is_over = true;
        for ((lowest, worse), end) in found.iter_mut().zip(ends) {
            let value = at(end, ln_least, p);
            (*lowest, *worse) = if value < *lowest { (value, 0) } else { (*lowest, *worse + 1) };
            is_over &= *worse >= PATIENCE;
        }
        if is_over {
            break;
        }
    }
    let mut full: Vec<Option<f64>> = vec![None; least.len()];
    let minimum = |end: &(f64, f64)| {
        let mut open: Vec<(f64, usize)> =
            least.iter().enumerate().map(|(slot, &(p, ln_least))| (at(end, ln_least, p), slot)).collect();
        open.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let mut best = Best::NONE;
        for (value, slot) in open {
            if value >= best.ln_epsilon {
                break;
            }
            let p = least[slot].0;
            let ln_full = *full[slot].get_or_insert_with(|| ln_gap(p, Detail::Full));
            let ln_epsilon = at(end, ln_full, p);
            if ln_epsilon < best.ln_epsilon {
                best = Best { ln_epsilon, p };
            }
        }
        best
    };
    ends.iter().map(minimum).collect()
}

#[cfg(test)]
mod tests;
