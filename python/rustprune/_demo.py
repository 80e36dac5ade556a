"""``rustprune demo``: the main job on a classifier that ships with the package, and what a person reads.

The classifier, its held-out images and how it was trained: ``tests/train_digits.py`` in the repository.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rustprune import bounds
from rustprune._checkpoint import prune_checkpoint
from rustprune._checkpoint.output import check_absent
from rustprune._select import mask, num_pruned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from rustprune._request import Method, Scope

Floats: TypeAlias = "NDArray[np.floating]"

DATA = Path(__file__).parent / "data"
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
METHODS: tuple[tuple[Method, Scope], ...] = (
    ("magnitude", "global"),
    ("magnitude", "tensor"),
    ("random", "tensor"),
)
NUM_SEEDS = 10
WRITTEN_RATIO = 0.8
DELTA = 0.05


@dataclass(frozen=True)
class Digits:
    """The classifier by parameter name, and images that it never saw, 64 pixels each from 0 to 16."""

    params: dict[str, Floats]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def weights(self) -> dict[str, Floats]:
        """What is pruned: the matrices, not the biases."""
        return {name: param for name, param in self.params.items() if name.endswith(".weight")}

    @property
    def images(self) -> NDArray[np.float32]:
        """The images as the classifier takes them."""
        return self.pixels.astype(np.float32) / 16.0

    @property
    def radius(self) -> float:
        """The largest Euclidean norm of an image."""
        return float(np.linalg.norm(self.images, axis=1).max())

    def logits(self, params: Mapping[str, Floats]) -> NDArray[np.float32]:
        """Return the outputs for all images with ``params`` in place."""
        singles = {name: param.astype(np.float32) for name, param in {**self.params, **params}.items()}
        signal: NDArray[np.float32] = self.images
        for layer in ("fc1", "fc2"):
            signal = np.maximum(signal @ singles[f"{layer}.weight"].T + singles[f"{layer}.bias"], 0.0)
        outputs: NDArray[np.float32] = signal @ singles["fc3.weight"].T + singles["fc3.bias"]
        return outputs

    def accuracy(self, params: Mapping[str, Floats]) -> float:
        """Return the fraction of the images that the classifier names rightly with ``params`` in place."""
        return float((self.logits(params).argmax(axis=1) == self.labels).mean())


@dataclass(frozen=True)
class Trial:
    """One way to prune the classifier; the counts and accuracies are one per seed, of magnitude one."""

    method: Method
    scope: Scope
    ratio: float
    num_requested: int
    num_pruned: list[int]
    accuracy: list[float]


@dataclass(frozen=True)
class Distance:
    """How far the outputs of the classifier are from those of its pruned form, in Euclidean norm."""

    ratio: float
    measured: float
    certified: float
    fresh: float


def run(
    out_dir: Path,
    echo: Callable[[str], None],
    as_json: bool,  # noqa: FBT001 - as the command line has it
    force: bool,  # noqa: FBT001
) -> dict[str, object]:
    """Prune the classifier in several ways, write one of the results, and tell what came of it.

    Parameters
    ----------
    out_dir : Path
        Where the pruned checkpoint, its masks and, with matplotlib, the plot go; made if it is not there.
    echo : callable
        Takes the lines for a person.
    as_json : bool
        Say nothing; the result says it.
    force : bool
        Replace outputs that exist.

    Returns
    -------
    dict
        What JSON can hold: the trials, the accuracy before, and the outputs.

    Raises
    ------
    FileExistsError
        If an output exists and ``force`` is not set.
    """
    tell = echo if not as_json else lambda _: None
    checkpoint, masks, picture = (
        out_dir / name for name in ("digits.safetensors", "digits.mask.safetensors", "accuracy.png")
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    for path in (checkpoint, masks, picture):
        check_absent(path, force=force)

    digits = load()
    dense = digits.accuracy({})
    num_weights = sum(weight.size for weight in digits.weights.values())
    tell(f"A classifier of handwritten digits with {num_weights} float16 weights in 3 layers.")
    tell(
        f"It names {dense:.1%} of {len(digits.labels)} held-out images rightly. Pruned, without retraining:\n"
    )
    trials = [trial(digits, method, scope, ratio) for ratio in RATIOS for method, scope in METHODS]
    for line in table(trials):
        tell(line)

    gaps = [distance(digits, ratio) for ratio in RATIOS]
    tell(f"\nHow far outputs move (magnitude, tensor), for inputs of norm {digits.radius:.3g} or less:\n")
    for line in gap_table(gaps):
        tell(line)

    source = DATA / checkpoint.name
    prune_checkpoint(source, checkpoint, WRITTEN_RATIO, scope="global", masks=masks, force=force)
    written = params_of(checkpoint)
    num_zeros = sum(int(np.count_nonzero(written[name] == 0)) for name in digits.weights)
    accuracy = digits.accuracy(written)
    tell(f"\n{checkpoint}: {num_zeros} weights are zero, {accuracy:.1%} of the images right")
    tell(f"{masks}: its masks, 1 bit per weight")
    drawn = importlib.util.find_spec("matplotlib") is not None
    if drawn:
        plot(trials, dense, picture)
        tell(f"{picture}: the table as a plot")
    else:
        tell("no plot: it needs matplotlib, pip install 'rustprune[plot]'")
    return {
        "num_weights": num_weights,
        "num_images": len(digits.labels),
        "accuracy": dense,
        "trials": [asdict(it) for it in trials],
        "radius": digits.radius,
        "gaps": [asdict(it) for it in gaps],
        "checkpoint": {"path": str(checkpoint), "num_zeros": num_zeros, "accuracy": accuracy},
        "masks": str(masks),
        "plot": str(picture) if drawn else None,
    }


def load() -> Digits:
    """Return what ships with the package."""
    with np.load(DATA / "digits_test.npz") as images:
        return Digits(params_of(DATA / "digits.safetensors"), images["pixels"], images["labels"])


def params_of(path: Path) -> dict[str, Floats]:
    """Return the tensors of a safetensors file that is all float16."""
    file = path.read_bytes()
    begin = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:begin])
    header.pop("__metadata__", None)
    params = {}
    for name, tensor in header.items():
        first, end = (begin + offset for offset in tensor["data_offsets"])
        params[name] = np.frombuffer(file[first:end], "<f2").reshape(tensor["shape"])
    return params


def trial(digits: Digits, method: Method, scope: Scope, ratio: float) -> Trial:
    """Prune copies of the classifier and count."""
    weights = digits.weights
    sizes = [weight.size for weight in weights.values()]
    if scope == "global":
        sizes = [sum(sizes)]
    requested = sum(num_pruned(size, ratio) for size in sizes)
    counts, accuracies = [], []
    for seed in range(NUM_SEEDS) if method == "random" else (None,):
        masks = mask(weights, ratio, method=method, scope=scope, seed=seed)
        counts.append(sum(int(np.count_nonzero(~kept)) for kept in masks.values()))
        accuracies.append(digits.accuracy({name: weights[name] * masks[name] for name in weights}))
    return Trial(method, scope, ratio, requested, counts, accuracies)


def distance(digits: Digits, ratio: float) -> Distance:
    """Measure the largest distance over the images, and bound it over the ball that holds them.

    The bound for fresh weights is that of Theorem 1 or 6 for a network of these shapes before training: for
    trained weights it says nothing.
    """
    masks = mask(digits.weights, ratio)
    pruned = {name: weight * masks[name] for name, weight in digits.weights.items()}
    biases = [digits.params[name.replace("weight", "bias")] for name in digits.weights]
    certificate = bounds.certify(digits.weights, masks, biases=biases, radius=digits.radius)
    sizes = [digits.pixels.shape[1], *(len(bias) for bias in biases)]
    fresh = bounds.Network.mlp(sizes, weights=bounds.Uniform(k=1.0))
    return Distance(
        ratio=ratio,
        measured=float(np.linalg.norm(digits.logits(pruned) - digits.logits({}), axis=1).max()),
        certified=certificate.epsilon.value,
        fresh=float(bounds.estimate(fresh, ratio, delta=DELTA, radius=digits.radius).epsilon),
    )


def gap_table(gaps: list[Distance]) -> Iterator[str]:
    """Yield the lines of a table with a row per ratio."""
    yield f"{'ratio':>5}{'measured':>12}{'certified':>12}{'fresh weights':>16}"
    for it in gaps:
        yield f"{it.ratio:>5.2f}{it.measured:>12.4g}{it.certified:>12.4g}{it.fresh:>16.4g}"
    yield "measured: the largest over the held-out images; certified: for every such input (Theorem 5);"
    yield f"fresh weights: with probability {1 - DELTA:.0%}, for it before training (Theorem 1 or 6)"


def table(trials: list[Trial]) -> Iterator[str]:
    """Yield the lines of a table with a row per ratio."""
    methods = [f"{method:>10}" for method, _ in METHODS]
    scopes = [f"{scope:>10}" for _, scope in METHODS]
    yield f"{'':17}{'pruned weights':>30}  {'held-out accuracy':>30}"
    yield f"{'':17}{''.join(methods)}  {''.join(methods)}"
    yield f"{'ratio':>5}{'requested':>12}{''.join(scopes)}  {''.join(scopes)}"
    for ratio, row in itertools.groupby(trials, key=lambda it: it.ratio):
        cells = list(row)
        counts = "".join(f"{'/'.join(map(str, sorted(set(it.num_pruned)))):>10}" for it in cells)
        shares = "".join(f"{fmean(it.accuracy):>10.1%}" for it in cells)
        yield f"{ratio:>5.2f}{cells[0].num_requested:>12}{counts}  {shares}"
    yield f"random: the mean accuracy of {NUM_SEEDS} seeds"


def plot(trials: list[Trial], dense: float, path: Path) -> None:
    """Draw accuracy against ratio into a PNG file."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for level, text, x in ((dense, "not pruned", 0.94), (0.1, "chance", 0.5)):
        axes.axhline(level, color="0.6", linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
        axes.text(x, level + 0.01, text, color="0.4", va="bottom", fontsize=9)
    styles = zip(
        METHODS, ("#0072B2", "#009E73", "#D55E00"), "osD", strict=True
    )  # a colour-blind safe palette
    for (method, scope), color, marker in styles:
        line = [it for it in trials if (it.method, it.scope) == (method, scope)]
        how = f"mean and range of {NUM_SEEDS} seeds" if method == "random" else f"{scope} scope"
        means = [fmean(it.accuracy) for it in line]
        axes.plot(RATIOS, means, color=color, marker=marker, markersize=5, label=f"{method}, {how}")
        low, high = ([extreme(it.accuracy) for it in line] for extreme in (min, max))
        axes.fill_between(RATIOS, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="pruned weights (%)", ylabel="held-out accuracy (%)")
    axes.set(xlim=(0.48, 1.0), ylim=(0.0, 1.05), yticks=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9, columnspacing=1.5)
    figure.savefig(path, dpi=160, format="png")
