"""Lottery tickets on digits, and what becomes of them with another initialisation or another mask.

    python examples/lottery_digits.py            # three seeds, 15 levels, and lottery.png
    python examples/lottery_digits.py --quick    # one seed, few steps: only to see it run

A perceptron 64-300-100-10 is trained, a fifth of its kept weights (a tenth in the last layer) is pruned, and
what is left goes back to its initialisation and is trained again, 15 times over (Frankle and Carbin 2019). At
each level three controls are trained too: the same mask from a new initialisation, a random mask of the same
counts, and a mask of the same counts chosen at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import torch
from torch import nn

import rustprune.torch as rpt
from digits import Digits, accuracy, adam, glorot, load, mlp, train

RATE = {"*": 0.2, "4.weight": 0.1}
NAMES = {
    "rewound": "rewound to its initialisation",
    "reinit": "same mask, new initialisation",
    "random_mask": "random mask of the same counts",
    "one_shot": "pruned at once, rewound",
}
# Accuracies in per cent, a list of one for each seed, by what was trained and at which level.
Accuracies = dict[tuple[str, int], list[float]]


def tickets(seed: int, to_train: Digits, held_out: Digits, rounds: int, steps: int) -> list[rpt.Level[float]]:
    """Return the levels of one network, with controls."""
    model = mlp(seed)
    optimizer = adam(model)

    def run(model: nn.Module, start: int, stop: int | None) -> float:
        train(model, optimizer, to_train, (steps if stop is None else stop) - start)
        return accuracy(model, held_out)

    torch.manual_seed(seed)
    levels = rpt.iterate(
        model,
        rounds=rounds,
        rate=RATE,
        train=run,
        optimizer=optimizer,
        controls=("reinit", "random_mask", "one_shot"),
        initialize=lambda model: glorot(model, torch.initial_seed()),
        seed=1000 * (seed + 1),
    )
    return list(levels)


def collect(runs: Iterable[list[rpt.Level[float]]]) -> tuple[Accuracies, list[float]]:
    """Return accuracies by name and level, and the percentage of weights kept at each level."""
    found: Accuracies = {}
    kept: list[float] = []
    for levels in runs:
        kept = [100 * (1 - level.masks.sparsity) for level in levels]
        for level in levels:
            found.setdefault(("rewound", level.level), []).append(level.result)
            for control, result in level.controls.items():
                found.setdefault((control, level.level), []).append(result)
    return found, kept


def plot(found: Accuracies, kept: list[float], path: Path) -> None:
    """Draw mean accuracies over densities, with the range over seeds."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    for what, label in NAMES.items():
        levels = [level for name, level in found if name == what]
        points = [found[what, level] for level in levels]
        densities = [kept[level] for level in levels]
        axis.plot(densities, list(map(fmean, points)), label=label)
        axis.fill_between(densities, list(map(min, points)), list(map(max, points)), alpha=0.15)
    axis.set_xscale("log")
    axis.set_xticks(kept[::3], [f"{one:.1f}" for one in kept[::3]])
    axis.minorticks_off()
    axis.invert_xaxis()
    axis.set_xlabel("weights kept, %")
    axis.set_ylabel("accuracy on held-out digits, %")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed and few steps")
    parser.add_argument("--out", type=Path, default=Path("lottery.png"), help="the picture")
    options = parser.parse_args()
    seeds, rounds, steps = ((0,), 3, 40) if options.quick else (range(3), 15, 1000)
    data = load()
    found, kept = collect(tickets(seed, *data, rounds, steps) for seed in seeds)
    print("| level | kept | " + " | ".join(NAMES.values()) + " |\n" + "| --- " * (2 + len(NAMES)) + "|")
    for level, density in enumerate(kept):
        means = [f"{fmean(found[what, level]):.1f}" if (what, level) in found else "" for what in NAMES]
        print(f"| {level} | {density:.3f} % | {' | '.join(means)} |")
    plot(found, kept, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
