"""Which entries of many parameters are kept: one request, decided where the weights lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

import rustprune
from rustprune import NofM, num_pruned
from rustprune._request import Nan, Scope, SelectOptions
from rustprune.torch import _bits, _on_gpu, _radix
from rustprune.torch._on_gpu import Bits, Score
from rustprune.torch._shards import Layout, all_succeed, layouts, local, totals

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
    """Return the bits of the masks, on the devices of the weights; of shards those of the part here.

    What the bits of `where` prune stays pruned, and counts. Called by all processes where they share weights.
    """
    here = all(_is_here(one) for one in weights.values())
    drawn_there = _on_gpu.lie_on_one_gpu(weights) and not isinstance(amount, PerRow)
    if by.score == "random" and not (here or drawn_there):
        return _drawn(weights, amount, by, where)
    match amount:
        case Together():
            return _together(weights, amount, by, where)
        case PerTensor(asked):
            parts = [_ask({name: one}, by, where, *asked[name]) for name, one in weights.items()]
        case PerRow(asked):
            parts = [_ask({name: one}, by, where, *asked[name], scope="row") for name, one in weights.items()]
        case Groups(kept, group):
            parts = [
                _ask({name: one}, by, where, pattern=NofM(kept, group, axis=1 if one.ndim > 2 else -1))
                for name, one in weights.items()
            ]
    return {name: bits for part in parts for name, bits in part.items()}


def _together(weights: Mapping[str, Tensor], amount: Together, by: By, where: Bits | None) -> Bits:
    """Select over all; while one keeps less than its floor, give it that and select over the others."""
    fixed: Bits = {}
    count, free = amount.count, dict(weights)
    while free:
        bits = _ask(free, by, where, count=count, scope="global")
        kept = num_kept(bits, free)
        short = [name for name in free if kept[name] < amount.floors.get(name, 0)]
        if not short:
            fixed |= bits
            break
        allowed = None if where is None else num_kept({name: where[name] for name in free}, free)
        for name in short:
            length = free[name].numel()
            already = 0 if allowed is None else length - allowed[name]
            pruned = max(length - amount.floors[name], already)
            fixed |= _ask({name: free.pop(name)}, by, where, count=pruned)
            count -= pruned
        if count > (most := sum(one.numel() for one in free.values())):
            raise ValueError(f"min_kept: expected floors that leave {count} entries to prune, got {most}")
    return {name: fixed[name] for name in weights}


def num_kept(bits: Bits, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many entries of each whole tensor are kept."""
    return totals({name: _bits.count(one) for name, one in bits.items()}, layouts(weights))


def _drawn(weights: Mapping[str, Tensor], amount: Amount, by: By, where: Bits | None) -> Bits:
    """Draw at random where the core cannot see the weights: a random mask depends on their shapes alone.

    Every process draws the masks of whole tensors, a bit per entry, and takes its parts of them.
    """
    # Weights are not read, so this memory is only ever promised.
    shapes = {name: torch.empty(one.shape, dtype=torch.float8_e4m3fn) for name, one in weights.items()}
    found = layouts(weights)
    if where is not None:
        where = {
            name: (found[name].gathered(bits) if name in found else bits).cpu()
            for name, bits in where.items()
            if name in weights
        }
    bits = choose(shapes, amount, by, where)
    return {
        name: (found[name].sliced(bits[name]) if name in found else bits[name]).to(local(one).device)
        for name, one in weights.items()
    }


def _ask(
    weights: Mapping[str, Tensor],
    by: By,
    where: Bits | None,
    ratio: float | None = None,
    count: int | None = None,
    *,
    scope: Scope = "tensor",
    pattern: NofM | None = None,
) -> Bits:
    """Decide one contest over all tensors, or the rows or groups of one, where the weights lie."""
    if all(_is_here(one) for one in weights.values()):
        return _core(weights, by, where, ratio, count, scope=scope, pattern=pattern)
    if _on_gpu.lie_on_one_gpu(weights):
        return _on_gpu.ask(
            weights,
            where,
            ratio,
            count,
            scope=scope,
            pattern=pattern,
            score=by.score,
            nan=by.nan,
            seed=by.seed,
        )
    if pattern is not None or (scope == "row" and all(one.ndim > 1 for one in weights.values())):
        return _rows_or_groups(weights, by, where, ratio, count, scope=scope, pattern=pattern)
    total = sum(one.numel() for one in weights.values())
    pruned = num_pruned(total, ratio or 0.0) if count is None else count
    parts = [_part(name, one, where) for name, one in weights.items()]
    chosen = _radix.select(parts, pruned, by.nan, signed=by.score == "value")
    return dict(zip(weights, chosen, strict=True))


def _rows_or_groups(
    weights: Mapping[str, Tensor],
    by: By,
    where: Bits | None,
    ratio: float | None,
    count: int | None,
    *,
    scope: Scope,
    pattern: NofM | None,
) -> Bits:
    """Decide each row or group where it is whole; one lies in one process, or it is an error."""
    found = layouts(weights)
    for name, layout in found.items():
        axes = range(len(layout.shape))
        if layout.axes & {*(axes[1:] if pattern is None else [axes[pattern.axis]])}:
            word = "rows" if pattern is None else "groups"
            raise ValueError(f"{name}: expected shards of whole {word}, got {layout.placements}")
    if by.nan == "raise":
        _radix.check_nan([_part(name, one, where) for name, one in weights.items()])
    parts = {name: local(one) for name, one in weights.items()}
    masks: Bits = {}
    failure = None
    try:
        on_cpu = None if where is None else {name: where[name].cpu() for name in weights}
        masks = _core(
            {name: one.cpu() for name, one in parts.items()},
            by,
            on_cpu,
            ratio,
            count,
            scope=scope,
            pattern=pattern,
        )
    except ValueError as error:
        failure = error
    others = ValueError(f"{', '.join(weights)}: expected shards that can be pruned, got an error elsewhere")
    all_succeed(list(found.values()), failure, others)
    return {name: bits.to(parts[name].device) for name, bits in masks.items()}


def _is_here(tensor: Tensor) -> bool:
    """Return whether the core can read all of a tensor."""
    return tensor.is_cpu and local(tensor) is tensor


def _part(name: str, tensor: Tensor, where: Bits | None) -> _radix.Part:
    layout = Layout.of(tensor)
    return _radix.Part(
        name,
        tensor.shape,
        local(tensor).contiguous(),
        None if layout is None else layout.coordinates(),
        layout,
        None if where is None else where[name],
    )


def _core(
    weights: Mapping[str, Tensor],
    by: By,
    where: Bits | None,
    ratio: float | None,
    count: int | None,
    *,
    scope: Scope,
    pattern: NofM | None,
) -> Bits:
    """Ask the core for the masks of one tensor, or of several together."""
    if scope == "row":
        # The matrix view, of no rows too.
        weights = {
            name: one.flatten(1) if one.ndim > 1 else one.reshape(1, -1) for name, one in weights.items()
        }
    elif pattern is None:
        weights = {name: one.reshape(-1) for name, one in weights.items()}
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
