"""Scores as integers, in torch operations: integer order is value order, as in the core, ``src/dtype.rs``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rustprune._request import Nan
from rustprune.torch._gpu import FORMATS

_F64_MANTISSA, _F64_BIAS = 52, 1023


def width(dtypes: set[torch.dtype]) -> int:
    """Return how many bits the keys of these formats take together; of several, those of float64."""
    return 64 if len(dtypes) > 1 else max(16, *(8 * dtype.itemsize for dtype in dtypes))


def keys(values: Tensor, bits: int, nan: Nan, *, signed: bool) -> Tensor:
    """Return the keys of the entries of a contiguous tensor, as integers of so many bits.

    Parameters
    ----------
    values : Tensor
        Of a float format; its bits are read, so that subnormals are never flushed and NaN never compared.
    bits : int
        How wide they are, from `width`: if wider than the format, the keys of the same values in float64.
    nan : {"raise", "keep", "prune"}
        Whether the key of NaN is above that of infinity, or, for ``"prune"``, below that of its negative.
    signed : bool
        Whether the score is the value, or its magnitude.
    """
    dtype = values.dtype
    found = _magnitudes(values)
    limit = FORMATS[dtype].limit
    # One look for the largest costs less than putting NaN, which most tensors have none of, into its place.
    where_nan = found > limit if found.numel() and int(found.amax()) > limit else None
    if bits == 64 and dtype is not torch.float64:
        found, limit = _widened(found.to(torch.int64), dtype), FORMATS[torch.float64].limit
    if signed:
        found = torch.where(values.view(FORMATS[dtype].words) < 0, -found, found)
    if where_nan is None:
        return found
    return found.masked_fill(where_nan, -limit - 1 if nan == "prune" else limit + 1)


def first_nan(values: Tensor, allowed: Tensor | None) -> int | None:
    """Return the index of the first NaN among the entries that are allowed, None if there is none."""
    magnitudes, limit = _magnitudes(values), FORMATS[values.dtype].limit
    if not magnitudes.numel() or int(magnitudes.amax()) <= limit:
        return None
    found = (magnitudes > limit) if allowed is None else (magnitudes > limit) & allowed
    return int(found.to(torch.uint8).argmax()) if found.any() else None


def excluded(bits: int) -> int:
    """Return the key of an entry that is no candidate: below those of all scores."""
    return -(1 << (bits - 1))


def _magnitudes(values: Tensor) -> Tensor:
    """Return the bits without the sign, of 8-bit formats as 16-bit integers."""
    size = values.dtype.itemsize
    words = values.view(FORMATS[values.dtype].words)
    return (words.to(torch.int16) if size == 1 else words) & ((1 << (8 * size - 1)) - 1)


def _widened(magnitudes: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the keys in float64 of magnitudes of a narrower format."""
    mantissa, bias = _layout(dtype)
    normal = (magnitudes << (_F64_MANTISSA - mantissa)) + ((_F64_BIAS - bias) << _F64_MANTISSA)
    # m * 2**(1 - bias - mantissa): an integer, a power of two and their product are all normal in float64.
    small = (magnitudes.to(torch.float64) * 2.0 ** (1 - bias - mantissa)).view(torch.int64)
    wide = torch.where(magnitudes >> mantissa > 0, normal, small)
    if dtype is torch.float8_e4m3fn:  # it has no infinity
        return wide
    return wide.masked_fill(magnitudes == FORMATS[dtype].limit, FORMATS[torch.float64].limit)


def _layout(dtype: torch.dtype) -> tuple[int, int]:
    """Return how many bits of the mantissa are stored, and the bias of the exponent."""
    format_ = torch.finfo(dtype)
    return -round(math.log2(format_.eps)), 1 - round(math.log2(format_.tiny))
