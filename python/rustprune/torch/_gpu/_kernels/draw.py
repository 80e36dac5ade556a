"""Random masks: the stream of `src/sample/`, version 1, drawn on the device.

The table of arrays: first program, address of the bits, of the existing mask, entries, contest, place of the
first entry in its contest, number and kind of its key. The table of contests: entries, entries kept, first
array, number of arrays, number and kind of the key of its corrections. `counts` holds, of each contest, the
entries that may be kept and the entries that are.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.bits import num_bits
from rustprune.torch._gpu._kernels.keys import find, load_allowed

VERSION = tl.constexpr(1)  # STREAM_VERSION of src/sample/mod.rs
COIN, CORRECTION, PATTERN, RETRY = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)


@triton.jit
def philox(
    a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, key_low: tl.tensor, key_high: tl.tensor
) -> tl.tensor:
    """Return the words of Philox4x32-10 at counters (a, b, c, d), all uint32."""
    for _ in tl.static_range(10):
        first_high = tl.umulhi(a, tl.full(a.shape, 0xD2511F53, tl.uint32))
        first_low = a * tl.full(a.shape, 0xD2511F53, tl.uint32)
        second_high = tl.umulhi(c, tl.full(c.shape, 0xCD9E8D57, tl.uint32))
        second_low = c * tl.full(c.shape, 0xCD9E8D57, tl.uint32)
        a = second_high ^ b ^ key_low
        b = second_low
        c = first_high ^ d ^ key_high
        d = first_low
        key_low = key_low + tl.full(key_low.shape, 0x9E3779B9, tl.uint32)
        key_high = key_high + tl.full(key_high.shape, 0xBB67AE85, tl.uint32)
    return a, b, c, d


@triton.jit
def words_at(
    number: tl.tensor, third: tl.tensor, purpose: tl.constexpr, key_low: tl.tensor, key_high: tl.tensor
) -> tl.tensor:
    """Return the words at the counter (low and high half of an int64, third, purpose)."""
    low = number.to(tl.uint32)
    high = (number >> 32).to(tl.uint32)
    zeros = low ^ low
    return philox(low, high, zeros + third.to(tl.uint32), zeros + purpose, zeros + key_low, zeros + key_high)


@triton.jit
def key_of(seed: tl.tensor, number: tl.tensor, kind: tl.tensor) -> tl.tensor:
    """Return the key, two words, that a seed and a number make; they are one-entry blocks."""
    low, high, _c, _d = words_at(
        number + tl.zeros([1], tl.int64),
        kind,
        VERSION,
        seed.to(tl.uint32),
        (seed >> 32).to(tl.uint32),
    )
    return tl.sum(low.to(tl.int64), 0).to(tl.uint32), tl.sum(high.to(tl.int64), 0).to(tl.uint32)


@triton.jit
def odds_of(num_kept: tl.tensor, available: tl.tensor) -> tl.tensor:
    """Return the odds of a coin for so many of those available, and its number of binary digits."""
    length = (available * 0).to(tl.int32)
    rest = tl.maximum(available - 1, 0)
    for _ in range(63):
        length += (rest != 0).to(tl.int32)
        rest = rest >> 1
    planes = (length + 1) // 2 + 1
    odds = ((num_kept << planes.to(tl.int64)) + available // 2) // tl.maximum(available, 1)
    return tl.where(available == 0, 0, odds), planes


@triton.jit(do_not_specialize=["num_arrays", "steps"])
def count_allowed(
    arrays: tl.tensor, num_arrays: tl.tensor, steps: tl.tensor, counts: tl.tensor, block: tl.constexpr
) -> None:
    """Add up the entries of each contest that the existing masks keep; `block` counts 128 entries as one."""
    program = tl.program_id(0).to(tl.int64)
    row = arrays + find(arrays, num_arrays, steps, program)
    begin = (program - tl.load(row)) * block * 128
    length = tl.load(row + 3 * num_arrays)
    offsets = tl.arange(0, block * 16)
    inside = begin + offsets * 8 < length
    where = (tl.load(row + 2 * num_arrays) + begin // 8).to(tl.pointer_type(tl.uint8))
    count = tl.sum(num_bits(tl.load(where + offsets, mask=inside, other=0).to(tl.int32)), 0)
    tl.atomic_add(counts + 2 * tl.load(row + 4 * num_arrays), count.to(tl.int64), sem="relaxed")


@triton.jit
def load_quarter(address: tl.tensor, begin: tl.tensor, length: tl.tensor) -> tl.tensor:
    """Return the 32 bits of an existing mask that begin at each entry of `begin`, as int32."""
    word = tl.zeros(begin.shape, tl.int32)
    for byte in tl.static_range(4):
        at = begin + 8 * byte
        pointer = address.to(tl.pointer_type(tl.uint8)) + at // 8
        word |= tl.load(pointer, mask=at < length, other=0).to(tl.int32) << (8 * byte)
    return word


@triton.jit(do_not_specialize=["num_arrays", "num_contests", "steps"])
def flip_coins(
    arrays: tl.tensor,
    num_arrays: tl.tensor,
    steps: tl.tensor,
    contests: tl.tensor,
    num_contests: tl.tensor,
    counts: tl.tensor,
    seed_pointer: tl.tensor,
    masked: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Write the coin flips of `block` counters, 128 entries each, and count those that fell on 1."""
    program = tl.program_id(0).to(tl.int64)
    row = arrays + find(arrays, num_arrays, steps, program)
    contest = tl.load(row + 4 * num_arrays)
    length = tl.load(row + 3 * num_arrays)
    odds, planes = odds_of(tl.load(contests + contest + num_contests), tl.load(counts + 2 * contest))
    seed = tl.load(seed_pointer)
    key_low, key_high = key_of(seed, tl.load(row + 6 * num_arrays), tl.load(row + 7 * num_arrays))
    group = (program - tl.load(row)) * block + tl.arange(0, block)
    certain = (odds == 0) | ((odds >> planes.to(tl.int64)) != 0)
    start = tl.where(odds == 0, 0, -1).to(tl.int32)
    all_ = tl.zeros([block], tl.int32) + tl.where(certain, start, 0)
    a, b, c, d = all_, all_, all_, all_
    # A plane below the lowest set bit of the odds would be masked out again.
    lowest = 0
    rest = odds
    for _ in range(63):
        even = (rest & 1) == 0
        lowest += (even & (rest != 0)).to(tl.int32)
        rest = tl.where(even, rest >> 1, rest)
    for plane in range(tl.where(certain, planes, lowest), planes):
        w, x, y, z = words_at(group, tl.cast(plane, tl.int64), COIN, key_low, key_high)
        w, x = w.to(tl.int32, bitcast=True), x.to(tl.int32, bitcast=True)
        y, z = y.to(tl.int32, bitcast=True), z.to(tl.int32, bitcast=True)
        set_ = ((odds >> tl.cast(plane, tl.int64)) & 1) != 0
        a = tl.where(set_, a | w, a & w)
        b = tl.where(set_, b | x, b & x)
        c = tl.where(set_, c | y, c & y)
        d = tl.where(set_, d | z, d & z)
    bits = tl.load(row + num_arrays).to(tl.pointer_type(tl.int32)) + group * 4
    where = tl.load(row + 2 * num_arrays)
    first = group * 128
    total = store_quarter(bits, a, first, length, where, masked)
    total += store_quarter(bits + 1, b, first + 32, length, where, masked)
    total += store_quarter(bits + 2, c, first + 64, length, where, masked)
    total += store_quarter(bits + 3, d, first + 96, length, where, masked)
    tl.atomic_add(counts + 2 * contest + 1, tl.sum(total, 0).to(tl.int64), sem="relaxed")


@triton.jit
def store_quarter(
    to: tl.tensor,
    words: tl.tensor,
    first: tl.tensor,
    length: tl.tensor,
    where: tl.tensor,
    masked: tl.constexpr,
) -> tl.tensor:
    """Write 32 bits of each counter, 0 beyond the last entry and where a mask prunes, and count them."""
    left = tl.minimum(tl.maximum(length - first, 0), 32).to(tl.int32)
    words = tl.where(left >= 32, words, words & ((tl.full(left.shape, 1, tl.int32) << (left & 31)) - 1))
    if masked:
        words &= load_quarter(where, first, length)
    # The memory of a mask ends with a whole counter.
    tl.store(to, words, mask=first // 128 * 128 < length)
    return num_bits(words)


@triton.jit(do_not_specialize=["num_arrays", "num_contests", "steps"])
def correct(
    arrays: tl.tensor,
    num_arrays: tl.tensor,
    steps: tl.tensor,
    contests: tl.tensor,
    num_contests: tl.tensor,
    counts: tl.tensor,
    hits: tl.tensor,
    seed_pointer: tl.tensor,
    masked: tl.constexpr,
    block: tl.constexpr,
    few: tl.constexpr,
) -> None:
    """Turn drawn entries of the class that is too large until the count is right; a program for each contest.

    A draw counts if its entry is of that class and no earlier draw hit it. So while no more of many draws
    find an entry of the class than are missing, all those entries are turned at once, in any order. Near the
    end look at few: list those that find one, drop those that repeat an earlier one, and turn as many of the
    others as are missing.
    """
    contest = tl.program_id(0)
    row = contests + contest
    length = tl.load(row).to(tl.uint64)
    first = tl.load(row + 2 * num_contests)
    own = tl.load(row + 3 * num_contests)
    seed = tl.load(seed_pointer)
    key_low, key_high = key_of(seed, tl.load(row + 4 * num_contests), tl.load(row + 5 * num_contests))
    excess = tl.load(counts + 2 * contest + 1) - tl.load(row + num_contests)
    left = tl.abs(excess)
    from_ = (excess > 0).to(tl.int32)
    # The lowest product that Lemire's method takes: 2**64 modulo the length.
    bound = tl.maximum(length, 1)
    least = (tl.zeros([1], tl.uint64) - bound) % bound
    least = tl.sum(least, 0)
    hits += contest.to(tl.int64) * few
    number = left * 0
    draws = tl.cast(block, tl.int64) + number
    lane = tl.arange(0, block)
    slot = tl.arange(0, few)
    while left > 0:
        word = number + lane
        a, b, c, d = words_at(word >> 1, number * 0, CORRECTION, key_low, key_high)
        odd = (word & 1) != 0
        low = tl.where(odd, c, a).to(tl.uint64)
        high = tl.where(odd, d, b).to(tl.uint64)
        random = low | (high << 32)
        place = tl.umulhi(random, bound + tl.zeros([block], tl.uint64)).to(tl.int64)
        taken = (random * bound >= least) & (lane < draws)
        part = arrays + first + find(arrays + 5 * num_arrays + first, own, steps, place)
        at = place - tl.load(part + 5 * num_arrays)
        byte = (tl.load(part + num_arrays) + (at >> 3)).to(tl.pointer_type(tl.uint8))
        # Past the first-level cache: what was turned before lies behind it.
        state = (
            tl.load(byte, mask=taken, other=0, cache_modifier=".cg").to(tl.int32) >> (at & 7).to(tl.int32)
        ) & 1
        hit = taken & (state == from_)
        if masked:
            hit = hit & load_allowed(tl.load(part + 2 * num_arrays), at, taken)
        num_hits = tl.sum(hit.to(tl.int32), 0)
        if num_hits <= left:
            to = tl.load(part + num_arrays).to(tl.pointer_type(tl.int32)) + (at >> 5)
            shift = (at & 31).to(tl.int32)
            bit = tl.full([block], 1, tl.int32) << shift
            # The first of several draws of an entry finds it as it was.
            if from_ == 1:
                before = tl.atomic_and(to, ~bit, mask=hit)
            else:
                before = tl.atomic_or(to, bit, mask=hit)
            first_hit = hit & (((before >> shift) & 1) == from_)
            left -= tl.sum(first_hit.to(tl.int64), 0)
            number += draws
            tl.debug_barrier()
        elif draws > few:
            draws = draws // 2
        else:
            order = tl.cumsum(hit.to(tl.int32), 0) - 1
            tl.store(hits + order, place, mask=hit)
            tl.debug_barrier()
            found = tl.load(hits + slot, mask=slot < num_hits, other=-1, cache_modifier=".cg")
            same = (found[:, None] == found[None, :]) & (slot[None, :] < slot[:, None])
            new = (slot < num_hits) & (tl.max(same.to(tl.int32), 1) == 0)
            rank = tl.cumsum(new.to(tl.int32), 0)
            turned = new & (rank <= left)
            array = arrays + first + find(arrays + 5 * num_arrays + first, own, steps, tl.maximum(found, 0))
            index = tl.maximum(found, 0) - tl.load(array + 5 * num_arrays)
            to = tl.load(array + num_arrays).to(tl.pointer_type(tl.int32)) + (index >> 5)
            bit = tl.full([few], 1, tl.int32) << (index & 31).to(tl.int32)
            tl.atomic_xor(to, bit, mask=turned)
            left -= tl.sum(turned.to(tl.int64), 0)
            number += draws
            tl.debug_barrier()


@triton.jit(do_not_specialize=["num_arrays", "steps"])
def draw_groups(
    arrays: tl.tensor,
    num_arrays: tl.tensor,
    steps: tl.tensor,
    choose: tl.tensor,
    seed_pointer: tl.tensor,
    masked: tl.constexpr,
    kept: tl.constexpr,
    group: tl.constexpr,
    columns: tl.constexpr,
    rows: tl.constexpr,
) -> None:
    """Write, as bytes, a drawn subset of each group; field 5 is the stride, `choose` holds n over k."""
    program = tl.program_id(0).to(tl.int64)
    row = arrays + find(arrays, num_arrays, steps, program)
    seed = tl.load(seed_pointer)
    key_low, key_high = key_of(seed, tl.load(row + 6 * num_arrays), tl.load(row + 7 * num_arrays))
    number = (program - tl.load(row)) * rows + tl.arange(0, rows)
    stride = tl.load(row + 5 * num_arrays)
    start = number // stride * stride * group + number % stride
    column = tl.arange(0, columns)
    offsets = start[:, None] + column[None, :] * stride
    there = number < tl.load(row + 3 * num_arrays) // group
    inside = there[:, None] & (column < group)[None, :]
    allowed = inside
    if masked:
        allowed = load_allowed(tl.load(row + 2 * num_arrays), offsets, inside) & inside
    length = tl.sum(allowed.to(tl.int32), 1)
    wanted = tl.minimum(length, kept)
    bound = tl.maximum(tl.load(choose + length * 33 + wanted), 1)
    a, b, c, d = words_at(number >> 2, stride * 0, PATTERN, key_low, key_high)
    quarter = number & 3
    word = tl.where(quarter == 0, a, tl.where(quarter == 1, b, tl.where(quarter == 2, c, d))).to(tl.int64)
    least = ((1 << 32) - bound) % bound
    product = word * bound
    attempt = stride * 0
    again = ((product & 0xFFFFFFFF) < least) & there
    while tl.max(again.to(tl.int32), 0) != 0:
        a, b, c, d = words_at(number, attempt, RETRY, key_low, key_high)
        product = tl.where(again, a.to(tl.int64) * bound, product)
        again = ((product & 0xFFFFFFFF) < least) & there
        attempt += 1
    rank = product >> 32
    subset = tl.zeros([rows, columns], tl.int32)
    for at in tl.static_range(group):
        here = column[None, :] == at
        free = tl.sum(tl.where(here, allowed.to(tl.int32), 0), 1) != 0
        length = tl.where(free, length - 1, length)
        # Subsets that leave this entry out come first.
        without = tl.load(choose + length * 33 + wanted)
        takes = free & (wanted > 0) & (rank >= without)
        rank = tl.where(takes, rank - without, rank)
        wanted = tl.where(takes, wanted - 1, wanted)
        subset = tl.where(here & takes[:, None], 1, subset)
    to = tl.load(row + num_arrays).to(tl.pointer_type(tl.uint8)) + offsets
    tl.store(to, subset.to(tl.uint8), mask=inside)
