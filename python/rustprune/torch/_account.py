"""Count what is pruned of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Size, Tensor, nn

from rustprune.torch import _bits
from rustprune.torch._facts import count_nonzero, disagreements
from rustprune.torch._facts import details as details_of
from rustprune.torch._hold import held_masks, parameter_of, parameters_of
from rustprune.torch._masks import Masks
from rustprune.torch._measure import Inputs, Use, uncounted, uses
from rustprune.torch._report import Report, TargetReport
from rustprune.torch._shards import local, totals
from rustprune.torch._targets import targets


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
        Never of weights that are sharded over processes, all of which must call this.

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
    masks = masks.like(parameters)
    found = None if inputs is None else uses(model, inputs)
    counts = {name: disagreements(local(parameters[name]), bits) for name, bits in masks.bits.items()}
    leaks = totals({name: pruned for name, (pruned, _) in counts.items()}, masks.cuts)
    zeros = totals({name: kept for name, (_, kept) in counts.items()}, masks.cuts)
    shapes, num_kept = masks.shapes, masks.kept_counts()
    rows = []
    for name, bits in masks.bits.items():
        parameter = parameters[name]
        row = _target(name, shapes[name], num_kept[name], leaks[name], zeros[name])
        if details and name not in masks.cuts:
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
    nonzero = {name: count_nonzero(local(parameter_of(model, name))) for name in masks}
    nonzero, shapes, kept = totals(nonzero, masks.cuts), masks.shapes, masks.kept_counts()
    rows = [_target(name, shapes[name], kept[name], 0, kept[name] - nonzero[name]) for name in masks]
    return Report(tuple(rows), _size(model))


def _target(name: str, shape: Size, kept: int, leaks: int, zeros: int) -> TargetReport:
    return TargetReport(name, tuple(shape), shape.numel(), kept, leaks, zeros)


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
