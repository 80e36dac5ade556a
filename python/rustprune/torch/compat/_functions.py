"""The functions of ``torch.nn.utils.prune``, each for one parameter of a module or for those of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rustprune.torch import _bits
from rustprune.torch._choose import Together, choose
from rustprune.torch._hold import held_masks
from rustprune.torch.compat._methods import (
    Amount,
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    RandomStructured,
    RandomUnstructured,
    composed,
    release,
)

_Module = TypeVar("_Module", bound=nn.Module)


def identity(module: _Module, name: str) -> _Module:
    """Hold a mask that keeps all of a parameter, and return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: _Module, name: str, amount: Amount) -> _Module:
    """Prune entries of a parameter at random, and return the module.

    Parameters
    ----------
    module : Module
        The module; its parameter is changed in place and its mask held.
    name : str
        The name of the parameter.
    amount : int or float
        How many of the entries that are kept, or which fraction of them.

    Raises
    ------
    TypeError
        If the amount is no number.
    ValueError
        If it is out of range.
    AttributeError
        If the module has no such parameter.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: _Module, name: str, amount: Amount, importance_scores: Tensor | None = None
) -> _Module:
    """Prune the entries of smallest magnitude, and return the module.

    Parameters
    ----------
    module, name, amount
        As for `random_unstructured`.
    importance_scores : Tensor, optional
        Prune where its magnitudes are smallest instead.

    Raises
    ------
    TypeError, ValueError, AttributeError
        As from `random_unstructured`; ValueError if scores are not of the parameter's shape.

    Examples
    --------
    >>> import torch
    >>> from rustprune.torch import compat as prune
    >>> layer = prune.l1_unstructured(torch.nn.Linear(8, 4), "weight", amount=0.5)
    >>> layer = prune.l1_unstructured(layer, "weight", amount=0.5)
    >>> int((layer.weight != 0).sum()), list(layer.state_dict())
    (8, ['weight', 'bias'])
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: _Module, name: str, amount: Amount, dim: int) -> _Module:
    """Prune channels of a parameter at random, and return the module.

    Parameters
    ----------
    module, name
        As for `random_unstructured`.
    amount : int or float
        How many of the channels that keep anything, or which fraction of them.
    dim : int
        The axis that counts the channels.

    Raises
    ------
    TypeError, ValueError, AttributeError
        As from `random_unstructured`; ValueError if the parameter has fewer than two dimensions.
    IndexError
        If it has no such axis.
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(  # noqa: PLR0917 - as torch has it
    module: _Module,
    name: str,
    amount: Amount,
    n: float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> _Module:
    """Prune the channels of smallest norm, and return the module.

    Parameters
    ----------
    module, name, amount, dim
        As for `random_structured`.
    n : float or str
        The order of the norm: a number, an infinity, ``"fro"``, or ``"nuc"`` where channels are matrices.
    importance_scores : Tensor, optional
        Take the norms of its channels instead.

    Raises
    ------
    TypeError, ValueError, AttributeError, IndexError
        As from `random_structured`; ValueError if scores are not of the parameter's shape.
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[nn.Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[nn.Module, str], Tensor] | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> None:
    """Prune parameters of modules that compete with each other.

    Parameters
    ----------
    parameters : iterable of (Module, str)
        Modules and the names of their parameters; their order is that of ties. Each parameter counts once.
    pruning_method : subclass of BasePruningMethod
        One whose ``PRUNING_TYPE`` is "unstructured".
    importance_scores : dict, optional
        Scores instead of a parameter, by its module and name.
    **kwargs
        What the method is made with: ``amount``, of what is kept of all parameters together.

    Raises
    ------
    TypeError
        If an argument is not of the type named above, or the method of another ``PRUNING_TYPE``.
    ValueError, AttributeError
        As from `random_unstructured`. Nothing has been changed then.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError(f"parameters must be an iterable, got {type(parameters).__name__}")
    if importance_scores is not None and not isinstance(importance_scores, Mapping):
        raise TypeError(f"importance_scores must be a dict, got {type(importance_scores).__name__}")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f"pruning_method: expected the PRUNING_TYPE 'unstructured', got {method.PRUNING_TYPE!r}"
        )
    given = importance_scores or {}
    places: dict[int, tuple[nn.Module, str]] = {}
    for module, name in parameters:
        places.setdefault(id(module.get_parameter(name)), (module, name))
    scores, kept = {}, {}
    for place, (module, name) in enumerate(places.values()):
        parameter = module.get_parameter(name)
        scores[str(place)] = given.get((module, name), parameter).detach()
        if (found := scores[str(place)].shape) != parameter.shape:
            raise ValueError(
                f"importance_scores of {name}: expected shape {tuple(parameter.shape)}, got {tuple(found)}"
            )
        kept[str(place)] = held_masks(module).bits.get(name, _bits.full(found, parameter.device))
    masks = _global_masks(method, scores, kept)
    for mask, (module, name) in zip(masks, places.values(), strict=True):
        custom_from_mask(module, name, mask)


def custom_from_mask(module: _Module, name: str, mask: Tensor) -> _Module:
    """Prune what a mask prunes, and return the module.

    Parameters
    ----------
    module, name
        As for `random_unstructured`.
    mask : Tensor
        Of 0 and 1, or of bool: 1 where an entry is kept.

    Raises
    ------
    ValueError
        If it is of another shape or has other values.
    AttributeError
        If the module has no such parameter.
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: _Module, name: str) -> _Module:
    """Hold the mask of a parameter no longer, and return the module; zeros stay where they are.

    Raises
    ------
    ValueError
        If no mask of that parameter is held on that module.
    """
    release(module, name)
    return module


def _global_masks(
    method: BasePruningMethod, scores: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> list[Tensor]:
    """Return the mask of each parameter."""
    if isinstance(method, L1Unstructured | RandomUnstructured) and type(method).compute_mask in (
        L1Unstructured.compute_mask,
        RandomUnstructured.compute_mask,
    ):
        num_kept = sum(map(_bits.count, kept.values()))
        num_pruned = sum(one.numel() for one in scores.values()) - num_kept
        amount = Together(num_pruned + method.count_of(num_kept), {})
        bits = choose(scores, amount, method.by(), dict(kept))
        return [_bits.unpack(bits[name], one.shape) for name, one in scores.items()]
    flat = torch.cat([one.reshape(-1) for one in scores.values()])
    flags = torch.cat([_bits.unpack(kept[name], one.shape).reshape(-1) for name, one in scores.items()])
    parts = composed(method, flat, flags).split([one.numel() for one in scores.values()])
    return [part.view(one.shape) for part, one in zip(parts, scores.values(), strict=True)]
