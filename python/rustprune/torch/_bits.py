"""Masks of a bit per entry: entry i in row-major order is bit ``i % 8`` of byte ``i // 8``, 1 = kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def num_bytes(shape: Sequence[int]) -> int:
    """Return how many bytes the bits of a mask of that shape take."""
    return -(-math.prod(shape) // 8)


def pack(mask: Tensor) -> Tensor:
    """Return the bits of a mask of bool, on its device."""
    flat = mask.reshape(-1)
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8).view(torch.uint8)
    # Eight bytes of 0 or 1 as one 64-bit word: the product gathers their low bits in its highest byte.
    words = padded.view(torch.int64).squeeze(1)
    return ((words * 0x0102040810204080) >> 56).to(torch.uint8)


def unpack(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the mask of bool that has these bits, on their device."""
    each = torch.arange(8, dtype=torch.uint8, device=bits.device)
    flat = (bits[:, None] >> each) & 1
    return flat.view(-1)[: math.prod(shape)].view(torch.bool).view(*shape)


def checked_flags(name: str, flags: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the mask of bool that flags of 0 and 1 of any dtype mean.

    Raises
    ------
    ValueError
        If they are not of that shape, or there are other values.
    """
    if tuple(flags.shape) != tuple(shape):
        raise ValueError(f"{name}: expected a mask of shape {tuple(shape)}, got {tuple(flags.shape)}")
    if not bool(((flags == 0) | (flags == 1)).all()):
        raise ValueError(f"{name}: expected a mask of 0 and 1, got other values")
    return flags != 0


def count(bits: Tensor) -> int:
    """Return how many bits are 1."""
    if bits.is_cpu:
        array = bits.numpy()
        words = array[: len(array) // 8 * 8].view(np.uint64)
        return sum(int(np.bitwise_count(part).sum(dtype=np.int64)) for part in (words, array[words.nbytes :]))
    pairs = bits - ((bits >> 1) & 0x55)
    nibbles = (pairs & 0x33) + ((pairs >> 2) & 0x33)
    return int(((nibbles + (nibbles >> 4)) & 0x0F).sum(dtype=torch.int64))


def full(shape: Sequence[int], device: torch.device) -> Tensor:
    """Return bits that are all 1."""
    return clear_padding(torch.full((num_bytes(shape),), 0xFF, dtype=torch.uint8, device=device), shape)


def clear_padding(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """Set the bits beyond the last entry to 0, in place, and return them."""
    if used := math.prod(shape) % 8:
        bits[-1] &= 0xFF >> (8 - used)
    return bits
