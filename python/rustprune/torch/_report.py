"""What is pruned of a model, as a person or a program reads it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from torch import Tensor, nn

from rustprune._text import aligned, csv_table, markdown, written
from rustprune.torch import _bits
from rustprune.torch._facts import count_nonzero, disagreements
from rustprune.torch._facts import details as details_of
from rustprune.torch._hold import held_masks, parameter_of, parameters_of
from rustprune.torch._masks import Masks
from rustprune.torch._measure import Inputs, Use, uncounted, uses
from rustprune.torch._targets import targets

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


def report(
    model: nn.Module, masks: Masks | None = None, *, inputs: Inputs | None = None, details: bool = True
) -> Report:
    """Return what is pruned of a model.

    Parameters
    ----------
    model : Module
        Any model; it is left as it is. Without masks, given or held, the entries that are zero count as
        pruned, of what `targets` chooses by default, and the report says so.
    masks : Masks, optional
        Masks to report instead of those that are held: before they are applied, `threshold`,
        `largest_pruned` and `num_ties` tell how they decide.
    inputs : Tensor, tuple or mapping, optional
        What to run the model on to count multiply-adds: one tensor, positional arguments or keywords. They
        are those of the whole run: give one example for the numbers of one.
    details : bool
        Whether to look for the threshold, ties, and empty rows and columns, which takes passes of their own.

    Returns
    -------
    Report
        Targets in the order of their masks, and totals.

    Raises
    ------
    ValueError
        If the model has no parameter that a mask names, or one of another shape; if there are no masks and
        no targets.

    Notes
    -----
    A multiply-add counts as 1. Each kept entry of a linear layer or convolution multiplies once for each
    position of its output, whose number is taken from the run; of a transposed convolution, of its input; of
    a recurrent layer or the projections of multi-head attention, once for each step or position. Biases,
    norms, activations, pooling, embeddings, and products of queries, keys and values are left out.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Flatten(), torch.nn.Linear(14400, 10))
    >>> hold = rpt.hold(model, rpt.masks(model, {"0.*": 0.5}))
    >>> found = rpt.report(model, inputs=torch.zeros(1, 3, 32, 32))
    >>> [(target.name, target.macs, target.macs_nz) for target in found.targets]
    [('0.weight', 388800, 194400), ('2.weight', 144000, 144000)]
    >>> found.sparsity, found.theoretical_speedup
    (0.0014955134596211783, 1.574468085106383)
    """
    by_value = False
    if masks is None and not (masks := held_masks(model)):
        by_value, masks = True, _nonzero(targets(model).weights())
    parameters = parameters_of(model, masks)
    found = None if inputs is None else uses(model, inputs)
    rows = []
    for name, bits in masks.bits.items():
        parameter = parameters[name]
        bits = bits.to(parameter.device)
        row = _target(name, parameter, bits, *disagreements(parameter, bits))
        if details:
            row = replace(row, **details_of(parameter, bits)._asdict())
        if found is not None:
            mine = [use for use in found if use.weight is parameter]
            kept = sum(_kept(bits, parameter, use) * use.times for use in mine)
            row = replace(row, macs=sum(use.macs for use in mine), macs_nz=kept)
        rows.append(row)
    size = _size(model)
    if found is None:
        return Report(tuple(rows), size, by_value)
    macs = sum(use.macs for use in found)
    saved = sum((row.macs or 0) - (row.macs_nz or 0) for row in rows)
    return Report(tuple(rows), size, by_value, macs, macs - saved, uncounted(model, found))


def report_of_applied(model: nn.Module, masks: Masks) -> Report:
    """Return the report, without details, of masks whose zeros have just been written."""
    rows = []
    for name, bits in masks.bits.items():
        parameter = parameter_of(model, name)
        row = _target(name, parameter, bits, 0, _bits.count(bits) - count_nonzero(parameter))
        rows.append(row)
    return Report(tuple(rows), _size(model))


def _target(name: str, parameter: nn.Parameter, bits: Tensor, leaks: int, zeros: int) -> TargetReport:
    shape = tuple(parameter.shape)
    return TargetReport(name, shape, parameter.numel(), _bits.count(bits), leaks, zeros)


def _kept(bits: Tensor, parameter: nn.Parameter, use: Use) -> int:
    """Return how many of the rows' entries are kept."""
    if (use.start, use.stop) == (0, len(parameter)):
        return _bits.count(bits)
    return int(_bits.unpack(bits, parameter.shape)[use.start : use.stop].sum())


def _nonzero(weights: Mapping[str, Tensor]) -> Masks:
    return Masks(
        {name: (one.float() if one.dtype.itemsize == 1 else one) != 0 for name, one in weights.items()}
    )


def _size(model: nn.Module) -> int:
    """Return how many entries the parameters have; two that lie in the same memory are one."""
    places = {
        (one.device, one.data_ptr() or id(one), one.dtype, one.shape, one.stride()): one.numel()
        for one in model.parameters()
    }
    return sum(places.values())


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
