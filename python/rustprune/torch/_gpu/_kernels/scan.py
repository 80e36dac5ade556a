"""Guess and scan: the mask of a contest from a sample and one pass, but for the candidates it leaves.

A segment is a run of entries of one tensor in one contest. Fields of the table of segments: first tile;
address of the weights, of the mask, of the existing mask; length; contest; place of the first entry in its
contest; format; first chunk; first bit of the existing mask. Fields of the table of contests: entries;
entries kept; first segment; number of segments; begin and size of the sample; begin and size of the list of
candidates.
A cut is a key and a place; two of each contest enclose its own.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.keys import entry_size, find, load_keys
from rustprune.torch._gpu._kernels.radix import BINS


@triton.jit
def scatter(number: tl.tensor) -> tl.tensor:
    """Return 32 bits that do not keep step with a number, as an int64: products stay below 2**63."""
    number = ((number ^ (number >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    number = ((number ^ (number >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return number ^ (number >> 15)


@triton.jit(do_not_specialize=["num_segments", "num_contests", "steps", "shift"])
def sample(
    segments: tl.tensor,
    num_segments: tl.tensor,
    contests: tl.tensor,
    num_contests: tl.tensor,
    steps: tl.tensor,
    keys: tl.tensor,
    histograms: tl.tensor,
    shift: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Draw one entry of each of equal strata; axis 1 of the grid are the contests.

    The highest digit of each is counted too, for both questions of a contest.
    """
    contest = contests + tl.program_id(1)
    length = tl.load(contest)
    size = tl.load(contest + 5 * num_contests)
    number = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = number < size
    start = number * length // tl.maximum(size, 1)
    width = (number + 1) * length // tl.maximum(size, 1) - start
    place = tl.where(inside, start + ((scatter(number) * width) >> 32), 0)
    first = tl.load(contest + 2 * num_contests)
    found = find(segments + 6 * num_segments + first, tl.load(contest + 3 * num_contests), steps, place)
    row = segments + first + found
    offsets = place - tl.load(row + 6 * num_segments)
    where = tl.load(row + 3 * num_segments)
    drawn, _ = load_keys(
        tl.load(row + num_segments),
        offsets,
        inside,
        where,
        offsets + tl.load(row + 9 * num_segments),
        tl.load(row + 7 * num_segments),
        code,
        limit,
        top,
        base,
        signed,
        nan,
        masked,
        False,
    )
    to = tl.load(contest + 4 * num_contests) + number
    tl.store(keys + to, drawn, mask=inside)
    digits = ((top - drawn.to(tl.int64)) >> shift) & 255
    counts = tl.histogram(digits.to(tl.int32), BINS, mask=inside).to(tl.int64)
    of = histograms + 2 * tl.program_id(1) * BINS + tl.arange(0, BINS)
    tl.atomic_add(of, counts, mask=counts > 0, sem="relaxed")
    tl.atomic_add(of + BINS, counts, mask=counts > 0, sem="relaxed")


@triton.jit
def above(
    keys: tl.tensor, offsets: tl.tensor, cut: tl.tensor, first: tl.tensor, block: tl.constexpr
) -> tl.tensor:
    """Return which entries of a tile, whose first has the place `first`, a cut keeps."""
    key = tl.load(cut).to(keys.dtype)
    boundary = tl.minimum(tl.maximum(tl.load(cut + 1) - first, 0), block).to(tl.int32)
    if (boundary > 0) & (boundary < block):
        kept = keys >= tl.where(offsets < boundary, key, key + 1)
    else:
        kept = keys >= tl.where(boundary > 0, key, key + 1)
    return kept


@triton.jit
def store_mask(
    address: tl.tensor,
    kept: tl.tensor,
    left: tl.tensor,
    packed: tl.constexpr,
    full: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Write the mask of a tile with `left` entries, as bits or bytes; if `full`, there are as many."""
    to = address.to(tl.pointer_type(tl.uint8))
    if packed:
        bits = tl.reshape(kept.to(tl.int32), (block // 8, 8)) << tl.arange(0, 8)[None, :]
        offsets = tl.arange(0, block // 8)
        values = tl.sum(bits, 1).to(tl.uint8)
        inside = offsets * 8 < left
    else:
        offsets = tl.arange(0, block)
        values = kept.to(tl.uint8)
        inside = offsets < left
    if full:
        tl.store(tl.multiple_of(to, 16) + offsets, values)
    else:
        tl.store(to + offsets, values, mask=inside)


@triton.jit
def scan_tile(
    row: tl.tensor,
    num_segments: tl.tensor,
    begin: tl.tensor,
    contest: tl.tensor,
    cuts: tl.tensor,
    flags: tl.tensor,
    counts: tl.tensor,
    nan_flag: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    packed: tl.constexpr,
    exact: tl.constexpr,
    full: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Write the mask of a tile by the higher cut, count what it keeps, flag what is between."""
    left = tl.load(row + 4 * num_segments) - begin
    first = tl.load(row + 6 * num_segments) + begin
    format_ = tl.load(row + 7 * num_segments)
    weights = tl.load(row + num_segments) + begin * entry_size(format_, code)
    if packed:
        mask = tl.load(row + 2 * num_segments) + begin // 8
    else:
        mask = tl.load(row + 2 * num_segments) + begin
    offsets = tl.arange(0, block)
    inside = offsets < left
    keys, is_nan = load_keys(
        weights,
        offsets,
        inside,
        tl.load(row + 3 * num_segments) + begin // 8,
        offsets + tl.load(row + 9 * num_segments).to(tl.int32),
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
    # What is no entry has a key below every cut.
    higher = above(keys, offsets, cuts + 4 * contest, first, block)
    kept = higher
    if masked:
        kept = higher & (keys > -(base + 2))
    store_mask(mask, kept, left, packed, full, block)
    if not exact:
        lower = above(keys, offsets, cuts + 4 * contest + 2, first, block)
        tl.atomic_add(counts + 2 * contest, tl.sum(higher.to(tl.int32), 0).to(tl.int64), sem="relaxed")
        # Flags alone: to write the few out here would cost a prefix sum and two stores of each entry.
        between = tl.reshape((lower & (higher == 0)).to(tl.int32), (block // 16, 16))
        words = tl.sum(between << tl.arange(0, 16)[None, :], 1).to(tl.int16)
        tile = tl.load(row) + begin // block
        tl.store(flags + tile * (block // 16) + tl.arange(0, block // 16), words)
        if nan == "raise":
            if tl.max(is_nan.to(tl.int32), 0) != 0:
                tl.store(nan_flag, 1)


@triton.jit(do_not_specialize=["num_segments", "num_contests", "num_tiles", "steps"])
def scan(
    segments: tl.tensor,
    num_segments: tl.tensor,
    steps: tl.tensor,
    num_tiles: tl.tensor,
    num_contests: tl.tensor,
    cuts: tl.tensor,
    flags: tl.tensor,
    counts: tl.tensor,
    missed: tl.tensor,
    nan_flag: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    packed: tl.constexpr,
    exact: tl.constexpr,
    full: tl.constexpr,
    tails: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Scan full tiles, or those that are not, or all; if `exact`, of the contests that were missed only.

    If `full`, full tiles are scanned. Else, if `tails`, the last tile of each of `num_tiles` segments, where
    it is not full; else every tile. Two kernels need fewer registers than one that does both.
    """
    total = num_tiles
    if exact:
        total = tl.where(tl.load(missed + num_contests) != 0, num_tiles, 0)
    for index in range(tl.program_id(0), total, tl.num_programs(0)):
        number = tl.cast(index, tl.int64)
        segment = number
        if not tails:
            segment = find(segments, num_segments, steps, number)
        row = segments + segment
        contest = tl.load(row + 5 * num_segments)
        length = tl.load(row + 4 * num_segments)
        begin = (number - tl.load(row)) * block
        if tails:
            begin = length // block * block
        wanted = begin < length
        if full:
            wanted = begin + block <= length
        if exact:
            wanted = wanted & (tl.load(missed + contest) != 0)
        if wanted:
            scan_tile(
                row,
                num_segments,
                begin,
                contest,
                cuts,
                flags,
                counts,
                nan_flag,
                code,
                limit,
                top,
                base,
                signed,
                nan,
                masked,
                packed,
                exact,
                full,
                block,
            )
