"""What a checkpoint holds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rustprune._checkpoint.files import find
from rustprune._checkpoint.progress import Progress, of_length
from rustprune._checkpoint.targets import by_name

if TYPE_CHECKING:
    import os

    from rustprune._rustprune import _Facts


@dataclass(frozen=True, slots=True)
class Statistics:
    """Facts about the entries of one or more tensors.

    Parameters
    ----------
    num_entries, num_zeros, num_nan : int
        How many entries there are, are zero of either sign, and are NaN.
    n_of_m : dict of str to float
        For each of the patterns ``"1:4"``, ``"2:4"`` and ``"4:8"`` the fraction of groups that have no more
        nonzero entries than it keeps; left out where groups do not divide the axis. Groups lie along the
        last axis, in tensors of more than two dimensions along the second.
    magnitude : dict of str to float
        The smallest (``"min"``), the largest (``"max"``) and the quantiles ``"1%"`` to ``"99%"`` of the
        magnitudes that are not NaN: of n of them the one of rank ``floor(p * (n - 1))``. Empty if there is
        none.
    """

    num_entries: int
    num_zeros: int
    num_nan: int
    n_of_m: dict[str, float]
    magnitude: dict[str, float]

    @property
    def sparsity(self) -> float:
        """The fraction of entries that are zero, 0 of no entries."""
        return self.num_zeros / self.num_entries if self.num_entries else 0.0


@dataclass(frozen=True, slots=True)
class InspectedTensor:
    """One tensor.

    Parameters
    ----------
    name, file, dtype : str
        Its name, the file it is in, and its dtype as safetensors calls it.
    shape : tuple of int
        Its shape.
    statistics : Statistics or None
        What it holds; None for integers and quantised formats.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    statistics: Statistics | None


@dataclass(frozen=True, slots=True)
class InspectReport:
    """What `inspect_checkpoint` found.

    Parameters
    ----------
    tensors : tuple of InspectedTensor
        Every tensor, by name.
    total : Statistics
        All entries of floating-point tensors together.
    """

    tensors: tuple[InspectedTensor, ...]
    total: Statistics

    def as_dict(self) -> dict[str, object]:
        """Return the report as what JSON can hold: infinite magnitudes are the string ``"inf"``."""
        tensors = [asdict(tensor) | {"statistics": _plain(tensor.statistics)} for tensor in self.tensors]
        return {"tensors": tensors, "total": _plain(self.total)}


def inspect_checkpoint(src: str | os.PathLike[str], *, progress: Progress | None = None) -> InspectReport:
    """Count zeros and groups, and rank magnitudes, exactly and streamed.

    Parameters
    ----------
    src : path
        A ``.safetensors`` file, or a Hugging Face directory with or without an index of shards.
    progress : callable, optional
        Called now and then with how much has been passed, and how much there is.

    Returns
    -------
    InspectReport
        Every tensor, and all of them together.

    Raises
    ------
    ValueError
        If a file is malformed or missing.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> from importlib.resources import files
    >>> report = inspect_checkpoint(files("rustprune") / "data" / "digits.safetensors")
    >>> [tensor.shape for tensor in report.tensors if tensor.name.endswith("weight")]
    [(300, 64), (100, 300), (10, 100)]
    """
    files = find(Path(src))
    checkpoint, tensors = files.open()
    places = by_name(tensors)
    floats = [(place.shard, place.number) for place in places if place.tensor.format]
    facts, total = checkpoint.inspect(floats, of_length(progress, checkpoint.num_passed(floats)))
    found = dict(zip(floats, map(_statistics, facts), strict=True))
    inspected = [
        InspectedTensor(
            tensor.name, files.shards[shard], tensor.dtype, tensor.shape, found.get((shard, number))
        )
        for shard, number, tensor in places
    ]
    return InspectReport(tuple(inspected), _statistics(total))


def _statistics(facts: _Facts) -> Statistics:
    num_entries, num_zeros, num_nan, groups, quantiles = facts
    names = {0: "min", 100: "max"}
    return Statistics(
        num_entries,
        num_zeros,
        num_nan,
        {f"{kept}:{group}": conforming / num for kept, group, conforming, num in groups if num},
        {names.get(percent, f"{percent}%"): magnitude for percent, magnitude in quantiles},
    )


def _plain(statistics: Statistics | None) -> dict[str, object] | None:
    if statistics is None:
        return None
    magnitude = {
        name: value if math.isfinite(value) else str(value) for name, value in statistics.magnitude.items()
    }
    return asdict(statistics) | {"sparsity": statistics.sparsity, "magnitude": magnitude}
