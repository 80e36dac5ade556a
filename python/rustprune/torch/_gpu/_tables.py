"""Tables of addresses and lengths that kernels read, and memory for masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def on_device(columns: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return rows of int64 on the device. The copy waits for nothing."""
    table = torch.tensor(columns, dtype=torch.int64)
    if device.type == "cuda":
        return table.pin_memory().to(device, non_blocking=True)
    return table


def new_bits(length: int, device: torch.device) -> Tensor:
    """Return bits for so many entries, in memory that ends with a whole block of Philox words."""
    return torch.empty(-(-length // 128) * 16, dtype=torch.uint8, device=device)[: -(-length // 8)]


def new_mask(length: int, device: torch.device, *, packed: bool) -> Tensor:
    """Return bits or bytes for so many entries."""
    return new_bits(length, device) if packed else torch.empty(length, dtype=torch.uint8, device=device)


def steps_for(count: int) -> int:
    """Return how often a range of so many must be halved to leave one."""
    return max(count - 1, 0).bit_length()


def tiles(lengths: Sequence[int], block: int) -> tuple[list[int], int]:
    """Return the first tile of each length, and how many tiles there are."""
    starts, total = [], 0
    for length in lengths:
        starts.append(total)
        total += math.ceil(length / block)
    return starts, total


def is_aligned(tensors: Sequence[Tensor]) -> bool:
    """Whether every tensor lies where 16 bytes are loaded at once."""
    return all(tensor.data_ptr() % 16 == 0 for tensor in tensors)
