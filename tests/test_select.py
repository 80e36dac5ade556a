"""`mask` and `select` by score: the definition, the laws, and the inputs that break selection algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import DTYPES, Ask, Weights, any_bits, num_pruned, requests, shapes, tied

import rustprune

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ratios = st.floats(0.0, 1.0)


def magnitudes(array: Weights) -> oracle.Floats:
    """Return the score of `mask`, exact for every dtype."""
    return np.abs(array.astype(np.float64))


def values(array: Weights) -> oracle.Floats:
    """Return the score of `select`."""
    return array.astype(np.float64)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("function", "score"), [(rustprune.mask, magnitudes), (rustprune.select, values)])
@given(requests())
def test_matches_the_definition(
    function: Callable[..., list[oracle.Bools]],
    score: Callable[[Weights], oracle.Floats],
    threads: int,
    request_: tuple[list[Weights], Ask],
) -> None:
    arrays, ask = request_
    rustprune.set_num_threads(threads)
    rules = {word: ask[word] for word in ("scope", "where", "nan") if word in ask}
    try:
        expected = oracle.masks([score(array) for array in arrays], num_pruned(ask), **rules)
    except ValueError:
        with pytest.raises(ValueError, match="that `where` already prunes"):
            function(arrays, **ask)
        return
    for found, right in zip(function(arrays, **ask), expected, strict=True):
        np.testing.assert_array_equal(found, right, strict=True)
