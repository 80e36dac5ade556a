"""What the property tests draw: arrays full of ties, arrays of any bits, and what can be asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypedDict

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from rustprune._request import Nan, Scope

Weights: TypeAlias = NDArray[np.generic]
Bools: TypeAlias = NDArray[np.bool_]

DTYPES: list[np.dtype[np.generic]] = [
    np.dtype(np.float64),
    np.dtype(np.float32),
    np.dtype(np.float16),
    np.dtype(ml_dtypes.bfloat16),
    np.dtype(ml_dtypes.float8_e4m3fn),
    np.dtype(ml_dtypes.float8_e5m2),
]

# Few distinct values, exact in every format, so that ties are the rule and not the exception.
TIED = (-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0)


class Ask(TypedDict, total=False):
    """Keywords that `mask`, `select` and `prune_` share."""

    ratio: float
    count: int
    scope: Scope
    where: list[Bools]
    nan: Nan


def shapes(max_dims: int = 3, max_side: int = 9) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes, of no axes and of length 0 too."""
    return hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side)


@st.composite
def tied(draw: st.DrawFn, shape: st.SearchStrategy[tuple[int, ...]] | None = None) -> Weights:
    """Arrays of any dtype and few distinct values."""
    values = hnp.arrays(np.float64, shape or shapes(), elements=st.sampled_from(TIED))
    return draw(values).astype(draw(st.sampled_from(DTYPES)))


@st.composite
def any_bits(draw: st.DrawFn, shape: st.SearchStrategy[tuple[int, ...]] | None = None) -> Weights:
    """Arrays of any dtype and any bits: NaN, infinities, subnormals, zeros of both signs."""
    dtype = draw(st.sampled_from(DTYPES))
    return draw(hnp.arrays(np.dtype(f"u{dtype.itemsize}"), shape or shapes())).view(dtype)


def amounts(least: int) -> st.SearchStrategy[Ask]:
    """Ratios, or counts up to the least number of entries of a contest."""
    ratio = st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    return st.builds(Ask, ratio=ratio) | st.builds(Ask, count=st.integers(0, least))


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[Weights], Ask]:
    """Arrays, and an amount, a scope, an existing mask or none, and a place for NaN."""
    arrays = draw(st.lists(tied() | any_bits(), min_size=1, max_size=4))
    scope: Scope = draw(st.sampled_from(["row", "tensor", "global"]))
    ask = draw(amounts(min(contest_sizes(arrays, scope))))
    ask["scope"] = scope
    ask["nan"] = draw(st.sampled_from(["keep", "prune"]))
    if draw(st.booleans()):
        ask["where"] = [draw(hnp.arrays(np.bool_, array.shape)) for array in arrays]
    return arrays, ask


def contest_sizes(arrays: list[Weights], scope: Scope) -> list[int]:
    """Return how many entries each contest of a scope has."""
    if scope == "global":
        return [sum(array.size for array in arrays)]
    if scope == "tensor":
        return [array.size for array in arrays]
    return [int(np.prod(array.shape[1:] if array.ndim > 1 else array.shape)) for array in arrays]


def num_pruned(ask: Ask) -> Callable[[int], int]:
    """Return the oracle's number of entries to prune of a contest."""
    return lambda size: ask["count"] if "count" in ask else round(ask["ratio"] * size)
