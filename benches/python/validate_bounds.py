"""Bounds against simulation: how tight each is, and how often it is violated; tables of docs/validation.md.

    python benches/python/validate_bounds.py [--full]

Matrices and networks are drawn afresh for each width and law, and pruned in every way. A bound at delta may
be violated with that probability: the last lines count violations and what chance allows. With --full for
wider matrices and networks. Each table says how long it took.
"""

from __future__ import annotations

import argparse
import time

from validate_networks import Plan, certificates, networks
from validate_norms import RATIOS, convolutions, matrices
from violations import Violations

ALL = (2, 3, 4, 6)
ENDS = (0.1, 0.9)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="wider matrices and networks, and more draws")
    parser.add_argument("--smoke", action="store_true", help="tiny, to see that it runs")
    chosen = parser.parse_args()
    violations = Violations()
    widths, kernels, size = {64: 200, 256: 40}, {(16, 16): 20}, 16
    plans = {64: Plan(ALL, ENDS, 100, 20), 256: Plan((3, 6), ENDS, 40, 10)}
    width, depths, draws = 64, [3, 4, 6], 3
    if chosen.full:
        widths = {64: 400, 256: 100, 1024: 20, 2048: 6}
        kernels[64, 64] = 12
        plans = {
            64: Plan(ALL, RATIOS, 400, 40),
            256: Plan(ALL, RATIOS, 100, 20),
            1024: Plan(ALL, ENDS, 20, 8),
            2048: Plan((2, 3, 6), ENDS, 10, 3),
        }
        width, draws = 256, 5
    if chosen.smoke:
        widths, kernels, size = {8: 5}, {(3, 2): 2}, 4
        plans = {4: Plan((2,), (0.5,), 3, 2)}
        width, depths, draws = 16, [3], 1
    sizes = f"every size, circular {size} x {size}"
    for title, table in (
        ("Spectral norms: bound at delta 0.01 / simulated 99 % quantile", matrices(widths, violations)),
        (f"Convolutions of 3 x 3 ({sizes}): the same", convolutions(kernels, size, violations)),
        ("Networks at delta 0.1: bound / simulated 90 % quantile", networks(plans, violations)),
        (f"Certificates of ReLU networks of width {width}", certificates(width, depths, draws)),
        ("Violations", violations.lines()),
    ):
        start = time.perf_counter()
        print(f"\n{title}\n")
        for line in table:
            print(line, flush=True)
        print(f"\n({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
