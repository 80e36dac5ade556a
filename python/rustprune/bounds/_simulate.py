"""Simulated gaps between networks and their pruned forms, with what can be said of them with confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rustprune import _rustprune
from rustprune._request import number, probability, score_of, whole
from rustprune.bounds._drawn import Drawn, Floats, on_sphere
from rustprune.bounds._laws import positive

if TYPE_CHECKING:
    from rustprune.bounds._network import Network


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
        Of each statement that `quantile_bound`, `tail_bound`, `mean_bound` and `distribution_error` make.
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

    def mean_bound(self, largest: float) -> float:
        """Return an upper confidence bound of the mean gap, where no gap can be above `largest`.

        Parameters
        ----------
        largest : float
            Finite, and not below a gap that was drawn.

        Returns
        -------
        float
            The smaller of the bounds of Hoeffding and, from the variance of the gaps, of Maurer and Pontil.
        """
        top = positive("largest", largest)
        if not len(self.gaps) or self.gaps.max() > top:
            raise ValueError(
                f"largest must be at least {len(self.gaps)} gaps and the largest, got {largest!r}"
            )
        variance = float(self.gaps.var(ddof=1)) if len(self.gaps) > 1 else 0.0
        return float(self.gaps.mean()) + _rustprune.bound_mean_error(
            len(self.gaps), variance, top, 1 - self.confidence
        )

    def distribution_error(self) -> float:
        """Return how far the share of gaps above any number is from its probability, for all numbers at once.

        Returns
        -------
        float
            In [0, 1], by the inequality of Dvoretzky, Kiefer and Wolfowitz with the constant of Massart.
        """
        return _rustprune.bound_distribution_error(len(self.gaps), 1 - self.confidence)

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
        drawn = Drawn.of(network, rng).prune(network.pruned, ratio, method, rng)
        x = on_sphere(rng, (inputs, starts), radius)
        gaps[sample] = drawn.largest_gap(x, radius) if supremum else drawn.gap_at(x).max()
    return Simulation(gaps, supremum, confidence)


def samples_for_quantile(delta: float, *, confidence: float = 0.99) -> int:
    """Return how many samples `Simulation.quantile_bound` needs: fewer, and it is infinite.

    Parameters
    ----------
    delta : float
        In (0, 1): of the (1 - delta)-quantile.
    confidence : float
        Of the statement, in (0, 1).

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError, ValueError
        If one of them is not as said.

    Examples
    --------
    >>> from rustprune import bounds
    >>> bounds.samples_for_quantile(0.05, confidence=0.95)
    59
    """
    level, beta = 1 - probability("delta", delta), 1 - probability("confidence", confidence)
    return int(_rustprune.bound_samples_for_quantile(level, beta))


def samples_for_distribution(error: float, *, confidence: float = 0.99) -> int:
    """Return how many samples bring `Simulation.distribution_error` down to an error.

    Parameters
    ----------
    error : float
        In (0, 1).
    confidence : float
        Of the statement, in (0, 1).

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError, ValueError
        If one of them is not as said.

    Examples
    --------
    >>> from rustprune import bounds
    >>> bounds.samples_for_distribution(0.05, confidence=0.95)
    738
    """
    beta = 1 - probability("confidence", confidence)
    return int(_rustprune.bound_samples_for_distribution(probability("error", error), beta))
