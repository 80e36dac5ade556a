"""Zeros where masks prune, in place and on the device of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rustprune import _rustprune
from rustprune._arrays import FLOATS, words_of
from rustprune.torch import _bits, _gpu
from rustprune.torch._shards import local


def apply_bits_(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Write zeros into tensors where their bits are 0; contiguous ones in one pass of the core, or of a GPU.

    Of a sharded tensor the shards of this process are written, and the bits are theirs.
    """
    here: list[tuple[Tensor, Tensor]] = []
    on_gpus: dict[torch.device, list[tuple[Tensor, Tensor]]] = {}
    for tensor, bits in pairs:
        tensor = local(tensor.detach())
        if tensor.is_cpu and tensor.is_contiguous():
            here.append((tensor, bits))
        elif tensor.is_cuda and tensor.is_contiguous() and tensor.dtype in _gpu.FORMATS:
            on_gpus.setdefault(tensor.device, []).append((tensor, bits))
        else:
            # Zeros are written and never multiplied: NaN and infinity must go too.
            tensor.masked_fill_(~_bits.unpack(bits, tensor.shape), 0)
    if here:
        _apply_here(*zip(*here, strict=True))
    for of_one in on_gpus.values():
        _gpu.apply_([tensor for tensor, _ in of_one], [bits for _, bits in of_one])


def _apply_here(tensors: Sequence[Tensor], bits: Sequence[Tensor]) -> None:
    """Have the core write the zeros, without the checks of `rustprune.apply_`: this is done twice a step."""
    dtypes, entries = zip(*(words_of("weights", tensor, FLOATS) for tensor in tensors), strict=True)
    masks = [one.numpy() for one in bits]
    _rustprune.apply([*dtypes], [*entries], [(words.size,) for words in entries], masks, [True] * len(masks))
    torch.autograd.graph.increment_version(tensors)
