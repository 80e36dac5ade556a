//! Random N:M groups: each a uniformly drawn subset.

use super::philox::{philox, philox_many};
use super::{Purpose, Stream, halves};
use crate::ratio::NofM;

/// A group has so few subsets at the most that they are listed.
const LISTED: u32 = 1 << 14;

/// Philox blocks made at a time.
const BLOCKS: usize = 16;

/// Draws the kept entries of groups.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    shape: NofM,
    /// The subsets of a whole group in the order of their ranks, if they are few.
    subsets: Vec<u32>,
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
        let mut it = Self { shape: pattern, subsets: Vec::new(), choose };
        let (kept, group) = (pattern.kept(), pattern.group());
        let total = it.choose[group][kept];
        if total <= LISTED {
            it.subsets = (0..total).map(|rank| it.subset(rank, group, kept, it.whole())).collect();
        }
        it
    }

    pub fn shape(&self) -> NofM {
        self.shape
    }

    /// A group of which every entry is available.
    pub fn whole(&self) -> u32 {
        u32::MAX >> (32 - self.shape.group())
    }

    /// The kept entries of group number `group`, drawn from those whose bit is set in `available`.
    pub fn draw(&self, words: &mut Words, group: u64, available: u32) -> u32 {
        let len = available.count_ones() as usize;
        let kept = self.shape.kept().min(len);
        let rank = words.below(group, self.choose[len][kept]);
        match self.subsets.get(rank as usize) {
            Some(&subset) if len == self.shape.group() => subset,
            _ => self.subset(rank, len, kept, available),
        }
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

/// The words of a stream that groups are drawn with: four groups share a block.
pub(crate) struct Words {
    stream: Stream,
    first_block: u64,
    blocks: [[u32; BLOCKS]; 4],
}

impl Words {
    pub fn new(stream: Stream) -> Self {
        Self { stream, first_block: u64::MAX, blocks: [[0; BLOCKS]; 4] }
    }

    /// Uniform in `0..bound`: Lemire's method with 32-bit words, the first from the shared block, the rare further
    /// ones from blocks of the group's own.
    fn below(&mut self, group: u64, bound: u32) -> u32 {
        let mut word = self.word(group);
        let mut attempt = 0;
        loop {
            let product = u64::from(word) * u64::from(bound);
            let fraction = product as u32;
            if fraction >= bound || fraction >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
            let [low, high] = halves(group);
            [word, ..] = philox([low, high, attempt, Purpose::Retry as u32], self.stream.0);
            attempt += 1;
        }
    }

    fn word(&mut self, group: u64) -> u32 {
        let block = group / 4;
        let first = block - block % BLOCKS as u64;
        if first != self.first_block {
            let numbers: [[u32; 2]; BLOCKS] = std::array::from_fn(|lane| halves(first + lane as u64));
            let (low, high) = (numbers.map(|[low, _]| low), numbers.map(|[_, high]| high));
            let counters = [low, high, [0; BLOCKS], [Purpose::Pattern as u32; BLOCKS]];
            (self.first_block, self.blocks) = (first, philox_many(counters, self.stream.0));
        }
        self.blocks[(group % 4) as usize][(block - first) as usize]
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
        let mut words = Words::new(Stream::of_position(7, 0));
        for group in 0..100 {
            assert_eq!(pattern.draw(&mut words, group, 0b1010), 0b1010);
            assert_eq!(pattern.draw(&mut words, group, 0b0100), 0b0100);
            assert_eq!(pattern.draw(&mut words, group, 0b0111) & 0b1000, 0);
        }
    }
}
