"""Exact selection over parts that lie on several devices or in several processes: only counts travel.

The rank-th key is found digit by digit, the most significant first, from histograms that are added up over
all parts. Where only some of the entries of that very key are kept, the last of them in the order of
positions is found in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rustprune._request import Nan
from rustprune.torch import _bits, _keys
from rustprune.torch._shards import Layout, reduced

_DIGIT = 16
# Entries at a time; a multiple of 8, for whole bytes of bits. Temporaries of much larger pieces, of up to 8
# bytes an entry, would be given back to the system and fetched again each time: it costs more than the work.
_CHUNK = 1 << 19


@dataclass(frozen=True, slots=True)
class Part:
    """What this process, or this device, has of a tensor.

    Parameters
    ----------
    name : str
        The name of the tensor.
    shape : torch.Size
        The shape of the whole.
    values : Tensor
        The entries of the part, contiguous.
    coordinates : sequence of Tensor, optional
        Axis by axis the indices in the whole of what is here; left out for a part that is the whole.
    layout : Layout, optional
        The processes that have the other parts, if this one has not.
    where : Tensor, optional
        Bits of what may be kept.
    """

    name: str
    shape: torch.Size
    values: Tensor
    coordinates: Sequence[Tensor] | None = None
    layout: Layout | None = None
    where: Tensor | None = None

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Give the entries piece by piece, with their place in the part."""
        flat = self.values.reshape(-1)
        for start in range(0, flat.numel(), _CHUNK):
            piece = slice(start, min(start + _CHUNK, flat.numel()))
            yield piece, flat[piece]

    def allowed(self, piece: slice) -> Tensor | None:
        """Return which entries of a piece may be kept, None for all."""
        if self.where is None:
            return None
        return _bits.unpack(self.where[piece.start // 8 : -(-piece.stop // 8)], (piece.stop - piece.start,))

    def positions(self, indices: Tensor) -> Tensor:
        """Return the row-major positions in the whole of row-major indices in the part."""
        if self.coordinates is None:
            return indices
        found = torch.zeros_like(indices)
        stride = 1
        for axis in reversed(range(len(self.shape))):
            here = self.coordinates[axis].to(indices.device)
            found += here[indices % len(here)] * stride
            indices = indices // len(here)
            stride *= self.shape[axis]
        return found


def select(parts: Sequence[Part], count: int, nan: Nan, *, signed: bool) -> list[Tensor]:
    """Return the bits of the masks that prune so many entries of all tensors together.

    Parameters
    ----------
    parts : sequence of Part
        Parts of a tensor follow each other; the order of tensors is that of ties.
    count : int
        How many entries are pruned, of all parts in all processes.
    nan : {"raise", "keep", "prune"}
        The place of NaN.
    signed : bool
        Whether the score is the value, or its magnitude.

    Returns
    -------
    list of Tensor
        For each part, on its device.

    Raises
    ------
    ValueError
        If there is NaN under ``nan="raise"``; if there are not so many entries, or `where` prunes more. The
        same in all processes.
    """
    starts, total = _starts(parts)
    _check(parts, count, total)
    if nan == "raise":
        check_nan(parts)
    if count == total:
        return [torch.zeros_like(_bits.full(part.values.shape, part.values.device)) for part in parts]
    width = _keys.width({part.values.dtype for part in parts})

    def keys(part: Part, piece: slice, values: Tensor) -> Tensor:
        found = _keys.keys(values, width, nan, signed=signed)
        allowed = part.allowed(piece)
        return found if allowed is None else found.masked_fill(~allowed, _keys.excluded(width))

    def places(part: Part) -> Iterator[Tensor]:
        for piece, values in part.chunks():
            tied = (keys(part, piece, values) == least).nonzero().view(-1)
            # The first is kept first: the larger its key.
            yield -1 - starts[part.name] - part.positions(tied + piece.start)

    least, ties_kept, ties = _ranked(
        parts, lambda part: (keys(part, *chunk) for chunk in part.chunks()), width, total - count
    )
    last = None
    if ties_kept < ties:
        last, _, _ = _ranked(parts, places, _places_width(total), ties_kept)

    def bits(part: Part) -> Iterator[Tensor]:
        for piece, values in part.chunks():
            found = keys(part, piece, values)
            mask = found >= least
            if last is not None:
                tied = (found == least).nonzero().view(-1)
                mask[tied] = -1 - starts[part.name] - part.positions(tied + piece.start) >= last
            yield _bits.pack(mask)

    return [torch.cat([*bits(part), part.values.new_empty(0, dtype=torch.uint8)]) for part in parts]


def _ranked(
    parts: Sequence[Part], keys_of: Callable[[Part], Iterable[Tensor]], width: int, rank: int
) -> tuple[int, int, int]:
    """Return the rank-th largest key, how many that have it are among the largest, and how many have it."""
    prefix, have = 0, 0
    for shift in range(width - _DIGIT, -1, -_DIGIT):
        top = shift == width - _DIGIT
        found = []
        for part in parts:
            counts = torch.zeros(1 << _DIGIT, dtype=torch.int64, device=part.values.device)
            for keys in keys_of(part):
                # The first digit has the sign: from -2**15 on.
                digits = (
                    (keys >> shift).to(torch.int32) + (1 << (_DIGIT - 1))
                    if top
                    else (keys[keys >> (shift + _DIGIT) == prefix] >> shift) & ((1 << _DIGIT) - 1)
                )
                counts += torch.bincount(digits, minlength=1 << _DIGIT)
            found.append((part.layout, counts))
        counts = reduced(found)
        from_top = counts.flip(0).cumsum(0)
        at = int(torch.searchsorted(from_top, rank))
        digit = len(counts) - 1 - at
        have = int(counts[digit])
        rank -= int(from_top[at]) - have
        prefix = digit - (1 << (_DIGIT - 1)) if top else (prefix << _DIGIT) | digit
    return prefix, rank, have


def _places_width(total: int) -> int:
    """Return how many bits the keys of so many positions take."""
    return -(-(total.bit_length() + 1) // _DIGIT) * _DIGIT


def _starts(parts: Sequence[Part]) -> tuple[dict[str, int], int]:
    """Return how many entries lie before each tensor, and how many there are."""
    starts: dict[str, int] = {}
    total = 0
    for part in parts:
        if part.name not in starts:
            starts[part.name] = total
            total += math.prod(part.shape)
    return starts, total


def _check(parts: Sequence[Part], count: int, total: int) -> None:
    """Check that so many entries can be pruned."""
    what = "all arrays together" if len({part.name for part in parts}) > 1 else "an array"
    if count > total:
        raise ValueError(f"count must be at most the number of entries in {what}, {total}, got {count}")
    before = [
        (part.layout, torch.tensor([part.values.numel() - _bits.count(part.where)]))
        for part in parts
        if part.where is not None
    ]
    if before and (pruned := int(reduced(before))) > count:
        what = what if what.startswith("all") else parts[0].name
        raise ValueError(
            f"{what}: num_pruned must be at least the {pruned} entries that `where` already prunes, "
            f"got {count}"
        )


def check_nan(parts: Sequence[Part]) -> None:
    """Raise the error that names the first NaN, if there is one."""
    names = list(dict.fromkeys(part.name for part in parts))
    none = torch.iinfo(torch.int64).max
    found = []
    for part in parts:
        first = torch.full((len(names),), none)
        for piece, values in part.chunks():
            if (at := _keys.first_nan(values, part.allowed(piece))) is not None:
                index = torch.tensor([piece.start + at], device=values.device)
                first[names.index(part.name)] = part.positions(index).cpu()
                break
        found.append((part.layout, first))
    for name, index in zip(names, reduced(found, least=True).tolist(), strict=True):
        if index != none:
            raise ValueError(
                f"{name}: expected no NaN, got one at flat index {index}; "
                'pass nan="keep" or nan="prune" to rank it'
            )
