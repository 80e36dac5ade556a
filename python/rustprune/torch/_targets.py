"""Which parameters of a model are pruned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from rustprune._arrays import FLOATS
from rustprune._names import OUTPUT_LAYERS, matcher, matches_any
from rustprune.torch._shards import class_name, reshard

# Names of parameters, names or class names of modules, shell patterns, "re:" and an expression; classes.
Patterns: TypeAlias = Sequence[str | type[nn.Module]]
Fate: TypeAlias = Literal["prune", "keep"]

DTYPES = tuple(getattr(torch, name) for name in FLOATS)
_MODULES = (nn.Linear, _ConvNd, nn.MultiheadAttention)
# Linear layers of other libraries whose class is none of torch's: GPT-2's, of shape (in, out).
_MODULE_NAMES = ("Conv1D",)


@dataclass(frozen=True, slots=True)
class Target:
    """A parameter that is pruned.

    Parameters
    ----------
    name : str
        Its name, the first of ``model.named_parameters()``.
    parameter : Parameter
        The parameter itself.
    module : Module
        The module that it is the weight of.
    aliases : tuple of str
        All names under which modules share it, `name` among them.
    """

    name: str
    parameter: nn.Parameter
    module: nn.Module
    aliases: tuple[str, ...]


class Targets(Mapping[str, Target]):
    """The targets of a model by name; their order is that of ties.

    Parameters
    ----------
    found : sequence of Target
        The targets, in order.
    """

    def __init__(self, found: Sequence[Target]) -> None:
        self._found = {target.name: target for target in found}

    def __getitem__(self, name: str) -> Target:
        """Return the target of that name."""
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over names."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return how many targets there are."""
        return len(self._found)

    def __repr__(self) -> str:
        """Return the names and shapes."""
        rows = [f"{name}: {tuple(target.parameter.shape)}" for name, target in self.items()]
        return f"Targets({', '.join(rows)})"

    @property
    def num_entries(self) -> int:
        """How many entries they have together."""
        return sum(target.parameter.numel() for target in self._found.values())

    def weights(self) -> dict[str, Tensor]:
        """Return the parameters by name, detached."""
        return {name: target.parameter.detach() for name, target in self.items()}


def targets(
    model: nn.Module,
    targets: Patterns = (),
    *,
    ignore: Patterns = (),
    first: Fate = "prune",
    classifier: Fate = "prune",
) -> Targets:
    """Return which parameters of a model are pruned.

    Parameters
    ----------
    model : Module
        Any model.
    targets : sequence of str or type, optional
        What to prune instead of the default, which is the weights of linear layers, convolutions and
        multi-head attention, but output layers of language models and what is shared with an embedding. Each
        is the name of a parameter, or the name, class name or class of a module whose weights (parameters of
        two or more dimensions named ``*weight*``) are meant; a shell pattern of one; or a regular expression
        after ``re:`` that matches from the start.
    ignore : sequence of str or type, optional
        What to leave out, in the same words.
    first, classifier : {"prune", "keep"}
        Whether the first and the last of the targets are targets.

    Returns
    -------
    Targets
        In the order of ``model.named_parameters()``. A parameter that several modules share is one target.

    Raises
    ------
    TypeError
        If `model` is no module, or a parameter that was asked for is not of a dtype that can be pruned.
    ValueError
        If a pattern matches nothing, or nothing is left to prune.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rpt.targets(model)
    Targets(0.weight: (4, 8), 2.weight: (2, 4))
    >>> list(rpt.targets(model, classifier="keep"))
    ['0.weight']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(targets, str | type) or isinstance(ignore, str | type):
        raise TypeError("targets and ignore must be sequences of patterns, got a single one")
    reshard(model)
    uses = _uses(model)
    chosen = (
        _matched("targets", targets, uses) if targets else {key for key in uses if _by_default(uses[key])}
    )
    chosen -= _matched("ignore", ignore, uses)
    found = []
    for key, use in uses.items():
        if key not in chosen:
            continue
        name, parameter, module = use[0]
        if parameter.dtype not in DTYPES:
            raise TypeError(
                f"{name}: expected a floating-point dtype that can be pruned, got {parameter.dtype}"
            )
        found.append(Target(name, parameter, module, tuple(alias for alias, _, _ in use)))
    for word, fate, at in (("first", first, 0), ("classifier", classifier, -1)):
        if fate not in ("prune", "keep"):
            raise ValueError(f"{word} must be 'prune' or 'keep', got {fate!r}")
        if fate == "keep" and found:
            found.pop(at)
    if not found:
        raise ValueError(f"{type(model).__name__}: expected a parameter to prune, got none")
    return Targets(found)


_Use: TypeAlias = tuple[str, nn.Parameter, nn.Module]


def _uses(model: nn.Module) -> dict[int, list[_Use]]:
    """Return the names and modules of each parameter, by its identity."""
    uses: dict[int, list[_Use]] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{prefix}.{name}" if prefix else name
            uses.setdefault(id(parameter), []).append((full, parameter, module))
    return uses


def _by_default(use: list[_Use]) -> bool:
    if any(isinstance(module, nn.Embedding) for _, _, module in use):
        return False
    return any(
        _is_weight(name, parameter)
        and (isinstance(module, _MODULES) or class_name(module) in _MODULE_NAMES)
        and parameter.dtype in DTYPES
        and not matches_any(OUTPUT_LAYERS, name)
        for name, parameter, module in use
    )


def _matched(option: str, patterns: Patterns, uses: dict[int, list[_Use]]) -> set[int]:
    found: set[int] = set()
    for pattern in patterns:
        new = {key for key, use in uses.items() if any(_fits(option, pattern, *one) for one in use)}
        if not new:
            raise ValueError(
                f"{option}: expected the name of a parameter or module, none matches {pattern!r}"
            )
        found |= new
    return found


def _fits(
    option: str, pattern: str | type[nn.Module], name: str, parameter: nn.Parameter, module: nn.Module
) -> bool:
    if isinstance(pattern, type):
        return isinstance(module, pattern) and _is_weight(name, parameter)
    fits = matcher(option, pattern)
    owner = name.rpartition(".")[0]
    return fits(name) or (_is_weight(name, parameter) and (fits(owner) or fits(class_name(module))))


def _is_weight(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and "weight" in name.rpartition(".")[2]
