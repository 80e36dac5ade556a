"""The activations of the theory page as functions of an array, with their derivatives, for simulation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = Callable[[Values], tuple[Values, Values]]
"""From values to the activation's values and slopes."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_erf = np.vectorize(math.erf, otypes=[float])


def parsed(name: str) -> tuple[str, float]:
    """Return the word of an activation and its number, as in ``"leaky_relu(0.2)"``.

    Raises
    ------
    ValueError
        If there is no such activation.
    """
    match = re.fullmatch(r"(\w+)(?:\(([-+.\deE]+)\))?", name)
    if match and match[1] in ACTIVATIONS and (match[2] is None or match[1] in _NUMBERS):
        try:
            return match[1], _NUMBERS.get(match[1], 0.0) if match[2] is None else float(match[2])
        except ValueError:
            pass
    raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")


def activation(name: str) -> Pair:
    """Return the function of that name."""
    word, value = parsed(name)
    if word == "leaky_relu":
        return _leaky(value)
    return _elu(value, 1.0) if word == "elu" else _PLAIN[word]


def _logistic(u: Values) -> Values:
    return 0.5 * (1 + np.tanh(0.5 * u))


def _identity(u: Values) -> tuple[Values, Values]:
    return u, np.ones_like(u)


def _relu(u: Values) -> tuple[Values, Values]:
    return np.maximum(u, 0), (u > 0).astype(float)


def _relu6(u: Values) -> tuple[Values, Values]:
    return np.clip(u, 0, 6), ((u > 0) & (u < 6)).astype(float)


def _hardtanh(u: Values) -> tuple[Values, Values]:
    return np.clip(u, -1, 1), (np.abs(u) < 1).astype(float)


def _leaky(slope: float) -> Pair:
    return lambda u: (np.where(u > 0, u, slope * u), np.where(u > 0, 1.0, slope))


def _elu(alpha: float, scale: float) -> Pair:
    def pair(u: Values) -> tuple[Values, Values]:
        low = alpha * np.expm1(np.minimum(u, 0))
        return scale * np.where(u > 0, u, low), scale * np.where(u > 0, 1.0, low + alpha)

    return pair


def _tanh(u: Values) -> tuple[Values, Values]:
    value = np.tanh(u)
    return value, 1 - value**2


def _softsign(u: Values) -> tuple[Values, Values]:
    below = 1 + np.abs(u)
    return u / below, below**-2


def _sigmoid(u: Values) -> tuple[Values, Values]:
    value = _logistic(u)
    return value, value * (1 - value)


def _softplus(u: Values) -> tuple[Values, Values]:
    return np.logaddexp(0, u), _logistic(u)


def _silu(u: Values) -> tuple[Values, Values]:
    gate = _logistic(u)
    return u * gate, gate * (1 + u * (1 - gate))


def _mish(u: Values) -> tuple[Values, Values]:
    gate = np.tanh(np.logaddexp(0, u))
    return u * gate, gate + u * (1 - gate**2) * _logistic(u)


def _hardswish(u: Values) -> tuple[Values, Values]:
    inside = np.abs(u) < 3
    slope = np.where(inside, (2 * u + 3) / 6, (u > 0).astype(float))
    return u * np.clip(u + 3, 0, 6) / 6, slope


def _gelu(u: Values) -> tuple[Values, Values]:
    gate = 0.5 * (1 + _erf(u / math.sqrt(2)))
    return u * gate, gate + u * np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh(u: Values) -> tuple[Values, Values]:
    inner = math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * u**2)
    gate = 0.5 * (1 + np.tanh(inner))
    return u * gate, gate + u * 2 * gate * (1 - gate) * slope


_PLAIN: dict[str, Pair] = {
    "identity": _identity,
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "tanh": _tanh,
    "softsign": _softsign,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "silu": _silu,
    "mish": _mish,
    "hardswish": _hardswish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "selu": _elu(_SELU_ALPHA, _SELU_SCALE),
}

_NUMBERS = {"leaky_relu": 0.01, "elu": 1.0}

ACTIVATIONS = (*_PLAIN, *_NUMBERS)
"""Names of the activations that the theory page tabulates (Definition 1.4)."""
