"""List, judge and mend: what one pass left undecided. The tables are those of `scan`."""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.bits import num_bits
from rustprune.torch._gpu._kernels.keys import entry_size, find, load_keys
from rustprune.torch._gpu._kernels.radix import FIELDS, store_known


@triton.jit(do_not_specialize=["num_segments", "num_contests", "steps"])
def gather(
    segments: tl.tensor,
    num_segments: tl.tensor,
    steps: tl.tensor,
    contests: tl.tensor,
    num_contests: tl.tensor,
    flags: tl.tensor,
    keys: tl.tensor,
    places: tl.tensor,
    counts: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    block: tl.constexpr,
    chunk: tl.constexpr,
) -> None:
    """List the candidates of a chunk, which is a whole number of tiles of one segment, from their flags."""
    number = tl.program_id(0).to(tl.int64)
    row = segments + find(segments + 8 * num_segments, num_segments, steps, number)
    begin = (number - tl.load(row + 8 * num_segments)) * chunk
    left = tl.load(row + 4 * num_segments) - begin
    contest = tl.load(row + 5 * num_segments)
    which = tl.arange(0, chunk // 32)
    # Tiles are flagged whole.
    flagged = flags.to(tl.pointer_type(tl.int32)) + (tl.load(row) * block + begin) // 32
    words = tl.load(flagged + which, mask=which * 32 < left, other=0)
    each = num_bits(words)
    total = tl.sum(each, 0)
    if total > 0:
        begun = tl.atomic_add(counts + 2 * contest + 1, total.to(tl.int64), sem="relaxed")
        room = tl.load(contests + contest + 7 * num_contests) - begun
        room = tl.minimum(tl.maximum(room, 0), chunk).to(tl.int32)
        to = tl.load(contests + contest + 6 * num_contests) + begun
        at = tl.cumsum(each, 0) - each
        format_ = tl.load(row + 7 * num_segments)
        # Small offsets from the chunk: they take half the registers.
        weights = tl.load(row + num_segments) + begin * entry_size(format_, code)
        where = tl.load(row + 3 * num_segments) + begin // 8
        first_bit = tl.load(row + 9 * num_segments).to(tl.int32)
        first = tl.load(row + 6 * num_segments) + begin
        for _ in range(tl.max(each, 0)):
            inside = words != 0
            # The lowest bit that is left, and its number.
            offsets = which * 32 + num_bits((words & -words) - 1)
            found, _bad = load_keys(
                weights,
                offsets,
                inside,
                where,
                offsets + first_bit,
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
            listed = inside & (at < room)
            tl.store(keys + to + at, found, mask=listed)
            tl.store(places + to + at, first + offsets, mask=listed)
            at += 1
            words = words & (words - 1)


@triton.jit(do_not_specialize=["num_contests"])
def judge(
    contests: tl.tensor,
    num_contests: tl.tensor,
    bracket: tl.tensor,
    counts: tl.tensor,
    lists: tl.tensor,
    states: tl.tensor,
    everything: tl.tensor,
    missed: tl.tensor,
    top: tl.constexpr,
) -> None:
    """Ask for the right candidate of a contest, or of all its entries if its cut is not enclosed."""
    contest = tl.program_id(0)
    kept = tl.load(contests + contest + num_contests)
    certain = tl.load(counts + 2 * contest)
    between = tl.load(counts + 2 * contest + 1)
    room = tl.load(contests + contest + 7 * num_contests)
    rank = kept - certain
    miss = (rank < 0) | (rank > between) | (between > room)
    tl.store(missed + contest, miss.to(tl.int64))
    if miss:
        tl.store(missed + num_contests, 1)
    tl.store(lists + 2 * contest, tl.load(contests + contest + 6 * num_contests))
    tl.store(lists + 2 * contest + 1, between)
    zero = rank * 0
    closed = miss | (rank == 0)
    # The keys of candidates are from the higher cut's down to the lower one's.
    origin = tl.load(bracket + 4 * contest)
    width = origin - tl.load(bracket + 4 * contest + 2)
    digits = tl.where(closed, -1, 0).to(tl.int64)
    store_known(states + contest * FIELDS, rank, digits, zero, closed.to(tl.int64), origin, width)
    closed = (miss == 0) | (kept == 0)
    digits = tl.where(closed, -1, 0).to(tl.int64)
    to = everything + contest * FIELDS
    store_known(to, kept, digits, zero, closed.to(tl.int64), zero + top, zero - 1)


@triton.jit(do_not_specialize=["num_segments", "num_contests", "steps"])
def mend(
    segments: tl.tensor,
    num_segments: tl.tensor,
    contests: tl.tensor,
    num_contests: tl.tensor,
    steps: tl.tensor,
    counts: tl.tensor,
    cuts: tl.tensor,
    missed: tl.tensor,
    keys: tl.tensor,
    places: tl.tensor,
    base: tl.constexpr,
    packed: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Set the entries of the candidates that the cut of their contest, axis 1 of the grid, keeps."""
    contest = tl.program_id(1)
    count = tl.where(tl.load(missed + contest) != 0, 0, tl.load(counts + 2 * contest + 1))
    cut_key = tl.load(cuts + 2 * contest)
    cut_place = tl.load(cuts + 2 * contest + 1)
    start = tl.load(contests + contest + 6 * num_contests)
    first = tl.load(contests + contest + 2 * num_contests)
    own_segments = tl.load(contests + contest + 3 * num_contests)
    for begin in range(tl.program_id(0) * block, count, tl.num_programs(0) * block):
        offsets = begin + tl.arange(0, block)
        inside = offsets < count
        key = tl.load(keys + start + offsets, mask=inside, other=0).to(tl.int64)
        place = tl.load(places + start + offsets, mask=inside, other=0)
        kept = inside & ((key > cut_key) | ((key == cut_key) & (place < cut_place)))
        kept = kept & (key > -(base + 2))
        row = segments + first + find(segments + 6 * num_segments + first, own_segments, steps, place)
        at = place - tl.load(row + 6 * num_segments, mask=kept, other=0)
        mask = tl.load(row + 2 * num_segments, mask=kept, other=0)
        if packed:
            to = mask.to(tl.pointer_type(tl.int32)) + (at >> 5)
            bit = tl.full([block], 1, tl.int32) << (at & 31).to(tl.int32)
            tl.atomic_or(to, bit, mask=kept, sem="relaxed")
        else:
            to = mask.to(tl.pointer_type(tl.uint8)) + at
            tl.store(to, tl.full([block], 1, tl.uint8), mask=kept)
