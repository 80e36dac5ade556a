"""Random masks of a shape, no weights needed."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np

from rustprune import _rustprune
from rustprune._arrays import Bools, Bytes, new_mask
from rustprune._request import NofM, ShapeLike, amount, groups, sizes, whole


@overload
def random_mask(
    shape: ShapeLike,
    ratio: float | None = ...,
    *,
    count: int | None = ...,
    seed: int,
    pattern: str | NofM | None = ...,
    packed: Literal[False] = ...,
    bernoulli: bool = ...,
) -> Bools: ...
@overload
def random_mask(
    shape: ShapeLike,
    ratio: float | None = ...,
    *,
    count: int | None = ...,
    seed: int,
    pattern: str | NofM | None = ...,
    packed: Literal[True],
    bernoulli: bool = ...,
) -> Bytes: ...
def random_mask(
    shape: ShapeLike,
    ratio: float | None = None,
    *,
    count: int | None = None,
    seed: int,
    pattern: str | NofM | None = None,
    packed: bool = False,
    bernoulli: bool = False,
) -> Bools | Bytes:
    """Return a random mask that prunes a given number of entries.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of the mask.
    ratio : float
        Fraction to prune, in [0, 1]: of `n` entries, exactly ``num_pruned(n, ratio)``.
    count : int
        How many entries to prune, instead of `ratio`.
    seed : int
        In [0, 2**64).
    pattern : str or NofM, optional
        Keep ``"N:M"``, N of every M consecutive entries, instead of a `ratio` or `count`.
    packed : bool
        Return 8 entries to a byte, as by ``numpy.packbits(mask, axis=-1, bitorder="little")``.
    bernoulli : bool
        Prune each entry with probability `ratio`, rounded to a multiple of ``2**-32``, independently of the
        others, instead of an exact number.

    Returns
    -------
    array of bool, or of uint8 if packed
        True = kept.

    Raises
    ------
    TypeError
        If something is not of a type named above.
    ValueError
        If a number is out of range; if both or neither of `ratio` and `count` are given, or one with a
        pattern, or `count` or `pattern` with `bernoulli`; if a group does not divide its axis.

    Notes
    -----
    Every set of the number of entries asked for has the same probability, and so has every choice of N in
    each group. The mask is a function of the parameters, and the same as ``mask(weights, ratio,
    method="random", seed=seed)`` of one array of that shape. Bits come from Philox4x32-10 [1]_; they do not
    depend on the number of threads or the instruction set.

    References
    ----------
    .. [1] J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
       3", SC 2011.

    Examples
    --------
    >>> import rustprune
    >>> kept = rustprune.random_mask((4, 6), 0.25, seed=1)
    >>> int(kept.sum())
    18
    """
    lengths = sizes(shape)
    if bernoulli and (count is not None or pattern is not None):
        raise ValueError(f"count and pattern must be left out with bernoulli, got {count=}, {pattern=}")
    ratio, count = amount(ratio, count)
    [grouped], axis = groups(pattern, ["shape"], [lengths])
    made = new_mask(lengths, packed=packed)
    output = made.view(np.uint8)
    _rustprune.random_mask(grouped, output, packed, ratio, count, axis, whole("seed", seed), bernoulli)
    return made
