"""Masks that keep the entries of highest score: `mask` by magnitude or at random, `select` by any score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack, overload

from rustprune import _rustprune
from rustprune._arrays import (
    Array,
    Arrays,
    Batch,
    Bools,
    Bytes,
    check_disjoint,
    existing_masks,
    flat,
    floats,
    given_masks,
    new_masks,
)
from rustprune._request import (
    Asked,
    Counts,
    MaskOptions,
    Method,
    Nan,
    NofM,
    Scope,
    SelectOptions,
    checked,
    number,
    score_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

Ratio: TypeAlias = float | None


@overload
def mask(
    weights: Tensor, ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[MaskOptions]
) -> Tensor: ...
@overload
def mask(
    weights: Array, ratio: Ratio = ..., *, packed: Literal[False] = ..., **rest: Unpack[MaskOptions]
) -> Bools: ...
@overload
def mask(
    weights: Array, ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[MaskOptions]
) -> Bytes: ...
@overload
def mask(
    weights: Array, ratio: Ratio = ..., *, packed: bool, **rest: Unpack[MaskOptions]
) -> Bools | Bytes: ...
@overload
def mask(
    weights: Mapping[str, Tensor], ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[MaskOptions]
) -> dict[str, Tensor]: ...
@overload
def mask(
    weights: Mapping[str, Array],
    ratio: Ratio = ...,
    *,
    packed: Literal[False] = ...,
    **rest: Unpack[MaskOptions],
) -> dict[str, Bools]: ...
@overload
def mask(
    weights: Mapping[str, Array], ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[MaskOptions]
) -> dict[str, Bytes]: ...
@overload
def mask(
    weights: Mapping[str, Array], ratio: Ratio = ..., *, packed: bool, **rest: Unpack[MaskOptions]
) -> dict[str, Bools | Bytes]: ...
@overload
def mask(
    weights: Sequence[Tensor], ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[MaskOptions]
) -> Sequence[Tensor]: ...
@overload
def mask(
    weights: Sequence[Array], ratio: Ratio = ..., *, packed: Literal[False] = ..., **rest: Unpack[MaskOptions]
) -> Sequence[Bools]: ...
@overload
def mask(
    weights: Sequence[Array], ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[MaskOptions]
) -> Sequence[Bytes]: ...
@overload
def mask(
    weights: Sequence[Array], ratio: Ratio = ..., *, packed: bool, **rest: Unpack[MaskOptions]
) -> Sequence[Bools | Bytes]: ...
def mask(
    weights: Arrays,
    ratio: float | None = None,
    *,
    count: Counts | None = None,
    method: Method = "magnitude",
    scope: Scope = "tensor",
    pattern: str | NofM | None = None,
    where: Arrays | None = None,
    nan: Nan = "raise",
    seed: int | None = None,
    packed: bool = False,
    out: Arrays | None = None,
) -> object:
    """Return which entries of the weights are kept when a given number of them is pruned.

    Parameters
    ----------
    weights : array, or mapping or sequence of arrays
        NumPy arrays, torch CPU tensors, or anything with ``__dlpack__`` in CPU memory; of dtype float64,
        float32, float16, bfloat16, float8_e4m3fn or float8_e5m2; of any shape, layout and byte order. Only
        what is not contiguous in native byte order is copied. Tensors that require a gradient are read as if
        detached.
    ratio : float
        Fraction to prune, in [0, 1]: of `n` entries, ``num_pruned(n, ratio)``.
    count : int, or mapping or sequence of int
        How many entries to prune, instead of `ratio`: a number for all, or one for each array in a container
        like theirs, as from `allocate`; then `scope` is left out.
    method : {"magnitude", "random"}
        What is kept: the largest ``abs(weights)``, or a uniformly random set.
    scope : {"row", "tensor", "global"}
        What `ratio` or `count` is taken of: each row of the matrix view ``(shape[0], -1)`` (an array of fewer
        than two dimensions is one row), each array, or all arrays together.
    pattern : str or NofM, optional
        Keep ``"N:M"``, N of every M consecutive entries, instead of a `ratio` or `count` and a `scope`.
    where : like the result, optional
        An existing mask, plain or packed. What it prunes stays pruned and counts towards the number asked
        for.
    nan : {"raise", "keep", "prune"}
        Whether NaN is an error, ranks above infinity, or below everything. Not looked at where `where`
        prunes, nor by the random method.
    seed : int
        For the random method, in [0, 2**64).
    packed : bool
        Return 8 entries to a byte, as by ``numpy.packbits(mask, axis=-1, bitorder="little")``.
    out : like the result, optional
        Write the mask there, in row-major order, and return it. Must not share memory with `weights` or
        `where`.

    Returns
    -------
    array, or dict, tuple or list of arrays
        True = kept, in the container and shape of `weights`: bool NumPy arrays, bool tensors for tensors;
        uint8 if packed, with ``ceil(n / 8)`` bytes for a last axis of `n`. Large NumPy masks of one call lie
        in one block of memory, which lives as long as any of them.

    Raises
    ------
    TypeError
        If something is not of a type or dtype named above, not in CPU memory, or `out` cannot be written.
    ValueError
        If `ratio` is outside [0, 1]; if both or neither of `ratio` and `count` are given; if more entries
        than there are, or fewer than `where` prunes, are to be pruned; if a group does not divide its axis;
        if there is NaN under ``nan="raise"``; if a shape or a word is not one named above. Nothing has been
        written then.

    See Also
    --------
    select : the same by a score of your own.
    prune_ : write the zeros instead of a mask.

    Notes
    -----
    The kept set is the prefix of the total order (score descending, position ascending), of exactly the
    length asked for: of equal scores the lowest row-major index is kept first, in an earlier array before a
    later one. It does not depend on the number of threads or the instruction set. ``-0.0`` equals ``0.0``,
    and subnormals are never flushed.

    A random mask is a function of seed, shape, number to prune, and the array's key in a mapping or else its
    position.

    Time is linear in the number of entries, and extra memory below 0.1 byte per entry, beyond copies of what
    is not contiguous and a byte per entry of a packed `where`. Ctrl-C ends the call.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.mask(np.array([0.5, -2.0, 0.25, 1.0]), 0.5)
    array([False,  True, False,  True])
    >>> rustprune.mask({"a": np.ones(3), "b": np.ones(1)}, count=2, scope="global")
    {'a': array([ True,  True, False]), 'b': array([False])}
    """
    return _mask(
        Batch.of("weights", weights),
        where,
        out,
        packed=packed,
        score=score_of(method),
        scope=scope,
        ratio=ratio,
        count=count,
        pattern=pattern,
        nan=nan,
        seed=seed,
    )


@overload
def select(
    scores: Tensor, ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[SelectOptions]
) -> Tensor: ...
@overload
def select(
    scores: Array, ratio: Ratio = ..., *, packed: Literal[False] = ..., **rest: Unpack[SelectOptions]
) -> Bools: ...
@overload
def select(
    scores: Array, ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[SelectOptions]
) -> Bytes: ...
@overload
def select(
    scores: Array, ratio: Ratio = ..., *, packed: bool, **rest: Unpack[SelectOptions]
) -> Bools | Bytes: ...
@overload
def select(
    scores: Mapping[str, Tensor], ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[SelectOptions]
) -> dict[str, Tensor]: ...
@overload
def select(
    scores: Mapping[str, Array],
    ratio: Ratio = ...,
    *,
    packed: Literal[False] = ...,
    **rest: Unpack[SelectOptions],
) -> dict[str, Bools]: ...
@overload
def select(
    scores: Mapping[str, Array], ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[SelectOptions]
) -> dict[str, Bytes]: ...
@overload
def select(
    scores: Mapping[str, Array], ratio: Ratio = ..., *, packed: bool, **rest: Unpack[SelectOptions]
) -> dict[str, Bools | Bytes]: ...
@overload
def select(
    scores: Sequence[Tensor], ratio: Ratio = ..., *, packed: bool = ..., **rest: Unpack[SelectOptions]
) -> Sequence[Tensor]: ...
@overload
def select(
    scores: Sequence[Array],
    ratio: Ratio = ...,
    *,
    packed: Literal[False] = ...,
    **rest: Unpack[SelectOptions],
) -> Sequence[Bools]: ...
@overload
def select(
    scores: Sequence[Array], ratio: Ratio = ..., *, packed: Literal[True], **rest: Unpack[SelectOptions]
) -> Sequence[Bytes]: ...
@overload
def select(
    scores: Sequence[Array], ratio: Ratio = ..., *, packed: bool, **rest: Unpack[SelectOptions]
) -> Sequence[Bools | Bytes]: ...
def select(
    scores: Arrays,
    ratio: float | None = None,
    *,
    count: Counts | None = None,
    scope: Scope = "tensor",
    pattern: str | NofM | None = None,
    where: Arrays | None = None,
    nan: Nan = "raise",
    packed: bool = False,
    out: Arrays | None = None,
) -> object:
    """Return which entries are kept when a given number of them, those of lowest score, is pruned.

    Parameters
    ----------
    scores : array, or mapping or sequence of arrays
        The score of each entry, signed: the larger is kept first. Arrays as for `mask`.
    ratio, count, scope, pattern, where, nan, packed, out
        As for `mask`.

    Returns
    -------
    array, or dict, tuple or list of arrays
        As from `mask`, with the same promises: ``mask(weights, ...)`` is ``select(abs(weights), ...)``.

    Raises
    ------
    TypeError, ValueError
        As from `mask`.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.select(np.array([0.5, -2.0, 0.25, 1.0]), 0.5)
    array([ True, False, False,  True])
    """
    return _mask(
        Batch.of("scores", scores),
        where,
        out,
        packed=packed,
        score="value",
        scope=scope,
        ratio=ratio,
        count=count,
        pattern=pattern,
        nan=nan,
        seed=None,
    )


def num_pruned(n: int, ratio: float) -> int:
    """Return how many of `n` entries a ratio prunes.

    Parameters
    ----------
    n : int
        Number of entries, in [0, 2**64).
    ratio : float
        Fraction to prune, in [0, 1].

    Returns
    -------
    int
        ``round(ratio * n)``, the product in double precision, halves to the even number.

    Raises
    ------
    TypeError
        If `n` is not an int or `ratio` not a number.
    ValueError
        If one of them is out of range.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.num_pruned(5, 0.5), rustprune.num_pruned(7, 0.5)
    (2, 4)
    """
    return _rustprune.num_pruned(whole("n", n), number("ratio", ratio))


def _mask(batch: Batch, where: object, out: object, *, packed: bool, **asked: Unpack[Asked]) -> object:
    dtypes, arrays = floats(batch)
    shapes = [words.shape for words in arrays]
    grouped, request, counts = checked(batch, shapes, **asked)
    kept = existing_masks(batch, where, shapes)
    entries = [flat(words) for words in arrays]
    if out is None:
        result, outputs = new_masks(batch, shapes, packed=packed)
    else:
        result, outputs = out, given_masks(batch.match("out", out), shapes, packed=packed)
        check_disjoint(
            batch.label("out of ", outputs), batch.label("", arrays) | batch.label("where of ", kept)
        )
    preserve = out is not None
    _rustprune.select(
        batch.names, dtypes, entries, grouped, kept, outputs, packed, preserve, *request, counts
    )
    return result
