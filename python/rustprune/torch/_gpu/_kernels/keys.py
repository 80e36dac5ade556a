"""Keys of weights that lie at any address: the integers of `src/dtype.rs`, whose order is that of the scores.

A tensor is known by its address, as an int64 in a table, so that one launch serves any number of them. With
`base` 0 for magnitudes and the limit for signed scores, NaN to be pruned has the key ``-(base + 1)``, what
an existing mask prunes ``-(base + 2)``, and no entry at all ``-(base + 3)``.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def find(starts: tl.tensor, count: tl.tensor, steps: tl.tensor, number: tl.tensor) -> tl.tensor:
    """Return the last of `count` ascending starts that is at most `number`; ``2**steps >= count``."""
    low = number * 0
    high = low + count
    for _ in range(steps):
        middle = (low + high) // 2
        reached = tl.load(starts + middle) <= number
        low = tl.where(reached, middle, low)
        high = tl.where(reached, high, middle)
    return low


@triton.jit
def entry_size(format_: tl.tensor, code: tl.constexpr) -> tl.tensor:
    """Return the bytes of an entry; if `code` is -1, `format_` says of which format."""
    number = format_
    if code >= 0:
        number = format_ * 0 + code
    return tl.where(number == 0, 8, tl.where(number == 1, 4, tl.where(number <= 3, 2, 1)))


@triton.jit
def load_words(
    address: tl.tensor, offsets: tl.tensor, inside: tl.tensor, code: tl.constexpr, full: tl.constexpr
) -> tl.tensor:
    """Return the bits of the entries at `offsets` from an address, as signed integers.

    If `full`, all are inside and the address is a multiple of 16: a mask, or no hint, would divide the loads.
    """
    if code == 0:
        to = address.to(tl.pointer_type(tl.int64))
    elif code == 1:
        to = address.to(tl.pointer_type(tl.int32))
    elif code <= 3:
        to = address.to(tl.pointer_type(tl.int16))
    else:
        to = address.to(tl.pointer_type(tl.int8))
    if full:
        words = tl.load(tl.multiple_of(to, 16) + offsets)
    else:
        words = tl.load(to + offsets, mask=inside, other=0)
    if code >= 2:
        words = words.to(tl.int32)
    return words


@triton.jit
def load_allowed(address: tl.tensor, offsets: tl.tensor, inside: tl.tensor) -> tl.tensor:
    """Return whether the bits at an address are set at `offsets`."""
    byte = tl.load(address.to(tl.pointer_type(tl.uint8)) + (offsets >> 3), mask=inside, other=0)
    return ((byte.to(tl.int32) >> (offsets & 7).to(tl.int32)) & 1) != 0


@triton.jit
def magnitude(words: tl.tensor, code: tl.constexpr) -> tl.tensor:
    """Return the bits without the sign."""
    if code == 0:
        bits = words & 0x7FFFFFFFFFFFFFFF
    elif code == 1:
        bits = words & 0x7FFFFFFF
    elif code <= 3:
        bits = words & 0x7FFF
    else:
        bits = words & 0x7F
    return bits


@triton.jit
def widen(magnitudes: tl.tensor, code: tl.constexpr) -> tl.tensor:
    """Return the magnitude bits, in float64, of the same value: every step is exact."""
    if code == 0:
        bits = magnitudes
    else:
        if code == 1:
            value = magnitudes.to(tl.float32, bitcast=True)
        elif code == 2:
            value = magnitudes.to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
        elif code == 3:
            value = (magnitudes << 16).to(tl.float32, bitcast=True)
        elif code == 4:
            # As float16 it is too small by the difference of the exponent biases, 2**(15 - 7).
            value = (magnitudes << 7).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32) * 256.0
        else:
            value = (magnitudes << 8).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
        bits = value.to(tl.float64).to(tl.int64, bitcast=True)
    return bits


@triton.jit
def keys_of(
    words: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    wide: tl.constexpr,
) -> tl.tensor:
    """Return the keys, and which entries are NaN; `limit` is that of the format, `top` the key of NaN."""
    key = magnitude(words, code)
    is_nan = key > limit
    if wide:
        key = widen(key, code)
    if signed:
        key = tl.where(words < 0, -key, key)
    if nan == "keep":
        key = tl.where(is_nan, top, key)
    elif nan == "prune":
        key = tl.where(is_nan, -(base + 1), key)
    return key, is_nan


@triton.jit
def load_wide_keys(
    address: tl.tensor,
    offsets: tl.tensor,
    inside: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
) -> tl.tensor:
    """Return the keys, as float64, of entries of one format of several, and which are NaN."""
    half: tl.constexpr = 0x7C00 if code == 2 else 0x7F80
    byte: tl.constexpr = 0x7E if code == 4 else 0x7C
    small: tl.constexpr = half if code <= 3 else byte
    own: tl.constexpr = limit if code == 0 else (0x7F800000 if code == 1 else small)
    words = load_words(address, offsets, inside, code, False)
    return keys_of(words, code, own, top, base, signed, nan, True)


@triton.jit
def load_keys(
    address: tl.tensor,
    offsets: tl.tensor,
    inside: tl.tensor,
    where: tl.tensor,
    where_offsets: tl.tensor,
    format_: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    full: tl.constexpr,
) -> tl.tensor:
    """Return the keys of entries, and which are NaN. If `code` is -1, `format_` says what each is."""
    if code >= 0:
        keys, is_nan = keys_of(
            load_words(address, offsets, inside, code, full), code, limit, top, base, signed, nan, False
        )
    else:
        keys = tl.zeros(inside.shape, tl.int64)
        is_nan = inside & False
        for one in tl.static_range(6):
            these = inside & (offsets * 0 + format_ == one)
            found, bad = load_wide_keys(address, offsets, these, one, limit, top, base, signed, nan)
            keys = tl.where(these, found, keys)
            is_nan = is_nan | (these & bad)
    if masked:
        allowed = load_allowed(where, where_offsets, inside)
        keys = tl.where(allowed, keys, -(base + 2))
        is_nan = is_nan & allowed
    if not full:
        keys = tl.where(inside, keys, -(base + 3))
        is_nan = is_nan & inside
    return keys, is_nan
