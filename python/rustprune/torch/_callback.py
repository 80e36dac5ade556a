"""What the callbacks of trainers have in common: begin, after each step, end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from rustprune.torch._account import report
from rustprune.torch._hold import held, hold
from rustprune.torch._masks import Masks
from rustprune.torch._prune import PruneOptions, finalize, prune
from rustprune.torch._pruner import Schedule, prune_due
from rustprune.torch._report import Report


class Run:
    """Pruning while something else owns the loop.

    Parameters
    ----------
    ratio, **options
        As for `masks`; what is pruned before the first step.
    masks : Masks or path, optional
        Masks to hold, instead.
    schedule : Schedule, optional
        When to prune and how much, instead.
    finalized : bool
        Whether to hold the masks no longer at the end.

    Raises
    ------
    ValueError
        If more than one of the three ways is asked for.
    """

    def __init__(
        self,
        ratio: float | dict[str, float] | None,
        masks: Masks | str | os.PathLike[str] | None,
        schedule: Schedule | None,
        options: PruneOptions,
        *,
        finalized: bool,
    ) -> None:
        amounts = {"ratio": ratio, **options}
        given = [word for word in ("ratio", "count", "rate", "pattern") if amounts.get(word) is not None]
        if masks is not None and (schedule is not None or given or options):
            raise ValueError(
                "masks must be given alone, got a schedule, an amount or other options with them"
            )
        if schedule is not None and given:
            raise ValueError(f"{' and '.join(given)} must be left out with a schedule")
        self._given = masks if masks is None or isinstance(masks, Masks) else Masks.load(masks)
        self._asked = bool(given)
        self._ratio, self._schedule, self._options = ratio, schedule, options
        self._finalized = finalized
        self._step = 0
        self._model: nn.Module | None = None
        self._optimizers: list[Optimizer] = []
        self._final: tuple[Masks, Report] | None = None

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were at the end; None before there are any."""
        if self._final is not None:
            return self._final[0]
        return None if self._model is None or (now := held(self._model)) is None else now.masks

    @property
    def report(self) -> Report | None:
        """What is pruned now, or was at the end; None before anything is."""
        if self._final is not None:
            return self._final[1]
        return None if self._model is None or held(self._model) is None else report(self._model)

    def begin(
        self, model: nn.Module, optimizers: Sequence[Optimizer], step: int, resumed: Masks | None
    ) -> None:
        """Prune before the first step, or take up the masks that were held after so many."""
        self._model, self._optimizers = model, [*optimizers]
        self._step, self._final = step, None
        if resumed is not None:
            hold(model, resumed, self._optimizers)
        elif self._schedule is not None:
            prune_due(model, self._schedule, step, self._optimizers, self._options)
        elif self._asked:
            prune(model, self._ratio, optimizer=self._optimizers, **self._options)
        else:
            hold(model, self._given, self._optimizers)

    def reached(self, step: int) -> None:
        """Prune what is due after so many optimizer steps."""
        if self._schedule is not None and self._model is not None:
            for each in range(self._step + 1, step + 1):
                prune_due(self._model, self._schedule, each, self._optimizers, self._options)
        self._step = step

    def end(self) -> None:
        """Write the zeros a last time, and hold the masks no longer if that is asked for."""
        if self._model is None or (now := held(self._model)) is None:
            return
        if self._finalized:
            self._final = now.masks, finalize(self._model)
        else:
            now.apply_()


def side_file(folder: str | os.PathLike[str]) -> Path:
    """Return where the masks of a checkpoint lie, beside its weights."""
    return Path(folder) / "model.mask.safetensors"
