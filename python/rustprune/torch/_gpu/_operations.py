"""Selection by tensor operations: the correct path wherever Triton is not, and slow.

Nothing here waits for the device: counts and keys stay there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._gpu._formats import FORMATS

if TYPE_CHECKING:
    from rustprune.torch._gpu._formats import KeySpace

DIGIT = 16
"""Bits of a digit of a key."""


def keys_of(weights: Tensor, where: Tensor | None, space: KeySpace, nan: str) -> tuple[Tensor, Tensor]:
    """Return the keys of the entries in row-major order, as int64, and which entries are NaN."""
    format_ = FORMATS[weights.dtype]
    words = weights.detach().reshape(-1).view(format_.words).to(torch.int64)
    bits = 8 * weights.element_size()
    keys = words & ((1 << (bits - 1)) - 1)
    is_nan = keys > format_.limit
    if space.code < 0:
        keys = weights.detach().reshape(-1).to(torch.float64).view(torch.int64) & ((1 << 63) - 1)
    if space.base:
        keys = torch.where(words < 0, -keys, keys)
    keys = torch.where(is_nan, space.top if nan == "keep" else -(space.base + 1), keys)
    if where is not None:
        allowed = _bits.unpack(where, words.shape)
        keys = torch.where(allowed, keys, -(space.base + 2))
        is_nan = is_nan & allowed
    return keys, is_nan


def keep_top(keys: Sequence[Tensor], num_kept: int, space: KeySpace) -> list[Tensor]:
    """Return the masks that keep so many of all, the highest keys; of equal ones the first."""
    device = keys[0].device
    left = torch.tensor(num_kept, device=device)
    if num_kept == 0:
        return [torch.zeros_like(one, dtype=torch.bool) for one in keys]
    cut = torch.zeros((), dtype=torch.int64, device=device)
    # Digit by digit, from the highest, of top - key: the smallest are kept.
    for shift in range((space.num_bits - 1) // DIGIT * DIGIT, -1, -DIGIT):
        counts = torch.zeros(1 << DIGIT, dtype=torch.int64, device=device)
        for one in keys:
            falling = space.top - one
            agree = ((falling >> shift) >> DIGIT) == ((cut >> shift) >> DIGIT)
            if shift + DIGIT >= 64:
                agree = torch.ones_like(agree)
            digit = (falling >> shift) & ((1 << DIGIT) - 1)
            counts.scatter_add_(0, digit, agree.to(torch.int64))
        upto = counts.cumsum(0)
        digit = torch.searchsorted(upto, left)
        left = left - (upto[digit] - counts[digit])
        cut = cut | (digit << shift)
    last = space.top - cut
    masks = []
    for one in keys:
        ties = one == last
        masks.append((one > last) | (ties & (ties.cumsum(0) <= left)))
        left = left - ties.sum()
    return masks


def keep_top_of_rows(keys: Tensor, num_kept: int) -> Tensor:
    """Return the mask that keeps so many of each row, by a stable sort."""
    order = keys.argsort(dim=-1, descending=True, stable=True)[..., :num_kept]
    return torch.zeros_like(keys, dtype=torch.bool).scatter_(-1, order, value=True)


def select(
    weights: Sequence[Tensor],
    num_kept: Sequence[int] | int,
    *,
    where: Sequence[Tensor] | None,
    row_lens: Sequence[int],
    strides: Sequence[int],
    spaces: Sequence[KeySpace],
    nan: str,
) -> tuple[list[Tensor], Tensor]:
    """Return the flat masks of bool, and on the device whether something is NaN.

    A total makes one contest of all tensors; else those whose row is shorter than they are have one for each
    row, or for each group of entries `stride` apart.
    """
    found = [
        keys_of(weight, None if where is None else where[number], spaces[number], nan)
        for number, weight in enumerate(weights)
    ]
    keys = [one for one, _ in found]
    bad = torch.stack([is_nan.any() for _, is_nan in found]).any()
    if isinstance(num_kept, int):
        masks = keep_top(keys, num_kept, spaces[0])
    else:
        masks = []
        for one, kept, row_len, stride, space in zip(keys, num_kept, row_lens, strides, spaces, strict=True):
            if row_len == one.numel():
                masks += keep_top([one], kept, space)
                continue
            rows = one.view(-1, row_len, stride).transpose(1, 2).contiguous()
            mask = keep_top_of_rows(rows, kept)
            masks.append(mask.transpose(1, 2).reshape(-1))
    pairs = zip(masks, keys, itertools.cycle(spaces), strict=False)
    return [mask & (one > -(space.base + 2)) for mask, one, space in pairs], bad
