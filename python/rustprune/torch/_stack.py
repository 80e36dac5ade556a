"""A stack of linear layers and convolutions, read from an ``nn.Sequential``: what a unit passes through."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from rustprune.torch._masks import Masks

Weighted: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
# Each leaves a map of one value what it is.
_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
# Each is one function of a number in evaluation mode.
_ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Threshold, nn.Tanhshrink),
    *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Identity),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
)


@dataclass(slots=True)
class Layer:
    """A layer of a stack, and what lies between it and the next.

    Parameters
    ----------
    name : str
        The name of its module.
    module : Module
        The module.
    weight : Tensor of float64, shape (units, inputs, positions)
        Zero where pruned: of each unit, for each unit of the layer before, one weight for each position of
        the kernel, or for each position that was flattened.
    kept : Tensor of bool, shape (units, inputs)
        Whether any of those weights is kept.
    bias : Tensor of float64, shape (units,)
        Zero if it has none.
    between : list of (str, Module)
        What its outputs pass through; nothing for the last layer.
    """

    name: str
    module: Weighted
    weight: Tensor
    kept: Tensor
    bias: Tensor
    between: list[tuple[str, nn.Module]] = field(default_factory=list)

    @property
    def passed(self) -> set[str]:
        """The names of the parameters that its outputs pass on the way to the next layer."""
        return {f"{name}.{own}" for name, module in self.between for own, _ in module.named_parameters()}

    def constants(self, bias: Tensor, following: Layer) -> tuple[Tensor, Tensor]:
        """Return what each unit gives the next layer if a bias is all it has, and whether that can be folded.

        It cannot where zeros of padding lie beside it, unless it is zero too.
        """
        shape = (1, -1, *[1] * (self.module.weight.ndim - 2))
        values, may = bias.view(shape), torch.ones_like(bias, dtype=torch.bool)
        for _, module in self.between:
            if isinstance(module, _AVERAGES):
                if not _is_plain_average(module):
                    may &= values.flatten() == 0
            elif not isinstance(module, (*_POOLS, nn.Flatten)):
                values = copy.deepcopy(module).double().eval()(values.clone())
        if _pads_with_zeros(following.module):
            may &= values.flatten() == 0
        return values.flatten(), may


def layers(model: nn.Module, masks: Masks) -> list[Layer]:
    """Read a stack; what masks do not name is kept where it is not zero.

    Raises
    ------
    TypeError
        If the model is no ``nn.Sequential``, or something between its layers is not known to treat units one
        by one.
    ValueError
        If there is no layer, or one is used twice, has groups or hooks, or does not fit the one before it.
    """
    if not isinstance(model, nn.Sequential) or type(model).forward is not nn.Sequential.forward:
        raise TypeError(f"model must be an nn.Sequential, got {type(model).__name__}")
    found: list[Layer] = []
    seen: set[int] = set()
    for name, module in _flat(model, ""):
        if type(module) in _LAYERS:
            found.append(_layer(name, module, masks, found[-1] if found else None))  # type: ignore[arg-type]
        elif found:
            found[-1].between.append((name, module))
        if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 - there is no other way to ask
            raise ValueError(f"{name}: expected a module without hooks, got one that has some")
        own = {id(module), *map(id, module.parameters())}
        if seen & own and own != {id(module)}:
            raise ValueError(f"{name}: expected a layer that is used once, got one that is used twice")
        seen |= own
    if not found:
        raise ValueError("model: expected a linear layer or convolution, got none")
    found[-1].between.clear()
    for layer in found:
        _check(layer)
    return found


def _flat(model: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_modules(remove_duplicate=False):
        if not name or "." in name:
            continue
        if isinstance(child, nn.Sequential) and type(child).forward is nn.Sequential.forward:
            yield from _flat(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _layer(name: str, module: Weighted, masks: Masks, before: Layer | None) -> Layer:
    if getattr(module, "groups", 1) != 1:
        raise ValueError(f"{name}: expected a convolution of one group, got {module}")
    weight = module.weight.detach()
    inputs = weight.shape[1]
    if before is not None:
        inputs = len(before.weight)
        flattened = any(isinstance(one, nn.Flatten) for _, one in before.between)
        linear, was_linear = isinstance(module, nn.Linear), isinstance(before.module, nn.Linear)
        if linear and flattened and not was_linear:
            fits = weight.shape[1] % inputs == 0
        else:
            fits = linear is was_linear and weight.shape[1] == inputs and (linear or not flattened)
        if not fits:
            raise ValueError(
                f"{name}: expected a layer for the {inputs} units of {before.name}, got {module}"
            )
    mask = masks[f"{name}.weight"].to(weight.device) if f"{name}.weight" in masks else weight != 0
    shape = (len(weight), inputs, weight[0].numel() // inputs)
    kept = mask.reshape(shape)
    values = weight.double().reshape(shape).masked_fill(~kept, 0)
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach()
    if f"{name}.bias" in masks:
        bias = bias.masked_fill(~masks[f"{name}.bias"].to(bias.device), 0)
    return Layer(name, module, values, kept.any(-1), bias.double())


def _check(layer: Layer) -> None:
    """Check that what lies between a layer and the next treats each unit by itself."""
    maps = not isinstance(layer.module, nn.Linear)
    for name, module in layer.between:
        kind = type(module)
        if isinstance(module, NORMS) and kind in NORMS:
            # Flattened, each position of a unit has a norm of its own, and then there are more of them.
            fits = module.track_running_stats and module.num_features == len(layer.weight)
        elif kind in (*_AVERAGES, *_POOLS):
            fits = maps
        elif isinstance(module, nn.Flatten):
            fits, maps = (module.start_dim == 1 and module.end_dim == -1), False
        else:
            fits = kind in _ELEMENTWISE
        if not fits:
            raise TypeError(
                f"{name}: expected what treats the {len(layer.weight)} units of {layer.name} one by one, "
                f"got {module}"
            )


def _is_plain_average(module: nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d) -> bool:
    padded = any(torch.as_tensor(module.padding).reshape(-1).tolist())
    divided = getattr(module, "divisor_override", None) is not None
    return not divided and not (padded and module.count_include_pad)


def _pads_with_zeros(module: Weighted) -> bool:
    if isinstance(module, nn.Linear) or module.padding_mode != "zeros" or module.padding == "valid":
        return False
    if module.padding == "same":
        return any(size > 1 for size in module.kernel_size)
    return any(module.padding)
