"""LAMP counts against the ranking of all scores in NumPy and torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import rivals
import rustprune
from timing import Calls, Row, Scale, interleave, main, normal

COUNTS = "LAMP counts"
NUMPY, TORCH = "NumPy sort + cumsum + partition", "torch sort + cumsum + kthvalue"


def lamp(scale: Scale) -> Iterator[Row]:
    """Compare on four arrays of different scales; what counts is how many entries of the first are pruned."""
    entries = scale.entries // 5
    parts = np.split(normal(entries), 4)
    arrays = [part * np.float32(2.0**-power) for power, part in enumerate(parts)]
    tensors = [torch.from_numpy(array) for array in arrays]
    calls: Calls = {
        COUNTS: lambda: rustprune.allocate(dict(zip("abcd", arrays, strict=True)), 0.9, rule="lamp")["a"],
        NUMPY: lambda: rivals.numpy_lamp(arrays, 0.9)[0],
        TORCH: lambda: rivals.torch_lamp(tensors, 0.9)[0],
    }
    times = interleave(f"{entries:,} in 4 arrays, ratio 0.9", scale, calls)
    for theirs in (NUMPY, TORCH):
        yield times.faster(COUNTS, theirs, moved=8 * entries)


if __name__ == "__main__":
    main(lamp)
