"""Whether given weights look as the a-priori bounds assume: independent, symmetric, of the law named."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rustprune._request import whole
from rustprune.bounds._laws import Laplace, Law, Normal, Tabulated, Uniform
from rustprune.bounds._network import each

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Floats: TypeAlias = NDArray[np.float64]

A_PRIORI = "Theorems 1 to 4 and 6 and the mean-square law (a priori: independent weights)"
A_POSTERIORI = "Theorem 5 (these weights and masks), Proposition 2.8 (these weights, random masks)"


@dataclass(frozen=True, slots=True)
class LayerDiagnosis:
    """p-values of the assumptions about one layer; each is valid for every size of the layer.

    Parameters
    ----------
    name : str
        What messages call it.
    law : float or None
        That the magnitudes have the law named: the distance of the distribution functions, by the inequality
        of Dvoretzky, Kiefer, Wolfowitz and Massart. None if none was named.
    signs : float
        That positive and negative weights are equally likely, by Hoeffding's inequality.
    rows : float
        That entries may be exchanged: the largest share that a row or column has of the sum of squares,
        against permutations of the entries.
    spectrum : float
        That entries may be exchanged and signs flipped: the length of a vector after steps of the power
        iteration, against permutations.
    """

    name: str
    law: float | None
    signs: float
    rows: float
    spectrum: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How far weights are from what the a-priori bounds assume.

    Parameters
    ----------
    layers : tuple of LayerDiagnosis
        Of each layer.
    couplings : tuple of float
        p-values that each two neighbouring layers are independent: whether neurons with large incoming
        weights have large outgoing ones, against permutations of the neurons.
    permuted : float
        The p-value of all permutation tests together: of the largest of their statistics, each in units of
        its own spread.
    alpha : float
        Below which a p-value rejects.
    """

    layers: tuple[LayerDiagnosis, ...]
    couplings: tuple[float, ...]
    permuted: float
    alpha: float

    @property
    def p_value(self) -> float:
        """The p-value of everything, by Bonferroni over laws, signs and permutations."""
        others = [it for layer in self.layers for it in (layer.law, layer.signs) if it is not None]
        return min(1.0, 2 * min(self.permuted, len(others) * min(others)))

    @property
    def rejected(self) -> bool:
        """Whether independence of the law named is rejected."""
        return self.p_value < self.alpha

    @property
    def bounds(self) -> tuple[str, ...]:
        """Which bounds hold: a law that is not rejected is still an assumption."""
        return (A_POSTERIORI,) if self.rejected else (A_PRIORI, A_POSTERIORI)

    def __str__(self) -> str:
        """Return a table of the p-values and what follows from them."""
        lines = [f"{'layer':20} {'law':>9} {'signs':>9} {'rows':>9} {'spectrum':>9}"]
        for it in self.layers:
            law = "-" if it.law is None else f"{it.law:.2g}"
            lines.append(f"{it.name:20} {law:>9} {it.signs:9.2g} {it.rows:9.2g} {it.spectrum:9.2g}")
        lines += [f"layers {at} and {at + 1}: {value:.2g}" for at, value in enumerate(self.couplings)]
        verdict = "rejected" if self.rejected else "not rejected"
        lines.append(f"independent weights of that law: {verdict} at {self.alpha:g} (p = {self.p_value:.2g})")
        return "\n".join([*lines, "bounds that hold:", *(f"  {it}" for it in self.bounds)])


def diagnose(
    weights: Sequence[ArrayLike],
    laws: Law | Sequence[Law] | None = None,
    *,
    alpha: float = 0.01,
    permutations: int = 499,
    seed: int = 0,
) -> Diagnosis:
    """Test whether the weights of a network are independent and of a law, as the a-priori bounds assume.

    Training breaks the assumption; this says how clearly. A test that does not reject proves nothing: the
    assumption stays one.

    Parameters
    ----------
    weights : sequence of arrays
        Of each layer, ``(out_features, in_features)``; of convolutions with any axes after these.
    laws : Law, or sequence of them, optional
        The law of all layers, or of each.
    alpha : float
        Below which a p-value rejects.
    permutations : int
        How many the permutation tests draw: no p-value of theirs is below ``1 / (permutations + 1)``.
    seed : int
        In [0, 2**64): the same seed, the same p-values.

    Returns
    -------
    Diagnosis
        The p-values, and which bounds hold.

    Raises
    ------
    TypeError, ValueError
        If something is not as said.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> fresh = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 30))
    >>> bounds.diagnose([fresh], bounds.Uniform(bound=0.5)).rejected
    False
    >>> bounds.diagnose([fresh + 0.25], bounds.Uniform(bound=0.5)).rejected
    True
    """
    matrices = [matrix(position, array) for position, array in enumerate(weights)]
    if not matrices:
        raise ValueError("weights must be one array or more, got none")
    named: list[Law | None] = (
        [None] * len(matrices) if laws is None else list(each("laws", laws, len(matrices)))
    )
    rng = np.random.Generator(np.random.Philox(whole("seed", seed)))
    count = whole("permutations", permutations)
    entries = [permuted_entries(it, count, rng) for it in matrices]
    pairs = [(one, two) for one, two in itertools.pairwise(matrices) if two.shape[1] == one.shape[0]]
    couplings = [permuted_neurons(one, two, count, rng) for one, two in pairs]
    together = np.concatenate([*entries, *couplings])
    spreads = together.std(axis=1, keepdims=True)
    scaled = (together - together.mean(axis=1, keepdims=True)) / np.where(spreads > 0, spreads, 1)
    layers = [
        LayerDiagnosis(
            name=f"weights[{position}]",
            law=None if law is None else law_p_value(np.sort(np.abs(it).ravel()), law, it.shape),
            signs=signs_p_value(it),
            rows=permutation_p_value(found[0]),
            spectrum=permutation_p_value(found[1]),
        )
        for position, (it, law, found) in enumerate(zip(matrices, named, entries, strict=True))
    ]
    return Diagnosis(
        layers=tuple(layers),
        couplings=tuple(permutation_p_value(found[0]) for found in couplings),
        permuted=permutation_p_value(scaled.max(axis=0)),
        alpha=alpha,
    )


def matrix(position: int, array: ArrayLike) -> Floats:
    """Return weights as a matrix of float64."""
    values = np.asarray(array, np.float64)
    if values.ndim < 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"weights[{position}] must be finite numbers of two axes or more, got {values.shape}"
        )
    return values.reshape(len(values), -1)


def permuted_entries(weights: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return two statistics of the weights and of so many permutations of them, shape (2, count + 1)."""
    start = rng.standard_normal((weights.shape[1],))
    found = np.empty((2, count + 1))
    found[:, 0] = largest_share(weights), stretch(weights, start)
    entries = weights.ravel().copy()
    for at in range(1, count + 1):
        rng.shuffle(entries)
        shuffled = entries.reshape(weights.shape)
        signs = rng.integers(2, size=weights.shape, dtype=np.int8) * 2 - 1
        found[:, at] = largest_share(shuffled), stretch(shuffled * signs, start)
    return found


def largest_share(weights: Floats) -> float:
    """Return the largest sum of squares of a row or column, in units of their mean."""
    squares = weights**2
    rows, columns = squares.sum(1), squares.sum(0)
    mean = rows.sum() or 1.0
    return float(max(rows.max() * len(rows), columns.max() * len(columns)) / mean)


def stretch(weights: Floats, x: Floats) -> float:
    """Return a lower estimate of the spectral norm, by a few steps of the power iteration from `x`."""
    for _ in range(4):
        x = weights.T @ (weights @ x)
        x = x / (np.linalg.norm(x) or 1.0)
    return float(np.linalg.norm(weights @ x))


def permuted_neurons(before: Floats, after: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return how incoming and outgoing norms go together, then in permutations, shape (1, count + 1)."""
    incoming, outgoing = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=0)
    incoming = incoming - incoming.mean()
    orders = [incoming, *(rng.permutation(incoming) for _ in range(count))]
    agreement: Floats = np.abs(np.asarray(orders) @ outgoing)
    return agreement[np.newaxis]


def permutation_p_value(statistics: Floats) -> float:
    """Return the p-value of the first of exchangeable statistics being large."""
    return float((statistics >= statistics[0]).mean())


def signs_p_value(weights: Floats) -> float:
    """Return the p-value of the number of positive weights."""
    positive = float((weights > 0).mean() + 0.5 * (weights == 0).mean())
    return min(1.0, 2 * math.exp(-2 * weights.size * (positive - 0.5) ** 2))


def law_p_value(magnitudes: Floats, law: Law, shape: tuple[int, int]) -> float:
    """Return the p-value of sorted magnitudes under a law."""
    levels = distribution(law, magnitudes, shape)
    size = len(magnitudes)
    steps = np.arange(size + 1) / size
    distance = float(max((steps[1:] - levels).max(), (levels - steps[:-1]).max()))
    return min(1.0, 2 * math.exp(-2 * size * distance**2))


def distribution(law: Law, magnitudes: Floats, shape: tuple[int, int]) -> Floats:
    """Return the probability of a magnitude at most each of these."""
    match law:
        case Uniform():
            return np.clip(magnitudes / law.half_width(*shape), 0, 1)
        case Normal():
            scaled = magnitudes / (law.deviation(shape[1]) * math.sqrt(2))
            return np.asarray([math.erf(it) for it in scaled.tolist()])
        case Laplace():
            return -np.expm1(-magnitudes / law.scale)
        case Tabulated():
            step = np.searchsorted(law.quantiles, magnitudes, side="right")
            return np.concatenate([[0.0], law.levels])[step]
