//! Random masks: pure functions of (seed, name or position of the array, shape, count).
//!
//! # The stream, version 1
//!
//! - Philox4x32-10 with the seed as key, its low half first.
//! - Every array has a key of its own: the first two words at counter (i, j, kind, version), where (i, j) are
//!   the halves of its position (kind 0) or of the FNV-1a hash of its name (kind 1). Every row that is drawn
//!   on its own has a key made the same way from its array's (kind 2), and so have the corrections of several
//!   arrays that share one count, from the seed (kind 3).
//! - With an array's key, counter word 3 says what the words are for: 0 coin flips, 1 corrections, 2 patterns,
//!   3 repeated draws of patterns, 4 normal values (words 0 and 1 count pairs, word 2 numbers the vector).
//! - Coin flips: bits 128 g to 128 g + 127 of a plane p are the words at counter (g, g >> 32, p, 0), lowest
//!   bit first.

mod coin;
mod correct;
mod pattern;
mod philox;

pub(crate) use coin::Coin;
pub(crate) use correct::correct;
pub(crate) use pattern::{Pattern, Words};
pub use philox::philox;

/// Version of the stream: any change of the bits that a seed gives raises it.
pub const STREAM_VERSION: u32 = 1;

/// A Philox key that belongs to one array or row.
#[derive(Debug, Clone, Copy)]
pub struct Stream([u32; 2]);

impl Stream {
    /// The stream of the array at that position of those given.
    #[must_use]
    pub fn of_position(seed: u64, position: u64) -> Self {
        Self::derive(halves(seed), position, 0)
    }

    /// The stream of the array of that name.
    #[must_use]
    pub fn of_name(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::derive(halves(seed), hash, 1)
    }

    /// The stream of one row of this array.
    pub(crate) fn of_row(self, row: u64) -> Self {
        Self::derive(self.0, row, 2)
    }

    /// The stream of what arrays with one common count share.
    pub(crate) fn of_all(seed: u64) -> Self {
        Self::derive(halves(seed), 0, 3)
    }

    /// Fills `values` with independent standard normal numbers, those of the vector `number`.
    pub(crate) fn normals(self, number: u32, values: &mut [f64]) {
        for (pair, values) in values.chunks_mut(2).enumerate() {
            let [low, high] = halves(pair as u64);
            let [a, b, c, d] = philox([low, high, number, Purpose::Normal as u32], self.0);
            let [radius, angle] = [[a, b], [c, d]].map(|[high, low]| {
                // 53 bits, moved off zero by half a step.
                let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
                (bits as f64 + 0.5) * (f64::EPSILON / 2.0)
            });
            let radius = (-2.0 * radius.ln()).sqrt();
            let (sine, cosine) = (std::f64::consts::TAU * angle).sin_cos();
            values
                .iter_mut()
                .zip([radius * cosine, radius * sine])
                .for_each(|(value, normal)| *value = normal);
        }
    }

    fn derive(key: [u32; 2], number: u64, kind: u32) -> Self {
        let [low, high] = halves(number);
        let [first, second, ..] = philox([low, high, kind, STREAM_VERSION], key);
        Self([first, second])
    }
}

/// What the words of a stream are for: counter word 3.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Coin = 0,
    Correction = 1,
    Pattern = 2,
    Retry = 3,
    Normal = 4,
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}
