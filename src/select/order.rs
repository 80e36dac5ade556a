//! Order statistics of many keys in groups, by histograms on all threads.

use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::parallel::{Context, for_each, lock};

/// Bins of a histogram, as a power of two.
const BIN_BITS: u32 = 12;

/// So few keys are sorted rather than counted again.
const FEW: u64 = 1 << 15;

/// Keys that one thread visits.
pub(crate) trait Keys: Send {
    /// Memory to use again from group to group.
    type State: Default;

    /// Calls `visit` with every key.
    ///
    /// # Errors
    /// When they cannot be read.
    fn visit(&self, state: &mut Self::State, visit: impl FnMut(i64), ctx: &Context<'_>) -> Result<()>;
}

/// A key, its place among the equal ones (the first is 1), and their number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nth {
    pub key: i64,
    pub place: u64,
    pub ties: u64,
}

/// Keys that have been counted once, so that any of their order statistics is near.
pub(crate) struct Counted {
    histogram: Histogram,
}

impl Counted {
    /// Counts the keys, which all lie in `low..=high`.
    pub fn new<G: Keys>(groups: &mut [G], (low, high): (i64, i64), ctx: &Context<'_>) -> Result<Self> {
        Ok(Self { histogram: count(groups, low, high, ctx)? })
    }

    /// For each rank, the key of that rank from the top (the first is 1) of the same groups. No rank is above
    /// the number of keys.
    pub fn find<G: Keys, const N: usize>(
        &self,
        groups: &mut [G],
        ranks: [u64; N],
        ctx: &Context<'_>,
    ) -> Result<[Nth; N]> {
        let mut bins = ranks.map(|rank| self.histogram.find(rank));
        for bin in &mut bins {
            while bin.low < bin.high && bin.count > FEW {
                *bin = count(groups, bin.low, bin.high, ctx)?.find(bin.rank);
            }
        }
        if bins.iter().all(|bin| bin.low == bin.high) {
            return Ok(bins.map(|bin| Nth { key: bin.low, place: bin.rank, ties: bin.count }));
        }
        let gathered = [(); N].map(|()| Mutex::new(Vec::new()));
        for_each(groups, ctx, G::State::default, |state, group| {
            let mut own = [(); N].map(|()| Vec::new());
            let visit = |key| {
                for (bin, own) in bins.iter().zip(&mut own) {
                    if bin.low < bin.high && (bin.low..=bin.high).contains(&key) {
                        own.push(key);
                    }
                }
            };
            group.visit(state, visit, ctx)?;
            for (all, mut own) in gathered.iter().zip(own) {
                lock(all).append(&mut own);
            }
            Ok(())
        })?;
        let mut gathered = gathered.into_iter();
        Ok(bins.map(|bin| {
            let keys = gathered.next().map(Mutex::into_inner);
            let keys = keys.map(|keys| keys.unwrap_or_else(PoisonError::into_inner)).unwrap_or_default();
            bin.pick(keys)
        }))
    }
}

/// Keys in `low..=high`, counted in equal ranges.
struct Histogram {
    low: i64,
    shift: u32,
    counts: Vec<u64>,
}

/// A range of keys, how many there are, and a rank among them from the top.
#[derive(Clone, Copy)]
struct Bin {
    low: i64,
    high: i64,
    count: u64,
    rank: u64,
}

impl Bin {
    /// The order statistic, given the keys of the bin unless they are all one.
    fn pick(self, mut keys: Vec<i64>) -> Nth {
        if self.low == self.high {
            return Nth { key: self.low, place: self.rank, ties: self.count };
        }
        let (_, &mut key, above) = keys.select_nth_unstable((self.count - self.rank) as usize);
        let num_above = above.iter().filter(|&&other| other > key).count() as u64;
        let ties = keys.iter().filter(|&&other| other == key).count() as u64;
        Nth { key, place: self.rank - num_above, ties }
    }
}

impl Histogram {
    fn new(low: i64, high: i64) -> Self {
        let shift = (u64::BITS - high.abs_diff(low).leading_zeros()).saturating_sub(BIN_BITS);
        Self { low, shift, counts: vec![0; 1 << BIN_BITS] }
    }

    fn find(&self, rank: u64) -> Bin {
        let mut rank = rank;
        for (bin, &count) in self.counts.iter().enumerate().rev() {
            if rank <= count {
                let low = self.low.wrapping_add_unsigned((bin as u64) << self.shift);
                return Bin { low, high: low.saturating_add_unsigned((1 << self.shift) - 1), count, rank };
            }
            rank -= count;
        }
        unreachable!("a rank is at most the number of keys counted")
    }
}

fn count<G: Keys>(groups: &mut [G], low: i64, high: i64, ctx: &Context<'_>) -> Result<Histogram> {
    let empty = Histogram::new(low, high);
    let shift = empty.shift;
    let total = Mutex::new(empty);
    for_each(groups, ctx, G::State::default, |state, group| {
        let mut counts = vec![0_u64; 1 << BIN_BITS];
        let visit = |key: i64| {
            if (low..=high).contains(&key) {
                counts[(key.abs_diff(low) >> shift) as usize] += 1;
            }
        };
        group.visit(state, visit, ctx)?;
        let mut total = lock(&total);
        total.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        Ok(())
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}
