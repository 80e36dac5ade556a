"""Masks of bytes to bits and back, and zeros where bits are 0.

The table of masks: first tile, address of the bytes or weights, of the bits, entries, and bytes of an entry.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.keys import find


@triton.jit
def num_bits(words: tl.tensor) -> tl.tensor:
    """Return how many bits of each int32 are 1."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return (words * 0x01010101 >> 24) & 0xFF


@triton.jit(do_not_specialize=["num_masks", "steps"])
def pack(masks: tl.tensor, num_masks: tl.tensor, steps: tl.tensor, block: tl.constexpr) -> None:
    """Write the bits of masks of bytes; those beyond the last entry are 0."""
    tile = tl.program_id(0).to(tl.int64)
    row = masks + find(masks, num_masks, steps, tile)
    begin = (tile - tl.load(row)) * block
    left = tl.load(row + 3 * num_masks) - begin
    offsets = tl.arange(0, block // 8)[:, None] * 8 + tl.arange(0, 8)[None, :]
    source = (tl.load(row + num_masks) + begin).to(tl.pointer_type(tl.uint8))
    if left >= block:
        kept = tl.load(source + offsets).to(tl.int32)
    else:
        kept = tl.load(source + offsets, mask=offsets < left, other=0).to(tl.int32)
    to = (tl.load(row + 2 * num_masks) + begin // 8).to(tl.pointer_type(tl.uint8))
    bits = tl.sum(kept << tl.arange(0, 8)[None, :], 1).to(tl.uint8)
    at = tl.arange(0, block // 8)
    tl.store(to + at, bits, mask=at * 8 < left)


@triton.jit(do_not_specialize=["num_masks", "steps"])
def unpack(masks: tl.tensor, num_masks: tl.tensor, steps: tl.tensor, block: tl.constexpr) -> None:
    """Write the bytes of masks of bits."""
    tile = tl.program_id(0).to(tl.int64)
    row = masks + find(masks, num_masks, steps, tile)
    begin = (tile - tl.load(row)) * block
    offsets = tl.arange(0, block)
    inside = offsets < tl.load(row + 3 * num_masks) - begin
    source = (tl.load(row + 2 * num_masks) + begin // 8).to(tl.pointer_type(tl.uint8))
    kept = (tl.load(source + offsets // 8, mask=inside, other=0).to(tl.int32) >> (offsets % 8)) & 1
    to = (tl.load(row + num_masks) + begin).to(tl.pointer_type(tl.uint8))
    tl.store(to + offsets, kept.to(tl.uint8), mask=inside)


@triton.jit(do_not_specialize=["num_masks", "steps"])
def zero(masks: tl.tensor, num_masks: tl.tensor, steps: tl.tensor, block: tl.constexpr) -> None:
    """Write +0.0 over the entries whose bit is 0; the others are not touched, nor read."""
    tile = tl.program_id(0).to(tl.int64)
    row = masks + find(masks, num_masks, steps, tile)
    begin = (tile - tl.load(row)) * block
    offsets = tl.arange(0, block)
    inside = offsets < tl.load(row + 3 * num_masks) - begin
    source = (tl.load(row + 2 * num_masks) + begin // 8).to(tl.pointer_type(tl.uint8))
    kept = (tl.load(source + offsets // 8, mask=inside, other=0).to(tl.int32) >> (offsets % 8)) & 1
    pruned = inside & (kept == 0)
    size = tl.load(row + 4 * num_masks)
    to = tl.load(row + num_masks) + begin * size
    if size == 4:
        tl.store(to.to(tl.pointer_type(tl.int32)) + offsets, tl.zeros([block], tl.int32), mask=pruned)
    elif size == 2:
        tl.store(to.to(tl.pointer_type(tl.int16)) + offsets, tl.zeros([block], tl.int16), mask=pruned)
    elif size == 8:
        tl.store(to.to(tl.pointer_type(tl.int64)) + offsets, tl.zeros([block], tl.int64), mask=pruned)
    else:
        tl.store(to.to(tl.pointer_type(tl.int8)) + offsets, tl.zeros([block], tl.int8), mask=pruned)
