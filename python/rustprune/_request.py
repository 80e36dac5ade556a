"""What a caller asks for, checked as far as the extension cannot: types, words, and what goes together."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, NamedTuple, SupportsIndex, TypeAlias, TypedDict, Unpack, get_args


from rustprune import _rustprune
from rustprune._arrays import Arrays, Batch, Shape

ShapeLike: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Method: TypeAlias = Literal["magnitude", "random"]
Scope: TypeAlias = Literal["row", "tensor", "global"]
Nan: TypeAlias = Literal["raise", "keep", "prune"]


@dataclass(frozen=True, slots=True)
class NofM:
    """Keep `kept` of every `group` consecutive entries along an axis.

    Parameters
    ----------
    kept, group : int
        ``1 <= kept <= group <= 32``, checked when the pattern is used. The string ``"1:4"`` means
        ``NofM(kept=1, group=4)``: the first number is what is *kept*, as NVIDIA and JaxPruner write it, not what
        is pruned, as Wanda and SparseGPT do.
    axis : int
        The axis that is divided into groups; `group` must divide its length. A convolution of shape ``(out, in,
        height, width)`` is grouped along its input channels by ``axis=1``.

    Raises
    ------
    TypeError, ValueError
        If one of them is not an int, or negative where it counts entries.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.mask(np.array([[4.0, -8.0], [1.0, 2.0]]), pattern=rustprune.NofM(kept=1, group=2, axis=0))
    array([[ True,  True],
           [False, False]])
    """

    kept: int = 2
    group: int = 4
    axis: int = -1

    def __post_init__(self) -> None:
        whole("kept", self.kept, bits=32)
        whole("group", self.group, bits=32)
        _index("axis", self.axis)


class Options(TypedDict, total=False):
    """The keywords that every selection takes and that do not decide the type of its result."""

    count: int | None
    scope: Scope
    pattern: str | NofM | None
    where: Arrays | None
    nan: Nan


class SelectOptions(Options, total=False):
    """Those of `select`."""

    out: Arrays | None


class PruneOptions(Options, total=False):
    """Those of `prune_`."""

    method: Method
    seed: int | None


class MaskOptions(SelectOptions, PruneOptions):
    """Those of `mask`."""


class Asked(TypedDict):
    """The parameters of a selection as a caller gave them."""

    score: str
    scope: str
    ratio: float | None
    count: int | None
    pattern: str | NofM | None
    nan: str
    seed: int | None


class Request(NamedTuple):
    """The parameters that `_rustprune.select` and `_rustprune.prune` share, in their order."""

    score: str
    scope: str
    ratio: float | None
    count: int | None
    pattern: tuple[int, int, int] | None
    nan: str
    seed: int | None
    named: bool


def checked(batch: Batch, shapes: list[Shape], **asked: Unpack[Asked]) -> tuple[list[Shape], Request]:
    """Return the shapes to select in, and the request."""
    score, scope, pattern, seed = asked["score"], asked["scope"], asked["pattern"], asked["seed"]
    one_of("scope", scope, get_args(Scope))
    one_of("nan", asked["nan"], get_args(Nan))
    if (score == "random") != (seed is not None):
        raise ValueError(f"seed must be given for method 'random' and for no other, got {seed=}")
    if pattern is not None and scope != "tensor":
        raise ValueError(f"scope must be left out with a pattern, got {scope!r}")
    ratio, count = amount(asked["ratio"], asked["count"], pattern)
    shapes, axis = groups(pattern, batch.names, shapes)
    seed = None if seed is None else whole("seed", seed)
    return shapes, Request(score, scope, ratio, count, axis, asked["nan"], seed, batch.container is dict)


def amount(ratio: object, count: object, pattern: object) -> tuple[float | None, int | None]:
    """Check that there is a ratio or a count, or, with a pattern, neither."""
    if pattern is not None and not (ratio is count is None):
        raise ValueError(f"ratio and count must be left out with a pattern, got {ratio=}, {count=}")
    if pattern is None and (ratio is None) == (count is None):
        raise ValueError(f"exactly one of ratio and count must be given, got {ratio=}, {count=}")
    return None if ratio is None else number("ratio", ratio), None if count is None else whole("count", count)


def groups(
    pattern: object, names: list[str], shapes: list[Shape]
) -> tuple[list[Shape], tuple[int, int, int] | None]:
    """Return shapes in which the grouped axis has the same number, and kept, group and that number.

    An axis counted from the end gets one number for all shapes by axes of length 1 in front.
    """
    if pattern is None:
        return shapes, None
    if isinstance(pattern, str) and (match := re.fullmatch("([0-9]{1,9}):([0-9]{1,9})", pattern)):
        pattern = NofM(int(match[1]), int(match[2]))
    if not isinstance(pattern, NofM):
        kind = ValueError if isinstance(pattern, str) else TypeError
        raise kind(f"pattern must be an NofM or a string such as '2:4', got {pattern!r}")
    shapes = [shape or (1,) for shape in shapes]
    for name, shape in zip(names, shapes, strict=True):
        if not -len(shape) <= pattern.axis < len(shape):
            raise ValueError(f"{name}: expected an axis {pattern.axis} to group, got shape {shape}")
    if pattern.axis >= 0:
        return shapes, (pattern.kept, pattern.group, pattern.axis)
    ndim = max(map(len, shapes), default=1)
    shapes = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    return shapes, (pattern.kept, pattern.group, pattern.axis + ndim)


def num_pruned(n: int, ratio: float) -> int:
    """Return how many of `n` entries a ratio prunes.

    Parameters
    ----------
    n : int
        Number of entries, in [0, 2**64).
    ratio : float
        Fraction to prune, in [0, 1].

    Returns
    -------
    int
        ``round(ratio * n)``, the product in double precision, halves to the even number.

    Raises
    ------
    TypeError
        If `n` is not an int or `ratio` not a number.
    ValueError
        If one of them is out of range.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.num_pruned(5, 0.5), rustprune.num_pruned(7, 0.5)
    (2, 4)
    """
    return _rustprune.num_pruned(whole("n", n), number("ratio", ratio))


def sizes(shape: ShapeLike) -> Shape:
    """Return a shape given as an int or a sequence of them."""
    lengths = (shape,) if isinstance(shape, SupportsIndex) else shape
    return tuple(whole("shape", length) for length in lengths)


def one_of(word: str, value: str, words: tuple[str, ...]) -> None:
    """Check that a parameter is one of the words it may be."""
    if value not in words:
        raise ValueError(f"{word} must be one of {', '.join(words)}, got {value!r}")


def number(word: str, value: object) -> float:
    """Check that a parameter is a real number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{word} must be a number, got {type(value).__name__}")
    return float(value)


def whole(word: str, value: object, *, bits: int = 64) -> int:
    """Check that a parameter is an int in [0, 2**bits)."""
    if not 0 <= (index := _index(word, value)) < 2**bits:
        raise ValueError(f"{word} must be in [0, 2**{bits}), got {index}")
    return index


def _index(word: str, value: object) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{word} must be an int, got {type(value).__name__}")
