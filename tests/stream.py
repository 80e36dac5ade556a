"""The random stream, version 1, in plain integers: what a seed means for good."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Key: TypeAlias = tuple[int, int]

W32, W64 = 2**32 - 1, 2**64 - 1
COINS, CORRECTIONS, CHOICES, RETRIES = range(4)  # what words are for: the last word of their counter


@cache
def philox(number: int, third: int, fourth: int, key: Key) -> tuple[int, ...]:
    """Return the words of Philox4x32-10 at the counter (low and high half of `number`, third, fourth)."""
    counter = (number & W32, number >> 32, third, fourth)
    for turn in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        keys = [(part + turn * weyl) & W32 for part, weyl in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)]
        counter = (
            second >> 32 ^ counter[1] ^ keys[0],
            second & W32,
            first >> 32 ^ counter[3] ^ keys[1],
            first & W32,
        )
    return counter


def key_of(key: Key, number: int, kind: int) -> Key:
    """Return the key of a position (kind 0), a name's hash (1), a row (2) or several arrays' count (3)."""
    first, second, *_ = philox(number, kind, 1, key)
    return first, second


def seed_key(seed: int) -> Key:
    """Return the key that a seed is."""
    return seed & W32, seed >> 32


def fnv1a(name: str) -> int:
    """Return the 64-bit FNV-1a hash."""
    digest = 0xCBF29CE484222325
    for byte in name.encode():
        digest = (digest ^ byte) * 0x100000001B3 & W64
    return digest


def coins(key: Key, length: int, odds: int, planes: int) -> list[bool]:
    """Return bits that are 1 with probability ``odds / 2**planes``, one binary digit after the other."""
    if odds in (0, 1 << planes):
        return [odds > 0] * length
    flips = []
    for position in range(length):
        bit = False
        for plane in range(planes):
            word = philox(position // 128, plane, COINS, key)[position % 128 // 32]
            random = bool(word >> position % 32 & 1)
            bit = (bit or random) if odds >> plane & 1 else (bit and random)
        flips.append(bit)
    return flips


def odds_of(num_kept: int, length: int) -> tuple[int, int]:
    """Return the odds and the number of planes of a coin for so many of a length."""
    planes = -(-(length - 1).bit_length() // 2) + 1
    return ((num_kept << planes) + length // 2) // length, planes


def below(words: Iterator[int], bound: int, bits: int) -> int:
    """Return a uniform number below a bound, from words of so many bits, by Lemire's method."""
    for word in words:
        product = word * bound
        if product % 2**bits >= 2**bits % bound:
            return product >> bits
    raise AssertionError


def corrected(key: Key, kept: list[bool], num_kept: int) -> list[bool]:
    """Return the flips with drawn entries of the class that is too large turned, until the count is right."""

    def words() -> Iterator[int]:
        for block in itertools.count():
            a, b, c, d = philox(block, 0, CORRECTIONS, key)
            yield from (a | b << 32, c | d << 32)

    draws, excess = words(), sum(kept) - num_kept
    left, too_large = abs(excess), excess > 0
    while left:
        at = below(draws, len(kept), 64)
        if kept[at] == too_large:
            kept[at] = not too_large
            left -= 1
    return kept


def mask(key: Key, length: int, count: int) -> list[bool]:
    """Return the mask of an array of that key with so many entries pruned."""
    if length == 0:
        return []
    num_kept = length - count
    return corrected(key, coins(key, length, *odds_of(num_kept, length)), num_kept)


def choice(key: Key, number: int, kept: int, group: int) -> list[bool]:
    """Return the choice in a group, of a drawn rank; those that leave the first entry out come first."""

    def words() -> Iterator[int]:
        yield philox(number // 4, 0, CHOICES, key)[number % 4]
        for attempt in itertools.count():
            yield philox(number, attempt, RETRIES, key)[0]

    rank, chosen = below(words(), math.comb(group, kept), 32), []
    for after in range(group - 1, -1, -1):
        without = math.comb(after, kept)
        chosen.append(rank >= without)
        if chosen[-1]:
            rank, kept = rank - without, kept - 1
    return chosen
