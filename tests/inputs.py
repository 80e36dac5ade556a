"""The inputs that every selection is tried on: easy, tied, structured, and full of special values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Generator = np.random.Generator
    Floats = NDArray[np.float32]


def _zeros(share: float) -> Callable[[Generator, int], Floats]:
    return lambda random, n: np.where(random.random(n) < share, 0, _normal(random, n)).astype(np.float32)


def _normal(random: Generator, n: int) -> Floats:
    return random.standard_normal(n, np.float32)


def _scaled_in_rows(random: Generator, n: int) -> Floats:
    scales = 10 ** random.uniform(-3, 3, n // 1000 + 1)
    return (_normal(random, n) * np.repeat(scales, 1000)[:n]).astype(np.float32)


def _special(random: Generator, n: int) -> Floats:
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.25], np.float32)
    return random.choice(values, n)


_MAKERS: dict[str, Callable[[Generator, int], Floats]] = {
    "normal": _normal,
    "scaled in rows": _scaled_in_rows,
    "45 % zeros": _zeros(0.45),
    "55 % zeros": _zeros(0.55),
    "60 % zeros": _zeros(0.6),
    "90 % zeros": _zeros(0.9),
    "zeros": _zeros(1.0),
    "constant": lambda _, n: np.full(n, -0.5, np.float32),
    "255 levels": lambda random, n: (random.integers(-127, 128, n) / 64).astype(np.float32),
    "bfloat16 values": lambda random, n: (_normal(random, n).view(np.uint32) & 0xFFFF_0000).view(np.float32),
    "sorted": lambda random, n: np.sort(_normal(random, n)),
    "reversed": lambda random, n: np.sort(np.abs(_normal(random, n)))[::-1],
    "period 16": lambda random, n: np.resize(_normal(random, 16), n),
    "period 4096": lambda random, n: np.resize(_normal(random, 4096), n),
    "zeros of both signs": lambda random, n: random.choice(np.array([0.0, -0.0], np.float32), n),
    "nan and infinity": _special,
}
INPUTS = [*_MAKERS, "subnormal"]


def make(kind: str, n: int, dtype: np.dtype[np.generic]) -> NDArray[Any]:
    """Return `n` entries of that kind, the same ones each time."""
    random = np.random.default_rng([n, INPUTS.index(kind)])
    if kind == "subnormal":
        return _subnormal(random, n, dtype)
    with np.errstate(over="ignore"):
        return _MAKERS[kind](random, n).astype(dtype)


def _subnormal(random: Generator, n: int, dtype: np.dtype[np.generic]) -> NDArray[Any]:
    """Subnormal values of both signs: only mantissa bits and the sign bit."""
    mantissa_bits = ml_dtypes.finfo(dtype).nmant  # type: ignore[no-untyped-call]
    signs = random.integers(0, 2, n) << (8 * dtype.itemsize - 1)
    return (random.integers(0, 1 << mantissa_bits, n) | signs).astype(f"u{dtype.itemsize}").view(dtype)
