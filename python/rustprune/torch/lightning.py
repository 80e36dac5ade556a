"""Pruning in the ``Trainer`` of Lightning; needs the extra ``rustprune[lightning]``.

    from rustprune.torch.lightning import PruningCallback
    trainer = Trainer(..., callbacks=[PruningCallback(0.9, scope="global")])
    trainer.fit(module)

Lightning has two names, with a class ``Callback`` each. The callback is of whichever of the two is imported
before this module, of both if both are, or else of the first that is installed: ``lightning``, then
``pytorch_lightning``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, Unpack

import torch

from rustprune.torch._callback import Run
from rustprune.torch._masks import Masks
from rustprune.torch._prune import PruneOptions
from rustprune.torch._pruner import Schedule
from rustprune.torch._report import Report

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
else:

    def _bases() -> tuple[type, ...]:
        imported = [name for name in _PACKAGES if name in sys.modules]
        if not imported:
            # To look for a package imports the one that it is part of.
            top = [name.partition(".")[0] for name in _PACKAGES]
            found = [
                name for name, first in zip(_PACKAGES, top, strict=True) if importlib.util.find_spec(first)
            ]
            imported = found[:1] or list(_PACKAGES[:1])
        return tuple(importlib.import_module(f"{name}.callbacks").Callback for name in imported)

    Callback = type("Callback", _bases(), {})


class PruningCallback(Callback):
    """Prunes a module when its training begins, or along a schedule, and holds the masks.

    Parameters
    ----------
    ratio : float, or mapping of str to float
        As for `rustprune.torch.masks`: what is pruned before the first step.
    masks : Masks or path, optional
        Masks to hold, instead. Without any of `ratio`, `masks` and `schedule`, those that the module holds
        already.
    schedule : Schedule, optional
        When to prune and how much, instead: its ``due(step)`` is asked before the first optimizer step and
        after each, by ``trainer.global_step``, and ``ratio_at(step)`` when it says so. What is pruned stays
        pruned, unless ``regrow=True``.
    finalize : bool
        At the end of training hold the masks no longer: the module is an ordinary one with zeros.
    **options
        As for `rustprune.torch.masks`, names being those of the ``LightningModule``.

    Raises
    ------
    ValueError
        If more than one of the three ways is asked for; when training begins, as from
        `rustprune.torch.masks` and `rustprune.torch.hold`.

    Notes
    -----
    Masks are attached to the optimizers, so that automatic and manual optimization, accumulated gradients and
    steps that a gradient scaler skips are what they are without: gradients become zero where weights are
    pruned before they are clipped, and the weights after the step. State-dict keys are those of the module.

    It stands after a callback that changes weights in the end, as averages do, since callbacks are called in
    order.

    Checkpoints have the masks, a bit per weight, in the state of the callback, and training that is resumed
    from one goes on with them.
    """

    def __init__(
        self,
        ratio: float | dict[str, float] | None = None,
        *,
        masks: Masks | str | os.PathLike[str] | None = None,
        schedule: Schedule | None = None,
        finalize: bool = True,
        **options: Unpack[PruneOptions],
    ) -> None:
        super().__init__()
        self._run = Run(ratio, masks, schedule, options, finalized=finalize)
        self._resumed: Masks | None = None

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were at the end; None before there are any."""
        return self._run.masks

    @property
    def report(self) -> Report | None:
        """What is pruned now, or was at the end; None before anything is."""
        return self._run.report

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune, or take up the masks of the checkpoint that training goes on from."""
        self._run.begin(pl_module, trainer.optimizers, trainer.global_step, self._resumed)
        self._resumed = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Prune what is due."""
        self._run.reached(trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Write the zeros a last time."""
        self._run.end()

    def state_dict(self) -> dict[str, Any]:
        """Return the masks, of tensors and lists that ``torch.load`` takes for safe."""
        if (masks := self._run.masks) is None:
            return {}
        whole = masks.gathered()
        return {"bits": whole.bits, "shapes": {name: list(shape) for name, shape in whole.shapes.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the masks for when training begins."""
        if state_dict:
            shapes = {name: torch.Size(shape) for name, shape in state_dict["shapes"].items()}
            self._resumed = Masks.of_bits(state_dict["bits"], shapes)
