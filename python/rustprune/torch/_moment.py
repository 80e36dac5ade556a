"""A moment of training that can be gone back to: weights, buffers, optimizer, schedule and random state."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Stateful(Protocol):
    """What has a state: learning rate schedules, scalers, samplers."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: Any, /) -> Any:  # noqa: ANN401 - every library has its own
        """Go back to a state."""


class Moment:
    """What a model and all that trains it were when this was made.

    Parameters
    ----------
    model : Module
        Its parameters and buffers.
    optimizer : Optimizer
        Its state and parameter groups.
    stateful : sequence
        Whatever else has a ``state_dict``: a learning rate schedule, a gradient scaler.
    generators : sequence of torch.Generator
        Random generators of the caller's own. Those of Python, NumPy, torch and its GPUs are always included.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        stateful: Sequence[Stateful],
        generators: Sequence[torch.Generator],
    ) -> None:
        self._owners: list[Stateful] = [*([] if optimizer is None else [optimizer]), *stateful]
        self._states = [copy.deepcopy(one.state_dict()) for one in self._owners]
        self._model = model
        self._values = {name: value.detach().clone() for name, value in self._tensors().items()}
        self._generators = [*generators, *torch.cuda.default_generators, torch.default_generator]
        self._random = [one.get_state() for one in self._generators]
        self._others = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state is what is meant

    def restore(self) -> None:
        """Make everything what it was, in place."""
        self.restore_values()
        for owner, state in zip(self._owners, self._states, strict=True):
            owner.load_state_dict(copy.deepcopy(state))
        self.restore_random()

    def restore_values(self) -> None:
        """Make parameters and buffers what they were, and forget gradients."""
        with torch.no_grad():
            for name, value in self._tensors().items():
                value.copy_(self._values[name])
        self._model.zero_grad(set_to_none=True)

    def restore_random(self) -> None:
        """Make the random generators what they were."""
        for generator, state in zip(self._generators, self._random, strict=True):
            generator.set_state(state)
        random.setstate(self._others[0])
        np.random.set_state(self._others[1])  # noqa: NPY002

    def _tensors(self) -> dict[str, Tensor]:
        # Buffers that are not in the state dict too: what a model computes with is what counts.
        return dict(self._model.named_parameters()) | dict(self._model.named_buffers())
