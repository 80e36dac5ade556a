"""What is done when a backward pass ends, once for all gradients that it has written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias
from weakref import WeakMethod

import torch
from torch import Tensor, nn
from torch.autograd import Variable

Work: TypeAlias = Callable[[list[Tensor]], None]


class AfterBackward:
    """Calls a method with the parameters whose gradients a backward pass has accumulated, when it ends.

    Parameters
    ----------
    parameters : iterable of Parameter
        What to look at: those that require gradients now.
    work : method
        Called with some of them; its object is not kept alive.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], work: Work) -> None:
        self._work = WeakMethod(work)
        # By the number of the pass: one may begin and end within another.
        self._accumulated: dict[int, list[Tensor]] = {}
        self._handles = [
            parameter.register_post_accumulate_grad_hook(self._note)
            for parameter in parameters
            if parameter.requires_grad
        ]

    def remove(self) -> None:
        """Call it no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _note(self, parameter: Tensor) -> None:
        # Backward passes that are compiled themselves have no such end.
        if torch.compiler.is_compiling():
            return
        number = torch._C._current_graph_task_id()  # noqa: SLF001 - as torch's own checkpointing does
        accumulated = self._accumulated.setdefault(number, [])
        if not accumulated:
            # Put off a second time, behind what others do at the end: DDP awaits its sums there.
            at_the_end(lambda: at_the_end(lambda: self._end(number)))
        accumulated.append(parameter)

    def _end(self, number: int) -> None:
        # Each device has a thread of its own, and two may have been the first.
        parameters = self._accumulated.pop(number, [])
        if (work := self._work()) and self._handles:
            work(parameters)


def at_the_end(work: Callable[[], None]) -> None:
    """Do something when the backward pass ends that is under way."""
    Variable._execution_engine.queue_callback(work)  # noqa: SLF001 - as torch's FSDP does
