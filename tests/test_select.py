"""`mask` and `select` by score: the definition, the laws, and the inputs that break selection algorithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracle
import rustprune
from inputs import INPUTS, make
from oracle import magnitudes, values
from strategies import DTYPES, Ask, Weights, any_bits, requests, tied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rustprune._request import Nan, Scope

ratios = st.floats(0.0, 1.0)


def assert_same(found: Sequence[oracle.Bools], expected: Sequence[oracle.Bools]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("function", "score"), [(rustprune.mask, magnitudes), (rustprune.select, values)])
@given(requests())
def test_matches_the_definition(
    function: Callable[..., Sequence[oracle.Bools]],
    score: Callable[[Weights], oracle.Floats],
    threads: int,
    request_: tuple[list[Weights], Ask],
) -> None:
    arrays, ask = request_
    rustprune.set_num_threads(threads)
    try:
        expected = oracle.masks([score(array) for array in arrays], **ask)
    except ValueError:
        with pytest.raises(ValueError, match="that `where` already prunes"):
            function(arrays, **ask)
    else:
        assert_same(function(arrays, **ask), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", INPUTS)
def test_matches_the_definition_on_every_kind_of_input(kind: str, dtype: np.dtype[np.generic]) -> None:
    array = make(kind, 200_003, dtype)
    order = oracle.order(magnitudes(array))
    for ratio in (0.0, 1.0, 1 / array.size, 0.5, 0.9, 0.99):
        expected = np.zeros(array.size, np.bool_)
        expected[order[: array.size - round(ratio * array.size)]] = True
        assert_same([rustprune.mask(array, ratio, nan="keep")], [expected])


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("kind", ["normal", "60 % zeros", "sorted", "nan and infinity"])
@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 65_535, 65_536, 65_537, 131_073, 1_048_577, 3_000_017])
def test_matches_the_definition_around_chunk_edges(length: int, kind: str, threads: int) -> None:
    rustprune.set_num_threads(threads)
    array = make(kind, length, np.dtype(np.float32))
    for ratio in (0.5, 0.99):
        expected = oracle.keep_top(values(array), round(ratio * length), nan="prune")
        assert_same([rustprune.select(array, ratio, nan="prune")], [expected])


@pytest.mark.parametrize("nan", ["keep", "prune"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("kind", INPUTS)
def test_one_budget_over_many_arrays_matches_the_definition(kind: str, ratio: float, nan: Nan) -> None:
    lengths = (70_001, 1, 0, 65_536, 130, 9)
    arrays = [make(kind, length, dtype) for length, dtype in zip(lengths, DTYPES, strict=True)]
    expected = oracle.masks([magnitudes(array) for array in arrays], ratio=ratio, scope="global", nan=nan)
    assert_same(rustprune.mask(arrays, ratio, scope="global", nan=nan), expected)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "shape", [(40_000, 5), (1025, 64), (700, 191), (3, 65_537), (2, 100, 1000), (5, 0), (0, 5)]
)
def test_rows_match_the_definition(shape: tuple[int, ...], *, packed: bool) -> None:
    array = make("255 levels", math.prod(shape), np.dtype(np.float32)).reshape(shape)
    normal = make("normal", array.size, np.dtype(np.float64)).reshape(shape)
    where = values(normal) > -2.0
    [expected] = oracle.masks([magnitudes(array)], ratio=0.75, scope="row", where=[where])
    found = rustprune.mask(array, 0.75, scope="row", where=where, packed=packed)
    np.testing.assert_array_equal(found, rustprune.pack(expected) if packed else expected, strict=True)


@pytest.mark.parametrize("group", range(1, 33))
@given(st.data())
def test_patterns_match_the_definition(group: int, data: st.DataObject) -> None:
    kept, axis = data.draw(st.integers(1, group), "kept"), data.draw(st.integers(-3, 2), "axis")
    sides = data.draw(st.lists(st.integers(0, 4), min_size=3, max_size=3), "sides")
    sides[axis] *= group
    array = data.draw(tied(st.just(tuple(sides))) | any_bits(st.just(tuple(sides))))
    where = data.draw(st.none() | hnp.arrays(np.bool_, array.shape))
    nan: Nan = data.draw(st.sampled_from(["keep", "prune"]), "nan")
    pattern, packed = rustprune.NofM(kept, group, axis), data.draw(st.booleans(), "packed")
    [expected] = oracle.masks(
        [magnitudes(array)], pattern=(kept, group, axis), where=where if where is None else [where], nan=nan
    )
    found = rustprune.mask(array, pattern=pattern, where=where, nan=nan, packed=packed)
    np.testing.assert_array_equal(found, rustprune.pack(expected) if packed else expected, strict=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((25_000, 4), 1),
        ((131, 1028), 1),
        ((1028, 131), 0),
        ((4, 70_001), 0),
        ((64, 12, 11, 11), 1),
        ((140_004,), 0),
    ],
)
def test_patterns_match_the_definition_across_chunk_edges(
    shape: tuple[int, ...], axis: int, dtype: np.dtype[np.generic]
) -> None:
    array, pattern = make("255 levels", math.prod(shape), dtype).reshape(shape), rustprune.NofM(2, 4, axis)
    [expected] = oracle.masks([magnitudes(array)], pattern=(2, 4, axis))
    assert_same([rustprune.mask(array, pattern=pattern)], [expected])
    np.testing.assert_array_equal(
        rustprune.mask(array, pattern=pattern, packed=True), rustprune.pack(expected)
    )


def test_a_pattern_keeps_the_first_number_of_each_group() -> None:
    array = np.array([[4.0, -8.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    expected = np.array([[False, True, False, False], [True, False, False, False]])
    np.testing.assert_array_equal(rustprune.mask(array, pattern="1:4"), expected, strict=True)


def test_an_axis_counted_from_the_end_is_each_arrays_own() -> None:
    arrays = [make("normal", 24, np.dtype(np.float32)).reshape(shape) for shape in [(24,), (6, 4), (3, 2, 4)]]
    assert_same(
        rustprune.mask(arrays, pattern="2:4"), [rustprune.mask(array, pattern="2:4") for array in arrays]
    )


@given(tied() | any_bits(), ratios)
def test_the_count_is_exact(array: Weights, ratio: float) -> None:
    kept = rustprune.mask(array, ratio, nan="keep")
    assert np.count_nonzero(~kept) == round(ratio * array.size) == rustprune.num_pruned(array.size, ratio)


@given(tied(), ratios)
def test_no_pruned_score_is_above_a_kept_one(array: Weights, ratio: float) -> None:
    kept, scores = rustprune.select(array, ratio), values(array)
    assert scores[~kept].max(initial=-np.inf) <= scores[kept].min(initial=np.inf)


@given(tied(), ratios)
def test_of_equal_scores_the_lowest_index_is_kept(array: Weights, ratio: float) -> None:
    kept, scores = rustprune.select(array, ratio).reshape(-1), values(array).reshape(-1)
    for score in np.unique(scores):
        mine = kept[scores == score]
        assert (mine[:-1] >= mine[1:]).all()


@given(tied() | any_bits(), ratios, ratios)
def test_masks_are_nested_in_ratio(array: Weights, one: float, other: float) -> None:
    low, high = (rustprune.mask(array, ratio, nan="prune") for ratio in sorted((one, other)))
    assert not (high & ~low).any()


@given(tied() | any_bits(), ratios, ratios)
def test_pruning_on_from_an_existing_mask_is_pruning_at_once(
    array: Weights, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    first = rustprune.mask(array, low, nan="keep")
    np.testing.assert_array_equal(
        rustprune.mask(array, high, nan="keep", where=first), rustprune.mask(array, high, nan="keep")
    )


@given(requests())
def test_an_existing_mask_may_be_packed(request_: tuple[list[Weights], Ask]) -> None:
    arrays, ask = request_
    where = ask.setdefault("where", [np.ones(array.shape, np.bool_) for array in arrays])
    try:
        expected = rustprune.mask(arrays, **ask)
    except ValueError:
        return
    ask["where"] = [rustprune.pack(mask) for mask in where]  # type: ignore[misc]
    assert_same(rustprune.mask(arrays, **ask), expected)


@given(tied() | any_bits())
def test_ratio_0_keeps_all_and_ratio_1_none(array: Weights) -> None:
    assert rustprune.mask(array, 0.0, nan="prune").all()
    assert not rustprune.mask(array, 1.0, nan="keep").any()


@given(tied() | any_bits(), ratios)
def test_a_ratio_is_its_count(array: Weights, ratio: float) -> None:
    by_count = rustprune.mask(array, count=rustprune.num_pruned(array.size, ratio), nan="keep")
    np.testing.assert_array_equal(by_count, rustprune.mask(array, ratio, nan="keep"))


@given(tied(), ratios)
def test_a_mask_by_magnitude_is_a_selection_by_absolute_value(array: Weights, ratio: float) -> None:
    np.testing.assert_array_equal(
        rustprune.mask(array, ratio), rustprune.select(np.asarray(magnitudes(array)), ratio)
    )


@given(tied(), ratios)
def test_one_array_has_the_same_mask_in_tensor_and_global_scope(array: Weights, ratio: float) -> None:
    np.testing.assert_array_equal(rustprune.mask(array, ratio), rustprune.mask(array, ratio, scope="global"))


@given(tied(hnp.array_shapes(max_dims=1)), ratios)
def test_an_array_of_one_axis_is_one_row(array: Weights, ratio: float) -> None:
    np.testing.assert_array_equal(rustprune.mask(array, ratio), rustprune.mask(array, ratio, scope="row"))


@given(tied(), ratios)
def test_zeros_of_either_sign_are_equal(array: Weights, ratio: float) -> None:
    unsigned = np.asarray(values(array) + 0.0)
    assert not np.signbit(unsigned[unsigned == 0]).any()
    np.testing.assert_array_equal(rustprune.select(array, ratio), rustprune.select(unsigned, ratio))


@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
@given(tied() | any_bits(), ratios)
def test_packed_masks_are_the_masks_packed(scope: Scope, array: Weights, ratio: float) -> None:
    plain = rustprune.mask(array, ratio, scope=scope, nan="keep")
    packed = rustprune.mask(array, ratio, scope=scope, nan="keep", packed=True)
    np.testing.assert_array_equal(packed, rustprune.pack(plain), strict=True)


def test_entries_are_counted_beyond_32_bits() -> None:
    """The weights are untouched zero pages but for three entries, so that they take no memory."""
    length = 2**32 + 70_001
    array = np.zeros(length, ml_dtypes.float8_e4m3fn)
    array[[2**31 + 3, 2**32 + 5, length - 1]] = 1.0
    kept = rustprune.mask(array, count=length - 5, packed=True)
    [bytes_] = np.nonzero(kept)
    assert bytes_.tolist() == [0, (2**31 + 3) // 8, (2**32 + 5) // 8, (length - 1) // 8]
    assert kept[bytes_].tolist() == [0b11, 1 << 3, 1 << 5, 1]


def test_num_pruned_rounds_halves_to_the_even_number() -> None:
    assert [rustprune.num_pruned(n, 0.5) for n in (1, 3, 5, 7)] == [0, 2, 2, 4]


@given(st.integers(0, 2**64 - 1), ratios)
def test_num_pruned_is_what_python_rounds_to(n: int, ratio: float) -> None:
    assert rustprune.num_pruned(n, ratio) == min(round(ratio * n), n)
