"""Bounds against simulation: how tight each is, and how often it is violated; tables of docs/validation.md.

    python benches/python/validate_bounds.py [--full]

Matrices and networks are drawn afresh for each cell. A bound at delta may be violated with that probability:
the last lines count violations and what chance allows. Takes a few minutes; with --full, more widths and
ratios, an hour.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

import rustprune
from rustprune import bounds
from rustprune.bounds import Law, Network, Normal, Uniform

METHODS = ("magnitude", "random")
DELTAS = (0.5, 0.1, 0.01)


@dataclass
class Violations:
    """How often bounds of each kind were below what they bound."""

    seen: dict[tuple[str, float], list[int]] = field(default_factory=dict)

    def add(self, kind: str, delta: float, above: int, samples: int) -> None:
        """Count the violations of one bound."""
        total = self.seen.setdefault((kind, delta), [0, 0])
        total[0] += above
        total[1] += samples

    def lines(self) -> Iterator[str]:
        """Yield a table, and fail if there were more than chance allows."""
        yield "| bound | delta | samples | violations | on average at most |"
        yield "|---|---|---|---|---|"
        for (kind, delta), (above, samples) in sorted(self.seen.items()):
            yield f"| {kind} | {delta:g} | {samples:,} | {above} | {delta * samples:,.0f} |"
            if stats.binom.sf(above - 1, samples, delta) < 1e-6:
                raise AssertionError(f"{kind} at delta {delta}: {above} violations of {samples}")


def law(name: str, fans: int) -> Law:
    """Return a law of variance 1/fans."""
    scale = 1 / math.sqrt(fans)
    return Uniform(bound=math.sqrt(3) * scale) if name == "uniform" else Normal(std=scale)


def matrices(widths: dict[int, int], violations: Violations) -> Iterator[str]:
    """Yield the table of spectral norms: bounds at 0.01 over the simulated 99 % quantiles."""
    ratios = (0.1, 0.5, 0.9, 0.99)
    heads = " | ".join([*(f"removed {it}" for it in ratios), *(f"kept {it}" for it in ratios)])
    yield f"| n | weights | method | all | {heads} |"
    yield "|---" * (4 + 2 * len(ratios)) + "|"
    rng = np.random.default_rng(0)
    for (width, samples), name, method in itertools.product(widths.items(), ("uniform", "normal"), METHODS):
        weights = law(name, width)
        cells = {}
        for ratio in ratios:
            norms: dict[bounds.Part, list[float]] = {"all": [], "removed": [], "kept": []}
            for _ in range(samples):
                drawn = weights.sample(rng, (width, width))
                seed = int(rng.integers(2**63))
                mask = rustprune.mask(drawn, ratio, method=method, seed=seed if method == "random" else None)
                for part, found in norms.items():
                    given = None if part == "all" else mask
                    norm = bounds.norms(drawn, given, part=part, kinds=["estimate"])["estimate"]
                    found.append(norm.value)
            for part, found in norms.items():
                for delta in DELTAS:
                    bound = bounds.norm_bound(
                        (width, width), weights, ratio, method=method, part=part, delta=delta
                    )
                    violations.add(f"norm, {part}", delta, int((np.array(found) > bound).sum()), samples)
                cells[part, ratio] = bound / np.quantile(found, 1 - DELTAS[-1])
        whole = np.mean([cells["all", ratio] for ratio in ratios])
        parts = [f"{cells[part, ratio]:.3f}" for part in ("removed", "kept") for ratio in ratios]
        yield f"| {width} | {name} | {method} | {whole:.3f} | {' | '.join(parts)} |"


def networks(
    shapes: list[tuple[int, int]], ratios: tuple[float, ...], samples: int, violations: Violations
) -> Iterator[str]:
    """Yield the table of networks at 0.1: bounds over simulated quantiles, least, median and largest."""
    yield "| activation | width | layers | ball, over the search's quantile | one input, over its quantile |"
    yield "|---|---|---|---|---|"
    delta = 0.1
    for act, (width, depth) in itertools.product(("identity", "relu"), shapes):
        ball, point = [], []
        for name, method, ratio in itertools.product(("uniform", "normal"), METHODS, ratios):
            sizes = [width] * depth + [10]
            laws = [law(name, max(pair)) for pair in itertools.pairwise(sizes)]
            inner = range(1, depth - 1) if depth > 2 else None
            net = Network.mlp(sizes, weights=laws, activation=act, pruned=inner)
            asked = {"method": method, "delta": delta}
            searched = bounds.simulate(net, ratio, method, samples=samples, seed=1, supremum=True)
            drawn = bounds.simulate(net, ratio, method, samples=10 * samples, seed=2)
            over_ball = bounds.estimate(net, ratio, **asked).epsilon  # type: ignore[arg-type]
            at_point = bounds.estimate(net, ratio, inputs=1, **asked).epsilon  # type: ignore[arg-type]
            violations.add("network, ball", delta, int((searched.gaps > over_ball).sum()), samples)
            violations.add("network, one input", delta, int((drawn.gaps > at_point).sum()), 10 * samples)
            ball.append(over_ball / searched.quantile_estimate(delta))
            point.append(at_point / drawn.quantile_estimate(delta))
        cells = [" - ".join(f"{np.quantile(it, level):.2f}" for level in (0, 0.5, 1)) for it in (ball, point)]
        yield f"| {act} | {width} | {depth} | {' | '.join(cells)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all widths and ratios; an hour")
    parser.add_argument("--smoke", action="store_true", help="tiny, to see that it runs")
    chosen = parser.parse_args()
    violations = Violations()
    widths, shapes, ratios, samples = {64: 200, 256: 40}, [(64, 2), (64, 3), (64, 4), (64, 6)], (0.1, 0.9), 20
    shapes += [(256, 3), (256, 6)]
    if chosen.full:
        widths = {64: 400, 256: 100, 1024: 16}
        shapes = [*itertools.product((64, 256, 1024), (2, 3, 4, 6))]
        ratios = (0.1, 0.5, 0.9, 0.99)
    if chosen.smoke:
        widths, shapes, ratios, samples = {8: 5}, [(4, 2)], (0.5,), 3
    for title, table in (
        ("Spectral norms: bound at delta 0.01 / simulated 99 % quantile", matrices(widths, violations)),
        (
            "Networks at delta 0.1: bound / simulated 90 % quantile",
            networks(shapes, ratios, samples, violations),
        ),
        ("Violations", violations.lines()),
    ):
        print(f"\n{title}\n")
        for line in table:
            print(line, flush=True)


if __name__ == "__main__":
    main()
