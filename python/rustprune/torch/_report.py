"""What was pruned of a model, as a person reads it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from rustprune.torch._apply import count_nonzero
from rustprune.torch._hold import held
from rustprune.torch._shards import totals


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What was pruned of one target.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int
        Its shape.
    num_entries, num_kept, num_nonzero : int
        How many entries there are, how many its mask keeps, and how many are not zero.
    """

    name: str
    shape: tuple[int, ...]
    num_entries: int
    num_kept: int
    num_nonzero: int

    @property
    def sparsity(self) -> float:
        """The fraction of entries pruned, 0 of no entries."""
        return 1.0 - self.num_kept / self.num_entries if self.num_entries else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was pruned of a model.

    Parameters
    ----------
    targets : tuple of TargetReport
        Target by target.
    """

    targets: tuple[TargetReport, ...]

    @property
    def num_entries(self) -> int:
        """How many entries the targets have."""
        return sum(target.num_entries for target in self.targets)

    @property
    def num_kept(self) -> int:
        """How many of them are kept."""
        return sum(target.num_kept for target in self.targets)

    @property
    def sparsity(self) -> float:
        """The fraction of them pruned, 0 of no entries."""
        return 1.0 - self.num_kept / self.num_entries if self.num_entries else 0.0


def report(model: nn.Module) -> Report:
    """Return what is pruned of a model that holds masks; called by all processes if its weights are sharded.

    Raises
    ------
    ValueError
        If it holds none.
    """
    if (hold := held(model)) is None:
        raise ValueError("model: expected one that holds masks, got one that does not")
    masks, kept = hold.masks, hold.masks.kept_counts()
    nonzero = {name: count_nonzero(parameter) for name, parameter in hold.parameters.items()}
    nonzero = totals(nonzero, masks.cuts)
    return Report(
        tuple(
            TargetReport(name, tuple(shape), shape.numel(), kept[name], nonzero[name])
            for name, shape in masks.shapes.items()
        )
    )
