//! Every level against the portable definition, at every length across block edges, on arbitrary bits.

use proptest::prelude::*;

use super::{Kernels, Key, Level, Recipe, Word};
use crate::dtype::DType;
use crate::sample::{Coin, Stream};

const CANARY: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// Lengths around the edges of 64-entry blocks.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=67).chain([127, 128, 129, 191, 192, 193, 255, 256, 257, 299])
}

/// Bits in which every kind of value is common: zeros, ties, NaN, infinities, subnormals.
fn words<W: Word>(len: usize, seed: u64) -> Vec<W> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) ^ (state << 20)
    };
    let specials: Vec<u64> = DType::ALL
        .into_iter()
        .filter(|dtype| dtype.size() == size_of::<W>())
        .flat_map(|dtype| [0, 1, 2, dtype.limit(), dtype.limit() + 1, dtype.limit() - 1])
        .map(i64::cast_unsigned)
        .collect();
    (0..len)
        .map(|_| {
            let (kind, value) = (next() % 4, next());
            let bits = match kind {
                0 => specials[value as usize % specials.len()],
                1 => specials[value as usize % specials.len()] | 1 << (8 * size_of::<W>() - 1),
                2 => value % 5,
                _ => value,
            };
            *bytemuck::from_bytes(&bits.to_le_bytes()[..size_of::<W>()])
        })
        .collect()
}

fn recipes<W: Word>() -> Vec<Recipe<W::Key>> {
    let formats = DType::ALL.into_iter().filter(|dtype| dtype.size() == size_of::<W>());
    formats
        .flat_map(|dtype| {
            let limit = W::Key::saturate(dtype.limit());
            [1, -1].map(|sign| W::Key::saturate(sign * (dtype.limit() + 1))).map(|nan| (limit, nan))
        })
        .flat_map(|(limit, nan)| [true, false].map(|signed| Recipe { signed, limit, nan }))
        .collect()
}

fn keys_of<W: Word>(level: Level, bits: &[W], recipe: Recipe<W::Key>) -> (Vec<W::Key>, bool) {
    let mut keys = vec![W::Key::MIN; bits.len()];
    let nan = with_kernels!(level, kernels => kernels.keys(bits, recipe, &mut keys));
    (keys, nan)
}

fn portable() -> Level {
    Level::available()[0]
}

fn keys_agree<W: Word>() {
    for (seed, len) in lengths().enumerate() {
        let bits = words::<W>(len, seed as u64);
        for recipe in recipes::<W>() {
            let expected = keys_of(portable(), &bits, recipe);
            for level in Level::available() {
                assert!(keys_of(level, &bits, recipe) == expected, "{level:?} at {len}");
            }
            for (&word, key) in bits.iter().zip(expected.0) {
                let magnitude = word.magnitude();
                let nan = magnitude > recipe.limit;
                let value = if recipe.signed && word.is_negative() { -magnitude } else { magnitude };
                assert!(key == if nan { recipe.nan } else { value });
            }
        }
    }
}

#[test]
fn keys_are_the_values_in_order_on_every_level() {
    keys_agree::<u8>();
    keys_agree::<u16>();
    keys_agree::<u32>();
    keys_agree::<u64>();
}

fn comparisons_agree<W: Word>() {
    for (seed, len) in lengths().enumerate() {
        let bits = words::<W>(len, 77 + seed as u64);
        for recipe in recipes::<W>() {
            let (keys, any_nan) = keys_of(portable(), &bits, recipe);
            let mut thresholds = vec![W::Key::MIN, W::Key::MAX];
            thresholds.extend(keys.iter().copied().take(3));
            for level in Level::available() {
                for (at, &middle) in thresholds.iter().enumerate() {
                    let three = [thresholds[(at + 1) % thresholds.len()], middle, thresholds[0]];
                    // One word more than is needed catches overruns.
                    let used = len.div_ceil(64);
                    let mut rows = vec![vec![CANARY; used + 1]; 4];
                    let [high, kept, low, plain] = &mut rows[..] else { return };
                    let words = [&mut high[..used], &mut kept[..used], &mut low[..used]];
                    let nan = with_kernels!(level, kernels => kernels.classify(&bits, recipe, three, words));
                    with_kernels!(level, kernels => kernels.at_least(&keys, middle, &mut plain[..used]));
                    assert_eq!(nan, any_nan);
                    for (row, threshold) in rows.iter().zip([three[0], middle, three[2], middle]) {
                        assert_eq!(row[used], CANARY);
                        for at in 0..used * 64 {
                            let expected = keys.get(at).is_some_and(|&key| key >= threshold);
                            assert_eq!(
                                row[at / 64] >> (at % 64) & 1 == 1,
                                expected,
                                "{level:?} {at} of {len}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn comparisons_gather_the_right_bits_on_every_level() {
    comparisons_agree::<u8>();
    comparisons_agree::<u16>();
    comparisons_agree::<u32>();
    comparisons_agree::<u64>();
}

fn spans_hold<W: Word>() {
    for (seed, len) in lengths().chain([5000]).enumerate() {
        let bits = words::<W>(len, 7 + seed as u64);
        for recipe in recipes::<W>() {
            let (keys, _) = keys_of(portable(), &bits, recipe);
            for num_kept in [0, 1, len / 3, len / 2, len].map(|num_kept| num_kept.min(len)) {
                for level in Level::available() {
                    let span = with_kernels!(level, kernels => kernels.narrow(&keys, num_kept));
                    let reach = |threshold| keys.iter().filter(|&&key| key >= threshold).count();
                    assert_eq!(reach(span.high), span.num_above, "{level:?} {num_kept} of {len}");
                    assert!(
                        (span.num_above..=reach(span.low)).contains(&num_kept),
                        "{level:?} {num_kept} of {len}"
                    );
                    let between = reach(span.low) - span.num_above;
                    assert!(span.num_above == num_kept || span.is_one_key() || between <= 128);
                }
            }
        }
    }
}

#[test]
fn spans_hold_the_last_of_the_highest_keys_on_every_level() {
    spans_hold::<u8>();
    spans_hold::<u16>();
    spans_hold::<u32>();
    spans_hold::<u64>();
}

fn groups_agree<W: Word>() {
    for group in (1..=12).chain([16, 31, 32]) {
        for kept in [1, group / 2, group - 1, group].into_iter().filter(|&kept| kept > 0) {
            for groups in [0, 1, 2, 15, 16, 17, 40] {
                let bits = words::<W>(groups * group, (group * 100 + kept) as u64);
                let (keys, _) = keys_of(portable(), &bits, recipes::<W>()[0]);
                let mut expected = vec![0; keys.len().div_ceil(64)];
                for (number, keys) in keys.chunks(group).enumerate() {
                    let mut order: Vec<_> = (0..group).collect();
                    order.sort_by(|&a, &b| keys[b].cmp(&keys[a]));
                    for at in &order[..kept] {
                        let entry = number * group + at;
                        expected[entry / 64] |= 1 << (entry % 64);
                    }
                }
                for level in Level::available() {
                    let mut words = vec![CANARY; expected.len()];
                    with_kernels!(level, kernels => kernels.n_of_m(&keys, kept, group, &mut words));
                    assert_eq!(words, expected, "{level:?} {kept}:{group}");
                }
            }
        }
    }
}

#[test]
fn groups_keep_the_highest_and_earliest_on_every_level() {
    groups_agree::<u16>();
    groups_agree::<u32>();
    groups_agree::<u64>();
}

proptest! {
    #[test]
    fn entries_between_are_found_on_every_level(high: [u64; 5], low: [u64; 5]) {
        let expected: Vec<u16> = (0..320)
            .filter(|&at| low[at / 64] >> (at % 64) & 1 == 1 && high[at / 64] >> (at % 64) & 1 == 0)
            .map(|at| at as u16 + 7)
            .collect();
        for level in Level::available() {
            let (mut found, mut len) = ([0; 322], 0);
            let count = with_kernels!(level, kernels => kernels.between(&high, &low, 7, &mut found, &mut len));
            prop_assert_eq!(count, u64::from(high.iter().map(|word| word.count_ones()).sum::<u32>()));
            prop_assert_eq!(&found[..len], &expected);
        }
    }

    #[test]
    fn bits_expand_to_bytes_on_every_level(words: [u64; 5], len in 0_usize..=320) {
        for level in Level::available() {
            let mut bytes = vec![0xaa_u8; len + 1];
            with_kernels!(level, kernels => kernels.expand(&words, &mut bytes[..len]));
            prop_assert_eq!(bytes[len], 0xaa);
            for (at, byte) in bytes[..len].iter().enumerate() {
                prop_assert_eq!(u64::from(*byte), words[at / 64] >> (at % 64) & 1);
            }
        }
    }

    #[test]
    fn pruned_entries_become_positive_zero_on_every_level(words: [u64; 5], bits: [u32; 320], len in 0_usize..=320) {
        for level in Level::available() {
            let mut entries = bits;
            with_kernels!(level, kernels => kernels.zero(&words, &mut entries[..len]));
            for at in 0..320 {
                let kept = at >= len || words[at / 64] >> (at % 64) & 1 == 1;
                prop_assert_eq!(entries[at], if kept { bits[at] } else { 0 });
            }
        }
    }

    #[test]
    fn coins_fall_alike_on_every_level(seed: u64, kept in 0_u64..=1000, group: u64, len in 0_usize..=41) {
        let coin = Coin::for_count(Stream::of_position(seed, 0), kept, 1000);
        let mut expected = vec![0; len];
        coin.fill::<1>(group, &mut expected);
        for level in Level::available() {
            let mut words = vec![CANARY; len];
            with_kernels!(level, kernels => kernels.bernoulli(&coin, group, &mut words));
            prop_assert_eq!(&words, &expected);
        }
    }
}
