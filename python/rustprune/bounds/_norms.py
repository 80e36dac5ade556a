"""Norms of weights, of what a mask keeps of them and of what it prunes (section 6 of the theory page)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast

from rustprune import _rustprune
from rustprune._arrays import FLOATS, Array, Batch, flat, masks, words_of
from rustprune._request import whole

if TYPE_CHECKING:
    from rustprune._arrays import Bytes, Shape
    from rustprune._rustprune import _PartOf

Part: TypeAlias = Literal["all", "kept", "removed"]
Kind: TypeAlias = Literal["certified", "probabilistic", "estimate"]


class Norm(NamedTuple):
    """A number, and what it promises about the norm that it stands for.

    Parameters
    ----------
    value : float
        The number; infinity is a bound too.
    kind : {"certified", "probabilistic", "estimate"}
        At least the norm of the stored matrix, rounding included; below the norm with probability `delta` at
        most, over random starts and in exact arithmetic; or no promise.
    delta : float or None
        That probability.
    """

    value: float
    kind: Kind
    delta: float | None = None


def norms(
    weights: Array,
    mask: Array | None = None,
    *,
    part: Part | None = None,
    kinds: Iterable[str] = ("frobenius", "one", "infinity", "spectral"),
    delta: float = 1e-9,
    slack: float = 0.01,
    starts: int = 2,
    seed: int = 0,
) -> dict[str, Norm]:
    """Return norms of a matrix, or of the part of it that a mask keeps or prunes, without building that part.

    Parameters
    ----------
    weights : array
        Of two axes or more, seen as the matrix ``(shape[0], -1)``; a NumPy array, a CPU tensor or anything
        with ``__dlpack__``, float64, float32, float16, bfloat16 or float8.
    mask : array, optional
        True = kept, plain or packed.
    part : {"all", "kept", "removed"}, optional
        What of the matrix; with a mask ``"removed"``, without one ``"all"`` by default.
    kinds : iterable of str
        Which norms or bounds of the spectral norm, all from one call: ``"frobenius"``, ``"one"`` (largest
        column sum of magnitudes), ``"infinity"`` (largest row sum), ``"largest"`` (magnitude), ``"nonzero"``
        (number of entries), ``"schur"`` (6.1), ``"collatz"`` (6.2), ``"gram"`` (6.3), ``"cholesky"`` (6.4),
        ``"lanczos"`` and ``"power"`` (6.5), ``"estimate"``, and ``"spectral"``: the best affordable bound.
    delta : float
        With what probability ``"lanczos"`` and ``"power"`` may be too low, in (0, 1).
    slack : float
        By what fraction ``"lanczos"`` may be too high, in (0, 1): the smaller, the more steps.
    starts : int
        How many random vectors it starts from, all in the same passes.
    seed : int
        Of these, in [0, 2**64).

    Returns
    -------
    dict of str to Norm
        By the names in `kinds`. The same bits for every number of threads and instruction set.

    Raises
    ------
    TypeError
        If something is not of a type or dtype named above.
    ValueError
        If a shape does not fit, a name is unknown, or there is NaN or infinity among the weights.

    Notes
    -----
    Sums are in float64 in a fixed order. Memory is a few vectors, but for ``"gram"`` and ``"cholesky"``,
    which hold the smaller Gram matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> mask = np.array([[True, False], [True, False]])
    >>> found = bounds.norms(np.array([[3.0, 0.5], [4.0, 0.25]]), mask)
    >>> norm = found["infinity"]
    >>> norm.kind, round(norm.value, 9)
    ('certified', 0.5)
    """
    shape, given = part_of("weights", weights, mask, part)
    if len(shape) < 2:
        raise ValueError(f"weights must have two axes or more, got shape {shape}")
    randomly = delta, slack, whole("starts", starts), whole("seed", seed)
    found = _rustprune.norms(given, matrix_shape(shape), list(kinds), randomly)
    return {name: norm_of(promise) for name, promise in found.items()}


def conv_norm(
    kernel: Array,
    mask: Array | None = None,
    *,
    size: tuple[int, int] | None = None,
    padding: Literal["zeros", "circular"] = "zeros",
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    part: Part | None = None,
    by: Literal["best", "frequencies", "unfoldings", "taps"] = "best",
    delta: float = 1e-9,
    seed: int = 0,
) -> Norm:
    """Bound the spectral norm of a convolution, or of the part of its kernel that a mask keeps or prunes.

    Parameters
    ----------
    kernel : array, shape (out_channels, in_channels / groups, height, width)
        As for `norms`.
    mask : array, optional
        True = kept, plain or packed.
    size : tuple of int, optional
        Height and width of the images; by default the bound is for every size.
    padding : {"zeros", "circular"}
        What surrounds an image: zeros, as many as the kernel reaches at most, or the image itself.
    stride, dilation : tuple of int
        Along height and width.
    groups : int
        Of input and output channels.
    part : {"all", "kept", "removed"}, optional
        What of the kernel; with a mask ``"removed"``, without one ``"all"`` by default.
    by : {"best", "frequencies", "unfoldings", "taps"}
        Which of the bounds of Proposition 6.12: over frequencies (a to c; exact for circular padding and
        stride 1), by unfoldings (d), by taps (e), or the best of them.
    delta, seed
        As for `norms`, where a matrix is too large to be certified.

    Returns
    -------
    Norm
        The bound.

    Raises
    ------
    TypeError, ValueError
        As from `norms`.

    Notes
    -----
    Proposition 6.12 of the theory page.

    Examples
    --------
    >>> import numpy as np
    >>> from rustprune import bounds
    >>> found = bounds.conv_norm(np.ones((1, 1, 3, 3)), size=(8, 8), padding="circular")
    >>> found.kind, round(found.value, 6)
    ('certified', 9.0)
    """
    shape, given = part_of("kernel", kernel, mask, part)
    if len(shape) != 4:
        raise ValueError(f"kernel must have four axes, got shape {shape}")
    if size is None and padding == "circular":
        # A stride that does not divide the size mixes phases at the edge; without it the norm is no smaller.
        stride = (1, 1)
    domain = "any" if size is None else {"zeros": "zero"}.get(padding, padding)
    value = _rustprune.conv_norm(
        given,
        (shape[0], shape[1], shape[2], shape[3]),
        (whole("groups", groups), stride, dilation),
        (domain, (16, 16) if size is None else size),
        by,
        (delta, 0.01, 2, whole("seed", seed)),
    )
    return norm_of(value)


def norm_of(promise: tuple[float, str, float | None]) -> Norm:
    """Return a norm as the extension gives it."""
    value, kind, delta = promise
    return Norm(value, cast("Kind", kind), delta)


def matrix_shape(shape: Shape) -> tuple[int, int]:
    """Return the shape of the matrix view."""
    return shape[0], math.prod(shape[1:])


def part_of(name: str, weights: Array, mask: Array | None, part: Part | None) -> tuple[Shape, _PartOf]:
    """Return the shape of weights, and them and what of them counts as the extension takes both."""
    dtype, words = words_of(name, weights, FLOATS)
    bits, row_len = mask_of(name, mask, words.shape)
    chosen = part or ("all" if mask is None else "removed")
    return words.shape, (name, dtype, flat(words).reshape(-1), bits, row_len, chosen)


def mask_of(name: str, mask: object, shape: Shape) -> tuple[Bytes | None, int | None]:
    """Return a mask's bytes, and the length of its rows if it is packed."""
    if mask is None:
        return None, None
    [bits], [packed] = masks(Batch(name, [f"mask of {name}"], [mask], None), [shape])
    return bits.reshape(-1), shape[-1] if packed else None
