"""What the property tests draw: arrays full of ties, arrays of any bits, and what can be asked of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rustprune._request import Nan, Scope

Weights: TypeAlias = NDArray[Any]  # the formats of ml_dtypes have no static type
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


# Of no axes and of length 0 too.
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)


@st.composite
def tied(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES) -> Weights:
    """Arrays of any dtype and few distinct values."""
    values = hnp.arrays(np.float64, shapes, elements=st.sampled_from(TIED))
    return draw(values).astype(draw(st.sampled_from(DTYPES)))


@st.composite
def any_bits(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES) -> Weights:
    """Arrays of any dtype and any bits: NaN, infinities, subnormals, zeros of both signs."""
    dtype = draw(st.sampled_from(DTYPES))
    return draw(hnp.arrays(np.dtype(f"u{dtype.itemsize}"), shapes)).view(dtype)


def amounts(least: int) -> st.SearchStrategy[Ask]:
    """Ratios, or counts up to the least number of entries of a contest."""
    ratio = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0.0, 1.0)
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
    return [math.prod(array.shape[1:] if array.ndim > 1 else array.shape) for array in arrays]


class Exporter:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array: Weights, device: tuple[int, int] | None = None) -> None:
        self.array = array
        self.device = device or array.__dlpack_device__()

    def __dlpack__(self, **options: object) -> object:
        """Return NumPy's capsule."""
        return self.array.__dlpack__(**options)  # type: ignore[arg-type]

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the device given."""
        return self.device
