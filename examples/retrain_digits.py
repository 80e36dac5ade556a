"""Train, prune, retrain: how small networks become before they forget.

    python examples/retrain_digits.py            # two networks, a few minutes, and digits.png
    python examples/retrain_digits.py --quick    # one seed, few steps: only to see it run

Networks are trained once for each seed. From each of them, at each compression ratio of the pruned weights,
three prunings start: the smallest weights of the whole network, the smallest of each layer, and random ones.
Their masks are held while what is kept trains on, for half as many steps.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import torch
from torch import nn

import rustprune.torch as rpt
from digits import accuracy, adam, cnn, load, mlp, train

COMPRESSIONS = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("global magnitude", "layerwise magnitude", "random")
# Accuracies in per cent, a list of one for each seed, by (method, compression ratio, whether retrained).
Accuracies = dict[tuple[str, int, bool], list[float]]


def prune(model: nn.Module, method: str, ratio: float, seed: int, optimizer: torch.optim.Optimizer) -> None:
    """Prune a model, and hold its masks."""
    match method:
        case "global magnitude":
            rpt.prune(model, ratio, scope="global", optimizer=optimizer)
        case "layerwise magnitude":
            rpt.prune(model, ratio, optimizer=optimizer)
        case _:
            rpt.prune(model, ratio, method="random", seed=seed, optimizer=optimizer)


def measure(make: Callable[[int], nn.Sequential], seeds: Sequence[int], steps: int) -> Accuracies:
    """Return the accuracies of all prunings of networks that were trained for so many steps."""
    to_train, held_out = load()
    found: Accuracies = {}
    for seed in seeds:
        dense = make(seed)
        torch.manual_seed(seed)
        train(dense, adam(dense), to_train, steps)
        for method in METHODS:
            for compression in COMPRESSIONS:
                model = copy.deepcopy(dense)
                optimizer = adam(model)
                prune(model, method, 1 - 1 / compression, seed, optimizer)
                found.setdefault((method, compression, False), []).append(accuracy(model, held_out))
                torch.manual_seed(1000 + seed)
                train(model, optimizer, to_train, steps // 2)
                rpt.finalize(model)
                found.setdefault((method, compression, True), []).append(accuracy(model, held_out))
    return found


def table(found: Accuracies) -> str:
    """Return the means over seeds, in Markdown."""
    rows = ["| pruned by | retrained | " + " | ".join(f"{one}x" for one in COMPRESSIONS) + " |"]
    rows.append("| --- " * (2 + len(COMPRESSIONS)) + "|")
    for method in METHODS:
        for retrained in (False, True):
            means = [f"{fmean(found[method, one, retrained]):.1f}" for one in COMPRESSIONS]
            rows.append(f"| {method} | {'yes' if retrained else 'no'} | {' | '.join(means)} |")
    return "\n".join(rows)


def plot(results: dict[str, Accuracies], path: Path) -> None:
    """Draw mean accuracies over compression ratios, with the range over seeds."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(5.5 * len(results), 4), sharey=True, squeeze=False)
    for axis, (name, found) in zip(axes[0], results.items(), strict=True):
        for method, colour in zip(METHODS, ("tab:blue", "tab:green", "tab:orange"), strict=True):
            for retrained in (True, False):
                points = [found[method, one, retrained] for one in COMPRESSIONS]
                style = {"linestyle": "-" if retrained else ":", "color": colour}
                label = f"{method}, {'retrained' if retrained else 'not retrained'}"
                axis.plot(COMPRESSIONS, list(map(fmean, points)), label=label, **style)
                axis.fill_between(
                    COMPRESSIONS, list(map(min, points)), list(map(max, points)), alpha=0.15, color=colour
                )
        axis.set_xscale("log", base=2)
        axis.set_xticks(COMPRESSIONS, [f"{one}x" for one in COMPRESSIONS])
        axis.set_xlabel("compression ratio of the pruned weights")
        axis.set_title(name)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("accuracy on held-out digits, %")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed and few steps")
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="the picture")
    options = parser.parse_args()
    seeds, steps = ((0,), 60) if options.quick else (range(3), 1000)
    results = {}
    for name, make in {"perceptron 64-300-100-10": mlp, "convolutional network": cnn}.items():
        results[name] = measure(make, seeds, steps)
        print(f"{name}, accuracy in per cent, mean over {len(seeds)} seeds\n\n{table(results[name])}\n")
    plot(results, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
