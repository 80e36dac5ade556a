"""What the benches share: a row, times taken in turn, and the command line of a bench.

A bench is a function from a scale to rows. Its script prints one JSON object per row.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rustprune

Bench = Callable[["Scale"], "Iterator[Row]"]
Calls = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Scale:
    """How big and how often: every size of a bench is derived from `entries`."""

    entries: int
    most_rounds: int


FULL = Scale(entries=10**8, most_rounds=15)
SMOKE = Scale(entries=10**5, most_rounds=1)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: what was measured, on what, and what it has to reach, if anything."""

    figure: str
    given: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    ours_seconds: float | None = None
    theirs_seconds: float | None = None
    bytes_per_second: float | None = None
    rounds: int = 1
    threads: int = field(default_factory=rustprune.get_num_threads)

    @property
    def reached(self) -> bool | None:
        """Whether the value is what it has to be; None where it may be anything."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def facts(self) -> dict[str, object]:
        """Return everything there is to know, for a record."""
        return dataclasses.asdict(self) | {"reached": self.reached}


@dataclass(frozen=True)
class Times:
    """Median seconds of calls that were timed in turn on the same input."""

    given: str
    seconds: Mapping[str, float]
    rounds: int

    def faster(self, ours: str, theirs: str, *, moved: int, at_least: float | None = None) -> Row:
        """Return by how many times ours is quicker; `moved` is the bytes it cannot but read and write."""
        value = self.seconds[theirs] / self.seconds[ours]
        return self._row(ours, theirs, value, "times faster", moved=moved, at_least=at_least)

    def slower(self, ours: str, theirs: str, *, moved: int, at_most: float | None = None) -> Row:
        """Return how many times as long ours takes."""
        value = self.seconds[ours] / self.seconds[theirs]
        return self._row(ours, theirs, value, "times the time", moved=moved, at_most=at_most)

    def _row(
        self,
        ours: str,
        theirs: str,
        value: float,
        unit: str,
        *,
        moved: int,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> Row:
        return Row(
            figure=f"{ours}, against {theirs}",
            given=self.given,
            value=value,
            unit=unit,
            at_least=at_least,
            at_most=at_most,
            ours_seconds=self.seconds[ours],
            theirs_seconds=self.seconds[theirs],
            bytes_per_second=moved / self.seconds[ours],
            rounds=self.rounds,
        )


QUICK = 0.25
"""Seconds below which a call is made several times in its turn, once it is known."""


def interleave(
    given: str,
    scale: Scale,
    calls: Calls,
    *,
    before: Callable[[], object] = lambda: None,
    budget: float = 12.0,
) -> Times:
    """Time calls in turn, A, B, A, B, ..., quick ones several times, and take the median of each.

    What `before` does before each call is not timed.

    The first round warms up, tells how many rounds `budget` seconds allow (at least 3), and checks that the
    calls answer the same question: that they keep as many entries, but for ties that the others do not break.
    """
    made, spent = {}, 0.0
    for name, call in calls.items():
        seconds, result = clock(call, before)
        made[name] = extent(result)
        spent += seconds
        del result
    if not all(math.isclose(one, max(made.values()), rel_tol=0.02) for one in made.values()):
        raise RuntimeError(f"expected results of one size, got {made}")
    rounds = min(scale.most_rounds, max(3, round(budget / spent)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            # Several where it is quick: the first after a slow one waits for the system to tidy the memory.
            for _ in range(5 if sum(times[name]) < QUICK * len(times[name]) else 1):
                times[name].append(clock(call, before)[0])
    return Times(given, {name: statistics.median(all_) for name, all_ in times.items()}, rounds)


def clock(call: Callable[[], object], before: Callable[[], object]) -> tuple[float, object]:
    """Return the seconds that a call takes, and its result."""
    before()
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def extent(result: object) -> float:
    """Return how many entries a result keeps; a number stands for itself."""
    match result:
        case int() | float():
            return result
        case rustprune.Summary():
            return result.num_kept
        case dict():
            return sum(map(extent, result.values()))
        case list():
            return sum(map(extent, result))
        case _:
            mask = np.asarray(result)
            packed = mask.dtype == np.uint8
            return int(np.bitwise_count(mask).sum() if packed else np.count_nonzero(mask))


def normal(*shape: int) -> npt.NDArray[np.float32]:
    """Return weights as a layer has them."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def main(*benches: Bench) -> None:
    """Run the benches of a script, or those with a word in their name, and print their rows as JSON."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once each")
    parser.add_argument(
        "--only", metavar="WORD", default="", help="benches with this in script or function name"
    )
    options = parser.parse_args()
    for bench in benches:
        if options.only in f"{Path(sys.argv[0]).stem} {bench.__name__}":
            for row in bench(SMOKE if options.smoke else FULL):
                print(json.dumps(row.facts()), flush=True)
