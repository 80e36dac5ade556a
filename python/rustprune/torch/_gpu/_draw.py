"""Random masks on the device, bit for bit those of the core."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rustprune.torch._gpu._kernels import draw as kernels
from rustprune.torch._gpu._tables import on_device, steps_for, tiles

COUNTERS = 512
"""Counters of a program that flips coins: 128 entries each."""
GROUPS = 256
"""Groups of a program that draws subsets."""
DRAWS, FEW = 4096, 64
"""Draws that a correction looks at together, and how few it takes up in order."""
BY_POSITION, BY_NAME, BY_COUNT = 0, 1, 3
"""What a key is made of: kinds 0, 1 and 3 of `src/sample/mod.rs`."""


def stream_of(label: str | int) -> tuple[int, int]:
    """Return number and kind of an array's key: the FNV-1a hash of its name, or its position."""
    if isinstance(label, int):
        return label, BY_POSITION
    fold = functools.partial(lambda digest, byte: (digest ^ byte) * 0x100000001B3 % 2**64)
    return _signed(functools.reduce(fold, label.encode(), 0xCBF29CE484222325)), BY_NAME


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


class Draw:
    """Arrays whose masks are drawn together: one contest for each, or one for all."""

    def __init__(
        self,
        bits: Sequence[Tensor],
        lengths: Sequence[int],
        labels: Sequence[str | int],
        num_kept: Sequence[int] | int,
        *,
        where: Sequence[Tensor] | None,
        seed: int,
    ) -> None:
        self._alive, self.masked, device = (bits, where), where is not None, bits[0].device
        counters = [-(-length // 128) for length in lengths]
        starts, self.programs = tiles(counters, COUNTERS)
        streams = [stream_of(label) for label in labels]
        count = len(lengths)
        together = isinstance(num_kept, int)
        owners = [0] * count if together else list(range(count))
        places = [*itertools.accumulate([0, *lengths][:-1])] if together else [0] * count
        self.arrays = on_device(
            [
                starts,
                [one.data_ptr() for one in bits],
                [one.data_ptr() for one in where] if where is not None else [0] * count,
                lengths,
                owners,
                places,
                [number for number, _ in streams],
                [kind for _, kind in streams],
            ],
            device,
        )
        sums = [sum(lengths)] if together else list(lengths)
        kept = [num_kept] if isinstance(num_kept, int) else list(num_kept)
        shared = [(0, BY_COUNT)] if together and count > 1 else streams
        self.contests = on_device(
            [
                sums,
                kept,
                [0] if together else list(range(count)),
                [count] if together else [1] * count,
                [number for number, _ in shared],
                [kind for _, kind in shared],
            ],
            device,
        )
        self.num_arrays, self.num_contests = count, len(sums)
        self.own_steps = steps_for(count) if together else 0
        self.seed = on_device([[_signed(seed)]], device)
        # Entries that may be kept, and that are: where there is no existing mask, the first are known.
        self.start = on_device([[0 if self.masked else length, 0] for length in sums], device)
        self.counts = torch.empty_like(self.start)
        self.hits = torch.empty(len(sums) * FEW, dtype=torch.int64, device=device)

    def run(self) -> None:
        """Write the bits."""
        self.counts.copy_(self.start)
        if not self.programs:
            return
        steps = steps_for(self.num_arrays)
        grid = (self.programs,)
        if self.masked:
            kernels.count_allowed[grid](self.arrays, self.num_arrays, steps, self.counts, block=COUNTERS)
        kernels.flip_coins[grid](
            self.arrays,
            self.num_arrays,
            steps,
            self.contests,
            self.num_contests,
            self.counts,
            self.seed,
            masked=self.masked,
            block=COUNTERS,
        )
        kernels.correct[(self.num_contests,)](
            self.arrays,
            self.num_arrays,
            self.own_steps,
            self.contests,
            self.num_contests,
            self.counts,
            self.hits,
            self.seed,
            masked=self.masked,
            block=DRAWS,
            few=FEW,
            num_warps=16,
        )


class DrawGroups:
    """Arrays of which N of every M entries, `stride` apart, are kept at random. Masks are bytes."""

    def __init__(
        self,
        masks: Sequence[Tensor],
        labels: Sequence[str | int],
        pattern: tuple[int, int],
        *,
        strides: Sequence[int],
        where: Sequence[Tensor] | None,
        seed: int,
    ) -> None:
        self._alive, self.masked, device = (masks, where), where is not None, masks[0].device
        (self.kept, self.group), self.count = pattern, len(masks)
        starts, self.programs = tiles([one.numel() // self.group for one in masks], GROUPS)
        streams = [stream_of(label) for label in labels]
        self.arrays = on_device(
            [
                starts,
                [one.data_ptr() for one in masks],
                [one.data_ptr() for one in where] if where is not None else [0] * self.count,
                [one.numel() for one in masks],
                [0] * self.count,
                list(strides),
                [number for number, _ in streams],
                [kind for _, kind in streams],
            ],
            device,
        )
        self.choose = on_device([[math.comb(n, k) for k in range(33)] for n in range(33)], device)
        self.seed = on_device([[_signed(seed)]], device)

    def run(self) -> None:
        """Write the masks."""
        if self.programs:
            kernels.draw_groups[(self.programs,)](
                self.arrays,
                self.count,
                steps_for(self.count),
                self.choose,
                self.seed,
                masked=self.masked,
                kept=self.kept,
                group=self.group,
                columns=1 << (self.group - 1).bit_length(),
                rows=GROUPS,
            )
