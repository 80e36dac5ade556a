"""Resident memory of one call beyond its input and output, by the kernel's high-water mark in a new process.

Linux only.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rustprune
from timing import Row, Scale, main, normal

Weights = npt.NDArray[np.float32]
COLUMNS = 4000


def row_scaled(weights: Weights) -> object:
    """Spread the rows over six orders of magnitude, in place, and make their mask."""
    rows = weights.reshape(-1, COLUMNS)
    rows *= 10 ** np.random.default_rng(1).uniform(-3, 3, (len(rows), 1)).astype(np.float32)
    return rustprune.mask(weights, 0.5)


def prune_global(weights: Weights) -> object:
    """Prune 200 arrays in place with one budget."""
    return rustprune.prune_(
        dict(zip(map(str, range(200)), np.split(weights, 200), strict=True)), 0.5, scope="global"
    )


# Each call, and the bytes per entry of its result.
CALLS: dict[str, tuple[Callable[[Weights], object], float]] = {
    "mask to bool": (lambda weights: rustprune.mask(weights, 0.5), 1),
    "mask of row-scaled data": (row_scaled, 1),
    "mask to bits": (lambda weights: rustprune.mask(weights, 0.5, packed=True), 1 / 8),
    "scope row": (lambda weights: rustprune.mask(weights.reshape(-1, COLUMNS), 0.5, scope="row"), 1),
    "2:4 mask": (lambda weights: rustprune.mask(weights, pattern="2:4"), 1),
    "prune_": (lambda weights: rustprune.prune_(weights, 0.5), 0),
    "prune_, scope global over 200 arrays": (prune_global, 0),
    "LAMP counts": (
        lambda weights: rustprune.allocate(
            dict(zip("abcd", np.split(weights, 4), strict=True)), 0.9, rule="lamp"
        ),
        0,
    ),
    "random mask to bits": (
        lambda weights: rustprune.random_mask(weights.shape, 0.5, seed=0, packed=True),
        1 / 8,
    ),
}


def memory(scale: Scale) -> Iterator[Row]:
    """Start a process for each call."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for name in CALLS:
            yield Row(
                figure=f"extra memory of {name}",
                given=f"{scale.entries:,} float32",
                value=processes.submit(extra_bytes, name, scale.entries).result() / scale.entries,
                unit="byte per entry",
                at_most=0.1,
            )


def extra_bytes(name: str, entries: int) -> float:
    """Return by how much a call raises the peak of this process, less its result."""
    call, per_entry = CALLS[name]
    call(normal(COLUMNS))  # starts the threads
    weights = normal(entries)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = peak()
    result = call(weights)
    after = peak()
    del result
    return after - before - per_entry * entries


def peak() -> int:
    """Return the most bytes that were resident."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].removesuffix("kB")) * 1024


if __name__ == "__main__":
    main(memory)
