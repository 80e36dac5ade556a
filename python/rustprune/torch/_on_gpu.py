"""The contests of `_choose` over parameters that lie on one GPU, in the words of `_gpu`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor

from rustprune import NofM, num_pruned
from rustprune._request import Nan, Scope
from rustprune.torch import _bits, _gpu
from rustprune.torch._shards import local

Bits: TypeAlias = dict[str, Tensor]
Score: TypeAlias = Literal["magnitude", "random", "value"]


def lie_on_one_gpu(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether all of the tensors are whole and on the same CUDA device."""
    return len({one.device for one in tensors.values()}) == 1 and all(
        one.is_cuda and local(one) is one for one in tensors.values()
    )


def ask(
    weights: Mapping[str, Tensor],
    where: Bits | None,
    ratio: float | None,
    count: int | None,
    *,
    scope: Scope,
    pattern: NofM | None,
    score: Score,
    nan: Nan,
    seed: int | None,
) -> Bits:
    """Decide one contest over all tensors, or the rows or groups of each; at random not for rows."""
    given = [one.contiguous() for one in weights.values()]
    kept = None if where is None else [where[name] for name in weights]
    select: Callable[..., list[Tensor]]
    if score != "random":
        select = partial(_gpu.select_, given, score=score, where=kept, nan=nan, names=[*weights])
    elif seed is None:
        raise ValueError('method="random" needs a seed')
    else:
        lengths, device = [one.numel() for one in given], given[0].device
        select = partial(_gpu.random_, lengths, [*weights], seed=seed, device=device, where=kept)
    if pattern is not None:
        strides = [_stride(name, one, pattern) for name, one in weights.items()]
        found = select(pattern=(pattern.kept, pattern.group), strides=strides)
    elif scope == "row":
        found = select(
            rows=True, num_pruned=[_of_row(name, one, ratio, count, where) for name, one in weights.items()]
        )
    else:
        total = sum(one.numel() for one in given)
        least = 0 if kept is None else total - sum(map(_bits.count, kept))
        what = "all arrays together" if len(weights) > 1 else next(iter(weights), "")
        found = select(num_pruned=_checked(what, ratio, count, least, total))
    return dict(zip(weights, found, strict=True))


def _of_row(name: str, weights: Tensor, ratio: float | None, count: int | None, where: Bits | None) -> int:
    """Return how many entries of each row of the matrix view are pruned."""
    rows, length = (len(weights), math.prod(weights.shape[1:])) if weights.ndim > 1 else (1, weights.numel())
    least = 0
    if where is not None and rows * length:
        least = length - int(_bits.unpack(where[name], (rows, length)).sum(1).amin())
    return _checked(f"a row of {name}", ratio, count, least, length)


def _stride(name: str, weights: Tensor, pattern: NofM) -> int:
    """Return how far apart the entries of a group lie."""
    if (length := weights.shape[pattern.axis]) % pattern.group:
        raise ValueError(
            f"{name}: the grouped axis must be divisible by {pattern.group}, got length {length}"
        )
    return 1 if pattern.axis == -1 else math.prod(weights.shape[pattern.axis + 1 :])


def _checked(what: str, ratio: float | None, count: int | None, least: int, most: int) -> int:
    """Return how many entries are pruned, within what the core allows."""
    pruned = num_pruned(most, ratio or 0.0) if count is None else count
    if pruned > most:
        raise ValueError(f"count must be at most the number of entries in {what}, {most}, got {pruned}")
    if pruned < least:
        raise ValueError(
            f"{what}: num_pruned must be at least the {least} entries that `where` already prunes, "
            f"got {pruned}"
        )
    return pruned
