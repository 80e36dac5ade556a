"""Masks of a byte per entry to masks of a bit per entry, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

from rustprune._arrays import Array, Bools, Bytes, like, packed_shape, unpacked, words_of
from rustprune._request import ShapeLike, sizes

if TYPE_CHECKING:
    from torch import Tensor


@overload
def pack(mask: Tensor) -> Tensor: ...
@overload
def pack(mask: Array) -> Bytes: ...
def pack(mask: Array) -> object:
    """Return a mask with 8 entries to a byte.

    Parameters
    ----------
    mask : array of bool
        A NumPy array, a torch CPU tensor, or anything with ``__dlpack__`` in CPU memory.

    Returns
    -------
    array of uint8
        ``numpy.packbits(mask, axis=-1, bitorder="little")``: each row along the last axis starts at a byte,
        bit `j` of byte `b` is entry ``8 * b + j``, and the padding bits are 0. A 0-d mask gives one byte. A
        tensor for a tensor.

    Raises
    ------
    TypeError
        If `mask` is no array of bool in CPU memory.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.pack(np.array([[True, False, True], [False, True, False]]))
    array([[5],
           [2]], dtype=uint8)
    """
    _, words = words_of("mask", mask, ("bool",))
    return like(mask, np.packbits(words.reshape(words.shape or 1), axis=-1, bitorder="little"))


@overload
def unpack(bits: Tensor, shape: ShapeLike) -> Tensor: ...
@overload
def unpack(bits: Array, shape: ShapeLike) -> Bools: ...
def unpack(bits: Array, shape: ShapeLike) -> object:
    """Return a mask with an entry to a byte, from what `pack` made of it.

    Parameters
    ----------
    bits : array of uint8
        A NumPy array, a torch CPU tensor, or anything with ``__dlpack__`` in CPU memory.
    shape : int or sequence of int
        The shape of the mask.

    Returns
    -------
    array of bool
        The mask. A tensor for a tensor.

    Raises
    ------
    TypeError
        If `bits` is no array of uint8 in CPU memory.
    ValueError
        If `bits` does not have the shape of a packed mask of `shape`, or a padding bit is 1.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> rustprune.unpack(np.array([[5], [2]], np.uint8), (2, 3))
    array([[ True, False,  True],
           [False,  True, False]])
    """
    _, words = words_of("bits", bits, ("uint8",))
    lengths = sizes(shape)
    if words.shape != packed_shape(lengths):
        raise ValueError(
            f"bits: expected shape {packed_shape(lengths)} for a mask of {lengths}, got {words.shape}"
        )
    used = ((lengths or (1,))[-1] - 1) % 8 + 1
    if words.size and (words[..., -1] >> used).any():
        raise ValueError("bits: expected padding bits of 0, got others")
    return like(bits, unpacked(words, lengths).view(np.bool_))
