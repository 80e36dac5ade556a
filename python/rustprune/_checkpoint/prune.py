"""Pruned copies of checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rustprune import _rustprune
from rustprune._arrays import Batch
from rustprune._checkpoint.files import Files, find
from rustprune._checkpoint.output import check_masks, check_output, copy_others, staged_directory
from rustprune._checkpoint.targets import Place, Skipped, choose, quantisation
from rustprune._prune import Summary
from rustprune._request import Method, Nan, Scope, checked, score_of

if TYPE_CHECKING:
    import os


class Request(NamedTuple):
    """What is asked for, as the extension takes it."""

    score: str
    scope: str
    ratio: float | None
    count: int | None
    pattern: tuple[int, int, int] | None
    nan: str
    seed: int | None
    named: bool


@dataclass(frozen=True, slots=True)
class PrunedTensor:
    """One target.

    Parameters
    ----------
    name, file, dtype : str
        Its name, the file it is in, and its dtype as safetensors calls it.
    shape : tuple of int
        Its shape.
    num_requested : int or None
        How many entries were asked to be pruned; None under global scope, which asks it of all together.
    summary : Summary
        What was pruned.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    num_requested: int | None
    summary: Summary


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `prune_checkpoint` did.

    Parameters
    ----------
    tensors : tuple of PrunedTensor
        The targets, by name: the order of ties.
    skipped : tuple of Skipped
        Tensors that look like targets and were left as they are.
    warnings : tuple of str
        What was left out of the output directory, and other things to know.
    num_requested : int
        How many entries were asked to be pruned in total.
    """

    tensors: tuple[PrunedTensor, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    num_requested: int

    @property
    def total(self) -> Summary:
        """All targets together; the threshold is that of global scope."""
        summaries = [tensor.summary for tensor in self.tensors]
        first = summaries[0]
        common = all(tensor.num_requested is None for tensor in self.tensors)
        return Summary(
            sum(summary.num_entries for summary in summaries),
            sum(summary.num_pruned for summary in summaries),
            first.threshold if common else None,
            first.num_ties if common else 0,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the report as what JSON can hold."""
        tensors = []
        for tensor in self.tensors:
            fields = asdict(tensor)
            summary = fields.pop("summary")
            tensors.append(fields | summary | {"sparsity": tensor.summary.sparsity})
        total = {"num_tensors": len(self.tensors), "num_requested": self.num_requested}
        return {
            "tensors": tensors,
            "skipped": [skipped._asdict() for skipped in self.skipped],
            "warnings": list(self.warnings),
            "total": total | asdict(self.total) | {"sparsity": self.total.sparsity},
        }


def prune_checkpoint(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    ratio: float | None = None,
    *,
    count: int | None = None,
    method: Method = "magnitude",
    scope: Scope = "tensor",
    pattern: str | None = None,
    nan: Nan = "raise",
    seed: int | None = None,
    targets: Sequence[str] = (),
    ignore: Sequence[str] = (),
    masks: str | os.PathLike[str] | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PruneReport:
    """Write a copy of a checkpoint with zeros in its pruned entries, and every other byte as it was.

    Parameters
    ----------
    src : path
        A ``.safetensors`` file, or a Hugging Face directory with or without an index of shards.
    out : path, optional
        The copy, of the same kind. Left out to prune in place or to run dry.
    ratio, count, method, scope, nan, seed
        As for `mask` of a mapping of all targets by name: the order of ties under global scope is that of the
        names, whichever files they are in.
    pattern : str, optional
        ``"2:4"`` keeps 2 of each 4 entries along the last axis, of tensors of more than two dimensions along the
        second: the input channels of convolutions.
    targets, ignore : sequence of str, optional
        Names of tensors, shell patterns, or regular expressions after ``re:`` that match from the start of the
        name. Given `targets` replace the default ones, tensors of two or more dimensions named ``weight`` or
        ``*.weight`` but embeddings, norms and the output layer of language models; `ignore` takes away from
        either.
    masks : path, optional
        The mask side file to write: a ``U8`` tensor for each target, bit ``j`` of byte ``b`` of a row the column
        ``8 * b + j`` of its matrix view ``(shape[0], -1)``, 1 = kept. ``rustprune.source_sha256`` of its metadata
        is the SHA-256 of the data of all targets before, in the order of their names.
    in_place : bool
        Replace the files of `src` that hold weights, each by a whole new one; needs the space of both. A kill
        can leave some replaced and some not.
    dry_run : bool
        Decide and report, and write nothing.
    force : bool
        Replace outputs that exist.
    progress : callable, optional
        Called now and then with how much has been passed, and how much there is at most.

    Returns
    -------
    PruneReport
        What was pruned, what was skipped, and why.

    Raises
    ------
    ValueError
        As from `mask`; if a file is malformed or missing; if a pattern matches no tensor or there is none to
        prune; if `out` and `src` lie inside each other.
    FileExistsError
        If an output exists and `force` is not set.
    OSError
        If a file cannot be read or written.

    Notes
    -----
    Outputs are written under temporary names and renamed when they are whole, so a kill at any moment leaves
    each of them whole or absent. Memory does not grow with the checkpoint.
    """
    src, out, masks = Path(src), out and Path(out), masks and Path(masks)
    if in_place if out else not (in_place or dry_run):
        raise ValueError("exactly one of out and in_place must be given, or dry_run")
    score, named = score_of(method), Batch("targets", [], [], dict)
    _, asked = checked(
        named, [], score=score, scope=scope, ratio=ratio, count=count, pattern=pattern, nan=nan, seed=seed
    )
    request = Request(*asked)
    files = find(src)
    if out:
        check_output(files, src, out, force=force)
    if masks:
        check_masks(files, out, masks, force=force)
    checkpoint, tensors = files.open()
    places, skipped = choose(tensors, targets, ignore)
    if not places:
        raise ValueError(f"{src}: expected a tensor to prune, got none; {len(skipped)} were skipped")
    numbers = [(place.shard, place.number) for place in places]
    length = sum(math.prod(place.tensor.shape) for place in places) * (1 if dry_run else 2)
    tell = progress and (lambda done: progress(min(done, length), length))

    def run(outputs: list[Path] | None, masks: Path | None) -> list[Summary]:
        side = masks and (masks, _notes(request, pattern))
        return [Summary(*it) for it in checkpoint.prune(numbers, outputs, side, tell, *request)]

    if dry_run:
        summaries = run(None, None)
    elif not out:
        summaries = run(files.paths(), masks)
    elif not src.is_dir():
        summaries = run([out], masks)
    else:
        with staged_directory(out) as staged:
            copy_others(files, staged)
            inside = masks and masks.parent.resolve() == out.resolve()
            summaries = run(
                [staged / shard for shard in files.shards], staged / masks.name if inside else masks
            )
    return _report(files, places, skipped, request, summaries)


def _report(
    files: Files, places: list[Place], skipped: list[Skipped], request: Request, summaries: list[Summary]
) -> PruneReport:
    shared = request.scope == "global" and request.pattern is None
    requested = [_requested(request, place.tensor.shape) for place in places]
    num_entries = sum(summary.num_entries for summary in summaries)
    return PruneReport(
        tuple(
            PrunedTensor(
                place.tensor.name,
                files.shards[place.shard],
                place.tensor.dtype,
                place.tensor.shape,
                None if shared else num,
                summary,
            )
            for place, num, summary in zip(places, requested, summaries, strict=True)
        ),
        tuple(skipped),
        (*quantisation(files), *files.warnings),
        _requested(request, (num_entries,)) if shared else sum(requested),
    )


def _requested(request: Request, shape: tuple[int, ...]) -> int:
    """Return how many entries of a tensor of that shape were asked to be pruned."""
    num_entries = math.prod(shape)
    if request.pattern is not None:
        kept, group, _ = request.pattern
        return num_entries // group * (group - kept)
    rows = shape[0] if request.scope == "row" and len(shape) > 1 else 1
    if request.ratio is None:
        return rows * (request.count or 0)
    return rows * _rustprune.num_pruned(num_entries // rows if rows else 0, request.ratio)


def _notes(request: Request, pattern: str | None) -> dict[str, str]:
    """Return what the metadata of the mask side file says of the request."""
    asked = {"scope": request.scope, "ratio": request.ratio, "count": request.count, "pattern": pattern}
    params = {word: value for word, value in (asked | {"nan": request.nan}).items() if value is not None}
    seed = {} if request.seed is None else {"seed": str(request.seed)}
    return {"method": request.score, "params": json.dumps(params)} | seed
