"""The commands ``rustprune bound``, ``certify`` and ``allocate``."""

from __future__ import annotations

import itertools
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from rustprune import _threads, bounds
from rustprune._checkpoint import prune_checkpoint
from rustprune._checkpoint.files import find
from rustprune._checkpoint.output import check_absent, check_output
from rustprune._terminal import PATH, json_option, progress, quiet_option, threads_option

if TYPE_CHECKING:
    from rustprune.bounds import BoundEstimate, CheckpointCertificate, Law


FAMILIES = {"uniform": bounds.Uniform, "normal": bounds.Normal, "laplace": bounds.Laplace}


def sizes(value: str) -> tuple[int, ...]:
    """Return widths such as ``784,300,100,10``."""
    words = value.split(",")
    if len(words) < 2 or not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"expected two widths or more, such as 784,300,10, got {value!r}")
    return tuple(map(int, words))


def ratio(value: str) -> tuple[float, ...]:
    """Return a ratio, or so many of them from one to another, such as ``0:0.99:100``."""
    first, *rest = value.split(":")
    try:
        if not rest:
            return (float(first),)
        last, count = rest
        steps = np.linspace(float(first), float(last), int(count)).tolist()
        return tuple(round(step, 12) for step in steps)
    except ValueError as error:
        raise click.BadParameter(f"expected a number or first:last:count, got {value!r}") from error


def law(value: str) -> Law:
    """Return a law such as ``uniform:k=1``."""
    family, _, numbers = value.partition(":")
    try:
        make: Callable[..., Law] = FAMILIES[family]
        pairs = [pair.split("=") for pair in numbers.split(",")]
        return make(**{word: float(number) for word, number in pairs})
    except (KeyError, TypeError, ValueError) as error:
        raise click.BadParameter(
            f"expected a law such as uniform:k=1 or normal:std=0.05, got {value!r}: {error}"
        ) from error


sizes_option = click.option(
    "--sizes",
    type=sizes,
    required=True,
    help="Inputs, neurons of each hidden layer, outputs: 784,300,10.",
)
law_option = click.option(
    "--weights",
    type=law,
    default="uniform:k=1",
    show_default=True,
    help="Law of the weights: uniform:k=1 on +-k/sqrt(max(fan_in, fan_out)), uniform:bound=0.1, "
    "normal:std=0.05, normal:gain=1.4 (over sqrt(fan_in)), laplace:scale=0.1.",
)
activation_option = click.option(
    "--activation",
    default="relu",
    show_default=True,
    help="Of hidden layers: relu, tanh, leaky_relu(0.1), ...",
)
radius_option = click.option(
    "--radius", type=float, default=1.0, show_default=True, help="Largest Euclidean norm of an input."
)
layers_option = click.option(
    "--layer", "layers", type=int, multiple=True, help="Position of a layer to prune, from 0; all by default."
)


@click.command()
@sizes_option
@law_option
@activation_option
@click.option(
    "--ratio",
    "ratios",
    type=ratio,
    multiple=True,
    default=["0:0.95:20"],
    show_default=True,
    help="Fraction to prune of each layer; or first:last:count; repeatable.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=["random", "magnitude"],
    show_default=True,
    type=click.Choice(bounds.METHODS),
    help="Repeatable.",
)
@click.option("--delta", type=float, default=0.05, show_default=True, help="Probability that a bound fails.")
@radius_option
@click.option("--inputs", type=float, help="Bound the gap at so many points, instead of all of the ball.")
@layers_option
@click.option("--csv", type=PATH, metavar="FILE", help="Write the table as CSV.")
@click.option("--plot", type=PATH, metavar="FILE", help="Draw the bounds over the ratio into a PNG file.")
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@threads_option
@json_option
@quiet_option
def bound(
    sizes: tuple[int, ...],
    weights: Law,
    activation: str,
    ratios: tuple[tuple[float, ...], ...],
    methods: tuple[str, ...],
    *,
    layers: tuple[int, ...],
    csv: Path | None,
    plot: Path | None,
    delta: float,
    radius: float,
    inputs: float | None,
    force: bool,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bound how far pruned networks of independent random weights can be from the original ones.

    With probability 1 - DELTA over weights and masks, outputs differ by at most the bound in Euclidean norm,
    at every input of norm RADIUS or less, or at INPUTS points fixed beforehand.
    """
    for path in (csv, plot):
        if path is not None:
            check_absent(path, force=force)
    if threads:
        _threads.set_num_threads(threads)
    net = bounds.Network.mlp(sizes, weights=weights, activation=activation, pruned=layers or None)
    steps = np.array([*itertools.chain.from_iterable(ratios)])[:, np.newaxis]
    with progress("bounding", shown=not (as_json or quiet)) as tell:
        found = bounds.estimate(
            net, steps, method=list(methods), delta=delta, radius=radius, inputs=inputs, progress=tell
        )
    if csv is not None:
        found.to_csv(csv)
    if plot is not None:
        draw(found, methods, plot)
    if as_json:
        click.echo(found.to_json(), nl=False)
    elif not quiet:
        click.echo("\n".join(bound_text(found, methods)))


@click.command()
@click.argument("src", type=PATH)
@click.argument("pruned", type=PATH)
@activation_option
@radius_option
@click.option(
    "--delta",
    type=float,
    default=1e-9,
    show_default=True,
    help="Probability that a bound which is not certified fails.",
)
@threads_option
@json_option
@quiet_option
def certify(
    src: Path,
    pruned: Path,
    *,
    activation: str,
    radius: float,
    delta: float,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bound how far PRUNED, a pruned copy of SRC, can be from it, for the weights that are there.

    Norms of what was removed of each tensor; and, if all matrices are linear layers that follow each other in
    the order of their names, a bound of the distance of the outputs at every input of norm RADIUS or less.
    """
    if threads:
        _threads.set_num_threads(threads)
    with progress("measuring", shown=not (as_json or quiet)) as tell:
        found = bounds.certify_checkpoint(
            src, pruned, activation=activation, radius=radius, delta=delta, progress=tell
        )
    told(found.as_dict(), "\n".join(certify_text(found)), as_json=as_json, quiet=quiet)


def certify_text(found: CheckpointCertificate) -> Iterator[str]:
    """Yield the lines of a table with a row per tensor that differs."""
    if not found.tensors:
        yield "nothing is removed"
    else:
        yield f"{'removed':>12} {'of':>12} {'Frobenius':>10} {'of':>10} {'spectral':>10} {'of':>10}  tensor"
    for it in found.tensors:
        norms = " ".join(
            f"{part[kind].value:>10.4g}"
            for kind in ("frobenius", "spectral")
            for part in (it.removed, it.weights)
        )
        sure = (
            ""
            if it.removed["spectral"].kind == it.weights["spectral"].kind == "certified"
            else "  not certified"
        )
        yield f"{it.num_removed:>12,} {math.prod(it.shape):>12,} {norms}  {it.name} {[*it.shape]}{sure}"
    if found.certificate is None:
        yield f"no bound of the whole network: {found.reason}"
    else:
        yield str(found.certificate)


@click.command()
@click.argument("src", type=PATH, required=False)
@click.option("--sizes", type=sizes, help="Without SRC: inputs, neurons of each hidden layer, outputs.")
@law_option
@activation_option
@click.option("--epsilon", type=float, required=True, help="Margin of the gap.")
@click.option("--method", type=click.Choice(bounds.METHODS), default="magnitude", show_default=True)
@click.option(
    "--delta",
    type=float,
    help="Probability that the bound fails: 0.05 by default, or 1e-9 for what cannot be certified of SRC.",
)
@radius_option
@click.option("--inputs", type=float, help="Bound the gap at so many points, instead of all of the ball.")
@layers_option
@click.option("--output", type=PATH, metavar="OUT", help="Write the pruned copy of SRC.")
@click.option("--force", is_flag=True, help="Replace an output that exists.")
@threads_option
@json_option
@quiet_option
@click.pass_context
def allocate(
    ctx: click.Context,
    src: Path | None,
    *,
    sizes: tuple[int, ...] | None,
    weights: Law,
    activation: str,
    epsilon: float,
    method: str,
    delta: float | None,
    radius: float,
    inputs: float | None,
    layers: tuple[int, ...],
    output: Path | None,
    force: bool,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Split pruning over the layers of a network, so that its outputs change by at most EPSILON.

    As many weights of SRC as a certificate allows, least magnitudes first, for a checkpoint of linear layers
    that follow each other in the order of their names; at every input of norm RADIUS or less. Or, with SIZES
    instead, of a network of independent random weights, with probability 1 - DELTA.
    """
    if (src is None) == (sizes is None):
        raise click.UsageError(
            "expected either SRC or --sizes, got " + ("neither" if src is None else "both")
        )
    unused = ["weights", "method", "inputs", "layers"] if src else ["output", "force"]
    for word in unused:
        if ctx.get_parameter_source(word) is not click.core.ParameterSource.DEFAULT:
            option = "--" + word.removesuffix("s" if word == "layers" else "")
            raise click.UsageError(f"{option} is for a call {'without' if src else 'with'} SRC")
    if threads:
        _threads.set_num_threads(threads)
    if sizes is not None:
        net = bounds.Network.mlp(sizes, weights=weights, activation=activation, pruned=layers or None)
        chance = 0.05 if delta is None else delta
        split = bounds.allocate(
            net, epsilon=epsilon, method=method, delta=chance, radius=radius, inputs=inputs
        )
        facts = {"counts": split.counts, "sizes": split.sizes, "sparsity": split.sparsity}
        told(facts | json.loads(split.bound.to_json()), str(split), as_json=as_json, quiet=quiet)
    elif src is not None:
        if output is not None:
            check_output(find(src), src, output, force=force)
        with progress("certifying", shown=not (as_json or quiet)) as tell:
            found = bounds.allocate_certified(
                src,
                epsilon=epsilon,
                activation=activation,
                radius=radius,
                delta=1e-9 if delta is None else delta,
                progress=tell,
            )
        if output is not None:
            write(src, output, dict(zip(found.names, found.counts, strict=True)), force=force)
        told(found.as_dict(), str(found), as_json=as_json, quiet=quiet)


def told(facts: dict[str, object], text: str, *, as_json: bool, quiet: bool) -> None:
    """Print facts as JSON, or their text."""
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    elif not quiet:
        click.echo(text)


def write(src: Path, out: Path, counts: dict[str, int], *, force: bool) -> None:
    """Write a copy of a checkpoint of which so many entries of each tensor are pruned.

    Tensor by tensor in a copy that lies beside it until it is whole, since a request has one number for all.
    """
    *others, (last, last_count) = counts.items()
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.rustprune-") as folder:
        copy, current = Path(folder) / src.name, src
        for name, count in others:
            target = ["re:" + re.escape(name) + "$"]
            if current is src:
                prune_checkpoint(src, copy, count=count, targets=target)
                current = copy
            else:
                prune_checkpoint(copy, in_place=True, count=count, targets=target)
        prune_checkpoint(current, out, count=last_count, targets=["re:" + re.escape(last) + "$"], force=force)


def bound_text(found: BoundEstimate, methods: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table with a row per ratio."""
    yield f"{'ratio':>7}" + "".join(f"{method:>14}{'':4}" for method in methods)
    for ratio, epsilons, theorems in zip(found.ratio[:, 0], found.epsilon, found.theorem, strict=True):
        cells = (f"{epsilon:>14.6g}{name:>4}" for epsilon, name in zip(epsilons, theorems, strict=True))
        yield f"{ratio:>7.4g}" + "".join(cells)
    where = "every input of the ball" if np.isnan(found.inputs).all() else "the inputs fixed beforehand"
    yield f"P(gap > bound) <= {found.delta.flat[0]:g}, at {where} of radius {found.radius.flat[0]:g}, if"
    yield from (f"  {assumption}" for assumption in found.assumptions)


def draw(found: BoundEstimate, methods: tuple[str, ...], path: Path) -> None:
    """Draw the bounds over the ratio into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    colors = {
        "random": "#D55E00",
        "magnitude": "#0072B2",
        "bernoulli": "#009E73",
    }  # a colour-blind safe palette
    for column, method in enumerate(methods):
        shown = np.where(found.epsilon[:, column] < math.inf, found.epsilon[:, column], np.nan)
        axes.plot(found.ratio[:, column], shown, color=colors[method], marker="o", markersize=3, label=method)
    axes.set(
        xlabel="pruned weights (fraction)", ylabel=f"bound of the gap, at delta = {found.delta.flat[0]:g}"
    )
    axes.set_ylim(bottom=0)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=160, format="png")
