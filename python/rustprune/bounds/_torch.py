"""Affine layers of torch models, found by walking `Sequential` containers; torch is never imported first."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_PASSED_OVER = ("Dropout", "Flatten", "Identity")
_ACTIVATIONS = {
    "ELU": "elu",
    "GELU": "gelu",
    "Hardswish": "hardswish",
    "Hardtanh": "hardtanh",
    "LeakyReLU": "leaky_relu",
    "Mish": "mish",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "SELU": "selu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}


class Affine(NamedTuple):
    """A linear layer and what follows it."""

    name: str
    linear: torch.nn.Linear
    activation: str

    @property
    def bias(self) -> NDArray[np.float64] | None:
        """Its bias, if it has one."""
        bias: torch.Tensor | None = self.linear.bias
        return None if bias is None else bias.detach().cpu().double().numpy()

    @property
    def bias_norm(self) -> float:
        """The Euclidean norm of its bias, rounded up."""
        values = [] if self.bias is None else self.bias.tolist()
        return math.sqrt(math.fsum(value * value for value in values)) * (1 + 1e-15)


def is_model(value: object) -> TypeGuard[torch.nn.Module]:
    """Return whether `value` is a torch module."""
    return isinstance(value, getattr(sys.modules.get("torch.nn"), "Module", ()))


def affine_layers(model: torch.nn.Module) -> list[Affine]:
    """Return the linear layers of a model, in the order in which they are applied.

    Raises
    ------
    ValueError
        If there is a module of another kind, which is named, or two activations in a row.
    """
    layers: list[Affine] = []
    ready = False
    for name, module in _steps("", model):
        kind = type(module).__name__
        if kind == "Linear":
            layers.append(Affine(name, cast("torch.nn.Linear", module), "identity"))
            ready = True
        elif kind in _ACTIVATIONS and ready:
            layers[-1] = layers[-1]._replace(activation=activation_of(name, module))
            ready = False
        elif kind not in _PASSED_OVER:
            place = name or "model"
            raise ValueError(f"{place}: expected Linear layers, each with one activation at most, got {kind}")
    if not layers:
        raise ValueError("model: expected one Linear layer or more, got none")
    return layers


def activation_of(name: str, module: torch.nn.Module) -> str:
    """Return the name of an activation, with its number where it has one."""
    kind = type(module).__name__
    word = _ACTIVATIONS[kind]
    if kind == "LeakyReLU":
        return f"{word}({module.negative_slope})"
    if kind == "ELU":
        return f"{word}({module.alpha})"
    if kind == "GELU" and module.approximate == "tanh":
        return "gelu_tanh"
    usual = {"Hardtanh": ("min_val", -1.0, "max_val", 1.0), "Softplus": ("beta", 1.0, "threshold", 20.0)}
    for attribute, value in zip(usual.get(kind, ())[::2], usual.get(kind, ())[1::2], strict=True):
        if getattr(module, attribute) != value:
            raise ValueError(f"{name}: expected {kind} with {attribute}={value}, got {module}")
    return word


def _steps(prefix: str, module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    if type(module).__name__ != "Sequential":
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _steps(f"{prefix}.{name}" if prefix else name, child)
