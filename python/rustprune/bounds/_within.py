"""How much of given weights may be pruned within a certified margin (section 4.4 with Theorem 5)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rustprune._arrays import Batch, floats
from rustprune._request import number
from rustprune._select import mask
from rustprune.bounds._certify import Certificate, certified, linear_layers
from rustprune.bounds._files import bias_of, chain_of, read, widened
from rustprune.bounds._inverse import allocation_table
from rustprune.bounds._steps import chain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from rustprune._arrays import Arrays, Bools
    from rustprune.bounds._steps import Affine


STEPS = 10
"""Of a bisection: a part in 1,024."""

FAR = 2.0
"""How many times the margin a bound from norms alone may be to be looked at with all that there is."""


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
    names : tuple of str
        What the layers are called.
    sizes : tuple of int
        How many weights each layer has.
    """

    masks: dict[str, Bools] | list[Bools] | tuple[Bools, ...] | Bools
    counts: tuple[int, ...]
    certificate: Certificate
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def sparsity(self) -> float:
        """The fraction of all weights that is pruned."""
        return sum(self.counts) / max(sum(self.sizes), 1)

    def as_dict(self) -> dict[str, object]:
        """Return what JSON can hold of it: counts and the certificate, without the masks."""
        rows = zip(self.names, self.counts, self.sizes, strict=True)
        layers = [{"name": name, "num_pruned": count, "num_entries": size} for name, count, size in rows]
        return {"layers": layers, "sparsity": self.sparsity, "certificate": self.certificate.as_dict()}

    def __str__(self) -> str:
        """Return a table of the layers, and the certificate."""
        lines = allocation_table(self.names, self.counts, self.sizes)
        return "\n".join([*lines, str(self.certificate)])


def allocate_certified(
    weights: Arrays | str | Path,
    *,
    epsilon: float,
    activation: str | Sequence[str] = "relu",
    output_activation: str = "identity",
    biases: Sequence[ArrayLike | None] | None = None,
    radius: float = 1.0,
    center: ArrayLike | None = None,
    delta: float = 1e-9,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CertifiedAllocation:
    """Prune as many weights of least magnitude as a certificate allows.

    Nothing is assumed of the weights: they may be trained.

    Parameters
    ----------
    weights : mapping or sequence of arrays, or path
        Of each layer in the order in which they are applied, ``(out_features, in_features)``; or a
        safetensors file or Hugging Face directory of a fully connected network, whose matrices named
        ``*.weight`` follow each other in the order of their names, digits as numbers, with their biases.
    epsilon : float
        The margin: the outputs of both networks differ by at most this in Euclidean norm over the ball.
    activation, output_activation, biases, radius, center, delta, seed
        As for `certify`; biases are those of the file where `weights` is a path.
    progress : callable, optional
        Called with how many certificates were made, and how many are made at most.

    Returns
    -------
    CertifiedAllocation
        The masks, and their certificate, whose bound is at most `epsilon`. Found by bisection: of one budget
        over all layers, and then of each layer, the largest first, each to a thousandth of its size. More may
        be possible. Where not even that may go, nothing is pruned.

    Raises
    ------
    TypeError, ValueError
        As from `certify`; if the tensors of a file are no chain of linear layers.
    FileNotFoundError, OSError
        If a file is missing or cannot be read.

    Notes
    -----
    Section 4.4 with Theorem 5 of the theory page.

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
    if isinstance(weights, str | Path):
        if biases is not None:
            raise ValueError("biases must be left out for a path, whose file has them")
        weights, biases = chain_of_file(Path(weights))
    batch = Batch.of("weights", weights)
    _, arrays = floats(batch)
    sizes = [array.size for array in arrays]
    kept = batch.rebuild([np.ones(array.shape, bool) for array in arrays])
    layers = linear_layers(weights, kept, activation, output_activation, biases)
    middle = None if center is None else np.ascontiguousarray(center, np.float64).reshape(-1)

    def certificate(masks: list[Bools], *, quick: bool = False) -> Certificate:
        graph = chain(with_masks(layers, masks))
        sweeps = 0 if quick else 3
        ball = number("radius", radius), middle
        return certified(graph, *ball, joint=not quick, sweeps=sweeps, delta=delta, seed=seed)

    most = sum(tries(size) for size in [sum(sizes), *sizes])
    done = itertools.count(1)

    def met(masks: list[Bools]) -> bool:
        if progress is not None:
            progress(min(next(done), most), most)
        # What only norms say is often enough, and costs a tenth for large matrices.
        first = certificate(masks, quick=True).epsilon.value
        near = margin < first <= FAR * margin
        return certificate(masks).epsilon.value <= margin if near else first <= margin

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
    found = batch.rebuild(masks)
    return CertifiedAllocation(found, counts, certificate(masks), tuple(batch.names), tuple(sizes))


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


def chain_of_file(src: Path) -> tuple[dict[str, NDArray[np.float64]], list[NDArray[np.float64] | None]]:
    """Return the matrices of a fully connected network by name, and their biases."""
    tensors = read(src)
    layers, reason = chain_of(tensors)
    if reason:
        raise ValueError(f"{src}: {reason}")
    return {it.name: widened(it) for it in layers}, [bias_of(tensors, it) for it in layers]


def tries(most: int) -> int:
    """Return how many numbers `last_met` asks about at most."""
    return 1 + min(max(most - 1, 0).bit_length(), STEPS)


def last_met(most: int, is_met: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that bisection finds to be met, in so many steps; 0 is."""
    if is_met(most):
        return most
    low, high = 0, most
    for _ in range(STEPS):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        low, high = (middle, high) if is_met(middle) else (low, middle)
    return low
