"""``rustprune demo``: the main job on a classifier that ships with the package, and what a person reads of it.

The classifier, its held-out images and how it was trained: ``tests/train_digits.py`` in the repository.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rustprune import _checkpoint
from rustprune._select import mask, num_pruned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

Floats: TypeAlias = "npt.NDArray[np.floating]"

DATA = pathlib.Path(__file__).parent / "data"
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
METHODS = (("magnitude", "global"), ("magnitude", "tensor"), ("random", "tensor"))
SEED = 0
WRITTEN = 0.8  # ratio of the checkpoint that is written, by global magnitude


@dataclass(frozen=True)
class Digits:
    """The classifier by parameter name, and images that it never saw, 64 pixels each from 0 to 16."""

    params: dict[str, Floats]
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    @property
    def weights(self) -> dict[str, Floats]:
        """What is pruned: the matrices, not the biases."""
        return {name: param for name, param in self.params.items() if name.endswith(".weight")}

    def accuracy(self, weights: dict[str, Floats]) -> float:
        """Return the fraction of the images that the classifier with ``weights`` names rightly."""
        params = {name: param.astype(np.float32) for name, param in (self.params | weights).items()}
        signal = self.pixels.astype(np.float32) / 16.0
        for layer in ("fc1", "fc2", "fc3"):
            if layer != "fc1":
                signal = np.maximum(signal, 0.0)
            signal = signal @ params[f"{layer}.weight"].T + params[f"{layer}.bias"]
        return float((signal.argmax(axis=1) == self.labels).mean())


@dataclass(frozen=True)
class Trial:
    """One way to prune the classifier, and what became of it; the counts are of entries."""

    method: str
    scope: str
    ratio: float
    num_requested: int
    num_pruned: int
    accuracy: float


def load() -> Digits:
    """Return what ships with the package."""
    with np.load(DATA / "digits_test.npz") as images:
        return Digits(_params(DATA / "digits.safetensors"), images["pixels"], images["labels"])


def _params(path: pathlib.Path) -> dict[str, Floats]:
    """Return the tensors of a safetensors file that is all float16."""
    file = path.read_bytes()
    begin = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:begin])
    header.pop("__metadata__", None)
    params = {}
    for name, tensor in header.items():
        first, last = (begin + offset for offset in tensor["data_offsets"])
        params[name] = np.frombuffer(file[first:last], "<f2").reshape(tensor["shape"])
    return params


def trial(digits: Digits, method: str, scope: str, ratio: float) -> Trial:
    """Prune a copy of the classifier's weights and count."""
    weights = digits.weights
    sizes = [weight.size for weight in weights.values()]
    if scope == "global":
        sizes = [sum(sizes)]
    masks = mask(weights, ratio, method=method, scope=scope, seed=SEED if method == "random" else None)
    pruned = {name: np.where(masks[name], weight, 0) for name, weight in weights.items()}
    return Trial(
        method,
        scope,
        ratio,
        num_requested=sum(num_pruned(size, ratio) for size in sizes),
        num_pruned=sum(int(np.count_nonzero(~kept)) for kept in masks.values()),
        accuracy=digits.accuracy(pruned),
    )


def table(trials: list[Trial]) -> Iterator[str]:
    """Yield the lines of a table with a row per ratio."""
    words = [word for word, _ in METHODS] * 2, [scope for _, scope in METHODS] * 2
    yield f"{'':18}{'entries pruned':>30}{'held-out accuracy':>33}"
    yield f"{'':18}" + "".join(f"{word:>10}" for word in words[0][:3]) 
    for ratio in RATIOS:
        row = [trial for trial in trials if trial.ratio == ratio]
        counts = "".join(f"{trial.num_pruned:>10}" for trial in row)
        shares = "".join(f"{trial.accuracy:>9.1%} " for trial in row)
        yield f"{ratio:>5.2f}{row[0].num_requested:>12}{counts}   {shares}"


def plot(trials: list[Trial], dense: float, path: pathlib.Path) -> None:
    """Draw accuracy against ratio into the PNG file ``path``."""
    from matplotlib.figure import Figure  # noqa: PLC0415, an optional extra
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for level, text, side in ((dense, "not pruned", "right"), (0.1, "chance", "left")):
        axes.axhline(level, color="0.6", linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
        x = {"left": 0.49, "right": 0.99}[side]
        axes.text(x, level + 0.01, text, color="0.4", ha=side, va="bottom", fontsize=9)
    for (method, scope), color, marker in zip(METHODS, ("#0072B2", "#009E73", "#D55E00"), "osD", strict=True):
        runs = [[t.accuracy for t in trials if (t.method, t.scope, t.ratio) == (method, scope, ratio)] for ratio in RATIOS]
        label = f"{method}, {scope} scope" if method == "magnitude" else "random, mean and range of 10 seeds"
        axes.plot(RATIOS, [sum(run) / len(run) for run in runs], color=color, marker=marker, markersize=5, label=label)
        axes.fill_between(RATIOS, [min(run) for run in runs], [max(run) for run in runs], color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="pruned weights (%)", ylabel="held-out images classified rightly (%)")
    axes.set(xlim=(0.48, 1.0), ylim=(0.0, 1.05), yticks=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=160, format="png")
