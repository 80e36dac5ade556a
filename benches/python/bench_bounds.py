"""Bounds in batches: how many a second; and spectral norms against SciPy and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse.linalg import svds

import rustprune
from rustprune import bounds
from timing import Calls, Row, Scale, clock, interleave, main, normal


def batches(scale: Scale) -> Iterator[Row]:
    """Count bounds of 6-layer networks: with nothing computed before, and on a grid that shares widths."""
    width, cold, deltas = (1024, 400, 5000) if scale.most_rounds > 1 else (32, 4, 10)
    net = bounds.Network.mlp([width] * 6 + [10], weights=bounds.Uniform(k=1.0), pruned=range(1, 5))
    ratios = np.random.default_rng(0).uniform(0.05, 0.95, cold)
    grid = np.linspace(0.1, 0.9, 20)[:, np.newaxis], np.geomspace(1e-9, 0.5, deltas)
    for method in bounds.METHODS[:2]:
        ask = partial(bounds.estimate, net, method=method)
        jobs: list[tuple[str, int, float | None, Callable[[], object]]] = [
            ("Theorem 1, ratios", cold, 2000, partial(ask, ratios, theorem="ball")),
            ("Theorem 2, ratios", cold, None, partial(ask, ratios, inputs=1)),
            ("Theorem 1, grid", 20 * deltas, 50_000, partial(ask, grid[0], delta=grid[1], theorem="ball")),
        ]
        for job, count, at_least, call in jobs:
            seconds = [clock(call, lambda: None)[0] for _ in range(min(scale.most_rounds, 7))]
            median = float(np.median(seconds))
            yield Row(
                figure=f"bounds of {method} pruning: {job}",
                given=f"{count:,} bounds of 6 layers of width {width:,}, uniform weights",
                value=count / median,
                unit="a second",
                at_least=at_least,
                ours_seconds=median,
                rounds=len(seconds),
            )


def spectral(scale: Scale) -> Iterator[Row]:
    """Compare the spectral norm of what a mask removes, with a stated probability of failure."""
    side = 8192 if scale.most_rounds > 1 else 64
    weights = normal(side, side)
    mask = rustprune.mask(weights, 0.5)
    removed = np.where(mask, np.float32(0), weights)
    tensor = torch.from_numpy(removed)
    ours = "Lanczos with delta 1e-9, slack 0.01"
    svd, dense = "scipy.sparse.linalg.svds, k=1", "torch.linalg.matrix_norm(2)"
    given = f"{side:,} x {side:,} float32, ratio 0.5"
    calls: Calls = {
        ours: lambda: lanczos(weights, mask),
        svd: lambda: float(svds(removed, k=1, return_singular_vectors=False)[0]),
    }
    times = interleave(given, scale, calls, budget=40)
    yield times.faster(ours, svd, moved=5 * side**2, at_least=1)
    # torch computes all singular values, which takes minutes: of a part of the matrix.
    part = min(side, 2048)
    calls = {
        ours: lambda: lanczos(weights[:part, :part], mask[:part, :part]),
        dense: lambda: float(torch.linalg.matrix_norm(tensor[:part, :part], 2)),
    }
    times = interleave(f"{part:,} x {part:,} float32, ratio 0.5", scale, calls)
    yield times.faster(ours, dense, moved=5 * part**2, at_least=1)


def lanczos(weights: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> float:
    """Bound the spectral norm of what the mask removes."""
    return bounds.norms(weights, mask, kinds=["lanczos"])["lanczos"].value


if __name__ == "__main__":
    main(batches, spectral)
