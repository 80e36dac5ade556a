"""What of torch models is understood; torch is never imported first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    import torch

PASSED_OVER = ("Dropout", "Flatten", "Identity")
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


def activation_of(name: str, module: torch.nn.Module) -> str:
    """Return the name of an activation, with its number where it has one."""
    kind = type(module).__name__
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


def modules(module: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield the modules in `Sequential` containers, with their names, in the order of their application."""
    if type(module).__name__ != "Sequential":
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from modules(child, f"{prefix}.{name}" if prefix else name)
