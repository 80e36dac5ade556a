"""Bounds of one network at a time: one budget over layers, mean squares, closed forms, textbook constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rustprune import _rustprune
from rustprune._request import exactly_one, number, probability, whole
from rustprune.bounds._estimate import code, requested
from rustprune.bounds._laws import positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from rustprune.bounds._network import Network


class GlobalBound(NamedTuple):
    """A bound of the gap where one budget is spent over several layers.

    Parameters
    ----------
    epsilon : float
        ``P(gap > epsilon) <= delta``.
    theorem : str
        The theorem that gave it.
    levels : tuple
        For each layer the levels of the law of its magnitudes between which the common threshold lies, None
        where nothing is pruned.
    """

    epsilon: float
    theorem: str
    levels: tuple[tuple[float, float] | None, ...]


class MeanSquare(NamedTuple):
    """Mean squares at one input fixed beforehand.

    Parameters
    ----------
    gap : float
        At least the mean square of the gap; its value for identity activations.
    state : float
        At least the mean square of the output's norm.
    """

    gap: float
    state: float


def estimate_global(
    network: Network,
    ratio: float | None = None,
    *,
    count: int | None = None,
    delta: float = 0.05,
    radius: float = 1.0,
    inputs: float | None = None,
) -> GlobalBound:
    """Bound the gap where the least magnitudes of all pruned layers together are pruned.

    Parameters
    ----------
    network : Network
        Shapes, laws and activations; ``network.pruned`` says which layers share the budget.
    ratio, count
        What is pruned of all their weights together: a fraction, or a number.
    delta, radius
        As for `estimate`.
    inputs : float, optional
        How many points that were fixed before the weights were drawn; by default all of the ball.

    Returns
    -------
    GlobalBound
        The bound, above that of one budget for each layer: layers depend on each other through the common
        threshold. Infinity where nothing can be said.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Proposition 2.12 of the theory page: over the ball the best of all its parts, at points part (c).

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([64, 64, 64, 10], weights=bounds.Uniform(k=1.0))
    >>> 0 < bounds.estimate_global(net, 0.25).epsilon < 100
    True
    """
    exactly_one(ratio=ratio, count=count)
    if count is None:
        total = sum(network.layers[at].num_weights for at in network.pruned)
        count = _rustprune.num_pruned(total, number("ratio", ratio))
    epsilon, _, theorem, levels = _rustprune.bound_global(
        network.as_extension(),
        [at in network.pruned for at in range(len(network.layers))],
        whole("count", count),
        number("radius", radius),
        None if inputs is None else number("inputs", inputs),
        number("delta", delta),
    )
    return GlobalBound(epsilon, f"T{theorem}", tuple(levels))


def mean_square(
    network: Network,
    ratio: float | None = None,
    *,
    counts: Sequence[int] | None = None,
    method: str = "magnitude",
    radius: float = 1.0,
) -> MeanSquare:
    """Bound the mean square of the gap at one input that was fixed before the weights were drawn.

    Parameters
    ----------
    network, ratio, method, radius
        As for `estimate`, of one network.
    counts : sequence of int
        How many weights to prune of each layer, instead of `ratio`.

    Returns
    -------
    MeanSquare
        Of the gap and of the output. For identity, ReLU and leaky ReLU without biases their ratio is the
        relative mean square gap ``1 - prod(1 - s_i)``.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Corollary 3.2 of the theory page; exact for identity activations.

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([8, 8, 8], weights=bounds.Normal(gain=1.0), activation="identity")
    >>> found = bounds.mean_square(net, 0.5, method="random")
    >>> round(found.gap / found.state, 6)
    0.75
    """
    rows = requested(network, ratio, counts)
    return MeanSquare(
        *_rustprune.bound_mean_square(network.as_extension(), rows, code(method), number("radius", radius))
    )


def classical(
    network: Network,
    ratio: float | None = None,
    *,
    counts: Sequence[int] | None = None,
    method: str = "magnitude",
    delta: float = 0.05,
    radius: float = 1.0,
) -> float:
    """Bound the gap over the ball by textbook inequalities and a union over events: for comparison only.

    Parameters
    ----------
    network, ratio, method, delta, radius
        As for `estimate`, of one network.
    counts : sequence of int
        How many weights to prune of each layer, instead of `ratio`.

    Returns
    -------
    float
        A number that `estimate` is below. Constants of the literature that the theory page does not prove are
        among its ingredients, so it is no bound of this package.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Section 5 of the theory page.

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([64, 64, 64, 10], weights=bounds.Uniform(k=1.0))
    >>> bool(bounds.estimate(net, 0.5).epsilon < bounds.classical(net, 0.5))
    True
    """
    rows = requested(network, ratio, counts)
    extension = network.as_extension()
    return _rustprune.bound_classical(
        extension, rows, code(method), number("radius", radius), number("delta", delta)
    )


def closed_form(
    *, k: float = 1.0, depth: int, width: int, ratio: float, delta: float = 0.05, method: str = "magnitude"
) -> float:
    """Return the closed bound of the setting of Qian and Klabjan: quick, and a few times above `estimate`.

    Parameters
    ----------
    k : float
        Weights are uniform on ``+-k / sqrt(width)``.
    depth, width : int
        Square layers, 3 or more; no biases, activations of slope 1 at most that are zero at zero.
    ratio : float
        Fraction pruned of each layer but the first and the last.
    delta : float
        Probability that the gap over the unit ball is larger, in (0, 1).
    method : {"magnitude", "random", "bernoulli"}
        How weights are chosen.

    Returns
    -------
    float
        The bound.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Corollary 4.1 of the theory page.

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([256] * 4, weights=bounds.Uniform(k=1.0), pruned=[1])
    >>> bool(bounds.estimate(net, 0.1).epsilon < bounds.closed_form(depth=3, width=256, ratio=0.1))
    True
    """
    return _rustprune.bound_closed_form(
        positive("k", k),
        whole("depth", depth),
        float(whole("width", width)),
        number("ratio", ratio),
        code(method),
        probability("delta", delta),
    )


def closed_width(
    *,
    k: float = 1.0,
    depth: int,
    alpha: float,
    epsilon: float,
    delta: float = 0.05,
    method: str = "magnitude",
) -> float | None:
    """Return a width at which the rule of Qian and Klabjan keeps a margin, by a closed condition.

    Parameters
    ----------
    k, depth, delta, method
        As for `closed_form`; of each layer but the first and the last, of D weights,
        ``floor(D**(1 - alpha))`` are pruned.
    alpha : float
        Of the rule, in (0, 1).
    epsilon : float
        The margin of the gap over the unit ball.

    Returns
    -------
    float or None
        The least width that bisection finds, far above that of `min_width`; None if it is above 10**15.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Corollary 4.2 of the theory page.

    Examples
    --------
    >>> from rustprune import bounds
    >>> bounds.closed_width(depth=3, alpha=0.25, epsilon=0.1) > bounds.min_width(
    ...     depth=3, alpha=0.25, epsilon=0.1
    ... ).width
    True
    """
    if not 0 < number("alpha", alpha) < 1:
        raise ValueError(f"alpha must be in (0, 1), got {alpha!r}")
    return _rustprune.bound_closed_width(
        positive("k", k),
        whole("depth", depth),
        alpha,
        code(method),
        positive("epsilon", epsilon),
        probability("delta", delta),
    )


def random_mask_bound(
    weights: ArrayLike,
    ratio: float,
    *,
    count: int | None = None,
    norm: float,
    delta: float = 0.05,
) -> float:
    """Bound the norm of what a random mask will remove of given weights, which may be trained.

    Parameters
    ----------
    weights : array
        Of two axes or more, seen as the matrix ``(shape[0], -1)``.
    ratio : float
        Probability with which each weight is pruned.
    count : int, optional
        That exactly so many are pruned; `ratio` is then their fraction. Costs a part of `delta`.
    norm : float
        A bound of the spectral norm of the weights, as from `norms`.
    delta : float
        Probability that the norm of the removed part is larger, over masks.

    Returns
    -------
    float
        The bound, about twice too large: once the mask is drawn `norms` measures it.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Proposition 2.8 of the theory page.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> weights = np.ones((32, 64)) / 64
    >>> norm = bounds.norms(weights, kinds=["spectral"])["spectral"].value
    >>> found = bounds.random_mask_bound(weights, 0.25, norm=norm)
    >>> 0.25 * norm < found
    True
    """
    matrix = np.asarray(weights, np.float64)
    if matrix.ndim < 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(f"weights must be finite numbers of two axes or more, got shape {matrix.shape}")
    matrix = matrix.reshape(len(matrix), -1)
    squares = matrix**2
    # Sums of rounded numbers are lower by a part in 2**53 for each term at most.
    up = 1 + 4 * max(matrix.shape) * 2.0**-53
    deviation, _ = _rustprune.bound_given_weights_random(
        *matrix.shape,
        float(squares.sum(1).max()) * up,
        float(squares.sum(0).max()) * up,
        float(np.abs(matrix).max()),
        number("ratio", ratio),
        count,
        number("delta", delta),
    )
    return (number("ratio", ratio) * number("norm", norm) + deviation) * (1 + 2.0**-50)
