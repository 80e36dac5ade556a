"""Exact order statistics of (key, place) pairs: histograms of one 8-bit digit after the other.

The order is that of *(key descending, place ascending)*. The digits are those of ``origin - key``, then those
of the place. A question is where its pairs begin and how many there are; then there is what is known before
each digit: which pair is asked for (1 is the first) of those left, the digits so far of both, whether all is
known, the origin, and the largest ``origin - key``, whose leading zeros need no count (-1: any).
"""

from __future__ import annotations

import triton
import triton.language as tl

from rustprune.torch._gpu._kernels.keys import find, load_keys

BINS = tl.constexpr(256)
FIELDS = tl.constexpr(6)
FAR = tl.constexpr(1 << 62)


@triton.jit
def digit_shift(number: tl.tensor, key_digits: tl.tensor, place_digits: tl.tensor) -> tl.tensor:
    """Return by how much the digit of that number is shifted."""
    is_place = number >= key_digits
    return 8 * tl.where(is_place, key_digits + place_digits - 1 - number, key_digits - 1 - number)


@triton.jit
def known(
    states: tl.tensor,
    histograms: tl.tensor,
    question: tl.tensor,
    num_questions: tl.tensor,
    number: tl.tensor,
    key_digits: tl.tensor,
    place_digits: tl.tensor,
    first: tl.constexpr,
) -> tl.tensor:
    """Return what is known before the digit `number`, field by field."""
    last = number - 1
    if first:
        last = number
    state = states + (last * num_questions + question) * FIELDS
    rank = tl.load(state)
    key = tl.load(state + 1)
    place = tl.load(state + 2)
    done = tl.load(state + 3)
    origin = tl.load(state + 4)
    width = tl.load(state + 5)
    if not first:
        bins = tl.arange(0, BINS)
        counts = tl.load(histograms + (last * num_questions + question) * BINS + bins)
        upto = tl.cumsum(counts, 0)
        digit = tl.sum((upto < rank).to(tl.int64), 0)
        before = tl.sum(tl.where(bins < digit, counts, 0), 0)
        here = tl.sum(tl.where(bins == digit, counts, 0), 0)
        shift = digit_shift(last, key_digits, place_digits).to(tl.int64)
        is_place = last >= key_digits
        open_ = (done == 0) & (is_place | ((width >> shift) != 0))
        rank = tl.where(open_, rank - before, rank)
        key = tl.where(open_ & (is_place == 0), key | (digit << shift), key)
        place = tl.where(open_ & is_place, place | (digit << shift), place)
        # All pairs of that key are within the rank: no place divides them.
        whole = open_ & (last == key_digits - 1) & (rank == here)
        place = tl.where(whole, FAR, place)
        done = tl.where(whole, 1, done)
    return rank, key, place, done, origin, width


@triton.jit
def store_known(
    state: tl.tensor,
    rank: tl.tensor,
    key: tl.tensor,
    place: tl.tensor,
    done: tl.tensor,
    origin: tl.tensor,
    width: tl.tensor,
) -> None:
    """Write the fields of what is known."""
    tl.store(state, rank)
    tl.store(state + 1, key)
    tl.store(state + 2, place)
    tl.store(state + 3, done)
    tl.store(state + 4, origin)
    tl.store(state + 5, width)


@triton.jit
def digits_of(
    keys: tl.tensor,
    places: tl.tensor,
    inside: tl.tensor,
    key: tl.tensor,
    place: tl.tensor,
    is_place: tl.tensor,
    shift: tl.tensor,
    first: tl.constexpr,
) -> tl.tensor:
    """Return the counts of one digit among the pairs that agree with what is known."""
    values = keys
    if not first:
        values = tl.where(is_place, places, keys)
        known_digits = tl.where(is_place, place, key)
        # Two shifts: by 64 at once is no shift that a processor knows.
        inside = inside & (((values >> shift) >> 8) == ((known_digits >> shift) >> 8))
        inside = inside & ((is_place == 0) | (keys == key))
    return tl.histogram(((values >> shift) & 255).to(tl.int32), BINS, mask=inside).to(tl.int64)


@triton.jit(do_not_specialize=["number", "key_digits", "place_digits"])
def count_pairs(
    keys: tl.tensor,
    places: tl.tensor,
    lists: tl.tensor,
    states: tl.tensor,
    histograms: tl.tensor,
    number: tl.tensor,
    key_digits: tl.tensor,
    place_digits: tl.tensor,
    number_shift: tl.constexpr,
    first: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Count the digit `number` of the pairs of each question; axis 1 of the grid are the questions.

    If `number_shift` is not negative, the place of a pair is its number in the list without so many bits.
    """
    question = tl.program_id(1)
    num_questions = tl.num_programs(1)
    rank, key, place, done, origin, width = known(
        states, histograms, question, num_questions, number, key_digits, place_digits, first
    )
    if not first:
        # Every program of a question writes the same.
        state = states + (number * num_questions + question) * FIELDS
        store_known(state, rank, key, place, done, origin, width)
    is_place = number >= key_digits
    shift = digit_shift(number, key_digits, place_digits).to(tl.int64)
    start = tl.load(lists + 2 * question)
    open_ = (done == 0) & (is_place | ((width >> shift) != 0))
    count = tl.where(open_, tl.load(lists + 2 * question + 1), 0)
    if count > tl.program_id(0) * block:
        placed = tl.where(is_place, count, 0)
        counts = tl.zeros([BINS], tl.int64)
        for begin in range(tl.program_id(0) * block, count, tl.num_programs(0) * block):
            offsets = begin + tl.arange(0, block)
            inside = offsets < count
            found = tl.load(keys + start + offsets, mask=inside, other=0).to(tl.int64)
            if number_shift >= 0:
                where = offsets >> number_shift
            else:
                where = tl.load(places + start + offsets, mask=offsets < placed, other=0)
            counts += digits_of(origin - found, where, inside, key, place, is_place, shift, first)
        bins = tl.arange(0, BINS)
        to = histograms + (number * num_questions + question) * BINS + bins
        tl.atomic_add(to, counts, mask=counts > 0, sem="relaxed")


@triton.jit(do_not_specialize=["number", "key_digits", "place_digits", "num_tiles", "steps"])
def count_entries(
    segments: tl.tensor,
    num_segments: tl.tensor,
    steps: tl.tensor,
    num_tiles: tl.tensor,
    missed: tl.tensor,
    states: tl.tensor,
    histograms: tl.tensor,
    num_questions: tl.tensor,
    number: tl.tensor,
    key_digits: tl.tensor,
    place_digits: tl.tensor,
    code: tl.constexpr,
    limit: tl.constexpr,
    top: tl.constexpr,
    base: tl.constexpr,
    signed: tl.constexpr,
    nan: tl.constexpr,
    masked: tl.constexpr,
    first: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Count the digit `number` of all entries of the contests that were missed; the last `missed` is any.

    A program walks through neighboring tiles and adds its counts to those of a contest once.
    """
    total = tl.where(tl.load(missed + num_questions) != 0, num_tiles, 0)
    share = tl.cdiv(total, tl.num_programs(0))
    begin_tile = tl.program_id(0) * share
    is_place = number >= key_digits
    shift = digit_shift(number, key_digits, place_digits).to(tl.int64)
    bins = tl.arange(0, BINS)
    counts = tl.zeros([BINS], tl.int64)
    current = tl.cast(-1, tl.int64)
    key = tl.cast(0, tl.int64)
    place = tl.cast(0, tl.int64)
    done = tl.cast(1, tl.int64)
    origin = tl.cast(0, tl.int64)
    for tile in range(begin_tile, tl.minimum(begin_tile + share, total)):
        row = segments + find(segments, num_segments, steps, tl.cast(tile, tl.int64))
        question = tl.load(row + 5 * num_segments)
        if question != current:
            to = histograms + (number * num_questions + current) * BINS + bins
            tl.atomic_add(to, counts, mask=counts > 0, sem="relaxed")
            counts = tl.zeros([BINS], tl.int64)
            current = question
            rank, key, place, done, origin, width = known(
                states, histograms, question, num_questions, number, key_digits, place_digits, first
            )
            if not first:
                state = states + (number * num_questions + question) * FIELDS
                store_known(state, rank, key, place, done, origin, width)
        if done == 0:
            offsets = (tile - tl.load(row)) * block + tl.arange(0, block)
            inside = offsets < tl.load(row + 4 * num_segments)
            keys, _ = load_keys(
                tl.load(row + num_segments),
                offsets,
                inside,
                tl.load(row + 3 * num_segments),
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
            places = tl.load(row + 6 * num_segments) + offsets
            counts += digits_of(
                origin - keys.to(tl.int64), places, inside, key, place, is_place, shift, first
            )
    to = histograms + (number * num_questions + current) * BINS + bins
    tl.atomic_add(to, counts, mask=counts > 0, sem="relaxed")


@triton.jit(do_not_specialize=["number", "key_digits", "place_digits"])
def conclude(
    states: tl.tensor,
    histograms: tl.tensor,
    cuts: tl.tensor,
    contests: tl.tensor,
    number: tl.tensor,
    key_digits: tl.tensor,
    place_digits: tl.tensor,
    number_shift: tl.constexpr,
    stride: tl.constexpr,
) -> None:
    """Write the cut of each question: pairs above its key are kept, and those of its key before its place.

    If `number_shift` is not negative, each contest has two questions, and places are numbers of a sample.
    """
    question = tl.program_id(0)
    num_questions = tl.num_programs(0)
    _, key, place, done, origin, _ = known(
        states, histograms, question, num_questions, number, key_digits, place_digits, False
    )
    end = place + 1
    if number_shift >= 0:
        # The strata up to that of the pair.
        contest = contests + question // 2
        size = tl.load(contest + 5 * (num_questions // 2))
        end = tl.minimum(end << number_shift, size) * tl.load(contest) // tl.maximum(size, 1)
    cut = cuts + 2 * stride * question
    tl.store(cut, origin - key)
    tl.store(cut + 1, tl.where(done == 0, end, place))
