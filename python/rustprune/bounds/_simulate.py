"""Simulated gaps between networks and their pruned forms, with what can be said of them with confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rustprune import _rustprune
from rustprune._request import number, score_of, whole
from rustprune._sample import random_mask
from rustprune._select import mask
from rustprune.bounds._activations import Pair, activation
from rustprune.bounds._laws import positive

if TYPE_CHECKING:
    from rustprune.bounds._network import Network

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Gaps of independently drawn networks.

    Parameters
    ----------
    gaps : ndarray of float64, shape (samples,)
        Of each draw of weights and mask: the gap at one random input; or a *lower* estimate of the supremum
        over the ball.
    supremum : bool
        Which of both.
    confidence : float
        Of each statement that `quantile_bound` and `tail_bound` make.
    """

    gaps: Floats
    supremum: bool
    confidence: float

    def quantile_bound(self, delta: float) -> float:
        """Return an upper confidence bound of the gap's (1 - delta)-quantile (section 7 of the theory page).

        Of a supremum's lower estimates it bounds the quantile of these estimates.

        Parameters
        ----------
        delta : float
            In (0, 1).

        Returns
        -------
        float
            Infinity where there are too few samples.
        """
        rank = _rustprune.bound_quantile_rank(
            len(self.gaps), 1 - probability("delta", delta), 1 - self.confidence
        )
        return math.inf if rank is None else float(np.sort(self.gaps)[rank - 1])

    def tail_bound(self, epsilon: float) -> float:
        """Return an upper confidence bound of the probability of a gap above `epsilon` (Clopper and Pearson).

        Parameters
        ----------
        epsilon : float
            A gap.

        Returns
        -------
        float
            In [0, 1].
        """
        above = int((self.gaps > number("epsilon", epsilon)).sum())
        _, upper = _rustprune.bound_chance(above, len(self.gaps), 1 - self.confidence)
        return upper

    def quantile_estimate(self, delta: float) -> float:
        """Return the (1 - delta)-quantile of the gaps drawn: an estimate, without confidence.

        Parameters
        ----------
        delta : float
            In (0, 1).

        Returns
        -------
        float
            A gap.
        """
        return float(np.quantile(self.gaps, 1 - probability("delta", delta)))


def simulate(
    network: Network,
    ratio: float,
    method: str = "magnitude",
    *,
    samples: int = 1000,
    seed: int,
    radius: float = 1.0,
    supremum: bool = False,
    confidence: float = 0.99,
) -> Simulation:
    """Draw networks, prune them, and measure how far they are from the original ones.

    Parameters
    ----------
    network : Network
        Of linear layers. Biases are drawn in random directions of the norms given.
    ratio : float
        Fraction to prune of each layer in ``network.pruned``.
    method : {"magnitude", "random"}
        What is pruned.
    samples : int
        How many networks are drawn.
    seed : int
        In [0, 2**64): the same seed, the same gaps.
    radius : float
        Euclidean norm of the inputs.
    supremum : bool
        Search for the largest gap over the ball of that radius by projected ascent from 4 inputs, instead of
        taking one random input on its sphere. What it finds is a *lower* estimate of the supremum.
    confidence : float
        Of the statements made from the gaps, in (0, 1).

    Returns
    -------
    Simulation
        The gaps.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([8, 16, 4], weights=bounds.Uniform(k=1.0))
    >>> drawn = bounds.simulate(net, 0.5, samples=100, seed=1)
    >>> bool(bounds.estimate(net, 0.5, inputs=1, delta=0.1).epsilon > drawn.quantile_estimate(0.1))
    True
    """
    score_of(method)
    positive("radius", radius)
    probability("confidence", confidence)
    if any(len(layer.shape) != 2 for layer in network.layers):
        raise ValueError("network must be of linear layers to be simulated, got a convolution")
    rng = np.random.Generator(np.random.Philox(whole("seed", seed)))
    inputs, starts = network.layers[0].shape[1], 4 if supremum else 1
    gaps = np.empty(whole("samples", samples))
    for sample in range(len(gaps)):
        drawn = Drawn.of(network, ratio, method, rng)
        x = on_sphere(rng, (inputs, starts), radius)
        gaps[sample] = drawn.largest_gap(x, radius) if supremum else drawn.gap_at(x).max()
    return Simulation(gaps, supremum, confidence)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One network and its pruned form."""

    weights: list[Floats]
    pruned: list[Floats]
    biases: list[Floats]
    activations: list[Pair]

    @classmethod
    def of(cls, network: Network, ratio: float, method: str, rng: np.random.Generator) -> Self:
        """Draw and prune one."""
        drawn = cls([], [], [], [activation(layer.activation) for layer in network.layers])
        for position, layer in enumerate(network.layers):
            fan_out, fan_in = layer.shape
            weights = layer.weights.sample(rng, (fan_out, fan_in))
            drawn.weights.append(weights)
            drawn.biases.append(on_sphere(rng, (fan_out, 1), layer.bias_norm))
            if position not in network.pruned:
                drawn.pruned.append(weights)
            elif method == "random":
                seed = int(rng.integers(2**64, dtype=np.uint64))
                drawn.pruned.append(weights * random_mask(weights.shape, ratio, seed=seed))
            else:
                drawn.pruned.append(weights * mask(weights, ratio))
        return drawn

    def run(self, weights: list[Floats], x: Floats) -> tuple[Floats, list[Floats]]:
        """Return the outputs for the columns of `x`, and the slopes of each layer's activation."""
        slopes = []
        for matrix, bias, act in zip(weights, self.biases, self.activations, strict=True):
            x, slope = act(matrix @ x + bias)
            slopes.append(slope)
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


def probability(word: str, value: object) -> float:
    """Check that a parameter is in (0, 1)."""
    checked = number(word, value)
    if not 0 < checked < 1:
        raise ValueError(f"{word} must be in (0, 1), got {value!r}")
    return checked
