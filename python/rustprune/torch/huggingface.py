"""Pruning in the ``Trainer`` of Hugging Face transformers; needs the extra ``rustprune[huggingface]``.

from rustprune.torch.huggingface import PruningCallback
trainer = Trainer(model, ..., callbacks=[PruningCallback(0.9, scope="global", ignore=["classifier"])])
trainer.train()
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Unpack

from torch import nn
from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from rustprune.torch._callback import Run, side_file
from rustprune.torch._masks import Masks
from rustprune.torch._prune import PruneOptions
from rustprune.torch._pruner import Schedule
from rustprune.torch._report import Report


class PruningCallback(TrainerCallback):
    """Prunes the model of a trainer when training begins, or along a schedule, and holds the masks.

    Parameters
    ----------
    ratio : float, or mapping of str to float
        As for `rustprune.torch.masks`: what is pruned before the first step.
    masks : Masks or path, optional
        Masks to hold, instead: those of a model that was pruned before and is tuned now. Without any of
        `ratio`, `masks` and `schedule`, those that the model holds already.
    schedule : Schedule, optional
        When to prune and how much, instead: its ``due(step)`` is asked before the first optimizer step and
        after each, and ``ratio_at(step)`` when it says so. What is pruned stays pruned, unless
        ``regrow=True``.
    finalize : bool
        At the end of training hold the masks no longer: the model is an ordinary one with zeros.
    **options
        As for `rustprune.torch.masks`, names being those of the model without the wrappers of a trainer.

    Raises
    ------
    ValueError
        If more than one of the three ways is asked for; when training begins, as from
        `rustprune.torch.masks` and `rustprune.torch.hold`.
    TypeError
        When training begins, if the optimizer is none of torch's, as DeepSpeed's are not.

    Notes
    -----
    Masks are attached to the optimizer itself, out of whatever wraps it: gradients become zero where weights
    are pruned after each backward pass, before the trainer clips them, and the weights after the step. Where
    the trainer shards the model by FSDP, gradients become zero at the step only, and those of pruned weights
    count when it clips. A step that a gradient scaler skips changes nothing.

    With each checkpoint its masks are written into ``model.mask.safetensors`` beside the weights. Training
    that is resumed takes them up again from there: from the folder named in the training arguments, or else
    ``checkpoint-N`` in the output folder, where N is the step. ``load_best_model_at_end`` gives weights of
    an earlier step; along a schedule they get the last masks nevertheless.
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
        self._run = Run(ratio, masks, schedule, options, finalized=finalize)

    @property
    def masks(self) -> Masks | None:
        """The masks that are held now, or were at the end; None before there are any."""
        return self._run.masks

    @property
    def report(self) -> Report | None:
        """What is pruned now, or was at the end; None before anything is."""
        return self._run.report

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **kwargs: Any,  # noqa: ANN401 - as the class above it has it
    ) -> None:
        """Prune, or take up the masks of the checkpoint that training goes on from."""
        resumed = _resumed(args, state) if state.global_step else None
        model, optimizer = _original(kwargs["model"]), _unwrapped(kwargs["optimizer"])
        self._run.begin(model, [optimizer], state.global_step, resumed)

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """Prune what is due."""
        self._run.reached(state.global_step)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """Write the masks beside the checkpoint."""
        masks = self._run.masks
        # A search over hyperparameters has folders of its own, and nothing in them is resumed.
        if masks is None or state.is_hyper_param_search:
            return
        if state.is_world_process_zero or masks.cuts:
            masks.save(side_file(_folder(args, state)))

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """Write the zeros a last time."""
        self._run.end()


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir or "") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _resumed(args: TrainingArguments, state: TrainerState) -> Masks:
    folders = [_folder(args, state)]
    if isinstance(args.resume_from_checkpoint, str):
        folders.insert(0, Path(args.resume_from_checkpoint))
    for folder in folders:
        if (path := side_file(folder)).exists():
            return Masks.load(path)
    raise ValueError(
        f"expected the masks of step {state.global_step} to resume from, "
        f"got no {side_file('').name} in {' or '.join(map(str, folders))}"
    )


def _original(model: nn.Module) -> nn.Module:
    """Return the module that was compiled, if one was: its names are those of the model as it was made."""
    found = getattr(model, "_orig_mod", model)
    return found if isinstance(found, nn.Module) else model


def _unwrapped(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer that steps, out of those that only call it."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer
