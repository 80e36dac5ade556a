"""Zeros in place: `prune_` where entries are pruned by score, `apply_` where a mask says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack, overload

from rustprune import _rustprune
from rustprune._arrays import (
    Array,
    Arrays,
    Batch,
    check_disjoint,
    existing_masks,
    flat,
    masks,
    writable_floats,
    write_back,
)
from rustprune._request import Counts, Method, Nan, NofM, PruneOptions, Scope, checked, score_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Summary:
    """What was pruned of one array.

    Parameters
    ----------
    num_entries, num_pruned : int
        How many entries there are, and how many of them are pruned.
    threshold : float or None
        The smallest kept score: of all arrays in global scope. None where no entry is kept or no one
        threshold decides: row scope, patterns and random masks.
    num_ties : int
        How many entries, kept or pruned, have the threshold as their score: of all arrays in global scope,
        and without those that `where` prunes.
    """

    num_entries: int
    num_pruned: int
    threshold: float | None
    num_ties: int

    @property
    def num_kept(self) -> int:
        """How many entries are kept."""
        return self.num_entries - self.num_pruned

    @property
    def sparsity(self) -> float:
        """The fraction of entries pruned, 0 of no entries."""
        return self.num_pruned / self.num_entries if self.num_entries else 0.0


@overload
def prune_(weights: Array, ratio: float | None = ..., **rest: Unpack[PruneOptions]) -> Summary: ...
@overload
def prune_(
    weights: Mapping[str, Array], ratio: float | None = ..., **rest: Unpack[PruneOptions]
) -> dict[str, Summary]: ...
@overload
def prune_(
    weights: Sequence[Array], ratio: float | None = ..., **rest: Unpack[PruneOptions]
) -> Sequence[Summary]: ...
def prune_(
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
) -> object:
    """Set a given number of entries to zero in place, those that `mask` does not keep.

    No mask is made. Zeros are positive zeros.

    Parameters
    ----------
    weights : array, or mapping or sequence of arrays
        As for `mask`, and writable; no two of them may share memory. What is not contiguous in native byte
        order is copied and written back. Tensors that require a gradient are changed as under
        ``torch.no_grad``.
    ratio, count, method, scope, pattern, where, nan, seed
        As for `mask`.

    Returns
    -------
    Summary, or dict, tuple or list of Summary
        What was pruned of each array, in the container of `weights`.

    Raises
    ------
    TypeError
        As from `mask`, or if an array is read-only.
    ValueError
        As from `mask`, or if two arrays share memory. Nothing has been written then.

    Notes
    -----
    Ctrl-C ends the call, and can leave a part of what is to be pruned at zero.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> weights = np.array([0.5, -2.0, 0.25, 1.0])
    >>> rustprune.prune_(weights, 0.5)
    Summary(num_entries=4, num_pruned=2, threshold=1.0, num_ties=1)
    >>> weights
    array([ 0., -2.,  0.,  1.])
    """
    batch = Batch.of("weights", weights)
    dtypes, arrays = writable_floats(batch)
    shapes = [words.shape for words in arrays]
    grouped, request, counts = checked(
        batch,
        shapes,
        score=score_of(method),
        scope=scope,
        ratio=ratio,
        count=count,
        pattern=pattern,
        nan=nan,
        seed=seed,
    )
    kept = existing_masks(batch, where, shapes)
    check_disjoint(batch.label("", arrays), batch.label("where of ", kept))
    entries = [flat(words) for words in arrays]
    summaries = _rustprune.prune(batch.names, dtypes, entries, grouped, kept, *request, counts)
    write_back(batch, arrays, entries)
    return batch.rebuild([Summary(*summary) for summary in summaries])


def apply_(weights: Arrays, mask: Arrays) -> None:
    """Set the entries that a mask prunes to zero in place.

    Zeros are positive zeros, whatever was there: NaN and infinity too.

    Parameters
    ----------
    weights : array, or mapping or sequence of arrays
        As for `prune_`.
    mask : array, or mapping or sequence of arrays
        True = kept: a mask like each of the weights, in the same container. Bool, or uint8 as `pack` and
        ``mask(..., packed=True)`` give it.

    Raises
    ------
    TypeError
        If something is not of a type or dtype named above, not in CPU memory, or read-only.
    ValueError
        If a shape is not the one expected, or arrays share memory. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> weights = np.array([0.5, -2.0, 0.25])
    >>> rustprune.apply_(weights, np.array([True, False, True]))
    >>> weights
    array([0.5 , 0.  , 0.25])
    """
    batch = Batch.of("weights", weights)
    dtypes, arrays = writable_floats(batch)
    shapes = [words.shape for words in arrays]
    bits, packed = masks(batch.match("mask", mask), shapes)
    check_disjoint(batch.label("", arrays), batch.label("mask of ", bits))
    entries = [flat(words) for words in arrays]
    _rustprune.apply(dtypes, entries, shapes, bits, packed)
    write_back(batch, arrays, entries)
