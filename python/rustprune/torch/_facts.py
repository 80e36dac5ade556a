"""What the entries of a pruned parameter look like, block by block, so that little is copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._apply import apply_bits_

# Entries at a time: little beside a model, and enough to be worth waking threads for.
_CPU, _GPU = 1 << 22, 1 << 25


class Details(NamedTuple):
    """The order that a mask made, as the magnitudes of now show it, and the lines that it empties.

    NaN counts as infinite. See `TargetReport`.
    """

    threshold: float | None
    largest_pruned: float | None
    num_ties: int
    num_empty_rows: int
    num_empty_columns: int


def count_nonzero(values: Tensor) -> int:
    """Return how many entries are not zero; NaN is not."""
    values = values.detach()
    return int(torch.count_nonzero(values.float() if values.dtype.itemsize == 1 else values))


def disagreements(weight: Tensor, bits: Tensor) -> tuple[int, int]:
    """Return how many entries are pruned and not zero, and how many are kept and zero."""
    nonzero = kept_nonzero = 0
    for values, mine in _blocks(weight, bits):
        nonzero += count_nonzero(values)
        # A pass with zeros written into a copy costs a tenth of one that unpacks the bits.
        kept = values.clone(memory_format=torch.contiguous_format)
        apply_bits_([(kept, mine)])
        kept_nonzero += count_nonzero(kept)
    return nonzero - kept_nonzero, _bits.count(bits) - kept_nonzero


def details(weight: Tensor, bits: Tensor) -> Details:
    """Return the threshold, the largest magnitude pruned, the ties, and the empty rows and columns."""
    smallest, largest, num_kept, empty_rows = math.inf, -1.0, _bits.count(bits), 0
    columns = torch.zeros(0, dtype=torch.bool, device=weight.device)
    for values, mine in _blocks(weight, bits):
        kept, magnitude = _bits.unpack(mine, values.shape), _magnitude(values)
        smallest = min(smallest, float(torch.where(kept, magnitude, math.inf).amin()))
        largest = max(largest, float(torch.where(kept, -1, magnitude).amax()))
        empty_rows += int(torch.count_nonzero(~kept.any(dim=1)))
        columns = kept.any(dim=0) if columns.numel() == 0 else columns | kept.any(dim=0)
    ties = sum(int((_magnitude(values) == smallest).sum()) for values, _ in _blocks(weight, bits))
    return Details(
        smallest if num_kept else None,
        largest if largest >= 0 else None,
        ties if num_kept else 0,
        empty_rows,
        int(torch.count_nonzero(~columns)),
    )


def _blocks(weight: Tensor, bits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of the matrix view and their bits; eight rows are whole bytes of them."""
    matrix = weight.detach() if weight.ndim > 1 else weight.detach().reshape(1, -1)
    if not matrix.numel():
        return
    width = matrix[0].numel()
    step = max((_GPU if weight.is_cuda else _CPU) // (8 * width), 1) * 8
    for start in range(0, len(matrix), step):
        values = matrix[start : start + step].flatten(1)
        yield values, bits[start * width // 8 : -(-(start + len(values)) * width // 8)]


def _magnitude(values: Tensor) -> Tensor:
    # No arithmetic is defined on the 8-bit formats.
    return (values.float() if values.dtype.itemsize == 1 else values).abs().nan_to_num(math.inf, math.inf)
