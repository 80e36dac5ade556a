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
from strategies import SHAPES, Bools

import rustprune

if TYPE_CHECKING:
    from collections.abc import Callable

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
    subsets = [sum(1 << at for at in subset) for subset in itertools.combinations(range(rows.shape[1]), num_kept)]
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
    assert (mask.shape, mask.dtype) == (shape, np.bool_)
    assert np.count_nonzero(~mask) == rustprune.num_pruned(mask.size, ratio)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 65_535, 65_536, 65_537, 200_003, 1_048_577])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.5, 0.9, 0.99, 0.001])
def test_the_count_is_exact_around_chunk_edges(length: int, ratio: float) -> None:
    for count in {round(ratio * length), min(1, length), length - 1}:
        mask = rustprune.random_mask(length, count=count, seed=length)
        assert np.count_nonzero(~mask) == count


def test_entries_are_counted_beyond_32_bits() -> None:
    bits = rustprune.random_mask(2**32 + 7, 0.25, seed=1, packed=True)
    assert int(np.bitwise_count(bits.view()[:-7].view(np.uint64)).sum()) > 0
