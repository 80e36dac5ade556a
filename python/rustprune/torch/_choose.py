"""Which entries of many parameters are kept: one request, decided where the weights lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

import rustprune
from rustprune import NofM
from rustprune._request import Nan, Scope, SelectOptions
from rustprune.torch import _bits

Score: TypeAlias = Literal["magnitude", "random", "value"]
Bits: TypeAlias = dict[str, Tensor]
Quantity: TypeAlias = tuple[float | None, int | None]  # ratio or count


@dataclass(frozen=True, slots=True)
class PerTensor:
    """So much is pruned of each tensor."""

    asked: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class PerRow:
    """The same of each row of the matrix view."""

    asked: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class Together:
    """So many entries are pruned of all tensors together, and each keeps as many as its floor."""

    count: int
    floors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Groups:
    """N of every M entries are kept, along the last axis, of convolutions along their input channels."""

    kept: int
    group: int


Amount: TypeAlias = PerTensor | PerRow | Together | Groups


@dataclass(frozen=True, slots=True)
class By:
    """What decides which entries go first: a score, the place of NaN in it, the seed of a random one."""

    score: Score = "magnitude"
    nan: Nan = "raise"
    seed: int | None = None


def choose(weights: Mapping[str, Tensor], amount: Amount, by: By, where: Bits | None = None) -> Bits:
    """Return the bits of the masks, on the devices of the weights.

    What the bits of `where` prune stays pruned, and counts.
    """
    match amount:
        case Together():
            return _together({name: one.reshape(-1) for name, one in weights.items()}, amount, by, where)
        case PerTensor(asked):
            parts = [_core({name: one.reshape(-1)}, by, where, *asked[name]) for name, one in weights.items()]
        case PerRow(asked):
            rows = {name: one.reshape(_rows(one), -1) for name, one in weights.items()}
            parts = [_core({name: rows[name]}, by, where, *asked[name], scope="row") for name in rows]
        case Groups(kept, group):
            parts = [
                _core({name: one}, by, where, pattern=NofM(kept, group, axis=1 if one.ndim > 2 else -1))
                for name, one in weights.items()
            ]
    return {name: bits for part in parts for name, bits in part.items()}


def _together(weights: Bits, amount: Together, by: By, where: Bits | None) -> Bits:
    """Select over all; while one keeps less than its floor, give it that and select over the others."""
    fixed: Bits = {}
    count, free = amount.count, dict(weights)
    while free:
        bits = _core(free, by, where, count=count, scope="global")
        short = [name for name in free if _bits.count(bits[name]) < amount.floors.get(name, 0)]
        if not short:
            fixed |= bits
            break
        for name in short:
            length = free[name].numel()
            already = 0 if where is None else length - _bits.count(where[name])
            pruned = max(length - amount.floors[name], already)
            fixed |= _core({name: free.pop(name)}, by, where, count=pruned)
            count -= pruned
        if count > (most := sum(one.numel() for one in free.values())):
            raise ValueError(f"min_kept: expected floors that leave {count} entries to prune, got {most}")
    return {name: fixed[name] for name in weights}


def _rows(tensor: Tensor) -> int:
    """Return how many rows the matrix view has."""
    return len(tensor) if tensor.ndim > 1 else 1


def _core(
    weights: Bits,
    by: By,
    where: Bits | None,
    ratio: float | None = None,
    count: int | None = None,
    *,
    scope: Scope = "tensor",
    pattern: NofM | None = None,
) -> Bits:
    """Ask the core for the masks of one tensor, or of several flat ones."""
    # Rows of whole bytes, and single rows, are packed by the core as `_bits` wants them.
    packed = all(one.ndim == 1 or one.shape[-1] % 8 == 0 for one in weights.values())
    options: SelectOptions = {"count": count, "scope": scope, "pattern": pattern, "nan": by.nan}
    if where is not None:
        options["where"] = {
            name: where[name].view(*one.shape[:-1], -1) if packed else _bits.unpack(where[name], one.shape)
            for name, one in weights.items()
        }
    if by.score == "value":
        masks = rustprune.select(weights, ratio, packed=packed, **options)
    else:
        masks = rustprune.mask(weights, ratio, packed=packed, method=by.score, seed=by.seed, **options)
    return {name: mask.reshape(-1) if packed else _bits.pack(mask) for name, mask in masks.items()}
