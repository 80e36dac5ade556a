"""How much is pruned when: the ratio as a function of the step, up to the final one and no further."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rustprune._request import number, whole


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """Prune once.

    Parameters
    ----------
    final : float
        Ratio from `begin` on, in [0, 1].
    begin : int
        The step at which it is pruned.

    Raises
    ------
    TypeError, ValueError
        If a number is not of the type or in the range named above.

    Examples
    --------
    >>> schedule = OneShot(final=0.5, begin=10)
    >>> schedule.ratio_at(9), schedule.ratio_at(10), schedule.due(11)
    (0.0, 0.5, False)
    """

    final: float
    begin: int = 0

    def __post_init__(self) -> None:
        _ratio("final", self.final)
        whole("begin", self.begin)

    def ratio_at(self, step: int) -> float:
        """Return the ratio after `step` steps."""
        return self.final if step >= self.begin else 0.0

    def due(self, step: int) -> bool:
        """Return whether masks change after `step` steps."""
        return step == self.begin


@dataclass(frozen=True, kw_only=True)
class Iterative:
    """Prune a fraction of what is kept, round after round.

    Parameters
    ----------
    rounds : int
        How many rounds there are.
    rate : float
        Fraction of what is kept that each prunes, in [0, 1].
    begin, every : int
        The step of the first round, and how many steps lie between two of them.

    Raises
    ------
    TypeError, ValueError
        If a number is not of the type or in the range named above.

    Notes
    -----
    After `k` rounds the ratio is ``1 - (1 - rate)**k``. A driver that prunes ``round(rate * n)`` of the `n`
    entries kept, as `rustprune.torch` does, gets counts that are a few entries from that.

    Examples
    --------
    >>> schedule = Iterative(rounds=3, rate=0.5, begin=10, every=100)
    >>> [schedule.ratio_at(step) for step in (9, 10, 110, 210, 1000)]
    [0.0, 0.5, 0.75, 0.875, 0.875]
    """

    rounds: int
    rate: float
    begin: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        whole("rounds", self.rounds)
        _ratio("rate", self.rate)
        whole("begin", self.begin)
        _positive("every", self.every)

    def ratio_at(self, step: int) -> float:
        """Return the ratio after `step` steps."""
        return 1.0 - (1.0 - self.rate) ** self._done(step)

    def due(self, step: int) -> bool:
        """Return whether masks change after `step` steps."""
        return self._done(step) > self._done(step - 1)

    def _done(self, step: int) -> int:
        return 0 if step < self.begin else min(self.rounds, 1 + (step - self.begin) // self.every)


@dataclass(frozen=True, kw_only=True)
class _Gradual:
    """A rise from one ratio to another over a span of steps."""

    final: float
    begin: int = 0
    end: int
    every: int = 1
    initial: float = 0.0

    def __post_init__(self) -> None:
        _ratio("initial", self.initial)
        _ratio("final", self.final)
        if self.initial > self.final:
            raise ValueError(f"initial must be at most final, {self.final}, got {self.initial}")
        if whole("begin", self.begin) >= whole("end", self.end):
            raise ValueError(f"begin must be below end, {self.end}, got {self.begin}")
        _positive("every", self.every)

    def ratio_at(self, step: int) -> float:
        """Return the ratio after `step` steps."""
        if step < self.begin:
            return 0.0
        if step >= self.end:
            return self.final
        return self._rise((step - self.begin) / (self.end - self.begin))

    def due(self, step: int) -> bool:
        """Return whether masks change after `step` steps."""
        return step == self.end or (self.begin <= step < self.end and (step - self.begin) % self.every == 0)

    def _rise(self, progress: float) -> float:
        """Return the ratio at a share of the span, in [0, 1)."""
        raise NotImplementedError


class Linear(_Gradual):
    """Rise from one ratio to another along a line.

    Parameters
    ----------
    final : float
        Ratio from `end` on, in [0, 1].
    begin, end : int
        First and last step of the rise; ``begin < end``.
    every : int
        How many steps lie between two changes of the masks; the last is at `end` in any case.
    initial : float
        Ratio at `begin`, at most `final`; before it nothing is pruned.

    Raises
    ------
    TypeError, ValueError
        If a number is not of the type or in the range named above.

    Examples
    --------
    >>> schedule = Linear(final=0.5, begin=0, end=100, every=50)
    >>> [(schedule.ratio_at(step), schedule.due(step)) for step in (0, 49, 50, 100, 200)]
    [(0.0, True), (0.245, False), (0.25, True), (0.5, True), (0.5, False)]
    """

    def _rise(self, progress: float) -> float:
        return self.initial + (self.final - self.initial) * progress


class Cubic(_Gradual):
    """Rise from one ratio to another, fast at first, along a cubic.

    Parameters
    ----------
    final, begin, end, every, initial
        As for `Linear`.

    Raises
    ------
    TypeError, ValueError
        As for `Linear`.

    Notes
    -----
    With ``p = (step - begin) / (end - begin)`` the ratio is ``final + (initial - final) * (1 - p)**3``:
    equation 1 of [1]_.

    References
    ----------
    .. [1] M. Zhu and S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
       compression", 2017, arXiv:1710.01878.

    Examples
    --------
    >>> Cubic(final=0.5, begin=0, end=100).ratio_at(50)
    0.4375
    """

    def _rise(self, progress: float) -> float:
        return self.final + (self.initial - self.final) * (1.0 - progress) ** 3


class Exponential(_Gradual):
    """Rise from one ratio to another with a density that falls by the same factor in equal spans.

    Parameters
    ----------
    final, begin, end, every, initial
        As for `Linear`.

    Raises
    ------
    TypeError, ValueError
        As for `Linear`.

    Notes
    -----
    With ``p = (step - begin) / (end - begin)`` the density is ``(1 - initial)**(1 - p) * (1 - final)**p``. Of
    `n` steps, each a round, it is the schedule of [1]_.

    References
    ----------
    .. [1] H. Tanaka, D. Kunin, D. L. K. Yamins and S. Ganguli, "Pruning neural networks without any data by
       iteratively conserving synaptic flow", NeurIPS 2020, arXiv:2006.05467.

    Examples
    --------
    >>> schedule = Exponential(final=0.9375, begin=0, end=4)
    >>> [schedule.ratio_at(step) for step in range(5)]
    [0.0, 0.5, 0.75, 0.875, 0.9375]
    """

    def _rise(self, progress: float) -> float:
        return 1.0 - math.pow(1.0 - self.initial, 1.0 - progress) * math.pow(1.0 - self.final, progress)


def _ratio(word: str, value: float) -> None:
    if not 0.0 <= number(word, value) <= 1.0:
        raise ValueError(f"{word} must be between 0 and 1, got {value}")


def _positive(word: str, value: int) -> None:
    if not whole(word, value):
        raise ValueError(f"{word} must be at least 1, got {value}")
