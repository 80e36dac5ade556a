"""`prune_` and `apply_`: what they zero, what they leave bit for bit, and what they say they did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rustprune
from inputs import make
from oracle import magnitudes
from strategies import DTYPES, Ask, Weights, any_bits, requests, tied

if TYPE_CHECKING:
    import oracle
    from rustprune._request import Method, Scope

ratios = st.floats(0.0, 1.0)


def bits(array: Weights) -> np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]:
    """Return the entries as integers, so that NaN and zeros of both signs compare."""
    return array.view(f"u{array.itemsize}")


def zeroed(array: Weights, mask: oracle.Bools) -> np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]:
    """Return the bits of the definition: kept entries as they are, pruned ones positive zero."""
    return np.where(mask, bits(array), 0).astype(bits(array).dtype)


@pytest.mark.parametrize("threads", [1, 2, 7])
@given(requests())
def test_prune_zeros_what_mask_does_not_keep_and_nothing_else(
    threads: int, request_: tuple[list[Weights], Ask]
) -> None:
    arrays, ask = request_
    rustprune.set_num_threads(threads)
    pruned = [array.copy() for array in arrays]
    try:
        masks = rustprune.mask(arrays, **ask)
    except ValueError:
        masks = [np.ones(array.shape, np.bool_) for array in arrays]
        with pytest.raises(ValueError, match="that `where` already prunes"):
            rustprune.prune_(pruned, **ask)
    else:
        rustprune.prune_(pruned, **ask)
    for array, original, mask in zip(pruned, arrays, masks, strict=True):
        np.testing.assert_array_equal(bits(array), zeroed(original, mask), strict=True)


@given(requests())
def test_the_summary_is_that_of_the_mask(request_: tuple[list[Weights], Ask]) -> None:
    arrays, ask = request_
    try:
        masks = rustprune.mask(arrays, **ask)
    except ValueError:
        return
    scope, where = ask["scope"], ask.get("where", [np.ones(array.shape, np.bool_) for array in arrays])
    scores = [magnitudes(array) for array in arrays]
    summaries = rustprune.prune_([array.copy() for array in arrays], **ask)
    for number, (summary, mask) in enumerate(zip(summaries, masks, strict=True)):
        assert (summary.num_entries, summary.num_kept) == (mask.size, int(np.count_nonzero(mask)))
        assert summary.num_pruned == np.count_nonzero(~mask)
        assert summary.sparsity == (summary.num_pruned / mask.size if mask.size else 0.0)
        # What competed with this array's entries.
        rivals = range(len(arrays)) if scope == "global" else [number]
        kept = np.concatenate([scores[rival][masks[rival]] for rival in rivals])
        candidates = np.concatenate([scores[rival][where[rival]] for rival in rivals])
        if scope == "row" or kept.size == 0:
            assert (summary.threshold, summary.num_ties) == (None, 0)
            continue
        # NaN is the least score where it ranks below everything, and else the greatest.
        is_nan = np.isnan(kept)
        least = np.nan if is_nan.all() or (is_nan.any() and ask["nan"] == "prune") else np.nanmin(kept)
        np.testing.assert_equal(summary.threshold, least)
        ties = np.isnan(candidates) if math.isnan(least) else candidates == least
        assert summary.num_ties == np.count_nonzero(ties)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("length", [63, 64, 65, 65_535, 65_537, 200_003, 1_048_577])
def test_prune_and_apply_agree_with_mask_around_chunk_edges(length: int, dtype: np.dtype[np.generic]) -> None:
    array = make("60 % zeros", length, dtype)
    pruned, applied = array.copy(), array.copy()
    mask = rustprune.mask(array, 0.7)
    summary = rustprune.prune_(pruned, 0.7)
    rustprune.apply_(applied, mask)
    assert (summary.num_pruned, summary.threshold, summary.num_ties) == (
        round(0.7 * length),
        0.0 if 0.3 * length > np.count_nonzero(array) else magnitudes(array)[mask].min(),
        int(np.count_nonzero(np.abs(array) == summary.threshold)),
    )
    np.testing.assert_array_equal(bits(pruned), zeroed(array, mask), strict=True)
    np.testing.assert_array_equal(bits(applied), zeroed(array, mask), strict=True)


@given(st.data())
def test_apply_zeros_where_the_mask_is_false_and_nothing_else(data: st.DataObject) -> None:
    arrays = data.draw(st.lists(tied() | any_bits(), max_size=3))
    masks = [data.draw(hnp.arrays(np.bool_, array.shape)) for array in arrays]
    expected = [zeroed(array, mask) for array, mask in zip(arrays, masks, strict=True)]
    packed = data.draw(st.booleans(), "packed")
    rustprune.apply_(arrays, [rustprune.pack(mask) for mask in masks] if packed else masks)
    for array, right in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(bits(array), right, strict=True)


@given(any_bits(), ratios)
def test_pruning_twice_is_pruning_once(array: Weights, ratio: float) -> None:
    rustprune.prune_(array, ratio, nan="keep")
    once = bits(array).copy()
    rustprune.prune_(array, ratio, nan="keep")
    np.testing.assert_array_equal(bits(array), once)


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_patterns_prune_in_place(method: Method) -> None:
    array = make("normal", 4096, np.dtype(np.float32)).reshape(32, 128)
    seed = 3 if method == "random" else None
    mask = rustprune.mask(array, pattern="2:4", method=method, seed=seed)
    pruned = array.copy()
    summary = rustprune.prune_(pruned, pattern="2:4", method=method, seed=seed)
    assert summary == rustprune.Summary(num_entries=4096, num_pruned=2048, threshold=None, num_ties=0)
    np.testing.assert_array_equal(bits(pruned), zeroed(array, mask))


@pytest.mark.parametrize("scope", ["row", "tensor", "global"])
def test_random_pruning_in_place_is_the_random_mask(scope: Scope) -> None:
    arrays = {name: make("normal", 70_000, np.dtype(np.float32)).reshape(70, 1000) for name in "ab"}
    masks = rustprune.mask(arrays, 0.3, method="random", seed=7, scope=scope)
    pruned = {name: array.copy() for name, array in arrays.items()}
    summaries = rustprune.prune_(pruned, 0.3, method="random", seed=7, scope=scope)
    assert sum(summary.num_pruned for summary in summaries.values()) == 42_000
    for name, array in arrays.items():
        assert summaries[name].num_pruned == np.count_nonzero(~masks[name])
        np.testing.assert_array_equal(bits(pruned[name]), zeroed(array, masks[name]))


STRIDED = {
    "every other entry": lambda array: array[::2],
    "backwards": lambda array: array[::-1],
    "transposed": lambda array: array.reshape(30, 40).T,
    "columns": lambda array: array.reshape(30, 40)[:, 3:17],
    "big-endian": lambda array: array.astype(">f4"),
}


@pytest.mark.parametrize("layout", STRIDED)
def test_arrays_of_any_layout_are_changed_where_they_are(layout: str) -> None:
    memory = make("normal", 1200, np.dtype(np.float32)).copy()
    array = STRIDED[layout](memory)
    expected = np.where(rustprune.mask(array, 0.5), array, 0.0)
    summary = rustprune.prune_(array, 0.5)
    assert summary.num_pruned == array.size // 2
    np.testing.assert_array_equal(array, expected)
    mask = rustprune.random_mask(array.shape, 0.5, seed=1)
    rustprune.apply_(array, mask)
    np.testing.assert_array_equal(array, np.where(mask, expected, 0.0))


def test_entries_between_those_of_a_strided_array_are_untouched() -> None:
    memory = np.ones(10, np.float32)
    rustprune.prune_(memory[::2], 1.0)
    assert memory.tolist() == [0.0, 1.0] * 5


def test_interleaved_arrays_are_pruned_each_on_its_own() -> None:
    memory = make("normal", 600, np.dtype(np.float32)).reshape(20, 30).copy()
    parts = [memory[:, :10], memory[:, 10:]]
    expected = np.concatenate([np.where(rustprune.mask(part, 0.5), part, 0) for part in parts], axis=1)
    rustprune.prune_(parts, 0.5)
    np.testing.assert_array_equal(memory, expected)


@pytest.mark.parametrize("strided", [False, True])
def test_a_parameter_is_pruned_under_autograd(*, strided: bool) -> None:
    weight = torch.nn.Parameter(torch.arange(1.0, 7.0).reshape(2, 3))
    rustprune.prune_(weight.T if strided else weight, 0.5)
    assert weight.tolist() == [[0.0, 0.0, 0.0], [4.0, 5.0, 6.0]]
    assert weight.requires_grad
    assert weight.is_leaf


@pytest.mark.parametrize("function", [rustprune.prune_, rustprune.apply_])
def test_a_gradient_that_needs_the_old_values_raises_and_is_not_wrong(function: object) -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    loss = (weight * weight).sum()
    if function is rustprune.prune_:
        rustprune.prune_(weight, 0.5)
    else:
        rustprune.apply_(weight, torch.tensor([True, True, False, False]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_nothing_is_written_when_a_later_array_is_bad() -> None:
    good, bad = np.arange(6.0), np.array([1.0, np.nan])
    with pytest.raises(ValueError, match=r"weights\[1\]"):
        rustprune.prune_([good, bad], 0.5)
    assert good.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_one_mask_may_serve_many_arrays() -> None:
    mask = np.array([True, False, True])
    arrays = [np.ones(3, np.float32) for _ in range(1000)]
    rustprune.apply_(arrays, [mask] * 1000)
    assert all(array.tolist() == [1.0, 0.0, 1.0] for array in arrays)
