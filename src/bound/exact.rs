//! Exact moments of tiny matrices by enumeration, for tests.

use super::law::{Family, Side, ln_plain_moment};
use super::shape::Part;

/// How often a closed walk uses each of the `rows * cols` entries.
type Uses = Vec<usize>;

/// Calls `visit` for each closed walk of `Tr (X X^T)^p` that uses every entry an even number of times.
fn walks(rows: usize, cols: usize, p: usize, visit: &mut dyn FnMut(&Uses)) {
    let total = (rows * cols).pow(p as u32);
    for code in 0..total {
        let mut rest = code;
        let steps: Vec<(usize, usize)> = (0..p)
            .map(|_| {
                let step = (rest % rows, rest / rows % cols);
                rest /= rows * cols;
                step
            })
            .collect();
        let mut uses = vec![0; rows * cols];
        for (step, &(row, col)) in steps.iter().enumerate() {
            uses[row * cols + col] += 1;
            uses[steps[(step + 1) % p].0 * cols + col] += 1;
        }
        if uses.iter().all(|uses| uses % 2 == 0) {
            visit(&uses);
        }
    }
}

/// `count (count-1) .. / (len (len-1) ..)` of so many factors.
fn drawn(count: u64, len: u64, factors: usize) -> f64 {
    (0..factors as u64).map(|j| count.saturating_sub(j) as f64 / (len - j) as f64).product()
}

fn moments(family: &Family, side: Side, p: usize) -> Vec<f64> {
    std::iter::once(1.0).chain((1..=p).map(|j| ln_plain_moment(family, side, j).exp())).collect()
}

fn sum(rows: usize, cols: usize, p: usize, term: &dyn Fn(&Uses) -> f64) -> f64 {
    let mut total = 0.0;
    walks(rows, cols, p, &mut |uses| total += term(uses));
    total
}

/// `E Tr (X X^T)^p` where `count` uniformly drawn entries are of `side`, the others zero.
pub(super) fn random_trace(
    family: &Family,
    side: Side,
    (rows, cols): (usize, usize),
    count: u64,
    p: usize,
) -> f64 {
    let moments = moments(family, side, p);
    let len = (rows * cols) as u64;
    sum(rows, cols, p, &|uses| {
        let used = uses.iter().filter(|&&uses| uses > 0).count();
        drawn(count, len, used) * uses.iter().map(|&uses| moments[uses / 2]).product::<f64>()
    })
}

/// The same where each entry is nonzero on its own with that chance.
pub(super) fn bernoulli_trace(family: &Family, (rows, cols): (usize, usize), chance: f64, p: usize) -> f64 {
    let moments = moments(family, super::law::WHOLE, p);
    sum(rows, cols, p, &|uses| {
        let factor = |&uses: &usize| if uses > 0 { chance * moments[uses / 2] } else { 1.0 };
        uses.iter().map(factor).product()
    })
}

/// `E f(V)` of the threshold of `count` of `len`, by the midpoint rule.
fn over_threshold(count: u64, len: u64, f: &dyn Fn(f64) -> f64) -> f64 {
    const NODES: usize = 4000;
    let (mut total, mut mass) = (0.0, 0.0);
    for node in 0..NODES {
        let v = (node as f64 + 0.5) / NODES as f64;
        let density = v.powi(count as i32) * (1.0 - v).powi((len - count - 1) as i32);
        total += density * f(v);
        mass += density;
    }
    total / mass
}

/// `E Tr (X X^T)^p` of one part after pruning the `count` smallest, `count` below the number of entries.
pub(super) fn magnitude_trace(
    family: &Family,
    part: Part,
    shape: (usize, usize),
    count: u64,
    p: usize,
) -> f64 {
    let (rows, cols) = shape;
    let len = (rows * cols) as u64;
    // Walks by their uses, so that the integral does not go through all of them.
    let mut patterns: Vec<(Uses, f64)> = Vec::new();
    walks(rows, cols, p, &mut |uses| {
        let mut used: Uses = uses.iter().copied().filter(|&uses| uses > 0).collect();
        used.sort_unstable();
        match patterns.iter_mut().find(|(known, _)| *known == used) {
            Some((_, number)) => *number += 1.0,
            None => patterns.push((used, 1.0)),
        }
    });
    over_threshold(count, len, &|v| match part {
        Part::Pruned => {
            let moments = moments(family, Side::Below(v), p);
            let term = |(used, number): &(Uses, f64)| {
                number
                    * drawn(count, len, used.len())
                    * used.iter().map(|uses| moments[uses / 2]).product::<f64>()
            };
            patterns.iter().map(term).sum()
        }
        Part::Kept => {
            let (moments, least) = (moments(family, Side::Above(v), p), family.quantile(v));
            let kept = len - count;
            let term = |(used, number): &(Uses, f64)| {
                let all: f64 = used.iter().map(|uses| moments[uses / 2]).product();
                // One kept entry, drawn uniformly, is at the threshold.
                let with_least: f64 =
                    used.iter().map(|&uses| all / moments[uses / 2] * least.powi(uses as i32)).sum();
                let without = (kept.saturating_sub(used.len() as u64)) as f64 / kept as f64;
                number * drawn(kept, len, used.len()) * (all * without + with_least / kept as f64)
            };
            patterns.iter().map(term).sum()
        }
    })
}

/// `E Tr (X X^T)^p` of `[kept, c pruned]` where `count` uniformly drawn entries are pruned.
pub(super) fn joint_trace(
    family: &Family,
    (rows, cols): (usize, usize),
    count: u64,
    c: f64,
    p: usize,
) -> f64 {
    let moments = moments(family, super::law::WHOLE, p);
    let len = (rows * cols) as u64;
    sum(rows, 2 * cols, p, &|uses| {
        let of = |row: usize, col: usize| uses[row * 2 * cols + col];
        let (mut kept, mut pruned, mut product) = (0, 0, 1.0);
        for row in 0..rows {
            for col in 0..cols {
                let (one, other) = (of(row, col), of(row, cols + col));
                if one > 0 && other > 0 {
                    return 0.0;
                }
                kept += u64::from(one > 0);
                pruned += u64::from(other > 0);
                product *= moments[usize::midpoint(one, other)] * c.powi(other as i32);
            }
        }
        let falling =
            |from: u64, factors: u64| (0..factors).map(|j| from.saturating_sub(j) as f64).product::<f64>();
        product * falling(len - count, kept) * falling(count, pruned) / falling(len, kept + pruned)
    })
}
