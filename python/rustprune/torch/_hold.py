"""Pruned weights that stay pruned while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeAlias
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.optim import Optimizer

from rustprune.torch._apply import apply_bits_
from rustprune.torch._masks import Masks
from rustprune.torch._shards import reshard

Optimizers: TypeAlias = Optimizer | Sequence[Optimizer] | None

# Masks lie beside a model and not in it: its copies, pickles and state dicts are those of the model alone.
_held: WeakKeyDictionary[nn.Module, Hold] = WeakKeyDictionary()


class Hold:
    """Masks that are held on a model, made by `hold`; a context manager that releases them at its end."""

    def __init__(self, model: nn.Module, masks: Masks, optimizers: Sequence[Optimizer]) -> None:
        reshard(model)
        self._parameters = {name: parameter_of(model, name) for name in masks}
        self._shapes = {name: parameter.shape for name, parameter in self._parameters.items()}
        self._optimizers = list(optimizers)
        self.update(masks)
        self._handles = [
            handle
            for optimizer in self._optimizers
            for handle in (
                optimizer.register_step_pre_hook(self._before_step),
                optimizer.register_step_post_hook(self._after_step),
            )
        ]

    @property
    def masks(self) -> Masks:
        """The masks that are held."""
        return self._masks

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that are pruned, by name."""
        return dict(self._parameters)

    def update(self, masks: Masks) -> None:
        """Hold other masks of the same parameters: weights and optimizer state become zero where they prune.

        Parameters
        ----------
        masks : Masks
            The new masks.

        Raises
        ------
        ValueError
            If names or shapes are not those of the masks held now.
        """
        if masks.shapes != self._shapes:
            odd = sorted({*masks.shapes.items()} ^ {*self._shapes.items()})
            raise ValueError(
                f"masks: expected the names and shapes of the parameters, got a difference in {odd}"
            )
        self._masks = masks.like(self._parameters)
        self._bits = self._masks.bits
        self.apply_()
        apply_bits_(
            (value, self._bits_of(name))
            for optimizer in self._optimizers
            for name, parameter in self._moved_by(optimizer)
            for value in optimizer.state.get(parameter, {}).values()
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.is_floating_point()
        )

    def apply_(self) -> None:
        """Set the pruned weights to zero, as is done after each step."""
        apply_bits_((parameter, self._bits_of(name)) for name, parameter in self._parameters.items())

    def release(self) -> None:
        """Hold the masks no longer; weights stay as they are."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for model in [model for model, held in _held.items() if held is self]:
            del _held[model]

    def __enter__(self) -> Self:
        """Return the hold itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the masks."""
        self.release()

    def _moved_by(self, optimizer: Optimizer) -> list[tuple[str, nn.Parameter]]:
        moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return [item for item in self._parameters.items() if id(item[1]) in moved]

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        apply_bits_(
            (parameter.grad, self._bits_of(name))
            for name, parameter in self._moved_by(optimizer)
            if parameter.grad is not None
        )

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        apply_bits_((parameter, self._bits_of(name)) for name, parameter in self._moved_by(optimizer))

    def _bits_of(self, name: str) -> Tensor:
        # A model may move to another device while its masks are held.
        if self._bits[name].device != self._parameters[name].device:
            self._masks = self._masks.like(self._parameters)
            self._bits = self._masks.bits
        return self._bits[name]


def hold(model: nn.Module, masks: Masks | None = None, optimizer: Optimizers = None) -> Hold:
    """Keep pruned weights at zero while a model trains.

    Before each step of the optimizers gradients become zero where weights are pruned, and after it the
    weights. The optimizers' state becomes zero there now and whenever masks change, so that momentum moves
    nothing: from then on it stays zero by itself. Zeros are written, never multiplied: NaN does not survive.

    Parameters
    ----------
    model : Module
        Its parameters stay ordinary leaves under their own names; nothing is added to it.
    masks : Masks, optional
        True = kept. Left out for those that the model holds already.
    optimizer : Optimizer or sequence of Optimizer, optional
        What moves the weights. Without one masks are applied now, and by `Hold.apply_` when it is called.

    Returns
    -------
    Hold
        In force at once. As a context manager it releases the masks at the end of the block.

    Raises
    ------
    TypeError
        If something is not of a type named above.
    ValueError
        If the model has no parameter of a name, or one of another shape; if no masks are given and none are
        held. Nothing has been changed then.

    See Also
    --------
    finalize : release the masks for good.

    Notes
    -----
    Masks that were held on the model before are released. Steps that an optimizer takes inside itself, as
    LBFGS does, see weights unmasked until its step ends. A gradient scaler that skips a step skips the hooks
    with it.

    After FSDP2's ``fully_shard`` each process holds the masks of its shards; masks of whole weights, as
    `Masks.load` gives them, are cut as the weights are. Shard first, since it makes new parameters.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Linear(4, 2)
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> with rpt.hold(model, rpt.masks(model, 0.5), optimizer):
    ...     model(torch.ones(1, 4)).sum().backward()
    ...     optimizer.step()
    >>> int((model.weight == 0).sum())
    4
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or ())
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(one).__name__}")
    if masks is None:
        if model not in _held:
            raise ValueError("masks must be given for a model that holds none")
        masks = _held[model].masks
    if not isinstance(masks, Masks):
        raise TypeError(f"masks must be Masks, got {type(masks).__name__}")
    made = Hold(model, masks, optimizers)
    if model in _held:
        _held[model].release()
    _held[model] = made
    return made


def held(model: nn.Module) -> Hold | None:
    """Return what is held on a model."""
    return _held.get(model)


def parameter_of(model: nn.Module, name: str) -> nn.Parameter:
    """Return the parameter of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        return model.get_parameter(name)
    except AttributeError as error:
        raise ValueError(f"{name}: expected a parameter of the model, got none of that name") from error
