"""A count for each array: the masks are those of the arrays alone."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rustprune
from rustprune._arrays import Arrays
from strategies import TIED

SHAPES = st.lists(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7), max_size=6)
W = np.ones(3)


@given(st.data())
def test_each_array_is_pruned_as_if_it_were_alone(data: st.DataObject) -> None:
    shapes = data.draw(SHAPES)
    weights = [
        np.array(data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from(TIED)))) for shape in shapes
    ]
    counts = [data.draw(st.integers(0, array.size)) for array in weights]
    alone = [rustprune.mask(array, count=count) for array, count in zip(weights, counts, strict=True)]
    for mask, own in zip(rustprune.mask(weights, count=counts), alone, strict=True):
        np.testing.assert_array_equal(mask, own)
    pruned = [array.copy() for array in weights]
    summaries = rustprune.prune_(pruned, count=counts)
    assert [summary.num_pruned for summary in summaries] == counts
    for array, own, before in zip(pruned, alone, weights, strict=True):
        np.testing.assert_array_equal(array, np.where(own, before, 0))


def test_a_random_mask_takes_a_count_for_each_array() -> None:
    weights = {"a": np.ones(100), "b": np.ones(50)}
    masks = rustprune.mask(weights, count={"b": 10, "a": 70}, method="random", seed=1)
    assert [int(mask.sum()) for mask in masks.values()] == [30, 40]


def test_an_allocation_is_what_a_mask_takes() -> None:
    weights = {"a": np.arange(12.0).reshape(3, 4), "b": np.arange(4.0)}
    masks = rustprune.mask(weights, count=rustprune.allocate(weights, 0.5))
    assert [int(mask.sum()) for mask in masks.values()] == [5, 3]  # of 8 as 7 to 4


@pytest.mark.parametrize(
    ("weights", "asked", "kind", "message"),
    [
        ([W], {"count": [4]}, ValueError, "the number of entries in weights[0], 3, got 4"),
        (
            [W],
            {"count": [1], "scope": "global"},
            ValueError,
            "scope must be tensor with a count for each array",
        ),
        ([W], {"ratio": 0.5, "count": [1]}, ValueError, "expected exactly one of ratio, count and pattern"),
        ([W, W], {"count": [1]}, ValueError, "count: expected 2 arrays, got 1"),
        ({"a": W}, {"count": {"a": 1.0}}, TypeError, "count of a must be an int, got float"),
    ],
)
def test_counts_that_do_not_fit_are_refused(
    weights: Arrays, asked: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        rustprune.mask(weights, **asked)
