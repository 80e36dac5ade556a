"""Pruned copies of checkpoints."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from rustprune._arrays import Batch
from rustprune._checkpoint.files import find
from rustprune._checkpoint.output import check_masks, check_output, copy_others, staged_directory
from rustprune._checkpoint.progress import Progress, of_length
from rustprune._checkpoint.report import PruneReport, report
from rustprune._checkpoint.targets import choose
from rustprune._prune import Summary
from rustprune._request import Method, Nan, Request, Scope, checked, score_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


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
    progress: Progress | None = None,
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
        ``"2:4"`` keeps 2 of each 4 entries along the last axis, of tensors of more than two dimensions along
        the second: the input channels of convolutions.
    targets, ignore : sequence of str, optional
        Names of tensors, shell patterns, or regular expressions after ``re:`` that match from the start of
        the name. Given `targets` replace the default ones, tensors of two or more dimensions named ``weight``
        or ``*.weight`` but embeddings, norms and the output layer of language models; `ignore` takes away
        from either.
    masks : path, optional
        The mask side file to write: a ``U8`` tensor for each target, bit ``j`` of byte ``b`` of a row the
        column ``8 * b + j`` of its matrix view ``(shape[0], -1)``, 1 = kept. ``rustprune.source_sha256`` of
        its metadata is the SHA-256 of the digests of all targets in the order of their names, each the
        SHA-256 of the data of the target before it was pruned.
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

    Examples
    --------
    >>> from importlib.resources import files
    >>> digits = files("rustprune") / "data" / "digits.safetensors"
    >>> report = prune_checkpoint(digits, ratio=0.75, scope="global", dry_run=True)
    >>> sum(tensor.summary.num_pruned for tensor in report.tensors)
    37650
    """
    src, out, masks = Path(src), _path(out), _path(masks)
    if in_place if out else not (in_place or dry_run):
        raise ValueError("exactly one of out and in_place must be given, or dry_run")
    score, named = score_of(method), Batch("targets", [], [], dict)
    _, request, _ = checked(
        named, [], score=score, scope=scope, ratio=ratio, count=count, pattern=pattern, nan=nan, seed=seed
    )
    files = find(src)
    if out:
        check_output(files, src, out, force=force)
    if masks:
        check_masks(files, out, masks, force=force)
    checkpoint, tensors = files.open()
    places, skipped = choose(tensors, targets, ignore)
    if not places:
        raise ValueError(f"{src}: expected a tensor to prune, got none; {len(skipped)} were skipped")
    length = sum(math.prod(place.tensor.shape) for place in places) * (1 if dry_run else 2)

    def run(outputs: list[Path] | None, masks: Path | None) -> list[Summary]:
        numbers = [(place.shard, place.number) for place in places]
        side = (masks, notes(request, pattern)) if masks else None
        done = checkpoint.prune(numbers, outputs, side, of_length(progress, length), *request)
        return [Summary(*summary) for summary in done]

    if dry_run:
        summaries = run(None, None)
    elif not out:
        summaries = run(files.paths(), masks)
    elif not src.is_dir():
        summaries = run([out], masks)
    else:
        with staged_directory(out) as staged:
            copy_others(files, staged)
            if masks and masks.parent.resolve() == out.resolve():
                masks = staged / masks.name
            summaries = run([staged / shard for shard in files.shards], masks)
    return report(files, places, skipped, request, summaries)


def notes(request: Request, pattern: str | None) -> dict[str, str]:
    """Return what the metadata of the mask side file says of the request."""
    score, scope, ratio, count, _, nan, seed, _ = request
    asked = {"scope": scope, "ratio": ratio, "count": count, "pattern": pattern, "nan": nan}
    params = {word: value for word, value in asked.items() if value is not None}
    return {"method": score, "params": json.dumps(params)} | ({} if seed is None else {"seed": str(seed)})


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)
