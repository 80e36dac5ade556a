"""Bounds of the spectral norm of one random matrix, and of what pruning keeps and removes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from rustprune import _rustprune
from rustprune._request import exactly_one, number, whole
from rustprune.bounds._estimate import code, requested
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
    circular: tuple[int, int] | None = None,
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
    circular : tuple of int, optional
        Height and width of images, for a bound of a convolution with circular padding and stride 1 alone: a
        little lower than that for all.
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
    exactly_one(ratio=ratio, count=count)
    layer = Layer(shape, weights)
    counts = requested(Network([layer]), ratio, None if count is None else [whole("count", count)])
    facts = layer.facts(0)
    if circular is not None:
        height, width = (whole("circular", length) for length in circular)
        if len(layer.shape) != 4 or not height * width:
            raise ValueError(
                f"circular must be a height and a width of images, got {circular}, shape {shape}"
            )
        facts["circular"] = height, width
    network = _rustprune.BoundNetwork([weights.spec(*layer.fans)], [facts], None)
    [(bound, _)] = _rustprune.bound_spectral(network, counts, code(method), part, number("delta", delta))
    return bound
