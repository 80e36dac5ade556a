"""Laws of independent weights, symmetric about zero (Definition 1.2 of the theory page)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rustprune._request import exactly_one, number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Spec: TypeAlias = tuple[str, float, tuple[list[float], list[float]] | None]
"""How the extension names a law: its family, its scale, and the levels and quantiles of a table."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform weights on ``[-a, a]``.

    Parameters
    ----------
    k : float
        ``a = k / sqrt(max(fan_in, fan_out))`` for each layer, the setting of Qian and Klabjan (2021).
    bound : float
        ``a`` itself, instead of `k`.

    Raises
    ------
    TypeError, ValueError
        If both or neither are given, or the one given is no positive finite number.
    """

    k: float | None = None
    bound: float | None = None

    def __post_init__(self) -> None:
        exactly_one(k=self.k, bound=self.bound)
        positive(*(("bound", self.bound) if self.k is None else ("k", self.k)))

    def half_width(self, fan_out: int, fan_in: int) -> float:
        """Return ``a`` for a layer of that shape."""
        if self.bound is not None:
            return float(self.bound)
        return float(self.k or 0) / math.sqrt(max(fan_in, fan_out, 1))

    def spec(self, fan_out: int, fan_in: int) -> Spec:
        """Return the law of a layer of that shape as the extension takes it."""
        return "uniform", self.half_width(fan_out, fan_in), None

    def sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return weights of a layer of that shape."""
        bound = self.half_width(*shape)
        return rng.uniform(-bound, bound, shape)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal weights of mean 0.

    Parameters
    ----------
    std : float
        Standard deviation.
    gain : float
        ``std = gain / sqrt(fan_in)`` for each layer, instead of `std`: sqrt(2) is the initialisation of He
        et al. (2015) for ReLU.

    Raises
    ------
    TypeError, ValueError
        If both or neither are given, or the one given is no positive finite number.
    """

    std: float | None = None
    gain: float | None = None

    def __post_init__(self) -> None:
        exactly_one(std=self.std, gain=self.gain)
        positive(*(("std", self.std) if self.gain is None else ("gain", self.gain)))

    def deviation(self, fan_in: int) -> float:
        """Return the standard deviation in a layer of that fan-in."""
        if self.std is not None:
            return float(self.std)
        return float(self.gain or 0) / math.sqrt(max(fan_in, 1))

    def spec(self, fan_out: int, fan_in: int) -> Spec:  # noqa: ARG002 - as of every law
        """Return the law of a layer of that shape as the extension takes it."""
        return "normal", self.deviation(fan_in), None

    def sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return weights of a layer of that shape."""
        return rng.normal(0, self.deviation(shape[1]), shape)


@dataclass(frozen=True, slots=True)
class Laplace:
    """Weights of density ``exp(-abs(w) / scale) / (2 * scale)``.

    Parameters
    ----------
    scale : float
        The mean of their magnitudes.

    Raises
    ------
    TypeError, ValueError
        If it is no positive finite number.
    """

    scale: float

    def __post_init__(self) -> None:
        positive("scale", self.scale)

    def spec(self, fan_out: int, fan_in: int) -> Spec:  # noqa: ARG002 - as of every law
        """Return the law as the extension takes it."""
        return "laplace", float(self.scale), None

    def sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return weights of a layer of that shape."""
        return rng.laplace(0, self.scale, shape)


@dataclass(frozen=True, slots=True)
class Tabulated:
    """A symmetric law given by an upper table of the quantiles of its magnitudes.

    Parameters
    ----------
    quantiles : sequence of float
        ``quantiles[i]`` is at least every magnitude of a level up to ``levels[i]``: finite, not falling, the
        last above zero. Bounds are those of the steps, so a law between two steps is bounded from above.
    levels : sequence of float, optional
        Rising from above 0 to 1; by default ``1/n, 2/n, ..., 1``.

    Raises
    ------
    ValueError
        If they are not as said.
    """

    quantiles: tuple[float, ...]
    levels: tuple[float, ...]

    def __init__(self, quantiles: ArrayLike, levels: ArrayLike | None = None) -> None:
        heights = np.asarray(quantiles, np.float64)
        count = heights.size
        ends = np.arange(1, count + 1) / max(count, 1) if levels is None else np.asarray(levels, np.float64)
        if heights.ndim != 1 or not count or heights.shape != ends.shape:
            raise ValueError(f"expected as many levels as quantiles, got {ends.shape} and {heights.shape}")
        if (
            not np.isfinite(heights).all()
            or heights[0] < 0
            or heights[-1] <= 0
            or (np.diff(heights) < 0).any()
        ):
            raise ValueError("quantiles must be finite and must not fall, the last of them above zero")
        if not (ends[0] > 0 and ends[-1] == 1 and (np.diff(ends) > 0).all()):
            raise ValueError("levels must rise from above 0 to 1")
        object.__setattr__(self, "quantiles", tuple(heights.tolist()))
        object.__setattr__(self, "levels", tuple(ends.tolist()))

    def spec(self, fan_out: int, fan_in: int) -> Spec:  # noqa: ARG002 - as of every law
        """Return the law as the extension takes it."""
        return "table", 1.0, (list(self.levels), list(self.quantiles))

    def sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return weights of a layer of that shape."""
        step = np.searchsorted(self.levels, rng.random(shape), side="left")
        magnitudes = np.asarray(self.quantiles)[step]
        return np.where(rng.random(shape) < 0.5, magnitudes, -magnitudes)


Law: TypeAlias = Uniform | Normal | Laplace | Tabulated


def positive(word: str, value: object) -> float:
    """Check that a parameter is a positive finite number."""
    checked = number(word, value)
    if not 0 < checked < math.inf:
        raise ValueError(f"{word} must be positive and finite, got {value!r}")
    return checked
