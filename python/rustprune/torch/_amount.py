"""How much of which target is pruned: a ratio, a count, a rate or a pattern, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rustprune import allocate, num_pruned
from rustprune._allocate import Rule
from rustprune._names import matched
from rustprune._request import amount as checked
from rustprune._request import exactly_one, groups, number, whole
from rustprune.torch._choose import Amount, Groups, PerRow, PerTensor, Quantity, Together


def amount_of(
    shapes: Mapping[str, Sequence[int]],
    kept: Mapping[str, int],
    *,
    ratio: object,
    count: object,
    rate: object,
    scope: str,
    allocation: Rule | None,
    pattern: str | None,
    min_kept: float,
) -> Amount:
    """Check how much is to be pruned, of targets of which so many entries are kept now."""
    if pattern is not None:
        if not (ratio is count is rate is None) or scope != "tensor":
            raise ValueError(
                f"pattern must be given without ratio, count, rate and scope, got {pattern!r} and others"
            )
        _, grouped = groups(pattern, ["pattern"], [(1,)])
        keep, group, _ = grouped or (0, 0, 0)
        return Groups(keep, group)
    exactly_one(ratio=ratio, count=count, rate=rate)
    if scope not in ("row", "tensor", "global"):
        raise ValueError(f"scope must be row or tensor or global, got {scope!r}")
    if allocation is not None and scope != "tensor":
        raise ValueError(f"allocation must be left out with scope {scope!r}, got {allocation!r}")
    if min_kept and scope != "global" and allocation is None:
        raise ValueError(f"min_kept must be left out unless targets share a budget, got {min_kept!r}")
    lengths = {name: math.prod(shape) for name, shape in shapes.items()}
    if scope == "global" or allocation is not None:
        floors = {name: _floor(min_kept, length) for name, length in lengths.items()}
        budget = _total(sum(lengths.values()), sum(kept.values()), ratio, count, rate)
        if allocation is None:
            return Together(budget, floors)
        counts = allocate(shapes, count=budget, rule=allocation, min_kept=floors)
        return PerTensor({name: (None, pruned) for name, pruned in counts.items()})
    if scope == "row":
        if rate is not None:
            raise ValueError(f"rate must be left out with scope 'row', got {rate!r}")
        return PerRow(_each(list(shapes), ratio, count))
    if rate is None:
        return PerTensor(_each(list(shapes), ratio, count))
    rates = _by_name("rate", list(shapes), rate)
    return PerTensor(
        {name: (None, lengths[name] - left + num_pruned(left, rates[name])) for name, left in kept.items()}
    )


def _total(length: int, kept: int, ratio: object, count: object, rate: object) -> int:
    """Return how many of so many entries are pruned under one budget."""
    if count is not None:
        return whole("count", count)
    if rate is not None:
        return length - kept + num_pruned(kept, number("rate", rate))
    return num_pruned(length, number("ratio", ratio))


def _each(names: Sequence[str], ratio: object, count: object) -> dict[str, Quantity]:
    if count is not None:
        return dict.fromkeys(names, checked(None, count))
    return {name: (one, None) for name, one in _by_name("ratio", names, ratio).items()}


def _by_name(word: str, names: Sequence[str], given: object) -> dict[str, float]:
    """Return the ratio of each name: the one given, or that of the last pattern that matches it, else 0."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, number(word, given))
    found = dict.fromkeys(names, 0.0)
    for pattern, value in given.items():
        for name in matched(word, [pattern], names):
            found[name] = number(word, value)
    return found


def _floor(min_kept: float, length: int) -> int:
    """Return how many entries of so many are kept at least."""
    if isinstance(min_kept, int):
        return min(length, whole("min_kept", min_kept))
    if not 0 <= min_kept <= 1:
        raise ValueError(f"min_kept must be in [0, 1] or an int, got {min_kept!r}")
    return math.ceil(min_kept * length)
