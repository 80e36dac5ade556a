"""Bounds of many requests in one call, broadcast like NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np

from rustprune import _rustprune
from rustprune._request import exactly_one, number, whole
from rustprune.bounds._laws import Laplace
from rustprune.bounds._network import Network
from rustprune.bounds._result import INDEPENDENT, THEOREMS, BoundEstimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Networks: TypeAlias = "Network | Sequence[Networks]"
Theorem: TypeAlias = Literal["best", "ball", "covering", "smoothing"]
METHODS = ("magnitude", "random", "bernoulli")


def estimate(
    network: Networks,
    ratio: ArrayLike | None = None,
    *,
    counts: ArrayLike | None = None,
    method: str | Sequence[object] = "magnitude",
    delta: ArrayLike = 0.05,
    radius: ArrayLike = 1.0,
    inputs: ArrayLike | None = None,
    layers: Iterable[int] | None = None,
    theorem: Theorem = "best",
    progress: Callable[[int, int], None] | None = None,
) -> BoundEstimate:
    """Bound how far pruned networks of independent random weights can be from the original ones.

    ``P(gap > epsilon) <= delta``, over weights and masks, where the gap is the largest Euclidean distance
    between the outputs of both networks: over all inputs of norm `radius` or less, or over `inputs` points
    that were fixed before the weights were drawn.

    Parameters
    ----------
    network : Network, or array of them
        Shapes, laws and activations. All arguments but `layers` and `theorem` are broadcast against each
        other.
    ratio : array of float
        Fraction to prune of each layer that is pruned: of `n` weights, ``num_pruned(n, ratio)``.
    counts : array of int
        Instead of `ratio`: how many weights to prune of each layer, along the last axis, which is not
        broadcast; 0 where a network has fewer layers.
    method : {"magnitude", "random", "bernoulli"}, or array of them
        The least magnitudes of each layer, a uniformly random set of that size, or each weight with
        probability `ratio`, rounded to a whole number of weights on average.
    delta : array of float
        Probability that the bound fails, above 0 and at most 1.
    radius : array of float
        Largest Euclidean norm of an input.
    inputs : array of float, optional
        How many points; by default all of the ball.
    layers : iterable of int, optional
        Positions of the layers that are pruned; by default those that the networks say.
    theorem : {"best", "ball", "covering", "smoothing"}
        Over the ball: Theorem 1, 3 or 6, or the best of all. Points are for Theorem 2.
    progress : callable, optional
        Called with the number of bounds done and to do, a few times a second.

    Returns
    -------
    BoundEstimate
        The bounds as arrays of the shape of the broadcast, with the assumptions. Infinity where nothing can
        be said; never NaN. The same bits for every number of threads.

    Raises
    ------
    TypeError, ValueError
        If something is not as said; if both or neither of `ratio` and `counts` are given.

    Notes
    -----
    Theorems 1, 2, 3 and, for convolutions, 4 of the theory page, and Theorem 6 of the page on smoothing,
    which is never above Theorem 3 but for the grids of both. Requests that share layers share the work: the
    values of `delta`, `radius` and `inputs` cost next to nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([784, 300, 100, 10], weights=bounds.Uniform(k=1.0))
    >>> ratios = np.linspace(0, 0.3, 4)[:, None]
    >>> found = bounds.estimate(net, ratios, method=["random", "magnitude"], delta=0.05)
    >>> found.epsilon.shape
    (4, 2)
    >>> bool((found.epsilon[:, 1] <= found.epsilon[:, 0]).all())
    True
    """
    nets, places = networks(network)
    exactly_one(ratio=ratio, counts=counts)
    asked = question(inputs, theorem)
    ratios = np.asarray(np.nan if ratio is None else ratio, np.float64)
    points = np.asarray(np.nan if inputs is None else inputs, np.float64)
    table = None if counts is None else whole_numbers("counts", counts)
    codes, deltas, radii = method_codes(method), np.asarray(delta, np.float64), np.asarray(radius, np.float64)
    shape = np.broadcast_shapes(
        *(it.shape for it in (places, ratios, codes, deltas, radii, points)),
        () if table is None else table.shape[:-1],
    )
    which, codes = np.broadcast_to(places, shape), np.broadcast_to(codes, shape)
    ratios, points = np.broadcast_to(ratios, shape), np.broadcast_to(points, shape)
    deltas, radii = np.broadcast_to(deltas, shape), np.broadcast_to(radii, shape)
    pruned = [net.pruned if layers is None else tuple(layers) for net in nets]
    width = max(len(net.layers) for net in nets)
    if table is None:
        rows = counts_of(nets, pruned, which.ravel(), ratios.ravel(), width)
    else:
        rows = np.broadcast_to(table, (*shape, table.shape[-1])).reshape(-1, table.shape[-1])
    length = math.prod(shape)
    epsilon, p, theorems = _rustprune.bound_estimate(
        [net.as_extension() for net in nets],
        flat(which),
        np.ascontiguousarray(rows),
        flat(codes),
        flat(deltas),
        flat(radii),
        flat(np.ones(shape) if inputs is None else points),
        asked,
        None if progress is None else lambda done: progress(done, length),
    )
    names = np.array([THEOREMS.get(code, THEOREMS[0])[0] for code in range(max(THEOREMS) + 1)])
    return BoundEstimate(
        epsilon=epsilon.reshape(shape),
        theorem=names[theorems].reshape(shape),
        p=p.reshape(shape),
        ratio=ratios,
        method=np.asarray(np.array(METHODS)[codes]),
        delta=deltas,
        radius=radii,
        inputs=points,
        assumptions=assumptions(nets, points, codes),
    )


def assumptions(
    nets: list[Network], points: NDArray[np.float64], methods: NDArray[np.uint8]
) -> tuple[str, ...]:
    """Return what has to be true for the bounds."""
    found = [INDEPENDENT]
    if not np.isnan(points).all():
        found.append("the inputs were fixed without looking at the weights or masks")
    if (methods != METHODS.index("magnitude")).any():
        found.append("random masks are drawn without looking at the weights")
    if any(isinstance(layer.weights, Laplace) for net in nets for layer in net.layers):
        found.append("no Gaussian dominates Laplace weights in convex order: bounds by moments only")
    if any(layer.bias_norm for net in nets for layer in net.layers):
        found.append("biases are fixed vectors of the norms given, and are not pruned")
    return tuple(found)


def networks(network: Networks) -> tuple[list[Network], NDArray[np.uint32]]:
    """Return the networks once each, and an array of their numbers."""
    array = np.empty((), object)
    if isinstance(network, Network):
        array[()] = network
    else:
        array = np.array(network, object)
    nets: list[Network] = list(dict.fromkeys(array.ravel().tolist()))
    if not nets or not all(isinstance(net, Network) for net in nets):
        raise TypeError("network must be a Network or an array of them")
    number = {net: at for at, net in enumerate(nets)}
    return nets, np.array([number[net] for net in array.ravel().tolist()], np.uint32).reshape(array.shape)


def method_codes(method: str | Sequence[object]) -> NDArray[np.uint8]:
    """Return the methods as the extension numbers them."""
    names = np.asarray(method)
    return np.array([code(name) for name in names.ravel().tolist()], np.uint8).reshape(names.shape)


def code(method: str) -> int:
    """Return a method as the extension numbers it."""
    if method not in METHODS:
        raise ValueError(f"method must be {', '.join(METHODS)}, got {method!r}")
    return METHODS.index(method)


def question(inputs: ArrayLike | None, theorem: Theorem) -> str:
    """Return which bound is asked for, as the extension names it."""
    if inputs is not None and theorem != "best":
        raise ValueError(f"theorem must be left out with inputs, got {theorem!r}")
    return theorem if inputs is None else "inputs"


def requested(network: Network, ratio: float | None, counts: Sequence[int] | None) -> list[int]:
    """Return how many weights of each layer are pruned of one network."""
    exactly_one(ratio=ratio, counts=counts)
    if counts is not None:
        return [whole("counts", count) for count in counts]
    ratios = np.array([math.nan if ratio is None else number("ratio", ratio)])
    rows = counts_of([network], [network.pruned], np.zeros(1, np.uint32), ratios, len(network.layers))
    found: list[int] = rows[0].tolist()
    return found


def counts_of(
    nets: list[Network],
    pruned: list[tuple[int, ...]],
    which: NDArray[np.uint32],
    ratios: NDArray[np.float64],
    width: int,
) -> NDArray[np.uint64]:
    """Return how many weights of each layer a ratio prunes, one row for each request."""
    num_pruned = cache(_rustprune.num_pruned)
    rows = np.zeros((len(which), width), np.uint64)
    for at, net in enumerate(nets):
        mine = np.flatnonzero(which == at)
        distinct, back = np.unique(ratios[mine], return_inverse=True)
        for position in pruned[at]:
            size = net.layers[position].num_weights
            table = np.array([num_pruned(size, ratio) for ratio in distinct.tolist()], np.uint64)
            rows[mine, position] = table[back]
    return rows


def whole_numbers(word: str, values: ArrayLike) -> NDArray[np.uint64]:
    """Check that an array is of whole numbers, not negative, with an axis of layers."""
    array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "ui" or (array < 0).any():
        raise ValueError(
            f"{word} must be whole numbers, not negative, with an axis of layers, got {values!r}"
        )
    return array.astype(np.uint64)


def flat(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return the entries in row-major order."""
    return np.ascontiguousarray(values).reshape(-1)
