"""Contests that one program decides in registers: rows, small tensors, N:M groups.

The table of matrices: first program, address of the weights, of the mask, of the existing mask, rows, entries
kept of each, format, entries of a row, stride. Masks are written as bytes.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.keys import entry_size, find, load_keys


@triton.jit
def mean(low: tl.tensor, high: tl.tensor) -> tl.tensor:
    """Return the mean, rounded up; a sum of two keys of float64 may not fit."""
    return (low | high) - ((low ^ high) >> 1)


@triton.jit
def narrowed(
    low: tl.tensor, high: tl.tensor, key: tl.tensor, count: tl.tensor, num_kept: tl.tensor
) -> tl.tensor:
    """Return the range of the last key kept, told how many keys reach one; a single key stays what it is.

    A key that exactly `num_kept` reach will do as the last one: it ends the search.
    """
    open_ = low < high
    reached = open_ & (count >= num_kept)
    high = tl.where(open_ & (count < num_kept), tl.minimum(high, key - 1), high)
    high = tl.where(open_ & (count == num_kept), key, high)
    low = tl.where(reached, key, low)
    return low, high


@triton.jit(do_not_specialize=["num_matrices", "steps"])
def keep_rows(
    matrices: tl.tensor,
    num_matrices: tl.tensor,
    steps: tl.tensor,
    nan_flag: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """Keep so many of each row: the range of keys is divided by 4 until a key is found that parts the row."""
    program = tl.program_id(0).to(tl.int64)
    matrix = matrices + find(matrices, num_matrices, steps, program)
    length = tl.load(matrix + 7 * num_matrices)
    first = (program - tl.load(matrix)) * rows
    begin = first * length
    row = tl.arange(0, rows)
    column = tl.arange(0, columns)
    inside = (first + row < tl.load(matrix + 4 * num_matrices))[:, None] & (column < length)[None, :]
    # From the program's first entry: they take half the registers.
    offsets = row[:, None] * length.to(tl.int32) + column[None, :]
    format_ = tl.load(matrix + 6 * num_matrices)
    keys, is_nan = load_keys(
        tl.load(matrix + num_matrices) + begin * entry_size(format_, code),
        offsets,
        inside,
        tl.load(matrix + 3 * num_matrices) + begin // 8,
        offsets + (begin % 8).to(tl.int32),
        format_,
        code,
        limit,
        top,
        base,
        signed,
        nan,
        masked,
        False,
    )
    num_kept = tl.load(matrix + 5 * num_matrices)
    low = tl.zeros([rows], tl.int64) - (base + 2)
    high = tl.zeros([rows], tl.int64) + (top + 1)
    while tl.max((low < high).to(tl.int32), 0) != 0:
        middle = mean(low, high)
        lower, upper = mean(low, middle - 1), mean(middle, high)
        # One sum for three counts: they take 21 bits each.
        counts = (keys >= lower.to(keys.dtype)[:, None]).to(tl.int64)
        counts += (keys >= middle.to(keys.dtype)[:, None]).to(tl.int64) << 21
        counts += (keys >= upper.to(keys.dtype)[:, None]).to(tl.int64) << 42
        count = tl.sum(counts, 1)
        low, high = narrowed(low, high, lower, count & 0x1FFFFF, num_kept)
        low, high = narrowed(low, high, middle, (count >> 21) & 0x1FFFFF, num_kept)
        low, high = narrowed(low, high, upper, count >> 42, num_kept)
    last = low.to(keys.dtype)[:, None]
    above = keys > last
    ties = (keys == last).to(tl.int32)
    left = (num_kept - tl.sum(above.to(tl.int32), 1))[:, None]
    kept = above | ((ties != 0) & (tl.cumsum(ties, 1) <= left))
    if masked:
        kept = kept & (keys > -(base + 2))
    to = (tl.load(matrix + 2 * num_matrices) + begin).to(tl.pointer_type(tl.uint8)) + offsets
    tl.store(to, kept.to(tl.uint8), mask=inside)
    if nan == "raise":
        if tl.max(tl.max(is_nan.to(tl.int32), 1), 0) != 0:
            tl.store(nan_flag, 1)


@triton.jit(do_not_specialize=["num_matrices", "steps"])
def keep_groups(
    matrices: tl.tensor,
    num_matrices: tl.tensor,
    steps: tl.tensor,
    nan_flag: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    group: tl.constexpr,
    kept: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    strided: tl.constexpr,
    full: tl.constexpr,
) -> None:
    """Keep so many of each group: an entry that fewer than that beat. `full`: aligned, whole programs."""
    program = tl.program_id(0).to(tl.int64)
    matrix = matrices + find(matrices, num_matrices, steps, program)
    first = (program - tl.load(matrix)) * rows
    number = tl.arange(0, rows)
    column = tl.arange(0, columns)
    begin = first * group
    offsets = number[:, None] * group + column[None, :]
    if strided:
        # Groups are counted block by block, and within a block by their place across the axis.
        stride = tl.load(matrix + 8 * num_matrices)
        across = first + number
        start = across // stride * stride * group + across % stride
        offsets = start[:, None] + column[None, :] * stride
        begin = first * 0
    inside = (first + number < tl.load(matrix + 4 * num_matrices))[:, None] & (column < group)[None, :]
    format_ = tl.load(matrix + 6 * num_matrices)
    keys, is_nan = load_keys(
        tl.load(matrix + num_matrices) + begin * entry_size(format_, code),
        offsets,
        inside,
        tl.load(matrix + 3 * num_matrices),
        begin + offsets,
        format_,
        code,
        limit,
        top,
        base,
        signed,
        nan,
        masked,
        full,
    )
    beaten = tl.zeros([rows, columns], tl.int32)
    for other in tl.static_range(group):
        there = column[None, :] == other
        rival = tl.sum(tl.where(there, keys, 0), 1)[:, None]
        wins = (rival > keys) | ((rival == keys) & (other < column)[None, :])
        beaten += wins.to(tl.int32)
    keep = beaten < kept
    if masked:
        keep = keep & (keys > -(base + 2))
    to = (tl.load(matrix + 2 * num_matrices) + begin).to(tl.pointer_type(tl.uint8))
    if full:
        tl.store(tl.multiple_of(to, 16) + offsets, keep.to(tl.uint8))
    else:
        tl.store(to + offsets, keep.to(tl.uint8), mask=inside)
    if nan == "raise":
        if tl.max(tl.max(is_nan.to(tl.int32), 1), 0) != 0:
            tl.store(nan_flag, 1)
