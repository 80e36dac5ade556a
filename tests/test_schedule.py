"""Schedules: where they begin and end, and that they only rise."""

import itertools
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rustprune as rp

Gradual: TypeAlias = Callable[..., rp.Linear | rp.Cubic | rp.Exponential]
GRADUAL = [rp.Linear, rp.Cubic, rp.Exponential]
ratios = st.floats(0.0, 1.0)
steps = st.integers(0, 50)


@pytest.mark.parametrize("kind", GRADUAL)
@given(st.tuples(ratios, ratios), steps, st.integers(1, 50), st.integers(1, 60))
def test_ratios_rise_from_the_first_to_exactly_the_last(
    kind: Gradual, ends: tuple[float, float], begin: int, length: int, every: int
) -> None:
    initial, final = sorted(ends)
    end = begin + length
    schedule = kind(initial=initial, final=final, begin=begin, end=end, every=every)
    rise = [schedule.ratio_at(step) for step in range(end + 3)]
    assert rise[:begin] == [0.0] * begin
    assert rise[begin] == pytest.approx(initial, abs=1e-15)
    assert rise[end:] == [final] * 3
    assert all(before <= after + 1e-15 for before, after in itertools.pairwise(rise))
    due = [step for step in range(end + 3) if schedule.due(step)]
    assert due == sorted({*range(begin, end, every), end})


@given(st.integers(0, 30), ratios, steps, st.integers(1, 9))
def test_rounds_prune_a_fraction_of_what_is_kept(rounds: int, rate: float, begin: int, every: int) -> None:
    schedule = rp.Iterative(rounds=rounds, rate=rate, begin=begin, every=every)
    due = [step for step in range(begin + rounds * every + 3) if schedule.due(step)]
    assert due == [begin + k * every for k in range(rounds)]
    for k, step in enumerate(due, 1):
        assert schedule.ratio_at(step) == 1.0 - (1.0 - rate) ** k
    assert schedule.ratio_at(begin - 1) == 0.0
    assert schedule.ratio_at(10**6) == 1.0 - (1.0 - rate) ** rounds


def test_one_shot_is_due_once() -> None:
    schedule = rp.OneShot(final=0.75, begin=3)
    assert [schedule.ratio_at(step) for step in range(5)] == [0.0, 0.0, 0.0, 0.75, 0.75]
    assert [step for step in range(9) if schedule.due(step)] == [3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.OneShot(final=1.5), "final must be between 0 and 1, got 1.5"),
        (lambda: rp.OneShot(final=float("nan")), "final must be between 0 and 1, got nan"),
        (lambda: rp.Cubic(final=0.5, begin=7, end=7), "begin must be below end, 7, got 7"),
        (lambda: rp.Linear(final=0.5, end=7, initial=0.6), "initial must be at most final, 0.5, got 0.6"),
        (lambda: rp.Exponential(final=0.5, end=7, every=0), "every must be at least 1, got 0"),
        (lambda: rp.Iterative(rounds=-1, rate=0.5), "rounds must be in [0, 2**64), got -1"),
        (lambda: rp.Iterative(rounds=2, rate=-0.5), "rate must be between 0 and 1, got -0.5"),
    ],
)
def test_what_is_no_schedule_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
