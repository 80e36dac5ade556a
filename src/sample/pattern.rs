//! Random N:M groups: each a uniformly drawn subset.

use super::philox::philox;
use super::{Purpose, Stream, halves};
use crate::ratio::NofM;

/// Draws the kept entries of groups.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    shape: NofM,
    /// `choose[n][k]`: subsets of size k of n entries.
    choose: Vec<Vec<u32>>,
}

impl Pattern {
    pub fn new(pattern: NofM) -> Self {
        let mut choose = vec![vec![1]];
        for n in 1..=pattern.group() {
            let last = &choose[n - 1];
            choose.push(
                (0..=n).map(|k| last.get(k).unwrap_or(&0) + if k > 0 { last[k - 1] } else { 0 }).collect(),
            );
        }
        Self { shape: pattern, choose }
    }

    pub fn shape(&self) -> NofM {
        self.shape
    }

    /// The kept entries of group number `group`, drawn from those whose bit is set in `available`.
    pub fn draw(&self, stream: Stream, group: u64, available: u32) -> u32 {
        let len = available.count_ones() as usize;
        let kept = self.shape.kept().min(len);
        let rank = below(stream, group, self.choose[len][kept]);
        self.subset(rank, len, kept, available)
    }

    /// Subset number `rank` of size `kept` of the `len` set bits of `available`, in the combinatorial number
    /// system.
    fn subset(&self, rank: u32, len: usize, kept: usize, available: u32) -> u32 {
        let (mut rank, mut kept, mut left, mut subset) = (rank, kept, available, 0);
        for after in (0..len).rev() {
            // Subsets that leave this entry out come first.
            let bit = left & left.wrapping_neg();
            let without = self.choose[after].get(kept).copied().unwrap_or(0);
            if rank >= without {
                rank -= without;
                kept -= 1;
                subset |= bit;
            }
            left ^= bit;
            if kept == 0 {
                break;
            }
        }
        subset
    }
}

/// Uniform in `0..bound`: Lemire's method with 32-bit words, the first from a block that four groups share,
/// the rare further ones from blocks of the group's own.
fn below(stream: Stream, group: u64, bound: u32) -> u32 {
    let [low, high] = halves(group / 4);
    let mut word = philox([low, high, 0, Purpose::Pattern as u32], stream.0)[(group % 4) as usize];
    let [low, high] = halves(group);
    let mut attempt = 0;
    loop {
        let product = u64::from(word) * u64::from(bound);
        let fraction = product as u32;
        if fraction >= bound || fraction >= bound.wrapping_neg() % bound {
            return (product >> 32) as u32;
        }
        word = philox([low, high, attempt, Purpose::Retry as u32], stream.0)[0];
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_number_the_subsets_of_each_size() {
        for (kept, group) in [(1, 1), (2, 4), (1, 4), (4, 8), (3, 7), (8, 8)] {
            let pattern = Pattern::new(NofM::new(kept, group).expect("in range"));
            let total = pattern.choose[group as usize][kept as usize];
            let mut subsets: Vec<_> = (0..total)
                .map(|rank| pattern.subset(rank, group as usize, kept as usize, u32::MAX >> (32 - group)))
                .collect();
            assert!(subsets.iter().all(|subset| subset.count_ones() == kept));
            subsets.sort_unstable();
            subsets.dedup();
            assert_eq!(subsets.len() as u32, total);
        }
    }

    #[test]
    fn only_available_entries_are_drawn() {
        let pattern = Pattern::new(NofM::new(2, 4).expect("in range"));
        for group in 0..100 {
            let stream = Stream::of_position(7, 0);
            assert_eq!(pattern.draw(stream, group, 0b1010), 0b1010);
            assert_eq!(pattern.draw(stream, group, 0b0100), 0b0100);
            assert_eq!(pattern.draw(stream, group, 0b0111) & 0b1000, 0);
        }
    }
}
