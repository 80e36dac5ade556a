"""What of torch models is understood by name; torch is never imported first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    import torch

ACTIVATION_MODULES = {
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


def is_model(value: object) -> TypeGuard[torch.nn.Module]:
    """Return whether `value` is a torch module."""
    return isinstance(value, getattr(sys.modules.get("torch.nn"), "Module", ()))


def kind_of(module: torch.nn.Module) -> str:
    """Return the name of a module of torch itself, with that of its package for any other."""
    cls = type(module)
    own = cls.__module__.startswith("torch.nn.modules.")
    return cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"


def activation_of(name: str, module: torch.nn.Module) -> str:
    """Return the name of an activation, with its number where it has one."""
    kind = kind_of(module)
    word = ACTIVATION_MODULES[kind]
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
