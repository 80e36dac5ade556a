"""Pruning along a schedule while a model trains."""

from __future__ import annotations

from typing import Any, Protocol, Unpack

from torch import nn

from rustprune import Iterative
from rustprune._request import whole
from rustprune.torch._hold import Optimizers, held, hold
from rustprune.torch._masks import Masks
from rustprune.torch._prune import DrawOptions, prune
from rustprune.torch._report import Report


class Schedule(Protocol):
    """When masks change, and to which ratio: `rustprune.Cubic` and others, or your own."""

    def ratio_at(self, step: int) -> float:
        """Return the fraction of entries that is pruned after `step` steps, in [0, 1]."""

    def due(self, step: int) -> bool:
        """Return whether masks change after `step` steps."""


class Pruner:
    """Prunes a model along a schedule: one call after each optimizer step.

    Parameters
    ----------
    model : Module
        The model.
    schedule : Schedule
        When masks change and to which ratio, in the units of `step`: optimizer steps, epochs or rounds. What
        is due at step 0 is pruned at once.
    optimizer : Optimizer or sequence of Optimizer, optional
        What moves the weights: see `hold`.
    **options
        As for `masks`.

    Raises
    ------
    TypeError, ValueError
        As from `masks` and `hold`.

    Notes
    -----
    What is pruned stays pruned, so masks are nested, and the last has exactly the count of the schedule's
    last ratio. Rounds of `rustprune.Iterative` prune ``round(rate * n)`` of the `n` entries kept. A schedule
    that asks for less than is pruned is a ValueError at the step at which it does.

    Examples
    --------
    >>> import torch
    >>> import rustprune as rp
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Linear(10, 10)
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.1)
    >>> pruner = rpt.Pruner(model, rp.Linear(final=0.8, begin=0, end=4), optimizer=optimizer)
    >>> for step in range(4):
    ...     optimizer.step()
    ...     report = pruner.step()
    >>> report.sparsity
    0.8
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        *,
        optimizer: Optimizers = None,
        **options: Unpack[DrawOptions],
    ) -> None:
        self._model, self._schedule, self._optimizer, self._options = model, schedule, optimizer, options
        self._step = 0
        self._prune()

    @property
    def num_steps(self) -> int:
        """How many steps there have been."""
        return self._step

    def step(self) -> Report | None:
        """Count a step, and prune if it is due.

        Returns
        -------
        Report or None
            What is pruned now, if masks have changed.
        """
        self._step += 1
        return self._prune()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes up again: the number of steps, and the masks.

        Returns
        -------
        dict
            Of plain values and tensors, for ``torch.save``.
        """
        hold = held(self._model)
        masks = Masks({}) if hold is None else hold.masks
        shapes = {name: tuple(shape) for name, shape in masks.shapes.items()}
        return {"step": self._step, "bits": masks.bits, "shapes": shapes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up again what `state_dict` returned: hold its masks, and go on counting.

        Raises
        ------
        ValueError
            If the masks do not fit the model.
        """
        masks = Masks.of_bits(state["bits"], state["shapes"])
        if masks:
            hold(self._model, masks, self._optimizer)
        self._step = whole("step", state["step"])

    def _prune(self) -> Report | None:
        if not self._schedule.due(self._step):
            return None
        if isinstance(self._schedule, Iterative):
            return prune(self._model, rate=self._schedule.rate, optimizer=self._optimizer, **self._options)
        ratio = self._schedule.ratio_at(self._step)
        return prune(self._model, ratio, optimizer=self._optimizer, **self._options)
