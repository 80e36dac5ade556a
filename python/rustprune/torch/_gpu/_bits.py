"""Bits and bytes of masks, and weights under them: one launch for any number of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rustprune.torch._gpu._kernels import bits as kernels
from rustprune.torch._gpu._tables import on_device, steps_for, tiles

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 4096


class Masks:
    """Tensors and their bits, prepared for launches."""

    def __init__(self, tensors: Sequence[Tensor], bits: Sequence[Tensor]) -> None:
        lengths = [tensor.numel() for tensor in tensors]
        starts, self.num_tiles = tiles(lengths, BLOCK)
        self._alive = tensors, bits
        self.table = on_device(
            [
                starts,
                [tensor.data_ptr() for tensor in tensors],
                [one.data_ptr() for one in bits],
                lengths,
                [tensor.element_size() for tensor in tensors],
            ],
            tensors[0].device,
        )
        self.count = len(tensors)
        self.steps = steps_for(self.count)

    def pack(self) -> None:
        """Write the bits of tensors of bytes."""
        if self.num_tiles:
            kernels.pack[(self.num_tiles,)](self.table, self.count, self.steps, block=BLOCK)

    def unpack(self) -> None:
        """Write the bytes of bits."""
        if self.num_tiles:
            kernels.unpack[(self.num_tiles,)](self.table, self.count, self.steps, block=BLOCK)

    def zero(self) -> None:
        """Write +0.0 where the bits are 0."""
        if self.num_tiles:
            kernels.zero[(self.num_tiles,)](self.table, self.count, self.steps, block=BLOCK)
