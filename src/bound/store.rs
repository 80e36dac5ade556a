//! What networks with equal layers share: a matrix is known by its shape, the family of its law and what is pruned.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::dense::Dense;
use super::inputs::Fluctuation;
use super::law::Family;
use super::layer::{Layer, Prepared};
use super::masked::Masked;
use super::shape::{Pruning, Shape};

type DenseKey = (Shape, usize);
type MaskedKey = (DenseKey, u8, [u64; 3]);
type FluctuationKey = (DenseKey, Option<MaskedKey>, u64);
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Matrices by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Store {
    dense: Map<DenseKey, Arc<Dense>>,
    masked: Map<MaskedKey, Arc<Masked>>,
    fluctuations: Map<FluctuationKey, Arc<Fluctuation>>,
}

/// Pruned matrices kept: each holds some kilobytes.
const MOST: usize = 1 << 12;

impl Store {
    /// The layer, with what it shares.
    pub fn prepare(&mut self, layer: Layer) -> Prepared {
        let dense_key = (layer.shape, family_key(&layer.law.family));
        let new_dense = || Arc::new(Dense::new(layer.shape, layer.law.family.clone()));
        let dense = Arc::clone(self.dense.entry(dense_key).or_insert_with(new_dense));
        let masked_key = layer.is_pruned().then(|| (dense_key, kind(layer.pruning), numbers(layer.pruning)));
        let masked = masked_key.map(|key| {
            let new_masked = || Arc::new(Masked::new(Arc::clone(&dense), layer.pruning));
            Arc::clone(self.masked.entry(key).or_insert_with(new_masked))
        });
        let mut fluctuation = |key: Option<MaskedKey>, masked: Option<&Arc<Masked>>, half: f64| {
            let new = || Arc::new(Fluctuation::new(Arc::clone(&dense), masked.cloned(), half));
            Arc::clone(self.fluctuations.entry((dense_key, key, half.to_bits())).or_insert_with(new))
        };
        let gap = fluctuation(masked_key, masked.as_ref(), layer.gap_half());
        let state = if layer.pruning.is_given() {
            fluctuation(masked_key, masked.as_ref(), layer.state_half())
        } else {
            fluctuation(None, None, layer.state_half())
        };
        let pruned_state = if masked.is_none() {
            Arc::clone(&state)
        } else if layer.state_half().to_bits() == layer.gap_half().to_bits() {
            Arc::clone(&gap)
        } else {
            fluctuation(masked_key, masked.as_ref(), layer.state_half())
        };
        Prepared::with(layer, dense, masked, [gap, state, pruned_state])
    }

    /// The layers, with what they share: equal ones in a row are looked up once.
    pub fn prepare_all(&mut self, layers: impl IntoIterator<Item = Layer>) -> Vec<Prepared> {
        let mut ready: Vec<Prepared> = Vec::new();
        for layer in layers {
            let next = match ready.last() {
                Some(last) if last.layer == layer => last.clone(),
                _ => self.prepare(layer),
            };
            ready.push(next);
        }
        ready
    }

    /// Forgets pruned matrices once they are many.
    pub fn trim(&mut self) {
        if self.masked.len() > MOST {
            self.masked.clear();
            self.fluctuations.clear();
        }
    }
}

/// Mixes the words of a key by a multiplication each: keys are sizes and counts that no one chooses to collide.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }
}

/// Tables are one where they are one object, which layers that share them keep alive.
fn family_key(family: &Family) -> usize {
    match family {
        Family::Uniform => 0,
        Family::Normal => 1,
        Family::Laplace => 2,
        Family::Table(table) => Arc::as_ptr(table).addr(),
    }
}

fn kind(pruning: Pruning) -> u8 {
    match pruning {
        Pruning::Magnitude(_) => 0,
        Pruning::Random(_) => 1,
        Pruning::Bernoulli(_) => 2,
        Pruning::Between { .. } => 3,
        Pruning::Given { .. } => 4,
    }
}

fn numbers(pruning: Pruning) -> [u64; 3] {
    match pruning {
        Pruning::Magnitude(count) | Pruning::Random(count) => [count, 0, 0],
        Pruning::Bernoulli(ratio) => [ratio.to_bits(), 0, 0],
        Pruning::Between { low, high } => [low.to_bits(), high.to_bits(), 0],
        Pruning::Given { level, least, most } => [level.to_bits(), least, most],
    }
}
