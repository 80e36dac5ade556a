"""What the tables of validate_bounds.py share: laws, quotients of bounds and quantiles, and violations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rustprune.bounds import Law, Normal, Uniform

METHODS = ("magnitude", "random")
LAWS = ("uniform", "normal")
Floats = NDArray[np.float64]


def law(name: str, fans: int) -> Law:
    """Return a law of variance 1/fans."""
    scale = 1 / math.sqrt(fans)
    return Uniform(bound=math.sqrt(3) * scale) if name == "uniform" else Normal(std=scale)


def spread(quotients: Iterable[float]) -> str:
    """Return least, median and largest of some quotients."""
    levels = np.quantile([*quotients], (0, 0.5, 1))
    return " - ".join(f"{level:.2f}" for level in levels)


@dataclass
class Violations:
    """How often bounds of each kind were below what they bound."""

    seen: dict[tuple[str, float], list[int]] = field(default_factory=dict)

    def add(self, kind: str, delta: float, found: Floats, bounds: Floats) -> None:
        """Count violations: `found` has a row for each independent draw, `bounds` one for each column.

        The entries of a row may depend on each other.
        """
        draws, cells = found.shape
        total = self.seen.setdefault((kind, delta), [0, 0, 0, 0])
        total[0] += int((found > bounds).sum())
        total[1] += found.size
        total[2] += draws
        total[3] = max(total[3], cells)

    def lines(self) -> Iterator[str]:
        """Yield a table, and fail if there were more than chance allows."""
        yield "| bound | delta | samples | violations | on average at most |"
        yield "|---|---|---|---|---|"
        for (kind, delta), (above, samples, draws, cells) in sorted(self.seen.items()):
            yield f"| {kind} | {delta:g} | {samples:,} | {above} | {delta * samples:,.0f} |"
            if tail(above / (draws * cells), delta * samples / (draws * cells), draws) < 1e-6:
                raise AssertionError(f"{kind} at delta {delta}: {above} violations of {samples}")


def tail(mean: float, expected: float, draws: int) -> float:
    """Bound the chance that independent numbers in [0, 1] have that mean or more (Hoeffding 1963, (2.1))."""
    if mean <= expected:
        return 1.0
    part = mean * math.log(mean / expected)
    rest = 0.0 if mean >= 1 else (1 - mean) * math.log((1 - mean) / (1 - expected))
    return math.exp(-draws * (part + rest))
