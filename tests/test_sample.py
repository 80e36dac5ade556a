"""Random masks: the exact count, what they depend on, and that every mask of that count is as likely.

Every statistic is compared with its quantile at ALPHA, so that of the masks of true randomness one test in a
million would fail; the seeds are fixed, so that a test that passes once always does.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import rustprune
import stream
from strategies import SHAPES, Bools

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rustprune._request import Scope

ALPHA = 1e-6
SEEDS = 20_000

seeds = st.integers(0, 2**64 - 1)
ratios = st.floats(0.0, 1.0)


def assert_uniform(rows: Bools, num_kept: int) -> None:
    """Check that of a row's entries every subset of that size is as likely.

    Pearson's statistic over the C(n, k) subsets, of as many degrees of freedom less one.
    """
    places = rows @ (1 << np.arange(rows.shape[1]))
    subsets = [
        sum(1 << at for at in subset) for subset in itertools.combinations(range(rows.shape[1]), num_kept)
    ]
    counts = np.array([np.count_nonzero(places == subset) for subset in subsets])
    assert counts.sum() == len(rows), "another number of entries is kept"
    assert_as_likely(counts)


def assert_as_likely(counts: NDArray[np.int64]) -> None:
    expected = counts.sum() / counts.size
    statistic = ((counts - expected) ** 2).sum() / expected
    assert statistic < stats.chi2.isf(ALPHA, counts.size - 1)


def assert_normal(value: float, mean: float, variance: float) -> None:
    """Check a sum of very many weakly dependent terms, which is normal to far beyond ALPHA."""
    assert abs(value - mean) < stats.norm.isf(ALPHA / 2) * math.sqrt(variance)


@given(SHAPES, ratios, seeds)
def test_the_count_is_exact(shape: tuple[int, ...], ratio: float, seed: int) -> None:
    mask = rustprune.random_mask(shape, ratio, seed=seed)
    assert mask.shape == shape
    assert np.count_nonzero(~mask) == rustprune.num_pruned(mask.size, ratio)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 65_535, 65_536, 65_537, 200_003, 1_048_577])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.5, 0.9, 0.99, 0.001])
def test_the_count_is_exact_around_chunk_edges(length: int, ratio: float) -> None:
    for count in {round(ratio * length), min(1, length), length - 1}:
        mask = rustprune.random_mask(length, count=count, seed=length)
        assert np.count_nonzero(~mask) == count


def test_entries_are_counted_beyond_32_bits() -> None:
    length = 2**32 + 512
    words = rustprune.random_mask(length, 0.25, seed=1, packed=True).view(np.uint64)
    assert (
        sum(int(np.bitwise_count(part).sum(dtype=np.int64)) for part in np.array_split(words, 16))
        == length // 4 * 3
    )


def test_a_shape_may_be_an_int_a_list_or_an_array() -> None:
    expected = rustprune.random_mask((12,), 0.5, seed=1)
    for shape in (12, np.int64(12), [12], np.array([12])):
        np.testing.assert_array_equal(rustprune.random_mask(shape, 0.5, seed=1), expected)


@given(SHAPES, ratios, seeds)
def test_packed_masks_are_the_masks_packed(shape: tuple[int, ...], ratio: float, seed: int) -> None:
    packed = rustprune.random_mask(shape, ratio, seed=seed, packed=True)
    np.testing.assert_array_equal(
        packed, rustprune.pack(rustprune.random_mask(shape, ratio, seed=seed)), strict=True
    )


@given(SHAPES, ratios, seeds)
def test_a_mask_of_a_shape_is_that_of_any_array_of_it(
    shape: tuple[int, ...], ratio: float, seed: int
) -> None:
    expected = rustprune.random_mask(shape, ratio, seed=seed)
    for array in (np.zeros(shape), np.full(shape, np.nan, np.float32)):
        np.testing.assert_array_equal(
            rustprune.mask(array, ratio, method="random", seed=seed), expected, strict=True
        )


def test_the_seed_and_the_name_or_the_position_matter_and_nothing_else() -> None:
    array = np.ones(1000)

    def masks(weights: list[NDArray[np.float64]] | dict[str, NDArray[np.float64]], seed: int) -> list[bytes]:
        found = rustprune.mask(weights, 0.5, method="random", seed=seed)
        return [mask.tobytes() for mask in (found.values() if isinstance(found, dict) else found)]

    listed, named = masks([array, array], 1), masks({"a": array, "b": array}, 1)
    others = [*masks([array, array], 2), *masks({"a": array}, 2), *masks([array], 2**32 + 1)]
    assert len({*listed, *named, *others}) == 4 + 3 + 1
    assert masks({"b": array, "a": -array}, 1) == named[::-1]
    assert masks({"a": array}, 1) == named[:1]
    assert masks([array], 1) == listed[:1]


@pytest.mark.parametrize(("length", "num_kept"), [(6, 3), (6, 1), (6, 5), (5, 2), (9, 4)])
def test_every_subset_is_as_likely(length: int, num_kept: int) -> None:
    masks = [rustprune.random_mask(length, count=length - num_kept, seed=seed) for seed in range(SEEDS)]
    assert_uniform(np.array(masks), num_kept)


def test_every_subset_is_as_likely_in_every_row() -> None:
    mask = rustprune.mask(np.ones((SEEDS, 6)), count=3, method="random", scope="row", seed=5)
    assert_uniform(mask, 3)


def test_every_subset_of_several_arrays_is_as_likely() -> None:
    arrays = [np.ones(2), np.ones(0), np.ones((1, 3)), np.ones(())]
    drawn = [
        rustprune.mask(arrays, count=3, method="random", scope="global", seed=seed) for seed in range(SEEDS)
    ]
    assert_uniform(np.array([np.concatenate([mask.reshape(-1) for mask in masks]) for masks in drawn]), 3)


@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
def test_every_subset_of_what_an_existing_mask_keeps_is_as_likely(scope: Scope) -> None:
    where = np.array([False, True, True, True, False, True, True, True])
    drawn = [
        rustprune.mask(np.ones(8), count=5, method="random", scope=scope, where=where, seed=seed)
        for seed in range(SEEDS)
    ]
    assert not np.array(drawn)[:, ~where].any()
    assert_uniform(np.array(drawn)[:, where], 3)


@pytest.mark.parametrize("axis", [0, 1])
def test_every_choice_in_a_group_is_as_likely(axis: int) -> None:
    shape = (6, SEEDS) if axis == 0 else (SEEDS, 6)
    mask = rustprune.random_mask(shape, pattern=rustprune.NofM(3, 6, axis), seed=2)
    assert_uniform(np.moveaxis(mask, axis, -1), 3)


def test_every_choice_of_what_an_existing_mask_keeps_of_a_group_is_as_likely() -> None:
    where = np.tile([True, False, True, True, True, False, True, True], (SEEDS, 1))
    mask = rustprune.mask(np.ones((SEEDS, 8)), pattern="3:8", method="random", where=where, seed=2)
    assert not mask[~where].any()
    assert_uniform(mask[where].reshape(SEEDS, 6), 3)


def test_a_group_keeps_what_it_can_when_an_existing_mask_leaves_less() -> None:
    where = np.array([[True, False, False, False], [False, False, False, False], [True, True, False, False]])
    mask = rustprune.mask(np.ones((3, 4)), pattern="2:4", method="random", where=where, seed=0)
    np.testing.assert_array_equal(mask, where)


def test_neighbouring_groups_are_independent() -> None:
    """Pearson's statistic of the 6 * 6 pairs of choices of two groups next to each other."""
    mask = rustprune.random_mask((2 * SEEDS, 4), pattern="2:4", seed=3)
    choices = np.searchsorted([3, 5, 6, 9, 10, 12], mask @ (1 << np.arange(4)))
    pairs = choices[::2] * 6 + choices[1::2]
    assert_as_likely(np.bincount(pairs, minlength=36))


@pytest.mark.parametrize(("kept", "group"), [(1, 1), (1, 32), (16, 32), (31, 32), (3, 5), (7, 7)])
def test_random_patterns_keep_as_many_of_each_group(kept: int, group: int) -> None:
    mask = rustprune.random_mask((130, 7 * group), pattern=f"{kept}:{group}", seed=8)
    assert (mask.reshape(-1, group).sum(axis=1) == kept).all()
    packed = rustprune.random_mask((130, 7 * group), pattern=f"{kept}:{group}", seed=8, packed=True)
    np.testing.assert_array_equal(packed, rustprune.pack(mask))


@pytest.mark.parametrize(("length", "num_kept"), [(200, 60), (130, 1), (64, 32)])
def test_every_position_is_as_likely(length: int, num_kept: int) -> None:
    """Kept counts O of S masks: the covariance of one mask's entries is p (1 - p) n / (n - 1) (I - 11'/n).

    So sum (O - S p)^2 / (S p (1 - p) n / (n - 1)) is chi-squared with n - 1 degrees of freedom.
    """
    masks = [rustprune.random_mask(length, count=length - num_kept, seed=seed) for seed in range(SEEDS)]
    kept = np.sum(masks, axis=0)
    p = num_kept / length
    statistic = ((kept - SEEDS * p) ** 2).sum() / (SEEDS * p * (1 - p) * length / (length - 1))
    assert statistic < stats.chi2.isf(ALPHA, length - 1)


def draws(ratio: float, *, bernoulli: bool) -> Bools:
    return rustprune.random_mask(1_048_583, ratio, seed=12, bernoulli=bernoulli)


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("bernoulli", [False, True])
def test_long_masks_have_as_many_runs_as_random_ones(ratio: float, *, bernoulli: bool) -> None:
    """Wald and Wolfowitz: given n1 kept and n0 pruned, the number of runs has mean and variance as below."""
    mask = draws(ratio, bernoulli=bernoulli)
    n, n1 = mask.size, int(np.count_nonzero(mask))
    product = 2 * n1 * (n - n1)
    runs = 1 + int(np.count_nonzero(mask[1:] != mask[:-1]))
    assert_normal(runs, 1 + product / n, product * (product - n) / (n * n * (n - 1)))


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("stride", [2, 32, 64, 128, 65_536])
def test_long_masks_keep_as_many_in_one_part_as_in_another(ratio: float, stride: int) -> None:
    """The kept entries among the m whose position has the last bit of `stride` set: hypergeometric."""
    mask = draws(ratio, bernoulli=False)
    part = mask[np.arange(mask.size) % stride >= stride // 2]
    p, share = np.count_nonzero(mask) / mask.size, part.size / mask.size
    variance = part.size * p * (1 - p) * (1 - share) * mask.size / (mask.size - 1)
    assert_normal(int(np.count_nonzero(part)), part.size * p, variance)


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.9, 0.999, 1e-6])
def test_bernoulli_masks_prune_each_entry_with_that_probability(ratio: float) -> None:
    """Binomial in all, in the parts of a chunk, and for 1e-6 exactly (its mean is 1.05)."""
    mask = draws(ratio, bernoulli=True)
    pruned = int(np.count_nonzero(~mask))
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], mask.size, ratio)
    assert low <= pruned <= high


def test_bernoulli_masks_have_counts_as_spread_as_independent_entries() -> None:
    """(count - n p)^2 / (n p (1 - p)) of S masks sums to chi-squared with S degrees of freedom, nearly."""
    counts = np.array(
        [
            np.count_nonzero(rustprune.random_mask(4096, 0.25, seed=seed, bernoulli=True))
            for seed in range(2000)
        ]
    )
    statistic = ((counts - 3072) ** 2).sum() / (4096 * 0.25 * 0.75)
    assert stats.chi2.isf(1 - ALPHA / 2, 2000) < statistic < stats.chi2.isf(ALPHA / 2, 2000)


def test_bernoulli_masks_of_ratio_0_keep_all_and_of_ratio_1_none() -> None:
    assert draws(0.0, bernoulli=True).all()
    assert not draws(1.0, bernoulli=True).any()


def test_different_seeds_give_independent_masks() -> None:
    """Of two random halves of n entries both keep X, hypergeometric of variance n / 16; 2 X entries agree."""
    one, other = (rustprune.random_mask(1 << 20, 0.5, seed=seed) for seed in (1, 2))
    agreements = int(np.count_nonzero(one == other))
    assert_normal(agreements, 2**19, 4 * 2**20 / 16)


@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
@given(data=st.data())
def test_an_existing_mask_is_respected_and_the_count_exact(scope: Scope, data: st.DataObject) -> None:
    where = data.draw(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
    most = {"row": (~where).sum(axis=1).max(), "tensor": (~where).sum(), "global": (~where).sum()}[scope]
    size = where.shape[1] if scope == "row" else where.size
    count = data.draw(st.integers(int(most), size))
    mask = rustprune.mask(
        np.ones(where.shape), count=count, method="random", scope=scope, where=where, seed=4
    )
    assert not (mask & ~where).any()
    contests = ~mask if scope == "row" else ~mask.reshape(1, -1)
    assert (contests.sum(axis=1) == count).all()


def test_philox_gives_the_published_words() -> None:
    """Lines ``philox4x32 10`` of Random123's ``kat_vectors``; the last counter and key are digits of pi."""
    ones = stream.W32
    assert stream.philox(0, 0, 0, (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert stream.philox(stream.W64, ones, ones, (ones, ones)) == (
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    )
    counter = (0x85A308D3_243F6A88, 0x13198A2E, 0x03707344)
    assert stream.philox(*counter, (0xA4093822, 0x299F31D0)) == (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    )


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1])
@pytest.mark.parametrize(
    ("length", "count"), [(1, 0), (1, 1), (2, 1), (6, 3), (129, 60), (1000, 333), (66_000, 100)]
)
def test_masks_are_those_of_the_written_stream(length: int, count: int, seed: int) -> None:
    of_seed = stream.seed_key(seed)
    keys = [stream.key_of(of_seed, position, 0) for position in range(2)]
    arrays = [np.ones(length)] * 2
    found = rustprune.mask(arrays, count=count, method="random", seed=seed)
    assert [mask.tolist() for mask in found] == [stream.mask(key, length, count) for key in keys]
    named = {name: np.ones(length) for name in ("layer.0", "\u00e9")}
    for name, mask in rustprune.mask(named, count=count, method="random", seed=seed).items():
        assert mask.tolist() == stream.mask(stream.key_of(of_seed, stream.fnv1a(name), 1), length, count)


def test_masks_of_rows_are_those_of_the_written_stream() -> None:
    mask = rustprune.mask(np.ones((50, 70)), count=30, method="random", scope="row", seed=6)
    key = stream.key_of(stream.seed_key(6), 0, 0)
    assert mask.tolist() == [stream.mask(stream.key_of(key, row, 2), 70, 30) for row in range(50)]


def test_masks_of_several_arrays_are_those_of_the_written_stream() -> None:
    lengths, count, of_seed = (300, 1, 0, 129), 100, stream.seed_key(6)
    found = rustprune.mask(
        [np.ones(n) for n in lengths], count=count, method="random", scope="global", seed=6
    )
    odds, planes = stream.odds_of(sum(lengths) - count, sum(lengths))
    flips = [
        flip
        for position, length in enumerate(lengths)
        for flip in stream.coins(stream.key_of(of_seed, position, 0), length, odds, planes)
    ]
    expected = stream.corrected(stream.key_of(of_seed, 0, 3), flips, sum(lengths) - count)
    assert np.concatenate(found).tolist() == expected


def test_bernoulli_masks_are_those_of_the_written_stream() -> None:
    key = stream.key_of(stream.seed_key(6), 0, 0)
    found = rustprune.random_mask((3, 100), 0.7, seed=6, bernoulli=True)
    assert found.reshape(-1).tolist() == stream.coins(key, 300, round((1 - 0.7) * 2**32), 32)


@pytest.mark.parametrize(("kept", "group"), [(1, 1), (2, 4), (3, 6), (16, 32)])
def test_random_patterns_are_those_of_the_written_stream(kept: int, group: int) -> None:
    key = stream.key_of(stream.seed_key(6), 0, 0)
    expected = [stream.choice(key, number, kept, group) for number in range(200)]
    pattern = rustprune.NofM(kept, group)
    assert rustprune.random_mask((200, group), pattern=pattern, seed=6).tolist() == expected
    across = rustprune.random_mask((group, 200), pattern=rustprune.NofM(kept, group, axis=0), seed=6)
    assert across.T.tolist() == expected
