"""Pruned weights that stay pruned while a model trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Self, TypeAlias
from weakref import WeakKeyDictionary, WeakSet, ref

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from rustprune.torch._apply import apply_bits_
from rustprune.torch._backward import AfterBackward
from rustprune.torch._masks import Masks
from rustprune.torch._shards import layouts, reshard

Optimizers: TypeAlias = Optimizer | Sequence[Optimizer] | None
_Pairs: TypeAlias = Iterable[tuple[Tensor, Tensor]]

# Masks lie beside a model and not in it: its copies, pickles and state dicts are those of the model alone.
_held: WeakKeyDictionary[nn.Module, Hold] = WeakKeyDictionary()
# What is held for any optimizer, with those whose state is zero already where weights are pruned.
_for_any: WeakKeyDictionary[Hold, WeakSet[Optimizer]] = WeakKeyDictionary()


class Hold:
    """Masks that are held on a model, made by `hold`; a context manager that releases them at its end."""

    def __init__(self, model: nn.Module, masks: Masks, optimizers: Sequence[Optimizer] | None) -> None:
        reshard(model)
        self._parameters = {name: parameter_of(model, name) for name in masks}
        self._shapes = {name: parameter.shape for name, parameter in self._parameters.items()}
        self._optimizers = list(optimizers or ())
        # By parameter, the gradients whose zeros are written, and how often they had been changed then.
        self._masked: dict[int, tuple[ref[Tensor], int]] = {}
        self.update(masks)
        self._handles = [
            handle
            for optimizer in self._optimizers
            for handle in (
                optimizer.register_step_pre_hook(self._before_step),
                optimizer.register_step_post_hook(self._after_step),
            )
        ]
        stepped = self._parameters.values() if optimizers is None or optimizers else ()
        self._after_backward = AfterBackward(stepped, self._mask_accumulated)

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
        for optimizer in self._optimizers:
            apply_bits_(_state(optimizer, self.pairs(_moved_by(optimizer))))
        if self in _for_any:
            _for_any[self].clear()

    def apply_(self) -> None:
        """Set the pruned weights to zero, as is done after each step."""
        apply_bits_((parameter, self._bits_of(name)) for name, parameter in self._parameters.items())

    def mask_gradients_(self) -> None:
        """Set the gradients of pruned weights to zero, as after a backward pass and before a step.

        To be called where something else writes gradients and they are clipped before the step: after FSDP2's
        ``fully_shard``, for example.
        """
        apply_bits_(_gradients(self.pairs({*map(id, self._parameters.values())})))

    def pairs(self, moved: set[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the parameters whose identities are among those given, and the bits of their masks."""
        for name, parameter in self._parameters.items():
            if id(parameter) in moved:
                yield parameter, self._bits_of(name)

    def gradients(self, moved: set[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the gradients of the same that may not be zero yet where weights are pruned, and the bits."""
        for parameter, bits in self.pairs(moved):
            if (gradient := parameter.grad) is not None and not self._is_masked(parameter, gradient):
                yield gradient, bits

    def release(self) -> None:
        """Hold the masks no longer; weights stay as they are."""
        self._after_backward.remove()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        _for_any.pop(self, None)
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

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        apply_bits_(self.gradients(_moved_by(optimizer)))

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        apply_bits_(self.pairs(_moved_by(optimizer)))

    def _mask_accumulated(self, parameters: list[Tensor]) -> None:
        # One that has a graph of its own must stay as it is until the step.
        done = {
            id(one): one.grad for one in parameters if one.grad is not None and not one.grad.requires_grad
        }
        apply_bits_(_gradients(self.pairs({*done})))
        self._masked |= {one: (ref(gradient), _changes(gradient)) for one, gradient in done.items()}

    def _is_masked(self, parameter: Tensor, gradient: Tensor) -> bool:
        # Processes exchange gradients past what counts changes.
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return False
        masked, changes = self._masked.get(id(parameter), (None, 0))
        return masked is not None and masked() is gradient and _changes(gradient) == changes

    def _bits_of(self, name: str) -> Tensor:
        # A model may move to another device while its masks are held.
        if self._bits[name].device != self._parameters[name].device:
            self._masks = self._masks.like(self._parameters)
            self._bits = self._masks.bits
        return self._bits[name]


def hold(model: nn.Module, masks: Masks | None = None, optimizer: Optimizers = None) -> Hold:
    """Keep pruned weights at zero while a model trains.

    After each backward pass gradients become zero where weights are pruned, before anything clips or unscales
    them; after each step of the optimizers the weights. The optimizers' state becomes zero there now and
    whenever masks change, so that momentum moves nothing: from then on it stays zero by itself. Zeros are
    written, never multiplied: NaN does not survive.

    Parameters
    ----------
    model : Module
        Its parameters stay ordinary leaves under their own names; nothing is added to it.
    masks : Masks, optional
        True = kept. Left out for those that the model holds already.
    optimizer : Optimizer or sequence of Optimizer, optional
        What moves the weights. Left out for any optimizer that moves some of them, whenever it is made; its
        state becomes zero before its next step. With none, ``()``, masks are applied now, and by
        `Hold.apply_` when it is called.

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
    with it. Gradients of a backward pass that is compiled itself, and those that come from none, become zero
    at the step.

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
    made = Hold(model, masks, None if optimizer is None else optimizers)
    if optimizer is None:
        _follow_any()
        _for_any[made] = WeakSet()
    if model in _held:
        _held[model].release()
    _held[model] = made
    return made


def held(model: nn.Module) -> Hold | None:
    """Return what is held on a model."""
    return _held.get(model)


def held_masks(model: nn.Module) -> Masks:
    """Return the masks that are held on parameters of a model, whichever module they are held on.

    Parameters
    ----------
    model : Module
        A model, a part of one, or what wraps one.

    Returns
    -------
    Masks
        In the order and by the names of ``model.named_parameters()``; empty if none are held. What is held
        twice, on a part and on the whole, keeps what both keep.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Linear(4, 2))
    >>> hold = rpt.hold(model[1], rpt.masks(model[1], 0.75))
    >>> rpt.held_masks(model).kept_counts()
    {'1.weight': 2}
    """
    bits: dict[int, Tensor] = {}
    mine = {id(parameter) for parameter in model.parameters()}
    for hold in _held.values():
        for parameter, kept in hold.pairs(mine):
            bits[id(parameter)] = bits[id(parameter)] & kept if id(parameter) in bits else kept
    named = {name: one for name, one in model.named_parameters() if id(one) in bits}
    shapes = {name: one.shape for name, one in named.items()}
    return Masks.of_bits({name: bits[id(one)] for name, one in named.items()}, shapes, layouts(named))


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


def parameters_of(model: nn.Module, masks: Masks) -> dict[str, nn.Parameter]:
    """Return the parameters of a model that masks name.

    Raises
    ------
    ValueError
        If there is none of a name, or one of another shape.
    """
    reshard(model)
    parameters = {name: parameter_of(model, name) for name in masks}
    check_shapes(parameters, masks)
    return parameters


def check_shapes(tensors: Mapping[str, Tensor], masks: Masks) -> None:
    """Check that there is a tensor for each of the masks, of its shape.

    Raises
    ------
    ValueError
        If not.
    """
    for name, shape in masks.shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else "none of that name"
        if found != shape:
            raise ValueError(f"{name}: expected a parameter of shape {tuple(shape)}, got {found}")


def _changes(tensor: Tensor) -> int:
    """Return how often a tensor was written to in place, by anything that autograd would notice."""
    return tensor._version  # noqa: SLF001 - torch documents it, under this name


def _moved_by(optimizer: Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _gradients(pairs: _Pairs) -> _Pairs:
    return ((parameter.grad, bits) for parameter, bits in pairs if parameter.grad is not None)


def _state(optimizer: Optimizer, pairs: _Pairs) -> Iterator[tuple[Tensor, Tensor]]:
    for parameter, bits in pairs:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.is_floating_point():
                yield value, bits


@cache
def _follow_any() -> None:
    """Have the steps of every optimizer pass by what is held for any; once is enough."""
    register_optimizer_step_pre_hook(_before_any_step)
    register_optimizer_step_post_hook(_after_any_step)


def _before_any_step(optimizer: Optimizer, *_: object) -> None:
    moved = _moved_by(optimizer)
    for hold, cleared in _for_any.items():
        if optimizer not in cleared:
            cleared.add(optimizer)
            apply_bits_(_state(optimizer, hold.pairs(moved)))
    apply_bits_(pair for hold in _for_any for pair in hold.gradients(moved))


def _after_any_step(optimizer: Optimizer, *_: object) -> None:
    moved = _moved_by(optimizer)
    apply_bits_(pair for hold in _for_any for pair in hold.pairs(moved))
