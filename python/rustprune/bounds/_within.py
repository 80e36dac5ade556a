"""How much of given weights may be pruned within a certified margin (section 4.4 with Theorem 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rustprune._arrays import Batch, floats
from rustprune._request import number
from rustprune._select import mask
from rustprune.bounds._certify import Certificate, certified, linear_layers
from rustprune.bounds._steps import chain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from rustprune._arrays import Arrays, Bools
    from rustprune.bounds._steps import Affine


@dataclass(frozen=True, slots=True)
class CertifiedAllocation:
    """Masks whose network is certified to stay within a margin.

    Parameters
    ----------
    masks : dict, tuple or list of arrays
        True = kept, in the container of the weights.
    counts : tuple of int
        How many weights of each layer are pruned.
    certificate : Certificate
        Of these masks.
    """

    masks: dict[str, Bools] | list[Bools] | tuple[Bools, ...] | Bools
    counts: tuple[int, ...]
    certificate: Certificate


def allocate_certified(
    weights: Arrays,
    *,
    epsilon: float,
    activation: str | Sequence[str] = "relu",
    output_activation: str = "identity",
    biases: Sequence[ArrayLike | None] | None = None,
    radius: float = 1.0,
    center: ArrayLike | None = None,
    delta: float = 1e-9,
    seed: int = 0,
) -> CertifiedAllocation:
    """Prune as many weights of least magnitude as a certificate allows.

    Nothing is assumed of the weights: they may be trained.

    Parameters
    ----------
    weights : mapping or sequence of arrays
        Of each layer in the order in which they are applied, ``(out_features, in_features)``.
    epsilon : float
        The margin: the outputs of both networks differ by at most this in Euclidean norm over the ball.
    activation, output_activation, biases, radius, center, delta, seed
        As for `certify`.

    Returns
    -------
    CertifiedAllocation
        The masks, and their certificate, whose bound is at most `epsilon`. Found by bisection: of one budget
        over all layers, and then of each layer, the largest first. More may be possible. Where not even one
        weight may go, nothing is pruned.

    Raises
    ------
    TypeError, ValueError
        As from `certify`.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.standard_normal((16, 8)) / 8, rng.standard_normal((4, 16)) / 8]
    >>> found = bounds.allocate_certified(weights, epsilon=0.1)
    >>> found.certificate.epsilon.value <= 0.1, sum(found.counts) > 0
    (True, True)
    """
    margin = number("epsilon", epsilon)
    batch = Batch.of("weights", weights)
    _, arrays = floats(batch)
    sizes = [array.size for array in arrays]
    kept = batch.rebuild([np.ones(array.shape, bool) for array in arrays])
    layers = linear_layers(weights, kept, activation, output_activation, biases)
    middle = None if center is None else np.ascontiguousarray(center, np.float64).reshape(-1)

    def certificate(masks: list[Bools]) -> Certificate:
        return certified(
            chain(with_masks(layers, masks)), number("radius", radius), middle, delta=delta, seed=seed
        )

    def met(masks: list[Bools]) -> bool:
        return certificate(masks).epsilon.value <= margin

    items = list(batch.items)
    together = last_met(sum(sizes), lambda count: met(of_all(items, count)))
    masks = of_all(items, together)
    for at in sorted(range(len(sizes)), key=lambda at: -sizes[at]):
        base = int(sizes[at] - masks[at].sum())
        more = last_met(
            sizes[at] - base,
            lambda more, before=masks, at=at, base=base: met(replaced(items, before, at, base + more)),  # type: ignore[misc]
        )
        masks = replaced(items, masks, at, base + more)
    counts = tuple(int(size - it.sum()) for size, it in zip(sizes, masks, strict=True))
    return CertifiedAllocation(batch.rebuild(masks), counts, certificate(masks))


def with_masks(layers: list[Affine], masks: list[Bools]) -> list[Affine]:
    """Return the layers with other masks."""
    pairs = zip(layers, masks, strict=True)
    return [layer._replace(mask=it.view(np.uint8).reshape(-1), row_len=None) for layer, it in pairs]


def of_all(items: list[object], count: int) -> list[Bools]:
    """Return masks that prune so many weights of all layers together."""
    found = mask(items, count=count, scope="global")  # type: ignore[call-overload]
    return [np.asarray(it) for it in found]


def replaced(items: list[object], masks: list[Bools], at: int, count: int) -> list[Bools]:
    """Return the masks with another for one layer, which prunes so many of its weights."""
    found = np.asarray(mask(items[at], count=count))  # type: ignore[call-overload]
    return [*masks[:at], found, *masks[at + 1 :]]


def last_met(most: int, is_met: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that bisection finds to be met; 0 is."""
    if is_met(most):
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_met(middle) else (low, middle)
    return low
