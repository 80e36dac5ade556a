"""What is pruned of a model, as a person or a program reads it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from rustprune._text import aligned, csv_table, markdown, written

_PathLike = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What is pruned of one target. Rows and columns are those of the matrix view ``(shape[0], -1)``.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int
        Its shape.
    num_entries, num_kept : int
        How many entries there are, and how many its mask keeps.
    num_leaks, num_zeros : int
        How many are pruned and not zero: the mask was not applied or not held. How many are kept and zero.
    threshold, largest_pruned : float or None
        The smallest magnitude that is kept, and the largest that is pruned, of the weights as they are now:
        0 or None once zeros are written. None where there is no such entry, or without details.
    num_ties : int or None
        How many entries, kept or pruned, have the threshold as their magnitude now.
    num_empty_rows, num_empty_columns : int or None
        How many rows and columns keep nothing.
    macs, macs_nz : int or None
        Multiply-adds with all of its entries and with those that are kept, None if no run was measured.
    """

    name: str
    shape: tuple[int, ...]
    num_entries: int
    num_kept: int
    num_leaks: int = 0
    num_zeros: int = 0
    threshold: float | None = None
    largest_pruned: float | None = None
    num_ties: int | None = None
    num_empty_rows: int | None = None
    num_empty_columns: int | None = None
    macs: int | None = None
    macs_nz: int | None = None

    @property
    def num_nonzero(self) -> int:
        """How many entries are not zero."""
        return self.num_kept - self.num_zeros + self.num_leaks

    @property
    def sparsity(self) -> float:
        """The fraction of entries pruned, 0 of no entries."""
        return 1.0 - self.num_kept / self.num_entries if self.num_entries else 0.0

    @property
    def collapsed(self) -> bool:
        """Whether nothing of it is kept: all that passes through it is constant."""
        return self.num_entries > 0 and self.num_kept == 0


@dataclass(frozen=True, slots=True)
class Report:
    """What is pruned of a model.

    Parameters
    ----------
    targets : tuple of TargetReport
        Target by target.
    size : int
        How many entries all parameters of the model have, each memory counted once, and no buffers.
    by_value : bool
        Whether there was no mask, and entries that are zero count as pruned.
    macs, macs_nz : int or None
        Multiply-adds of all layers counted in the run that was measured, with all entries and with those that
        are kept; what is no target counts with all entries.
    not_counted : tuple of str
        Parameters of two or more dimensions that no layer counted was seen to use.
    """

    targets: tuple[TargetReport, ...]
    size: int
    by_value: bool = False
    macs: int | None = None
    macs_nz: int | None = None
    not_counted: tuple[str, ...] = ()

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

    @property
    def size_nz(self) -> int:
        """How many entries of all parameters are not pruned."""
        return self.size - self.num_entries + self.num_kept

    @property
    def compression_ratio(self) -> float:
        """``size / size_nz``, over all parameters of the model."""
        return _quotient(self.size, self.size_nz)

    @property
    def theoretical_speedup(self) -> float | None:
        """``macs / macs_nz``, no timing; None if no run was measured."""
        return None if self.macs is None or self.macs_nz is None else _quotient(self.macs, self.macs_nz)

    @property
    def leaks(self) -> dict[str, int]:
        """How many entries are pruned and not zero, of the targets that have any."""
        return {target.name: target.num_leaks for target in self.targets if target.num_leaks}

    @property
    def zeros(self) -> dict[str, int]:
        """How many entries are kept and zero, of the targets that have any."""
        return {target.name: target.num_zeros for target in self.targets if target.num_zeros}

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The targets of which nothing is kept."""
        return tuple(target.name for target in self.targets if target.collapsed)

    def as_dict(self) -> dict[str, object]:
        """Return the report as what JSON can hold: infinity is the string ``"inf"``.

        Totals have the names that ShrinkBench gives them: ``flops`` are multiply-adds, each counted once.
        """
        totals = {
            "size": self.size,
            "size_nz": self.size_nz,
            "compression_ratio": self.compression_ratio,
            "flops": self.macs,
            "flops_nz": self.macs_nz,
            "theoretical_speedup": self.theoretical_speedup,
            "num_entries": self.num_entries,
            "num_kept": self.num_kept,
            "sparsity": self.sparsity,
            "by_value": self.by_value,
            "not_counted": list(self.not_counted),
        }
        rows = [asdict(target) | {"sparsity": target.sparsity} for target in self.targets]
        return _plain(totals) | {"targets": [_plain(row) for row in rows]}

    def to_json(self, path: _PathLike = None) -> str:
        """Return `as_dict` as JSON, and write it if a path is given."""
        return written(json.dumps(self.as_dict(), indent=2) + "\n", path)

    def to_csv(self, path: _PathLike = None) -> str:
        """Return a table with a line for each target, and write it if a path is given."""
        names = ("name", "shape", "sparsity", *TargetReport.__slots__[2:])
        rows = [
            asdict(target) | {"shape": "x".join(map(str, target.shape)), "sparsity": target.sparsity}
            for target in self.targets
        ]
        return written(csv_table(names, rows), path)

    def to_markdown(self, path: _PathLike = None) -> str:
        """Return a table and what it comes to, and write it if a path is given."""
        notes = [f"- {note}" for note in self._notes()]
        return written("\n".join([*markdown(self._rows()), "", *notes]) + "\n", path)

    def __str__(self) -> str:
        """Return a table with a line for each target, and what it comes to."""
        return "\n".join([*aligned(self._rows()), *self._notes()])

    def _rows(self) -> list[tuple[str, ...]]:
        columns = [("entries", "num_entries"), ("kept", "num_kept"), ("sparsity", "sparsity")]
        columns += [
            (head, name)
            for head, name in (
                ("threshold", "threshold"),
                ("ties", "num_ties"),
                ("empty rows", "num_empty_rows"),
                ("empty columns", "num_empty_columns"),
                ("multiply-adds", "macs"),
                ("of kept", "macs_nz"),
            )
            if any(getattr(target, name) is not None for target in self.targets)
        ]
        return [
            (*(head for head, _ in columns), "target"),
            *(
                (*(_cell(name, getattr(target, name)) for _, name in columns), _title(target))
                for target in self.targets
            ),
        ]

    def _notes(self) -> Iterator[str]:
        if self.by_value:
            yield "no masks are held: entries that are zero count as pruned"
        yield f"{self.num_kept:,} of {self.num_entries:,} entries kept: sparsity {self.sparsity:.4%}"
        yield (
            f"{self.size_nz:,} of all {self.size:,} parameters not pruned: compression ratio "
            f"{self.compression_ratio:.4g}"
        )
        if self.macs is not None:
            yield (
                f"{self.macs_nz:,} of {self.macs:,} multiply-adds with kept weights: theoretical speed-up "
                f"{self.theoretical_speedup:.4g}, which is no timing"
            )
        if self.not_counted:
            yield f"multiply-adds not counted of {', '.join(self.not_counted)}"
        for name in self.collapsed:
            yield f"{name}: collapsed, nothing is kept"
        for name, count in self.leaks.items():
            yield f"{name}: {count:,} entries are pruned and not zero"
        for name, count in self.zeros.items():
            yield f"{name}: {count:,} entries are kept and zero"


def _quotient(whole: int, part: int) -> float:
    return whole / part if part else math.inf if whole else 1.0


def _plain(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: "inf" if value == math.inf else value for name, value in facts.items()}


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "sparsity":
        return f"{value:.4%}"
    return f"{value:.5g}" if name == "threshold" else f"{value:,}"


def _title(target: TargetReport) -> str:
    return f"{target.name} {[*target.shape]}"
