"""Tables of validate_bounds.py on norms: of matrices and of convolutions, against drawn ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

import rustprune
from rustprune import bounds
from rustprune.bounds import Layer, Network
from violations import LAWS, METHODS, Floats, Violations, law

DELTAS = (0.5, 0.1, 0.01)
PARTS: tuple[bounds.Part, bounds.Part] = ("removed", "kept")
RATIOS = (0.1, 0.5, 0.9, 0.99)
# What is measured of one draw: the whole, and each part for each ratio, of one method.
CELLS: list[tuple[bounds.Part, float]] = [("all", 0.5), *itertools.product(PARTS, RATIOS)]
Norm = Callable[[Floats, Floats | None, bounds.Part], float]


def measured(
    rng: np.random.Generator, shape: tuple[int, ...], name: str, draws: int, norm: Norm
) -> dict[str, Floats]:
    """Return norms of drawn weights for each method: a row for each draw, a column for each of `CELLS`."""
    weights = law(name, math.prod(shape[1:]))
    found = {method: np.empty((draws, len(CELLS))) for method in METHODS}
    for draw in range(draws):
        drawn = weights.sample(rng, (shape[0], math.prod(shape[1:]))).reshape(shape)
        whole = norm(drawn, None, "all")
        for method in METHODS:
            found[method][draw, 0] = whole
            for at, ratio in enumerate(RATIOS, 1):
                seed = int(rng.integers(2**63)) if method == "random" else None
                mask = rustprune.mask(drawn, ratio, method=method, seed=seed)
                found[method][draw, at] = norm(drawn, mask, "removed")
                found[method][draw, at + len(RATIOS)] = norm(drawn, mask, "kept")
    return found


def bounded(shape: tuple[int, ...], name: str, method: str, delta: float, **asked: object) -> Floats:
    """Return the bounds of `CELLS`."""
    weights = law(name, math.prod(shape[1:]))
    cells = [
        bounds.norm_bound(shape, weights, ratio, method=method, part=part, delta=delta, **asked)  # type: ignore[arg-type]
        for part, ratio in CELLS
    ]
    return np.array(cells)


def counted(
    kind: str,
    shape: tuple[int, ...],
    name: str,
    found: dict[str, Floats],
    violations: Violations,
    **asked: object,
) -> dict[str, Floats]:
    """Count the violations, and return the bounds at the least delta."""
    columns = {"all": [0], "removed": [1, 2, 3, 4], "kept": [5, 6, 7, 8]}
    for delta in DELTAS:
        known = {method: bounded(shape, name, method, delta, **asked) for method in METHODS}
        for part, chosen in columns.items():
            methods = METHODS[:1] if part == "all" else METHODS
            side_by_side = np.concatenate([found[method][:, chosen] for method in methods], axis=1)
            bound = np.concatenate([known[method][chosen] for method in methods])
            violations.add(f"{kind}, {part}", delta, side_by_side, bound)
    return known


def head(first: str, shown: list[str]) -> Iterator[str]:
    """Yield the head of a table of norms."""
    columns = [first, "weights", "method", *shown]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"


def matrices(widths: dict[int, int], violations: Violations) -> Iterator[str]:
    """Yield the table of spectral norms: bounds at 0.01 over the simulated 99 % quantiles."""
    rng = np.random.default_rng(0)
    parts = [f"{part} {ratio:g}" for part, ratio in CELLS[1:]]
    yield from head("n", ["all", *parts, "textbook/ours: removed " + ", ".join(f"{it:g}" for it in RATIOS)])
    for (width, draws), name in itertools.product(widths.items(), LAWS):
        found = measured(rng, (width, width), name, draws, spectral)
        known = counted("norm", (width, width), name, found, violations)
        for method in METHODS:
            bound = known[method]
            ratios = bound / np.quantile(found[method], 1 - DELTAS[-1], axis=0)
            net = Network([Layer((width, width), law(name, width))])
            # One layer spends half of its delta on the norm of the whole, which its own gap is without.
            textbook = [bounds.classical(net, ratio, method=method, delta=2 * DELTAS[-1]) for ratio in RATIOS]
            over = ", ".join(f"{it:.2f}" for it in np.array(textbook) / bound[1 : 1 + len(RATIOS)])
            cells = " | ".join(f"{it:.3f}" for it in ratios)
            yield f"| {width} | {name} | {method} | {cells} | {over} |"


def spectral(drawn: Floats, mask: Floats | None, part: bounds.Part) -> float:
    """Return the spectral norm of a matrix or of a part, as the power method finds it."""
    return bounds.norms(drawn, mask, part=part, kinds=["estimate"])["estimate"].value


def convolutions(kernels: dict[tuple[int, int], int], size: int, violations: Violations) -> Iterator[str]:
    """Yield the table of 3 x 3 convolutions: for every size, and for circular images, over circular ones."""
    rng = np.random.default_rng(1)

    def norm(drawn: Floats, mask: Floats | None, part: bounds.Part) -> float:
        return bounds.conv_norm(
            drawn, mask, part=part, size=(size, size), padding="circular", by="frequencies"
        ).value

    shown = [at for at, (_, ratio) in enumerate(CELLS) if ratio < 0.99]
    yield from head("channels", ["all", *(f"{CELLS[at][0]} {CELLS[at][1]:g}" for at in shown[1:])])
    for (channels, draws), name in itertools.product(kernels.items(), LAWS):
        shape = (*channels, 3, 3)
        found = measured(rng, shape, name, draws, norm)
        known = counted("convolution", shape, name, found, violations, circular=(size, size))
        for method in METHODS:
            quantile = np.quantile(found[method], 1 - DELTAS[-1], axis=0)
            own, every = known[method], bounded(shape, name, method, DELTAS[-1])
            cells = [f"{every[at] / quantile[at]:.2f}, {own[at] / quantile[at]:.2f}" for at in shown]
            yield f"| {channels[1]} to {channels[0]} | {name} | {method} | {' | '.join(cells)} |"
