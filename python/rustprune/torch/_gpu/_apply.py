"""Zeros where a mask prunes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._gpu._backend import Backend, backend_of
from rustprune.torch._gpu._formats import FORMATS


def apply_(weights: Sequence[Tensor], bits: Sequence[Tensor], *, backend: Backend | None = None) -> None:
    """Write +0.0 over the entries of contiguous weights whose bit is 0, whatever they hold.

    One launch for all; what is kept is not written. Autograd is told of the change.
    """
    if not weights:
        return
    words = [weight.detach().view(FORMATS[weight.dtype].words).view(-1) for weight in weights]
    if (backend or backend_of(weights[0].device)) == "triton":
        from rustprune.torch._gpu._bits import Masks  # noqa: PLC0415

        Masks(words, bits).zero()
    else:
        for word, kept in zip(words, bits, strict=True):
            word.masked_fill_(~_bits.unpack(kept, word.shape), 0)
    for weight in weights:
        torch.autograd.graph.increment_version(weight)
