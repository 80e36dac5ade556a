"""The command line: ``rustprune prune``, ``inspect``, ``bound``, ``certify`` and ``demo``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from rustprune import __version__, _bound_commands, _threads
from rustprune._request import Method, Nan, Scope
from rustprune._terminal import PATH, Commands, json_option, progress, quiet_option, threads_option

if TYPE_CHECKING:
    from rustprune._checkpoint import InspectReport, PruneReport
    from rustprune._checkpoint.inspect import Statistics


def main() -> None:
    """Run the command line of this process."""
    commands(prog_name="rustprune")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rustprune")
def commands() -> None:
    """Prune checkpoints, exactly and in little memory, and see what they hold.

    SRC is a .safetensors file, or a Hugging Face directory with or without an index of shards.
    """


@commands.command()
@click.argument("src", type=PATH)
@click.argument("out", type=PATH, required=False)
@click.option("--ratio", type=float, help="Fraction of the entries to prune.")
@click.option("--count", type=int, help="Number of entries to prune, instead of a fraction.")
@click.option(
    "--pattern",
    metavar="N:M",
    help="Keep N of each M entries, along input channels of convolutions; instead of both.",
)
@click.option("--method", type=click.Choice(get_args(Method)), default="magnitude", show_default=True)
@click.option(
    "--scope",
    type=click.Choice(get_args(Scope)),
    default="tensor",
    show_default=True,
    help="What the fraction or number is of: each row, each tensor, or all targets together.",
)
@click.option("--seed", type=int, help="Seed of the random method.")
@click.option(
    "--nan",
    type=click.Choice(get_args(Nan)),
    default="raise",
    show_default=True,
    help="NaN is an error, above infinity, or below everything.",
)
@click.option(
    "--targets",
    multiple=True,
    metavar="PATTERN",
    help="Tensors to prune: a name, a shell pattern, or a regular expression after 're:'; repeatable. By "
    "default those of two or more dimensions named *.weight, but embeddings, norms and lm_head.",
)
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Tensors to leave as they are; repeatable.")
@click.option(
    "--masks", type=PATH, metavar="FILE", help="Write the masks too, 1 bit per entry, as safetensors."
)
@click.option("--dry-run", is_flag=True, help="Decide and report, and write nothing.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Replace the files of SRC that hold weights, once their successors are written: needs their space "
    "on the disk a second time.",
)
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@threads_option
@json_option
@quiet_option
def prune(
    src: Path, out: Path | None, *, threads: int | None, as_json: bool, quiet: bool, **options: object
) -> None:
    """Write OUT, a copy of SRC with zeros in its pruned entries and every other byte as it was."""
    from rustprune import _checkpoint

    if out is None and not (options["in_place"] or options["dry_run"]):
        raise click.UsageError("Missing argument 'OUT', or one of --in-place and --dry-run.")
    if threads:
        _threads.set_num_threads(threads)
    with progress("pruning", shown=not (as_json or quiet)) as tell:
        report = _checkpoint.prune_checkpoint(src, out, progress=tell, **options)  # type: ignore[arg-type]
    for warning in () if quiet else report.warnings:
        click.echo(f"rustprune: warning: {warning}", err=True)
    tell_report(report, prune_text(report), as_json=as_json, quiet=quiet)


@commands.command()
@click.argument("src", type=PATH)
@threads_option
@json_option
@quiet_option
def inspect(src: Path, *, threads: int | None, as_json: bool, quiet: bool) -> None:
    """List the tensors of SRC: zeros, N:M groups and quantiles of the magnitude."""
    from rustprune import _checkpoint

    if threads:
        _threads.set_num_threads(threads)
    with progress("inspecting", shown=not (as_json or quiet)) as tell:
        report = _checkpoint.inspect_checkpoint(src, progress=tell)
    tell_report(report, inspect_text(report), as_json=as_json, quiet=quiet)


@commands.command()
@click.argument("out_dir", type=PATH, default=Path("rustprune-demo"))
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@json_option
def demo(out_dir: Path, *, force: bool, as_json: bool) -> None:
    """Prune a small classifier of handwritten digits, and write it, its masks and a plot to OUT_DIR."""
    from rustprune import _demo

    result = _demo.run(out_dir, click.echo, as_json, force)
    if as_json:
        click.echo(json.dumps(result, indent=2))


commands.add_command(_bound_commands.allocate)
commands.add_command(_bound_commands.bound)
commands.add_command(_bound_commands.certify)


def tell_report(
    report: PruneReport | InspectReport, lines: Iterator[str], *, as_json: bool, quiet: bool
) -> None:
    """Print a report as JSON or as the lines of its text."""
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    elif not quiet:
        click.echo("\n".join(lines))


def prune_text(report: PruneReport) -> Iterator[str]:
    """Yield the lines of a table with a row per target."""
    yield f"{'entries':>15} {'pruned':>15} {'sparsity':>9} {'threshold':>11}  tensor"
    rows = [(tensor.summary, tensor.name) for tensor in report.tensors]
    for summary, name in [*rows, (report.total, f"{len(rows)} tensors")]:
        threshold = "" if summary.threshold is None else f"{summary.threshold:.5g}"
        counts = f"{summary.num_entries:>15,} {summary.num_pruned:>15,}"
        yield f"{counts} {summary.sparsity:>9.4%} {threshold:>11}  {name}"
    reasons: dict[str, list[str]] = {}
    for skipped in report.skipped:
        reasons.setdefault(skipped.reason, []).append(skipped.name)
    for reason, names in reasons.items():
        yield f"left as they are, {reason}: {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")


def inspect_text(report: InspectReport) -> Iterator[str]:
    """Yield the lines of a table with a row per tensor."""
    patterns = [
        *dict.fromkeys(name for row in (*report.tensors,) if row.statistics for name in row.statistics.n_of_m)
    ]
    quantiles = [*report.total.magnitude]
    heads = "".join(f"{pattern:>7}" for pattern in patterns) + "".join(f"{name:>10}" for name in quantiles)
    yield f"{'dtype':<8}{'entries':>15}{'zeros':>9}{heads}  tensor"

    def row(dtype: str, statistics: Statistics, name: str) -> str:
        groups = "".join(
            f"{statistics.n_of_m[pattern]:>7.1%}" if pattern in statistics.n_of_m else f"{'':>7}"
            for pattern in patterns
        )
        magnitudes = "".join(f"{statistics.magnitude.get(name, math.nan):>10.3g}" for name in quantiles)
        return (
            f"{dtype:<8}{statistics.num_entries:>15,}{statistics.sparsity:>9.2%}{groups}{magnitudes}  {name}"
        )

    for tensor in report.tensors:
        name = f"{tensor.name} {[*tensor.shape]}"
        if tensor.statistics:
            yield row(tensor.dtype, tensor.statistics, name)
        else:
            yield f"{tensor.dtype:<8}{math.prod(tensor.shape):>15,}{'':{9 + len(heads)}}  {name}"
    yield row("", report.total, "floating-point tensors together")
