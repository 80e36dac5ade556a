"""One drawn network and its pruned form, and how far they are apart at inputs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rustprune._sample import random_mask
from rustprune._select import mask
from rustprune.bounds._activations import Pair, activation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rustprune.bounds._network import Network

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One network and its pruned form, of float64 or of float32 throughout."""

    weights: list[Floats]
    pruned: list[Floats]
    biases: list[Floats]
    activations: list[Pair]

    @classmethod
    def of(cls, network: Network, rng: np.random.Generator, dtype: type[np.floating] = np.float64) -> Self:
        """Draw one, nothing pruned."""
        weights: list[Floats] = []
        biases: list[Floats] = []
        for layer in network.layers:
            fan_out, fan_in = layer.shape
            weights.append(layer.weights.sample(rng, (fan_out, fan_in)).astype(dtype, copy=False))
            biases.append(on_sphere(rng, (fan_out, 1), layer.bias_norm).astype(dtype, copy=False))
        return cls(weights, weights, biases, [activation(layer.activation) for layer in network.layers])

    def prune(self, layers: Iterable[int], ratio: float, method: str, rng: np.random.Generator) -> Self:
        """Return the same network with another pruned form."""
        pruned = list(self.weights)
        for at in layers:
            if method == "random":
                seed = int(rng.integers(2**64, dtype=np.uint64))
                pruned[at] = pruned[at] * random_mask(pruned[at].shape, ratio, seed=seed)
            else:
                pruned[at] = pruned[at] * mask(pruned[at], ratio)
        return dataclasses.replace(self, pruned=pruned)

    def activate(self, hidden: str) -> Self:
        """Return the same weights with other activations of the hidden layers."""
        acts = [*[activation(hidden)] * (len(self.activations) - 1), self.activations[-1]]
        return dataclasses.replace(self, activations=acts)

    def run(self, weights: list[Floats], x: Floats) -> tuple[Floats, list[Floats]]:
        """Return the outputs for the columns of `x`, and the slopes of each layer's activation."""
        slopes = []
        for matrix, bias, act in zip(weights, self.biases, self.activations, strict=True):
            x, slope = act(matrix @ x + bias)
            slopes.append(slope.astype(x.dtype, copy=False))
        return x, slopes

    def gap_at(self, x: Floats) -> Floats:
        """Return the Euclidean gap for each column of `x`."""
        return lengths(self.run(self.weights, x)[0] - self.run(self.pruned, x)[0])

    def largest_gap(self, x: Floats, radius: float, steps: int = 60) -> float:
        """Return the largest gap met on the way up its gradient, over the sphere, from the columns of `x`."""
        best = 0.0
        for _ in range(steps):
            output, slopes = self.run(self.weights, x)
            pruned_output, pruned_slopes = self.run(self.pruned, x)
            gap = output - pruned_output
            best = max(best, float(lengths(gap).max()))
            up = pulled_back(self.weights, slopes, gap) - pulled_back(self.pruned, pruned_slopes, gap)
            norms = lengths(up)
            x = np.where(norms > 0, radius * up / np.where(norms > 0, norms, 1), x)
        return best


def pulled_back(weights: list[Floats], slopes: list[Floats], columns: Floats) -> Floats:
    """Return the transposed derivative of a network applied to the columns."""
    for matrix, slope in zip(reversed(weights), reversed(slopes), strict=True):
        columns = matrix.T @ (slope * columns)
    return columns


def on_sphere(rng: np.random.Generator, shape: tuple[int, int], radius: float) -> Floats:
    """Return columns uniformly distributed on a sphere."""
    columns = rng.standard_normal(shape)
    return radius * columns / lengths(columns)


def lengths(columns: Floats) -> Floats:
    """Return the Euclidean norm of each column."""
    squared: Floats = (columns**2).sum(axis=0)
    return np.sqrt(squared)
