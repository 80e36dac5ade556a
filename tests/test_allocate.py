"""Allocation: exact totals, published densities, bounds that are kept."""

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import rustprune as rp
from rustprune._allocate import ShapeRule

LENET = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
RULES: list[ShapeRule] = ["uniform", "uniform_plus", "erdos_renyi", "erdos_renyi_kernel"]
layers = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 40), st.integers(1, 40)),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=6,
).map(lambda shapes: {f"layer{at}": shape for at, shape in enumerate(shapes)})


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "uniform_plus"])
@given(layers, st.floats(0, 1), st.integers(0, 30))
def test_totals_are_exact_and_floors_are_kept(
    rule: ShapeRule, shapes: dict[str, tuple[int, ...]], ratio: float, floor: int
) -> None:
    lengths = {name: math.prod(shape) for name, shape in shapes.items()}
    total = sum(lengths.values())
    least = sum(min(length, floor) for length in lengths.values())
    if least > total - rp.num_pruned(total, ratio):
        with pytest.raises(ValueError, match="min_kept: expected at most"):
            rp.allocate(shapes, ratio, rule=rule, min_kept=floor)
        return
    counts = rp.allocate(shapes, ratio, rule=rule, min_kept=floor)
    assert list(counts) == list(shapes)
    assert sum(counts.values()) == rp.num_pruned(total, ratio)
    for name, length in lengths.items():
        assert 0 <= counts[name] <= length - min(length, floor)


def test_erdos_renyi_kernel_has_the_published_densities() -> None:
    counts = rp.allocate(LENET, 0.9)
    kept = {name: math.prod(LENET[name]) - count for name, count in counts.items()}
    assert kept == {"fc1": 18714, "fc2": 6906, "fc3": 1000}
    assert kept["fc1"] / 235200 == pytest.approx(0.0795677, abs=2e-6)
    assert kept["fc2"] / 30000 == pytest.approx(0.2301887, abs=2e-5)


@given(layers, st.floats(0.5, 1))
def test_densities_are_in_proportion_where_no_layer_is_dense(
    shapes: dict[str, tuple[int, ...]], ratio: float
) -> None:
    counts = rp.allocate(shapes, ratio)
    scales = []
    for name, shape in shapes.items():
        kept = math.prod(shape) - counts[name]
        if 0 < kept < math.prod(shape):
            scales.append((Fraction(kept - 1, sum(shape)), Fraction(kept + 1, sum(shape))))
    # One scale explains all shares, each to less than one entry.
    assert not scales or max(low for low, _ in scales) <= min(high for _, high in scales)


def test_kernels_count_for_one_rule_and_not_for_the_other() -> None:
    shapes = {"conv": (64, 64, 3, 3), "fc": (10, 64)}
    by_layer, by_kernel = (rp.allocate(shapes, 0.5, rule=rule) for rule in RULES[2:])
    assert by_layer == {"conv": 18752, "fc": 0}
    assert by_kernel == by_layer  # both leave the small layer dense
    more = {"conv": (256, 256, 3, 3), "fc": (1000, 256)}
    kept = {rule: 256000 - rp.allocate(more, 0.95, rule=rule)["fc"] for rule in RULES[2:]}
    assert kept == {
        "erdos_renyi": round(0.05 * 845824 * 1256 / (1256 + 512 * 9)),
        "erdos_renyi_kernel": round(0.05 * 845824 * 1256 / (1256 + 518)),
    }


def test_uniform_plus_keeps_the_first_convolution_and_a_fifth_of_the_last_layer() -> None:
    shapes = {"conv1": (8, 3, 3, 3), "conv2": (16, 8, 3, 3), "fc": (10, 100)}
    counts = rp.allocate(shapes, 0.8, rule="uniform_plus")
    assert counts["conv1"] == 0
    assert counts["fc"] <= 800
    assert sum(counts.values()) == rp.num_pruned(216 + 1152 + 1000, 0.8)


def test_a_count_and_a_floor_for_one_layer() -> None:
    assert rp.allocate(LENET, count=265_000, min_kept={"fc3": 700}, rule="uniform") == {
        "fc1": 234757,
        "fc2": 29943,
        "fc3": 300,
    }


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "expected exactly one of ratio and count, got neither"),
        ({"ratio": 0.5, "rule": "best"}, "rule must be uniform or uniform_plus"),
        ({"ratio": 1.0, "min_kept": 1}, "min_kept: expected at most 0 entries that must be kept, got 3"),
        ({"count": 300_000}, "min_kept: expected at most 0 entries that must be kept, got 0"),
        ({"ratio": 0.5, "min_kept": {"fc9": 1}}, "min_kept: expected names of layers, got ['fc9']"),
    ],
)
def test_what_cannot_be_allocated_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        rp.allocate(LENET, **asked)


def test_a_compression_of_all_parameters_is_a_ratio_of_those_that_are_pruned() -> None:
    assert 1 - rp.ratio_for_compression(2, 266_610, 265_200) == pytest.approx(0.4973416, abs=1e-7)
    assert rp.ratio_for_compression(1, 10, 5) == 0.0
    assert rp.ratio_for_compression(2, 10, 5) == 1.0
    with pytest.raises(
        ValueError, match=re.escape("compression must be at most 2, all that pruning can reach")
    ):
        rp.ratio_for_compression(2.5, 10, 5)


tied = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0])
weights = st.lists(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=6), elements=tied), min_size=1, max_size=4
)


@given(weights, st.floats(0, 1))
def test_lamp_keeps_the_largest_scores_of_all_layers(found: list[NDArray[np.float32]], ratio: float) -> None:
    named = {f"layer{at}": array for at, array in enumerate(found)}
    scores = {name: rp.lamp_scores(array) for name, array in named.items()}
    counts = rp.allocate(named, ratio, rule="lamp")
    for name, mask in rp.select(scores, ratio, scope="global").items():
        assert counts[name] == int((~mask).sum())


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e3, 1e3)))
def test_lamp_scores_are_those_of_the_formula(found: NDArray[np.float64]) -> None:
    squares = (found / (np.abs(found).max() or 1.0)) ** 2  # small ones would be zero, and the scale is free
    order = np.lexsort((-np.arange(found.size), np.abs(found)))
    tails = np.cumsum(squares[order][::-1])[::-1]
    with np.errstate(invalid="ignore"):
        expected = np.where(squares[order] > 0, squares[order] / tails, 0.0)
    assert np.allclose(rp.lamp_scores(found)[order], expected, rtol=1e-12)


def test_lamp_has_the_numbers_of_the_paper() -> None:
    layers = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([0.1, 0.2])}
    assert np.allclose(rp.lamp_scores(layers["a"]), [1 / 14, 4 / 13, 1])
    assert rp.allocate(layers, count=2, rule="lamp") == {"a": 1, "b": 1}
    big = np.random.default_rng(0).standard_normal(10**6, dtype=np.float32)
    assert rp.lamp_scores(big).max() == 1.0


def test_infinite_entries_share_the_largest_scores() -> None:
    assert rp.lamp_scores(np.array([np.inf, 3.0, -np.inf])).tolist() == [1.0, 0.0, 0.5]


def test_lamp_refuses_what_has_no_score() -> None:
    with pytest.raises(ValueError, match=r"a.*NaN.*index 1"):
        rp.allocate({"a": np.array([1.0, np.nan])}, 0.5, rule="lamp")
    with pytest.raises(TypeError, match="a: expected an array, got tuple"):
        rp.allocate({"a": (3, 3)}, 0.5, rule="lamp")
    with pytest.raises(ValueError, match="min_kept must be left out with rule 'lamp', got 1"):
        rp.allocate({"a": np.ones(3)}, 0.5, rule="lamp", min_kept=1)
