//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3" (SC 2011); the constants are those of their library Random123.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: u32 = 10;

/// The four words of each of `N` counters; `counters[i]` holds word i of all of them.
#[inline(always)]
pub(crate) fn philox_many<const N: usize>(mut counters: [[u32; N]; 4], key: [u32; 2]) -> [[u32; N]; 4] {
    let mut key = key;
    for _ in 0..ROUNDS {
        let [a, b, c, d] = counters;
        for lane in 0..N {
            let first = u64::from(a[lane]) * u64::from(MULTIPLIERS[0]);
            let second = u64::from(c[lane]) * u64::from(MULTIPLIERS[1]);
            counters[0][lane] = (second >> 32) as u32 ^ b[lane] ^ key[0];
            counters[1][lane] = second as u32;
            counters[2][lane] = (first >> 32) as u32 ^ d[lane] ^ key[1];
            counters[3][lane] = first as u32;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counters
}

/// The four words of one counter.
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox_many(counter.map(|word| [word]), key).map(|[word]| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Random123's `kat_vectors`, lines `philox4x32 10`.
    #[test]
    fn agrees_with_the_published_vectors() {
        const ONES: u32 = u32::MAX;
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ONES; 4], [ONES; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }
}
