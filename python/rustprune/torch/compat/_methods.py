"""How each method computes a mask, and how it is put on a parameter of a module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, ClassVar, Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from rustprune import num_pruned
from rustprune._request import number
from rustprune.torch import _bits
from rustprune.torch._choose import By, PerTensor, choose
from rustprune.torch._hold import held, held_masks, hold
from rustprune.torch._masks import Masks

Amount: TypeAlias = int | float
PruningType: TypeAlias = Literal["unstructured", "structured", "global"]

# What was put on the parameters of a module, by their names.
_put: WeakKeyDictionary[nn.Module, dict[str, BasePruningMethod]] = WeakKeyDictionary()


class BasePruningMethod(ABC):
    """A pruning method; subclasses define `compute_mask` and `PRUNING_TYPE`."""

    PRUNING_TYPE: ClassVar[PruningType]
    _tensor_name: str | None = None

    @property
    def parameter_name(self) -> str | None:
        """The parameter that it was put on."""
        return self._tensor_name

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return a mask of 0 and 1 or of bool.

        Parameters
        ----------
        t : Tensor
            Scores. Where something is pruned already, and the type is "unstructured", those of kept entries
            in one dimension; if it is "structured", those of the channels along ``self.dim`` that keep any.
        default_mask : Tensor
            Of the shape and dtype of `t`: 1 where an entry is kept.

        Returns
        -------
        Tensor
            Of the same shape: 1 where an entry is kept. What `default_mask` prunes stays pruned.
        """

    @classmethod
    def apply(
        cls,
        module: nn.Module,
        name: str,
        *args: Any,  # noqa: ANN401
        importance_scores: Tensor | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> BasePruningMethod:
        """Prune a parameter of a module, on top of what is pruned of it, and hold the mask.

        Returns
        -------
        BasePruningMethod
            The method, or the `PruningContainer` of all that was put on the parameter.

        Raises
        ------
        AttributeError
            If the module has no such parameter.
        ValueError
            If scores or the mask are not of its shape, or the mask has other values than 0 and 1. Nothing
            has been changed then.
        """
        parameter = module.get_parameter(name)
        method = cls(*args, **kwargs)
        method._tensor_name = name
        scores = parameter.detach() if importance_scores is None else importance_scores.detach()
        if scores.shape != parameter.shape:
            raise ValueError(
                f"importance_scores: expected shape {tuple(parameter.shape)}, got {tuple(scores.shape)}"
            )
        put = _put.setdefault(module, {})
        before = held_masks(module)
        if name in before:
            mask = composed(method, scores, before[name])
            old = put.get(name)
            methods = () if old is None else (old,)
            container = old if isinstance(old, PruningContainer) else PruningContainer(*methods, name=name)
            container.add_pruning_method(method)
            made: BasePruningMethod = container
        else:
            kept = torch.ones_like(scores, dtype=torch.bool)
            mask, made = narrowed(method.compute_mask(scores, torch.ones_like(scores)), kept), method
        hold_on(module, {name: mask})
        put[name] = made
        return made

    def apply_mask(self, module: nn.Module) -> Tensor:
        """Return the parameter with zeros where it is pruned, a copy through which gradients flow."""
        name, mask = self._found(module)
        return module.get_parameter(name).masked_fill(~mask, 0)

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """Return a tensor with zeros where this method prunes it; no module is concerned."""
        scores = (t if importance_scores is None else importance_scores).detach()
        if scores.shape != t.shape:
            raise ValueError(f"importance_scores: expected shape {tuple(t.shape)}, got {tuple(scores.shape)}")
        default_mask = torch.ones_like(scores) if default_mask is None else default_mask
        mask = narrowed(self.compute_mask(scores, default_mask), default_mask != 0)
        return t.masked_fill(~mask, 0)

    def remove(self, module: nn.Module) -> None:
        """Hold the mask no longer; zeros stay where they are."""
        name, _ = self._found(module)
        release(module, name)

    def _found(self, module: nn.Module) -> tuple[str, Tensor]:
        name = self._tensor_name
        if name is None or name not in (masks := held_masks(module)):
            raise ValueError(f"{type(module).__name__}: expected a pruned parameter {name!r}, got none")
        return name, masks[name]


class PruningContainer(BasePruningMethod):
    """The methods that were put on one parameter, in order."""

    PRUNING_TYPE: ClassVar[PruningType] = "unstructured"

    def __init__(self, *methods: BasePruningMethod, name: str | None = None) -> None:
        self._methods: list[BasePruningMethod] = []
        self._tensor_name = methods[0].parameter_name if methods else name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method of the same parameter; None is none.

        Raises
        ------
        TypeError
            If it is no pruning method.
        ValueError
            If it is one of another parameter.
        """
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"method must be a BasePruningMethod, got {type(method).__name__}")
        if method.parameter_name != self._tensor_name:
            raise ValueError(
                f"method: expected one of {self._tensor_name!r}, got one of {method.parameter_name!r}"
            )
        self._methods.append(method)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask that the last method computes out of what is kept."""
        return composed(self._methods[-1], t, default_mask != 0).to(default_mask.dtype)

    def __len__(self) -> int:
        """Return how many methods there are."""
        return len(self._methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        """Iterate over them, the first first."""
        return iter(self._methods)

    def __getitem__(self, place: int) -> BasePruningMethod:
        """Return one of them."""
        return self._methods[place]


class Identity(BasePruningMethod):
    """Prunes nothing."""

    PRUNING_TYPE: ClassVar[PruningType] = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mask that is there."""
        return default_mask.clone()


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask prunes."""

    PRUNING_TYPE: ClassVar[PruningType] = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the entries that both masks keep."""
        return narrowed(self.mask.to(t.device), default_mask != 0).to(default_mask.dtype)


class _WithAmount(BasePruningMethod):
    """A method that prunes so much: a fraction, or a number of entries or channels."""

    def __init__(self, amount: Amount) -> None:
        number("amount", amount)
        if not (amount >= 0 if _is_whole(amount) else 0 <= amount <= 1):
            raise ValueError(
                f"amount must be an int that is not negative, or a float in [0, 1], got {amount}"
            )
        self.amount = amount

    def count_of(self, length: int) -> int:
        """Return how many of so many are pruned."""
        if not _is_whole(self.amount):
            return num_pruned(length, float(self.amount))
        if self.amount > length:
            raise ValueError(f"amount must be at most the {length} that are kept, got {self.amount}")
        return int(self.amount)

    def by(self) -> By:
        """Return what decides which entries go first."""
        return By("magnitude", "keep")

    def choose(self, t: Tensor, by: By) -> Tensor:
        """Return which entries of a tensor are kept when this method's amount is pruned."""
        amount = PerTensor({"t": (None, self.count_of(t.numel()))})
        return _bits.unpack(choose({"t": t.detach()}, amount, by)["t"], t.shape)


class L1Unstructured(_WithAmount):
    """Prunes the entries of smallest magnitude."""

    PRUNING_TYPE: ClassVar[PruningType] = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of the largest magnitudes."""
        return default_mask.masked_fill(~self.choose(t, self.by()), 0)


class RandomUnstructured(_WithAmount):
    """Prunes entries at random, seeded by torch's generator."""

    PRUNING_TYPE: ClassVar[PruningType] = "unstructured"

    def by(self) -> By:
        """Return a random order."""
        return _random()

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return a random mask."""
        return default_mask.masked_fill(~self.choose(t, self.by()), 0)


class _Structured(_WithAmount):
    """A method that prunes channels: all entries of one index along an axis."""

    PRUNING_TYPE: ClassVar[PruningType] = "structured"

    def __init__(self, amount: Amount, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    @abstractmethod
    def scores(self, t: Tensor) -> Tensor:
        """Return a score for each channel."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of the channels of highest score."""
        if t.ndim < 2:
            raise ValueError(f"expected a tensor of two dimensions or more, got shape {tuple(t.shape)}")
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"dim must be an axis of shape {tuple(t.shape)}, got {self.dim}")
        kept = self.choose(self.scores(t.detach()), self.by())
        along = [1] * t.ndim
        along[self.dim] = -1
        return default_mask.masked_fill(~kept.view(along), 0)


class RandomStructured(_Structured):
    """Prunes channels at random, seeded by torch's generator."""

    def by(self) -> By:
        """Return a random order."""
        return _random()

    def scores(self, t: Tensor) -> Tensor:
        """Return zeros: chance decides."""
        return torch.zeros(t.shape[self.dim], device=t.device)


class LnStructured(_Structured):
    """Prunes the channels of smallest norm."""

    def __init__(self, amount: Amount, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def by(self) -> By:
        """Return the order of the norms."""
        return By("value", "keep")

    def scores(self, t: Tensor) -> Tensor:
        """Return the norms, in double precision."""
        axes = [axis for axis in range(t.ndim) if axis != self.dim % t.ndim]
        if self.n == "nuc":
            if len(axes) != 2:
                raise ValueError(f"n: expected matrices for 'nuc', got channels of {len(axes)} dimensions")
            norms: Tensor = torch.linalg.matrix_norm(t.double(), ord="nuc", dim=axes)
        else:
            norms = torch.linalg.vector_norm(t.double(), 2.0 if self.n == "fro" else float(self.n), axes)
        return norms


def composed(method: BasePruningMethod, scores: Tensor, kept: Tensor) -> Tensor:
    """Return the mask of a method that is asked about what is kept so far."""
    flags = kept.to(scores.dtype)
    if method.PRUNING_TYPE == "global":
        return narrowed(method.compute_mask(scores, flags), kept)
    if method.PRUNING_TYPE == "unstructured":
        part = kept
    elif method.PRUNING_TYPE == "structured":
        dim = getattr(method, "dim", -1) % scores.ndim
        others = [axis for axis in range(scores.ndim) if axis != dim]
        along = [1] * scores.ndim
        along[dim] = -1
        channels = kept.amax(others)
        part = channels.view(along).expand_as(kept)
        shape = [*scores.shape]
        shape[dim] = int(channels.sum())
    else:
        raise ValueError(
            f"PRUNING_TYPE must be unstructured, structured or global, got {method.PRUNING_TYPE!r}"
        )
    inside = [scores[part], flags[part]]
    if method.PRUNING_TYPE == "structured":
        inside = [one.view(shape) for one in inside]
    mask = narrowed(method.compute_mask(*inside), inside[1] != 0)
    whole = torch.zeros_like(kept)
    whole[part] = mask.reshape(-1)
    return whole


def narrowed(flags: Tensor, kept: Tensor) -> Tensor:
    """Return the mask of bool that flags of 0 and 1 mean where something is kept so far."""
    return _bits.checked_flags("mask", flags, kept.shape) & kept


def hold_on(module: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Hold masks on a module, beside those of its other parameters."""
    new = Masks(masks)
    old = mine.masks if (mine := held(module)) else Masks({})
    hold(module, Masks.of_bits(old.bits | new.bits, old.shapes | new.shapes))


def release(module: nn.Module, name: str) -> None:
    """Hold the mask of one parameter of a module no longer; those of others are held on."""
    mine = held(module)
    if mine is None or name not in mine.masks:
        raise ValueError(
            f"{name}: expected a parameter whose mask is held on this {type(module).__name__}, got another"
        )
    mine.apply_()
    rest = {one: bits for one, bits in mine.masks.bits.items() if one != name}
    shapes = mine.masks.shapes
    mine.release()
    if rest:
        hold(module, Masks.of_bits(rest, shapes))
    _put.get(module, {}).pop(name, None)


def _is_whole(amount: object) -> bool:
    return isinstance(amount, Integral)


def _random() -> By:
    return By("random", seed=int(torch.randint(2**63 - 1, ())))
