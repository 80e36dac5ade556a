"""The definitions, in the shortest text that is right: a stable sort, NumPy, no speed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]


def values(array: NDArray[Any]) -> Floats:
    """Return the scores of `select`: every format is exact in float64. Signalling NaN becomes quiet."""
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64)


def magnitudes(array: NDArray[Any]) -> Floats:
    """Return the scores of `mask`."""
    return np.abs(values(array))


def order(scores: Floats, where: Bools | None = None, nan: str = "keep") -> Indices:
    """Return the indices of a flat array from the first to be kept to the last."""
    is_nan = np.isnan(scores)
    level = np.where(is_nan, -1 if nan == "keep" else 1, 0)
    if where is not None:
        level[~where] = 2
    return np.lexsort((np.where(is_nan, 0.0, -scores), level))


def keep_top(scores: Floats, num_pruned: int, where: Bools | None = None, nan: str = "keep") -> Bools:
    """Return the mask of a flat array that prunes so many, the lowest scores; of equal ones the last."""
    mask = np.zeros(scores.size, np.bool_)
    mask[order(scores, where, nan)[: scores.size - num_pruned]] = True
    return mask if where is None else mask & where


def contests(
    shapes: Sequence[tuple[int, ...]], scope: str, pattern: tuple[int, int, int] | None
) -> Iterator[Indices]:
    """Give the entries, counted through all arrays, that compete for one budget."""
    if scope == "global":
        yield np.arange(sum(map(math.prod, shapes)))
        return
    start = 0
    for shape in shapes:
        index = start + np.arange(math.prod(shape)).reshape(shape or 1)
        start += index.size
        if pattern is not None:
            _, group, axis = pattern
            yield from np.moveaxis(index, axis, -1).reshape(-1, group)
        elif scope == "row" and index.ndim > 1:
            yield from index.reshape(len(index), math.prod(index.shape[1:]))
        else:
            yield index.reshape(-1)


def masks(
    scores: Sequence[Floats],
    *,
    ratio: float | None = None,
    count: int | None = None,
    scope: str = "tensor",
    pattern: tuple[int, int, int] | None = None,
    where: Sequence[Bools] | None = None,
    nan: str = "keep",
) -> list[Bools]:
    """Return the masks of several arrays; a pattern is (kept, group, axis).

    Raises
    ------
    ValueError
        If `where` prunes more of a contest than is asked for, unless there is a pattern.
    """
    shapes = [array.shape for array in scores]
    flat = np.concatenate([array.reshape(-1) for array in scores])
    allowed = np.ones(flat.size, np.bool_)
    if where is not None:
        allowed = np.concatenate([array.reshape(-1) for array in where])
    kept = np.zeros(flat.size, np.bool_)
    for members in contests(shapes, scope, pattern):
        pruned = pattern[1] - pattern[0] if pattern else num_pruned(members.size, ratio, count)
        if not pattern and pruned < np.count_nonzero(~allowed[members]):
            raise ValueError("fewer than `where` prunes")
        kept[members] = keep_top(flat[members], pruned, allowed[members], nan)
    ends = np.cumsum([array.size for array in scores])
    return [part.reshape(shape) for part, shape in zip(np.split(kept, ends), shapes, strict=False)]


def num_pruned(size: int, ratio: float | None, count: int | None) -> int:
    """Return how many of so many entries are pruned."""
    if ratio is not None:
        return round(ratio * size)
    assert count is not None
    return count
