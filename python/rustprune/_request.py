"""What a caller asks for, checked as far as the extension cannot: types, words, and what goes together."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal, SupportsIndex, TypeAlias, TypedDict, Unpack, get_args

if TYPE_CHECKING:
    from rustprune._arrays import Arrays, Batch, Shape

ShapeLike: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Method: TypeAlias = Literal["magnitude", "random"]
Scope: TypeAlias = Literal["row", "tensor", "global"]
Nan: TypeAlias = Literal["raise", "keep", "prune"]
Pattern: TypeAlias = tuple[int, int, int]
Counts: TypeAlias = int | Mapping[str, int] | Sequence[int]
# Score, scope, ratio, count, pattern, nan, seed, named: what `_rustprune.select` and `prune` share, in order.
Request: TypeAlias = tuple[str, str, float | None, int | None, Pattern | None, str, int | None, bool]


@dataclass(frozen=True, slots=True)
class NofM:
    """Keep `kept` of every `group` consecutive entries along an axis.

    Parameters
    ----------
    kept, group : int
        ``1 <= kept <= group <= 32``, checked when the pattern is used. The string ``"1:4"`` means
        ``NofM(kept=1, group=4)``: the first number is what is *kept*, as NVIDIA and JaxPruner write it, not
        what is pruned, as Wanda and SparseGPT do.
    axis : int
        The axis that is divided into groups; `group` must divide its length. A convolution of shape
        ``(out, in, height, width)`` is grouped along its input channels by ``axis=1``.

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

    count: Counts | None
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
    count: Counts | None
    pattern: str | NofM | None
    nan: str
    seed: int | None


def checked(
    batch: Batch, shapes: list[Shape], **asked: Unpack[Asked]
) -> tuple[list[Shape], Request, list[int] | None]:
    """Return the shapes to select in, the request, and the count of each array where each has its own."""
    pattern, seed = asked["pattern"], asked["seed"]
    if seed is not None and asked["score"] != "random":
        raise ValueError(f"seed must be left out unless method is 'random', got {seed!r}")
    if pattern is not None and asked["scope"] != "tensor":
        raise ValueError(f"scope must be left out with a pattern, got {asked['scope']!r}")
    grouped, axis = groups(pattern, batch.names, shapes)
    count, counts = _counts(batch, asked["count"])
    request = (
        asked["score"],
        asked["scope"],
        *amount(asked["ratio"], count),
        axis,
        asked["nan"],
        None if seed is None else whole("seed", seed),
        batch.container is dict,
    )
    return grouped, request, counts


def score_of(method: str) -> str:
    """Check the method of `mask` and `prune_`; the score has the same name."""
    if method not in get_args(Method):
        raise ValueError(f"method must be {' or '.join(get_args(Method))}, got {method!r}")
    return method


def amount(ratio: object, count: object) -> tuple[float | None, int | None]:
    """Return ratio and count as numbers where they are given."""
    return None if ratio is None else number("ratio", ratio), None if count is None else whole("count", count)


def exactly_one(**given: object) -> None:
    """Check that one of the parameters is given, and no other."""
    found = [word for word, value in given.items() if value is not None]
    if len(found) != 1:
        *words, last = given
        got = " and ".join(found) if len(found) < len(given) else "both" if len(given) == 2 else "all"
        raise ValueError(f"expected exactly one of {', '.join(words)} and {last}, got {got or 'neither'}")


def groups(pattern: object, names: list[str], shapes: list[Shape]) -> tuple[list[Shape], Pattern | None]:
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


def sizes(shape: ShapeLike) -> Shape:
    """Return a shape given as an int or a sequence of them."""
    lengths = shape if isinstance(shape, Iterable) else (shape,)
    return tuple(whole("shape", length) for length in lengths)


def number(word: str, value: object) -> float:
    """Check that a parameter is a real number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{word} must be a number, got {type(value).__name__}")
    return float(value)


def probability(word: str, value: object) -> float:
    """Check that a parameter is in (0, 1)."""
    checked = number(word, value)
    if not 0 < checked < 1:
        raise ValueError(f"{word} must be in (0, 1), got {value!r}")
    return checked


def whole(word: str, value: object, *, bits: int = 64) -> int:
    """Check that a parameter is an int in [0, 2**bits)."""
    if not 0 <= (index := _index(word, value)) < 2**bits:
        raise ValueError(f"{word} must be in [0, 2**{bits}), got {index}")
    return index


def pair(word: str, value: object) -> tuple[int, int]:
    """Check that a parameter is two ints in [0, 2**64)."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise TypeError(f"{word} must be a pair of ints, got {value!r}")
    return whole(word, value[0]), whole(word, value[1])


def _counts(batch: Batch, count: object) -> tuple[object, list[int] | None]:
    """Return the one count that is given, or else that of each array."""
    if not isinstance(count, Mapping | Sequence) or isinstance(count, str | bytes):
        return count, None
    each = batch.match("count", count)
    return None, [whole(name, item) for name, item in zip(each.names, each.items, strict=True)]


def _index(word: str, value: object) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{word} must be an int, got {type(value).__name__}")
