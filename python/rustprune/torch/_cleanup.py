"""The neurons that pruning leaves without inputs or outputs: found, and removed with their constants folded.

After Han et al. 2015 (`Learning both weights and connections for efficient neural networks`), who let
retraining drive the constants to zero; folding them makes removal exact.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from rustprune.torch._apply import apply_bits_
from rustprune.torch._hold import held_masks, hold, parameters_of
from rustprune.torch._masks import Masks
from rustprune.torch._stack import NORMS, Layer, layers


def dead_units(model: nn.Module, masks: Masks | None = None) -> dict[str, Tensor]:
    """Return the units of a stack that can be removed without changing what it computes.

    A unit is removed if nothing of what it gives is kept; or if nothing of its inputs is, so that it gives a
    constant, and the biases of the next layer can take that. What is removed empties others, to a fixpoint.

    Parameters
    ----------
    model : Sequential
        Linear layers and convolutions of one group, in evaluation mode, between them activations, dropout,
        pooling, flattening, and batch norms with running statistics; nested ``nn.Sequential`` are part of it.
        What comes before the first layer and after the last may be anything.
    masks : Masks, optional
        What is kept; left out for the masks that are held. What they do not name is kept where it is not 0.

    Returns
    -------
    dict of str to Tensor
        For each layer but the last, by the name of its module, the indices of those units, ascending.

    Raises
    ------
    TypeError, ValueError
        If the model is no such stack; the message names what is in the way. If masks do not fit it.

    Notes
    -----
    A constant cannot be folded into a convolution that pads with zeros, or through an average over such
    zeros, unless it is zero: those units stay.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> kept = {"0.weight": [[1, 0], [0, 0], [1, 1]], "2.weight": [[1, 1, 0]]}
    >>> masks = rpt.Masks({name: torch.tensor(rows, dtype=torch.bool) for name, rows in kept.items()})
    >>> rpt.dead_units(model, masks)
    {'0': tensor([1, 2])}
    """
    masks = held_masks(model) if masks is None else masks
    stack = _stack(model, masks)
    alive, _ = _fixpoint(stack)
    names = [layer.name for layer in stack[:-1]]
    return {name: torch.nonzero(~units).flatten() for name, units in zip(names, alive[:-1], strict=True)}


def remove_dead_units(model: nn.Module, masks: Masks | None = None) -> nn.Sequential:
    """Return a smaller copy of a stack without its dead units, which computes the same.

    Parameters
    ----------
    model, masks
        As for `dead_units`.

    Returns
    -------
    Sequential
        A copy in which weights, biases and norms have the units that are left, and zeros where masks prune.
        A layer of which none is left keeps one that gives nothing. Where `model` holds masks, it holds them,
        cut to what is left, through any optimizer.

    Raises
    ------
    TypeError, ValueError
        As from `dead_units`.

    Notes
    -----
    With its masks applied, `model` gives the same outputs in evaluation mode, up to the rounding of sums; the
    biases are folded in double precision.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 5))
    >>> report = rpt.prune(model, 0.99, scope="global")
    >>> small = rpt.remove_dead_units(model)
    >>> small[0].out_features < 64, torch.allclose(small(torch.ones(20)), model(torch.ones(20)))
    (True, True)
    """
    given = held_masks(model) if masks is None else masks
    small = copy.deepcopy(model)
    apply_bits_((one, given.bits[name]) for name, one in parameters_of(small, given).items())
    stack = _stack(small, given)
    alive, biases = _fixpoint(stack)
    cut: dict[str, Tensor] = {name: given[name] for name in given}
    giving = torch.ones_like(stack[0].kept[0])
    columns = _left(giving)
    for layer, units, bias in zip(stack, alive, biases, strict=True):
        rows = _left(units)
        _shrink(layer, rows, columns, giving, bias)
        _cut_masks(cut, layer, rows, columns, giving)
        columns, giving = rows, units[rows]
    if masks is None and given:
        hold(small, Masks(cut))
    return cast("nn.Sequential", small)


def _stack(model: nn.Module, masks: Masks) -> list[Layer]:
    parameters_of(model, masks)
    stack = layers(model, masks)
    for layer in stack:
        if odd := layer.passed & {*masks}:
            raise ValueError(f"{min(odd)}: expected no mask between layers, got one")
    return stack


def _shrink(layer: Layer, rows: Tensor, columns: Tensor, giving: Tensor, bias: Tensor) -> None:
    """Leave some units of a layer and of what follows it, and those inputs that give something."""
    module = layer.module
    weight = layer.weight[rows][:, columns].masked_fill(~giving[:, None], 0).to(module.weight.dtype)
    sizes = (-1,) if isinstance(module, nn.Linear) else (len(columns), *module.kernel_size)
    learns = module.weight.requires_grad
    module.weight = nn.Parameter(weight.reshape(len(rows), *sizes), learns)
    bias = bias[rows].to(weight.dtype)
    if module.bias is not None or bool(bias.any()):
        module.bias = nn.Parameter(bias, learns if module.bias is None else module.bias.requires_grad)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    else:
        module.out_channels, module.in_channels = module.weight.shape[:2]
    for _, norm in layer.between:
        if isinstance(norm, NORMS) and norm.num_features == len(layer.weight):
            _shrink_norm(norm, rows)


def _shrink_norm(norm: nn.Module, rows: Tensor) -> None:
    norm.num_features = len(rows)  # type: ignore[assignment]
    for name, parameter in [*norm.named_parameters(recurse=False)]:
        setattr(norm, name, nn.Parameter(parameter.detach()[rows], parameter.requires_grad))
    for name in ("running_mean", "running_var"):
        setattr(norm, name, norm.get_buffer(name)[rows])


def _cut_masks(cut: dict[str, Tensor], layer: Layer, rows: Tensor, columns: Tensor, giving: Tensor) -> None:
    """Cut the masks of a layer as its weights were; folded biases are kept."""
    if (name := f"{layer.name}.weight") in cut:
        mask = cut[name].to(rows.device).reshape(layer.weight.shape)[rows][:, columns] & giving[:, None]
        cut[name] = mask.reshape(layer.module.weight.shape)
    if (name := f"{layer.name}.bias") in cut and layer.module.bias is not None:
        cut[name] = cut[name].to(rows.device)[rows] | (layer.module.bias.detach() != 0)


def _fixpoint(stack: list[Layer]) -> tuple[list[Tensor], list[Tensor]]:
    """Return which units of each layer are left, and the biases with constants folded."""
    alive = [torch.ones_like(layer.bias, dtype=torch.bool) for layer in stack]
    biases = [layer.bias for layer in stack]
    changed = True
    while changed:
        changed = False
        for place, (layer, following) in enumerate(pairwise(stack)):
            before = alive[place - 1] if place else torch.ones_like(layer.kept[0])
            units = alive[place]
            silent = ~(layer.kept & before).any(1)
            unheard = ~(following.kept & alive[place + 1][:, None]).any(0)
            values, may = layer.constants(biases[place], following)
            folded = units & silent & may
            biases[place + 1] = biases[place + 1] + (
                following.weight.sum(-1) @ torch.where(folded, values, 0)
            )
            alive[place] = units & ~folded & ~unheard
            changed |= not torch.equal(alive[place], units)
    return alive, biases


def _left(units: Tensor) -> Tensor:
    """Return the indices of the units that are left, or of one."""
    left = torch.nonzero(units).flatten()
    return left if len(left) else left.new_zeros(1)
