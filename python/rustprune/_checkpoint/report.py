"""What a person or a program reads of a pruned checkpoint."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rustprune._checkpoint.targets import Skipped, quantisation
from rustprune._prune import Summary
from rustprune._rustprune import num_pruned

if TYPE_CHECKING:
    from rustprune._checkpoint.files import Files
    from rustprune._checkpoint.targets import Place
    from rustprune._request import Request


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


def report(
    files: Files, places: list[Place], skipped: list[Skipped], request: Request, summaries: list[Summary]
) -> PruneReport:
    """Put together what was asked for and what was done."""
    _, scope, _, _, pattern, *_ = request
    requested = [num_requested(request, place.tensor.shape) for place in places]
    shared = scope == "global" and pattern is None
    if shared:
        num_entries = sum(summary.num_entries for summary in summaries)
        total = num_requested(request, (num_entries,))
    tensors = [
        PrunedTensor(
            tensor.name, files.shards[shard], tensor.dtype, tensor.shape, None if shared else num, summary
        )
        for (shard, _, tensor), num, summary in zip(places, requested, summaries, strict=True)
    ]
    warnings = (*quantisation(files), *files.warnings)
    return PruneReport(tuple(tensors), tuple(skipped), warnings, total if shared else sum(requested))


def num_requested(request: Request, shape: tuple[int, ...]) -> int:
    """Return how many entries of a tensor of that shape were asked to be pruned."""
    _, scope, ratio, count, pattern, *_ = request
    num_entries = math.prod(shape)
    if pattern is not None:
        kept, group, _ = pattern
        return num_entries // group * (group - kept)
    rows = shape[0] if scope == "row" and len(shape) > 1 else 1
    if ratio is None:
        return rows * (count or 0)
    return rows * num_pruned(num_entries // rows if rows else 0, ratio)
