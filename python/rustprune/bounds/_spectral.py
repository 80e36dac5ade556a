"""Bounds of the spectral norm of one random matrix, and of what pruning keeps and removes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from rustprune import _rustprune
from rustprune._request import number, whole
from rustprune.bounds._estimate import code
from rustprune.bounds._network import Layer, Network

if TYPE_CHECKING:
    from rustprune.bounds._laws import Law

RandomPart: TypeAlias = Literal["all", "kept", "removed"]


def norm_bound(
    shape: tuple[int, ...],
    weights: Law,
    ratio: float | None = None,
    *,
    count: int | None = None,
    method: str = "magnitude",
    part: RandomPart = "removed",
    delta: float = 0.05,
) -> float:
    """Bound the spectral norm of a matrix of independent random weights, or of a part of it.

    Parameters
    ----------
    shape : tuple of int
        ``(out_features, in_features)``, or ``(out_channels, in_channels, height, width)`` of a convolution,
        whose bound holds for every size of image, zero or circular padding, stride and dilation.
    weights : Law
        Their law.
    ratio : float
        Fraction to prune.
    count : int
        How many to prune, instead of `ratio`.
    method : {"magnitude", "random", "bernoulli"}
        How they are chosen.
    part : {"all", "kept", "removed"}
        What of the matrix.
    delta : float
        Probability that the norm is larger, above 0 and at most 1.

    Returns
    -------
    float
        The bound; infinity where nothing can be said.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Notes
    -----
    Propositions 2.6 to 2.15 of the theory page, Theorem 4 for convolutions, and Lemma 1.6.

    Examples
    --------
    >>> from rustprune import bounds
    >>> law = bounds.Normal(std=0.125)
    >>> whole = bounds.norm_bound((64, 64), law, 0.5, part="all")
    >>> removed = bounds.norm_bound((64, 64), law, 0.5)
    >>> 0 < removed < whole < 2.5
    True
    """
    layer = Layer(shape, weights)
    if (ratio is None) == (count is None):
        given = "neither" if count is None else "both"
        raise ValueError(f"expected exactly one of ratio and count, got {given}")
    if ratio is not None:
        count = _rustprune.num_pruned(layer.num_weights, number("ratio", ratio))
    if part not in ("all", "kept", "removed"):
        raise ValueError(f"part must be all, kept or removed, got {part!r}")
    network = Network([layer]).as_extension()
    [(bound, _)] = _rustprune.bound_spectral(network, [whole("count", count)], code(method), part, delta)
    return bound
