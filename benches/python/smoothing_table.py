"""Bounds of the supremum over the unit ball by Theorems 1, 3 and 6: the tables of docs/smoothing.md.

    python benches/python/smoothing_table.py

Networks of `l` layers of width `w` with `d` inputs and 10 outputs, uniform weights of variance one over the
larger side, the layers between the first and the last pruned; bounds that hold with probability 0.9.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from rustprune import bounds
from rustprune.bounds import Network, Uniform

METHODS = ("magnitude", "random")
RATIOS = (0.1, 0.5, 0.9)
DELTA = 0.1
SINGLE = ((256, 3, 8), (256, 3, 64), (256, 4, 16), (256, 6, 8), (256, 6, 64), (256, 6, 256), (1024, 6, 256))
WIDTHS = (256, 512, 1024)
DEPTHS = (3, 4, 6, 10)
INPUTS = (8, 16, 64, 256, 784)


def network(width: int, depth: int, inputs: int, activation: str = "relu") -> Network:
    """Return a network of the tables."""
    sizes = [inputs, *[width] * (depth - 1), 10]
    laws = [Uniform(bound=math.sqrt(3 / max(pair))) for pair in itertools.pairwise(sizes)]
    return Network.mlp(sizes, weights=laws, activation=activation, pruned=range(1, depth - 1))


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables."""
    theorems = ("ball", "covering", "smoothing")
    rows = []
    for shape in SINGLE:
        net = network(*shape)
        found = [
            bounds.estimate(net, np.array(RATIOS)[:, None], method=METHODS, delta=DELTA, theorem=name).epsilon
            for name in theorems
        ]
        for at, ratio in enumerate(RATIOS):
            for of, method in enumerate(METHODS):
                values = [it[at, of] for it in found]
                gain = min(values[:2]) / values[2]
                rows.append(
                    [*map(str, shape), method, f"{ratio:g}", *(f"{it:.4g}" for it in values), f"{gain:.2f}"]
                )
    print(table(["w", "l", "d", "method", "ratio", "T1", "T3", "T6", "min(T1, T3) / T6"], rows))
    print()
    rows = []
    for width, depth in itertools.product(WIDTHS, DEPTHS):
        nets = [network(width, depth, inputs) for inputs in INPUTS]
        asked = [[[net]] for net in nets]
        one, three, six = (
            bounds.estimate(
                asked, np.array(RATIOS)[:, None], method=METHODS, delta=DELTA, theorem=name
            ).epsilon
            for name in theorems
        )
        gains = (np.minimum(one, three) / six).reshape(len(nets), -1)
        cells = [f"{min(it):.2f} - {np.median(it):.2f} - {max(it):.2f}" for it in gains]
        rows.append([f"{width}, {depth}", *cells])
    print(table(["w, l", *(f"d = {inputs}" for inputs in INPUTS)], rows))
    print()
    rows = []
    for shape in ((256, 3, 256), (256, 6, 256), (256, 6, 784), (1024, 6, 784)):
        net = network(*shape, activation="identity")
        one, six = (
            bounds.estimate(net, np.array(RATIOS)[:, None], method=METHODS, delta=DELTA, theorem=name).epsilon
            for name in ("ball", "smoothing")
        )
        gains = (one / six).ravel()
        rows.append([*map(str, shape), f"{min(gains):.2f} - {np.median(gains):.2f} - {max(gains):.2f}"])
    print(table(["w", "l", "d", "T1 / T6 without activations"], rows))


if __name__ == "__main__":
    main()
