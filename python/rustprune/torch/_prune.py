"""The loop's first step: choose masks for a model, write the zeros, and hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, Unpack

from torch import Size, Tensor, nn

from rustprune._allocate import Rule
from rustprune._arrays import FLOATS
from rustprune._request import Method, Nan, Scope
from rustprune.torch import _bits
from rustprune.torch._account import report_of_applied
from rustprune.torch._amount import amount_of
from rustprune.torch._apply import apply_bits_
from rustprune.torch._choose import By, choose, num_kept
from rustprune.torch._hold import Optimizers, check_shapes, held, held_masks, hold, parameters_of
from rustprune.torch._masks import Masks
from rustprune.torch._on_gpu import Bits
from rustprune.torch._report import Report
from rustprune.torch._shards import layouts, local
from rustprune.torch._targets import DTYPES, Fate, Patterns, Targets
from rustprune.torch._targets import targets as targets_of


class MaskOptions(TypedDict, total=False):
    """The keywords of `masks` that say where, and not how much or by what."""

    scope: Scope
    allocation: Rule | None
    targets: Targets | Patterns
    ignore: Patterns
    first: Fate
    classifier: Fate
    min_kept: int | float
    nan: Nan


class PruneOptions(MaskOptions, total=False):
    """All keywords of `masks`."""

    count: int | None
    rate: float | Mapping[str, float] | None
    method: Method
    seed: int | None
    scores: Mapping[str, Tensor] | None
    pattern: str | None
    regrow: bool


def masks(
    model: nn.Module | Mapping[str, Tensor],
    ratio: float | Mapping[str, float] | None = None,
    *,
    count: int | None = None,
    rate: float | Mapping[str, float] | None = None,
    method: Method = "magnitude",
    scores: Mapping[str, Tensor] | None = None,
    scope: Scope = "tensor",
    allocation: Rule | None = None,
    pattern: str | None = None,
    targets: Targets | Patterns = (),
    ignore: Patterns = (),
    first: Fate = "prune",
    classifier: Fate = "prune",
    min_kept: float = 0,
    regrow: bool = False,
    nan: Nan = "raise",
    seed: int | None = None,
) -> Masks:
    """Return masks that prune a model, and change nothing.

    Parameters
    ----------
    model : Module, or mapping of str to Tensor
        The model, or tensors that are targets one and all, of a state dict for example; on any device.
    ratio : float, or mapping of str to float
        Fraction to prune, in [0, 1]. With patterns of target names as keys: the fraction for each target that
        matches, of several the last, and 0 where none matches.
    count : int
        How many entries to prune, instead of `ratio`.
    rate : float, or mapping of str to float
        Fraction to prune of what is kept now, instead of `ratio`: after `k` rounds about
        ``1 - (1 - rate)**k`` of all is pruned. Not for rows.
    method : {"magnitude", "random"}
        What is kept: the largest ``abs(weight)``, or a uniformly random set.
    scores : mapping of str to Tensor, optional
        A score of your own for each target, of its shape: the largest are kept, whatever `method`.
    scope : {"row", "tensor", "global"}
        What `ratio`, `count` or `rate` is taken of: each row of the matrix view ``(shape[0], -1)``, each
        target, or all targets together.
    allocation : {"uniform", "uniform_plus", "erdos_renyi", "erdos_renyi_kernel", "lamp"}, optional
        How one budget for all targets is divided over them: see `rustprune.allocate`. Without it each target
        is pruned by `ratio`.
    pattern : str, optional
        ``"2:4"`` keeps 2 of each 4 entries, along the last axis, of convolutions along the input channels;
        instead of all of these.
    targets, ignore, first, classifier
        As for `targets`; or `targets` is what that returned. Not with a mapping.
    min_kept : int or float
        Under global scope or an allocation, how many entries of each target are kept at least; a float is a
        fraction of it. What this takes from the budget is pruned from the other targets.
    regrow : bool
        Choose afresh, where masks are held on the model. By default what they prune stays pruned and counts.
    nan : {"raise", "keep", "prune"}
        Whether NaN is an error, ranks above infinity, or below everything.
    seed : int
        For the random method, in [0, 2**64).

    Returns
    -------
    Masks
        By target, in the order of targets.

    Raises
    ------
    TypeError
        If something is not of a type named above.
    ValueError
        As from `rustprune.mask` and `targets`; if `scores` are not those of the targets; if floors leave too
        little to prune.

    Notes
    -----
    The same bits as from `rustprune.mask` of a mapping of the weights by their names, on every device: exact
    counts, and of equal scores the first are kept, in the order of targets and then row-major.

    Weights may lie on several devices, or be sharded over processes, by FSDP2 for example; all processes call
    this then, and weights are not gathered: counts are exchanged. Rows, under row scope, and groups of a
    pattern must each lie in one process.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rpt.masks(model, 0.75, scope="global")
    Masks(2 parameters, 10 of 40 kept)
    >>> rpt.masks(model, {"0.*": 0.5}).kept_counts()
    {'0.weight': 16, '2.weight': 8}
    """
    weights = _weights(model, targets, ignore, first, classifier)
    shapes = {name: weight.shape for name, weight in weights.items()}
    if scores is not None:
        weights = _scores(shapes, scores)
    before = Masks({}) if regrow or isinstance(model, Mapping) else held_masks(model)
    where = _where(before, weights)
    amount = amount_of(
        weights,
        {name: shape.numel() for name, shape in shapes.items()}
        if where is None
        else num_kept(where, weights),
        ratio=ratio,
        count=count,
        rate=rate,
        scope=scope,
        allocation=allocation,
        pattern=pattern,
        min_kept=min_kept,
    )
    by = By("value" if scores is not None else method, nan, seed)
    return Masks.of_bits(choose(weights, amount, by, where), shapes, layouts(weights))


def prune(
    model: nn.Module,
    ratio: float | Mapping[str, float] | None = None,
    *,
    optimizer: Optimizers = None,
    **options: Unpack[PruneOptions],
) -> Report:
    """Prune a model, and hold its masks from here on.

    Parameters
    ----------
    model : Module
        Its weights are set to zero in place; nothing is added to it.
    ratio, **options
        As for `masks`.
    optimizer : Optimizer or sequence of Optimizer, optional
        What will move the weights, any optimizer if left out: see `hold`.

    Returns
    -------
    Report
        What was pruned, without the details that `report` looks for.

    Raises
    ------
    TypeError, ValueError
        As from `masks` and `hold`. Nothing has been changed then.

    Notes
    -----
    Called again on the same model, what was pruned stays pruned, and counts, unless ``regrow=True``; masks of
    targets that are not asked for again are held on. Its optimizers are those of this call.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rpt.prune(model, 0.75, scope="global").sparsity
    0.75
    >>> rpt.is_pruned(model)
    True
    """
    chosen = masks(model, ratio, **options)
    if previous := held(model):
        before = previous.masks
        chosen = Masks.of_bits(
            before.bits | chosen.bits, before.shapes | chosen.shapes, before.cuts | chosen.cuts
        )
    hold(model, chosen, optimizer)
    return report_of_applied(model, chosen)


def apply_(model: nn.Module | Mapping[str, Tensor], masks: Masks) -> None:
    """Set the weights of a model to zero where masks prune, in place, and hold nothing.

    Parameters
    ----------
    model : Module, or mapping of str to Tensor
        What has the parameters that the masks name: an averaged copy of a pruned model for example, or its
        state dict.
    masks : Masks
        True = kept.

    Raises
    ------
    ValueError
        If the model has no parameter of a name, or one of another shape. Nothing has been changed then.
    """
    parameters: Mapping[str, Tensor]
    if isinstance(model, Mapping):
        check_shapes(model, masks)
        parameters = model
    else:
        parameters = parameters_of(model, masks)
    apply_bits_((parameters[name], bits) for name, bits in masks.like(parameters).bits.items())


def finalize(model: nn.Module) -> Report:
    """Apply the masks of a model a last time, and hold them no longer: it is an ordinary model with zeros.

    Masks that are held on modules of the model are among them.

    Raises
    ------
    ValueError
        If it holds none.
    """
    holds = [hold for module in model.modules() if (hold := held(module))]
    if not holds:
        raise ValueError("model: expected one that holds masks, got one that does not")
    for hold in holds:
        hold.apply_()
    final = report_of_applied(model, held_masks(model))
    for hold in holds:
        hold.release()
    return final


def is_pruned(model: nn.Module) -> bool:
    """Return whether masks are held on parameters of a model."""
    return len(held_masks(model)) > 0


def _weights(
    model: nn.Module | Mapping[str, Tensor],
    targets: Targets | Patterns,
    ignore: Patterns,
    first: Fate,
    classifier: Fate,
) -> dict[str, Tensor]:
    """Return what is pruned, by name and in order."""
    narrowed = ignore or first != "prune" or classifier != "prune"
    if isinstance(model, Mapping):
        if targets or narrowed:
            raise ValueError("targets, ignore, first and classifier must be left out with a mapping")
        given: Mapping[str, object] = model
        weights = {name: one.detach() for name, one in given.items() if isinstance(one, Tensor)}
        for name, one in given.items():
            if (got := weights[name].dtype if name in weights else type(one).__name__) not in DTYPES:
                raise TypeError(f"{name}: expected a tensor of {' or '.join(FLOATS)}, got {got}")
        return weights
    if isinstance(targets, Targets):
        if narrowed:
            raise ValueError("ignore, first and classifier must be left out when targets are chosen already")
        return targets.weights()
    return targets_of(model, targets, ignore=ignore, first=first, classifier=classifier).weights()


def _scores(shapes: Mapping[str, Size], scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scores of the targets in their order."""
    if odd := sorted({*scores} ^ {*shapes}):
        raise ValueError(f"scores: expected the names of the targets, got a difference in {odd}")
    for name, expected in shapes.items():
        if scores[name].shape != expected:
            got = tuple(scores[name].shape)
            raise ValueError(f"scores of {name}: expected shape {tuple(expected)}, got {got}")
    return {name: scores[name].detach() for name in shapes}


def _where(before: Masks, weights: Mapping[str, Tensor]) -> Bits | None:
    """Return the bits of the masks that are held, all kept where none is."""
    if not before:
        return None
    known = {name: weight for name, weight in weights.items() if name in before}
    held_of = Masks.of_bits({name: before.bits[name] for name in known}, before.shapes, before.cuts)
    bits = held_of.like(known).bits
    return {
        name: bits[name] if name in bits else _bits.full(local(weight).shape, weight.device)
        for name, weight in weights.items()
    }
