"""How much may be pruned for a margin: of one layer, of all; and how wide a network must be (4.2 to 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rustprune import _rustprune
from rustprune._request import number, whole
from rustprune.bounds._estimate import code, estimate, question

if TYPE_CHECKING:
    from rustprune._rustprune import _Target
    from rustprune.bounds._estimate import Theorem
    from rustprune.bounds._network import Network
    from rustprune.bounds._result import BoundEstimate


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many weights of each layer may be pruned within an error margin.

    Parameters
    ----------
    counts : tuple of int
        Of each layer; 0 of those that may not be pruned. ``rustprune.mask(weights, count=count)`` makes the
        masks.
    sizes : tuple of int
        How many weights each layer has.
    bound : BoundEstimate
        The bound of these counts, evaluated at them.
    """

    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    bound: BoundEstimate

    @property
    def sparsity(self) -> float:
        """The fraction of all weights that is pruned."""
        return sum(self.counts) / max(sum(self.sizes), 1)

    def __str__(self) -> str:
        """Return a table of the layers, and the bound."""
        names = [str(at) for at in range(len(self.counts))]
        return "\n".join([*allocation_table(names, self.counts, self.sizes), str(self.bound)])


def allocation_table(names: Sequence[str], counts: Sequence[int], sizes: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a table with a row per layer and one for all."""
    wide = max(5, *(len(name) for name in names))
    yield f"{'layer':>{wide}} {'pruned':>12} {'of':>12} {'sparsity':>9}"
    rows = [*zip(names, counts, sizes, strict=True), ("all", sum(counts), sum(sizes))]
    for name, count, size in rows:
        yield f"{name:>{wide}} {count:>12,} {size:>12,} {count / max(size, 1):>9.4%}"


@dataclass(frozen=True, slots=True)
class Width:
    """A width that suffices, and the bound there.

    Parameters
    ----------
    width : int
        Of every layer.
    epsilon : float
        The bound of the gap at that width.
    """

    width: int
    epsilon: float


def max_prunable(
    network: Network,
    *,
    epsilon: float,
    delta: float = 0.05,
    layer: int,
    method: str = "magnitude",
    counts: Iterable[int] = (),
    radius: float = 1.0,
    inputs: float | None = None,
    theorem: Theorem = "best",
) -> int | None:
    """Return how many weights of one layer may be pruned so that the gap stays within a margin.

    Parameters
    ----------
    network : Network
        Shapes, laws and activations.
    epsilon : float
        The margin: with probability ``1 - delta`` the gap is at most this.
    delta : float
        Probability that it is not, above 0 and at most 1.
    layer : int
        Position of the layer.
    method : {"magnitude", "random", "bernoulli"}
        How weights are chosen.
    counts : iterable of int
        How many are pruned of each of the other layers; none by default.
    radius, inputs, theorem
        As for `estimate`.

    Returns
    -------
    int or None
        The largest number that bisection finds whose bound is at most `epsilon`; None if there is none, not
        even 0. The bound was evaluated at it. Bounds are not quite monotone, so a larger one may do as well.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Section 4.3 of the theory page: "an upper bound on the number of weights available for pruning in a given
    layer" of Qian and Klabjan (2021).

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([64, 64, 64, 10], weights=bounds.Uniform(k=1.0))
    >>> count = bounds.max_prunable(net, epsilon=0.05, layer=1)
    >>> bool(bounds.estimate(net, counts=[0, count, 0, 0][:3]).epsilon <= 0.05)
    True
    """
    return _rustprune.bound_max_prunable(
        network.as_extension(),
        [whole("counts", count) for count in counts],
        whole("layer", layer),
        code(method),
        target(epsilon, delta, radius, inputs, theorem),
    )


def allocate(
    network: Network,
    *,
    epsilon: float,
    delta: float = 0.05,
    method: str = "magnitude",
    radius: float = 1.0,
    inputs: float | None = None,
    layers: Iterable[int] | None = None,
    theorem: Theorem = "best",
) -> Allocation:
    """Split pruning over layers so that as many weights as possible go and the gap stays within a margin.

    Parameters
    ----------
    network : Network
        Shapes, laws and activations.
    epsilon : float
        The margin: with probability ``1 - delta`` the gap is at most this.
    delta : float
        Probability that it is not, above 0 and at most 1.
    method : {"magnitude", "random", "bernoulli"}
        How weights are chosen.
    radius, inputs, theorem
        As for `estimate`.
    layers : iterable of int, optional
        Positions of the layers that may be pruned; by default those that the network says.

    Returns
    -------
    Allocation
        The counts, and their bound, which is at most `epsilon`. Optimal, up to a grid, for the bound that
        adds up over layers; then raised while the full bound allows it.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Section 4.4 of the theory page.

    Examples
    --------
    >>> from rustprune import bounds
    >>> net = bounds.Network.mlp([64, 64, 64, 10], weights=bounds.Uniform(k=1.0))
    >>> found = bounds.allocate(net, epsilon=0.1)
    >>> bool(found.bound.epsilon <= 0.1), sum(found.counts) > 0
    (True, True)
    """
    chosen = {whole("layers", at) for at in (network.pruned if layers is None else layers)}
    if chosen and max(chosen) >= len(network.layers):
        raise ValueError(f"layers must be positions below {len(network.layers)}, got {max(chosen)}")
    counts = _rustprune.bound_allocate(
        network.as_extension(),
        [at in chosen for at in range(len(network.layers))],
        code(method),
        target(epsilon, delta, radius, inputs, theorem),
    )
    bound = estimate(
        network,
        counts=np.array(counts, np.uint64),
        method=method,
        delta=delta,
        radius=radius,
        inputs=inputs,
        theorem=theorem,
    )
    return Allocation(tuple(counts), tuple(layer.num_weights for layer in network.layers), bound)


def min_width(
    *,
    k: float = 1.0,
    depth: int,
    alpha: float,
    epsilon: float,
    delta: float = 0.05,
    method: str = "magnitude",
    theorem: Theorem = "best",
) -> Width | None:
    """Return a width from which networks may be pruned by the rule of Qian and Klabjan within a margin.

    Networks of `depth` square layers of weights uniform on ``+-k / sqrt(width)``, ReLU between them and
    inputs in the unit ball; of each layer but the first and the last, ``floor(D**(1 - alpha))`` of its D
    weights are pruned.

    Parameters
    ----------
    k : float
        Of the law of the weights.
    depth : int
        Number of layers, 3 or more.
    alpha : float
        Of the rule, in (0, 1).
    epsilon, delta : float
        With probability ``1 - delta`` the gap is at most `epsilon`.
    method : {"magnitude", "random", "bernoulli"}
        How weights are chosen.
    theorem : {"best", "ball", "covering", "smoothing"}
        As for `estimate`.

    Returns
    -------
    Width or None
        A width, to one part in 64 the least that bisection finds, and the bound at it; None if there is none
        up to 65,536. The bound is for this width: that it holds for larger ones is Corollary 4.2.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Examples
    --------
    >>> from rustprune import bounds
    >>> found = bounds.min_width(depth=3, alpha=0.25, epsilon=0.1)
    >>> found.epsilon <= 0.1
    True
    """
    found = _rustprune.bound_min_width(
        number("k", k),
        whole("depth", depth),
        number("alpha", alpha),
        code(method),
        target(epsilon, delta, 1.0, None, theorem),
    )
    return None if found is None else Width(*found)


def target(epsilon: float, delta: float, radius: float, inputs: float | None, theorem: Theorem) -> _Target:
    """Return what an inverse question is asked with, as the extension takes it."""
    return (
        number("epsilon", epsilon),
        number("delta", delta),
        number("radius", radius),
        1.0 if inputs is None else number("inputs", inputs),
        question(inputs, theorem),
    )
