"""How one overall ratio is divided over layers: a number of entries to prune of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rustprune import _rustprune
from rustprune._arrays import Array, Batch, flat, floats
from rustprune._request import exactly_one, number, sizes, whole
from rustprune._select import num_pruned

ShapeRule: TypeAlias = Literal["uniform", "uniform_plus", "erdos_renyi", "erdos_renyi_kernel"]
Floats: TypeAlias = NDArray[np.float64]
Rule: TypeAlias = ShapeRule | Literal["lamp"]


def allocate(
    weights: Mapping[str, Array | Sequence[int]],
    ratio: float | None = None,
    *,
    count: int | None = None,
    rule: Rule = "erdos_renyi_kernel",
    min_kept: int | Mapping[str, int] = 0,
) -> dict[str, int]:
    """Return how many entries to prune of each layer, so that together they are exactly what a ratio means.

    Parameters
    ----------
    weights : mapping of str to array or to sequence of int
        The weights of each layer, arrays as for `mask`, or their shapes, ``(out, in, ...)``; in the order of
        the network.
    ratio : float
        Fraction of all entries to prune, in [0, 1].
    count : int
        How many of all entries to prune, instead of `ratio`.
    rule : {"uniform", "uniform_plus", "erdos_renyi", "erdos_renyi_kernel", "lamp"}
        What the density of a layer is proportional to: nothing, so that all are the same; the same, but
        the first convolution stays dense and the last layer keeps a fifth; ``(out + in) / (out * in)``; or
        ``sum(shape) / prod(shape)``. Where that is above 1 a layer stays dense and others share the rest.
        For "lamp" the entries of the largest `lamp_scores` of all layers are kept, which takes arrays.
    min_kept : int or mapping of str to int
        How many entries a layer keeps at least, all of a smaller one. What that takes comes from the others,
        in proportion. Not for "lamp", by which every layer keeps an entry as long as there are enough.

    Returns
    -------
    dict of str to int
        For each layer what ``rustprune.mask(weights, count=...)`` takes. They sum to
        ``num_pruned(total, ratio)``: each layer keeps the floor of its real share, and the entries that are
        left go to the largest fractional parts, of equal ones, and of equal scores, to the earlier layer.

    Raises
    ------
    TypeError, ValueError
        If a number or a word is not one named above; if both or neither of `ratio` and `count` are given; if
        what must be kept is more than what may be; if a weight is NaN.

    Notes
    -----
    Computed in whole numbers and fractions: exact for every size. The random graph rule is from [1]_, its
    form for convolutions from [2]_, ``uniform_plus`` from [3]_, ``lamp`` from [4]_, which reads the
    weights twice and holds no scores.

    References
    ----------
    .. [1] D. C. Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse
       connectivity inspired by network science", Nature Communications 9, 2383, 2018.
    .. [2] U. Evci, T. Gale, J. Menick, P. S. Castro and E. Elsen, "Rigging the lottery: making all tickets
       winners", ICML 2020, arXiv:1911.11134.
    .. [3] T. Gale, E. Elsen and S. Hooker, "The state of sparsity in deep neural networks", 2019,
       arXiv:1902.09574.
    .. [4] J. Lee, S. Park, S. Mo, S. Ahn and J. Shin, "Layer-adaptive sparsity for the magnitude-based
       pruning", ICLR 2021, arXiv:2010.07611.

    Examples
    --------
    >>> import rustprune
    >>> shapes = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
    >>> rustprune.allocate(shapes, 0.9)
    {'fc1': 216486, 'fc2': 23094, 'fc3': 0}
    """
    exactly_one(ratio=ratio, count=count)
    rules = (*get_args(ShapeRule), "lamp")
    if rule not in rules:
        raise ValueError(f"rule must be {' or '.join(rules)}, got {rule!r}")
    layers = {name: _shape(one) for name, one in weights.items()}
    lengths = {name: math.prod(shape) for name, shape in layers.items()}
    total = sum(lengths.values())
    pruned = num_pruned(total, number("ratio", ratio)) if count is None else whole("count", count)
    if rule == "lamp":
        return _lamp(weights, pruned, min_kept)
    least = _floors(rule, layers, lengths, min_kept)
    if not sum(least.values()) <= total - pruned <= total:
        raise ValueError(
            f"min_kept: expected at most {max(total - pruned, 0)} entries that must be kept,"
            f" got {sum(least.values())}"
        )
    shares = {name: _weight(rule, shape) for name, shape in layers.items()}
    kept = _rounded(_shares(shares, least, lengths, total - pruned), total - pruned)
    return {name: length - kept[name] for name, length in lengths.items()}


def ratio_for_compression(compression: float, size: int, prunable: int) -> float:
    """Return the ratio at which a model becomes so many times smaller, counted over all its parameters.

    Parameters
    ----------
    compression : float
        Number of all parameters over number of those that are not pruned, at least 1.
    size : int
        Number of all parameters: biases, norms and layers that are not pruned count.
    prunable : int
        Number of those that `ratio` is taken of, at most `size`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or if pruning everything that may be does not reach it: the message says
        what does.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.ratio_for_compression(4, size=1000, prunable=800)
    0.9375
    """
    size, prunable = whole("size", size), whole("prunable", prunable)
    if not 1 <= number("compression", compression) < math.inf:
        raise ValueError(f"compression must be at least 1 and finite, got {compression}")
    if not 0 < prunable <= size:
        raise ValueError(f"prunable must be in [1, size], {size}, got {prunable}")
    if (pruned := size - size / compression) > prunable:
        most = size / (size - prunable)
        raise ValueError(
            f"compression must be at most {most:.6g}, all that pruning can reach, got {compression}"
        )
    return pruned / prunable


def lamp_scores(weights: Array) -> Floats:
    """Return the layer-adaptive magnitude scores of one layer: of many, the largest are kept together.

    Parameters
    ----------
    weights : array
        As for `mask`.

    Returns
    -------
    array of float64
        Shaped like `weights`: the square of each entry over the sum of the squares that are at least as
        large. The largest score is 1; where all entries are 0 all scores are. The `k`-th infinity scores
        ``1 / k``.

    Raises
    ------
    TypeError, ValueError
        As from `mask`; if an entry is NaN.

    See Also
    --------
    allocate : ``rule="lamp"`` gives what a selection by these scores keeps of each layer, in less memory.

    Notes
    -----
    Equation 2 of [1]_. Of equal magnitudes the one of the lower index counts as the larger. Squares are
    summed from the largest down, by the arithmetic that `allocate` counts with.

    References
    ----------
    .. [1] J. Lee, S. Park, S. Mo, S. Ahn and J. Shin, "Layer-adaptive sparsity for the magnitude-based
       pruning", ICLR 2021, arXiv:2010.07611.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.lamp_scores(np.array([1.0, -1.0, 2.0]))
    array([0.2       , 0.16666667, 1.        ])
    """
    batch = Batch.of("weights", weights)
    dtypes, [words] = floats(batch)
    scores = np.empty(words.shape)
    _rustprune.lamp_scores(batch.names, dtypes, [flat(words)], [scores])
    return scores


def _lamp(
    weights: Mapping[str, Array | Sequence[int]], pruned: int, min_kept: int | Mapping[str, int]
) -> dict[str, int]:
    if min_kept:
        raise ValueError(f"min_kept must be left out with rule 'lamp', got {min_kept!r}")
    batch = Batch.of("weights", weights)
    dtypes, arrays = floats(batch)
    counts = _rustprune.lamp_counts(batch.names, dtypes, [flat(words) for words in arrays], pruned)
    return dict(zip(weights, counts, strict=True))


def _shape(weights: Array | Sequence[int]) -> tuple[int, ...]:
    return sizes(weights if isinstance(weights, Sequence) else getattr(weights, "shape", ()))


def _weight(rule: Rule, shape: tuple[int, ...]) -> int:
    """Return what the share of a layer is proportional to, a whole number for every rule."""
    length = math.prod(shape)
    if rule == "erdos_renyi_kernel":
        return sum(shape)
    if rule == "erdos_renyi" and length and len(shape) > 1:
        return sum(shape[:2]) * math.prod(shape[2:])
    return length


def _floors(
    rule: Rule,
    layers: Mapping[str, tuple[int, ...]],
    lengths: Mapping[str, int],
    min_kept: int | Mapping[str, int],
) -> dict[str, int]:
    """Return how many entries of each layer must be kept."""
    if isinstance(min_kept, Mapping):
        if odd := sorted({*min_kept} - {*layers}):
            raise ValueError(f"min_kept: expected names of layers, got {odd}")
        asked = {name: whole("min_kept", min_kept.get(name, 0)) for name in layers}
    else:
        asked = dict.fromkeys(layers, whole("min_kept", min_kept))
    if rule == "uniform_plus" and layers:
        *_, last = layers
        asked[last] = max(asked[last], -(-lengths[last] // 5))
        if first := next((name for name, shape in layers.items() if len(shape) > 2), None):
            asked[first] = lengths[first]
    return {name: min(asked[name], length) for name, length in lengths.items()}


def _shares(
    weights: Mapping[str, int], least: Mapping[str, int], most: Mapping[str, int], kept: int
) -> dict[str, Fraction]:
    """Return shares in proportion to weights, between bounds, that sum to what is kept."""

    def at(scale: Fraction) -> dict[str, Fraction]:
        return {
            name: min(max(scale * weight, Fraction(least[name])), Fraction(most[name]))
            for name, weight in weights.items()
        }

    # The sum rises with the scale along lines that bend where a layer meets a bound.
    bends = {
        Fraction(bound[name], weight) for bound in (least, most) for name, weight in weights.items() if weight
    }
    low, high = Fraction(0), max(bends, default=Fraction(0))
    ordered = sorted({low, *bends})
    first, last = 0, len(ordered) - 1
    while first < last:
        middle = (first + last) // 2
        if sum(at(ordered[middle]).values()) < kept:
            first = middle + 1
        else:
            last = middle
    low, high = ordered[max(first - 1, 0)], ordered[first]
    below, above = sum(at(low).values()), sum(at(high).values())
    if above == below:
        return at(high)
    return at(low + (high - low) * (kept - below) / (above - below))


def _rounded(shares: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Round by largest remainder."""
    rounded = {name: math.floor(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: rounded[name] - shares[name])
    for name in by_remainder[: total - sum(rounded.values())]:
        rounded[name] += 1
    return rounded
