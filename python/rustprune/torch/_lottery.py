"""Lottery tickets: train, prune, rewind, and again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rustprune._request import whole
from rustprune.torch._account import report
from rustprune.torch._choose import By, PerTensor, Together, choose
from rustprune.torch._hold import held, hold
from rustprune.torch._masks import Masks
from rustprune.torch._moment import Moment, Stateful
from rustprune.torch._prune import MaskOptions, masks
from rustprune.torch._report import Report

T = TypeVar("T")
Control: TypeAlias = Literal["reinit", "random_mask", "one_shot"]
# Trains the model from optimizer step `start` to step `stop`, None for the end, and returns what came of it.
Train: TypeAlias = Callable[[nn.Module, int, int | None], T]


@dataclass(frozen=True, slots=True)
class Level(Generic[T]):
    """What came of one level of iterative pruning.

    Parameters
    ----------
    level : int
        How many rounds of pruning came before; 0 is the dense network.
    masks : Masks
        The masks that it was trained with.
    report : Report
        What is pruned.
    result : object
        What `train` returned.
    controls : dict of str to object
        What it returned of each control.
    """

    level: int
    masks: Masks
    report: Report
    result: T
    controls: dict[Control, T] = field(default_factory=dict)


def iterate(
    model: nn.Module,
    *,
    rounds: int,
    rate: float | Mapping[str, float],
    train: Train[T],
    optimizer: Optimizer,
    rewind: Literal["init"] | int = "init",
    controls: Collection[Control] = (),
    stateful: Sequence[Stateful] = (),
    generators: Sequence[torch.Generator] = (),
    initialize: Callable[[nn.Module], object] | None = None,
    seed: int = 0,
    **options: Unpack[MaskOptions],
) -> Iterator[Level[T]]:
    """Train, prune a fraction of what is kept, rewind, and again: iterative magnitude pruning with rewinding.

    Level 0 trains the dense network. Each further level prunes by the weights that the last one ended with,
    sets everything back to what it was at `rewind`, applies the masks, and trains again.

    Parameters
    ----------
    model : Module
        At its initialisation. In the end it is what the last level trained, with its masks held.
    rounds : int
        How many levels come after the dense one.
    rate : float, or mapping of str to float
        Fraction of what is kept that each round prunes; by patterns of target names, as for `masks`.
    train : callable
        ``train(model, start, stop)`` trains from optimizer step `start` to step `stop`, or to the end where
        that is None, with `optimizer`, and returns what there is to know. All that it draws must come from
        the global generators or from `generators`.
    optimizer : Optimizer
        What `train` uses.
    rewind : "init" or int
        Where weights go back to: their initialisation, or what they were after so many optimizer steps of the
        dense network.
    controls : collection of {"reinit", "random_mask", "one_shot"}
        What else is trained at each level: the same masks from a new initialisation; the same weights with as
        many entries of each target kept at random; masks of that size chosen at once from the dense network.
    stateful : sequence, optional
        What else is set back: learning rate schedules, scalers, anything with ``state_dict`` and
        ``load_state_dict``.
    generators : sequence of torch.Generator, optional
        Random generators of your own that are set back. Those of Python, NumPy and torch always are.
    initialize : callable, optional
        Draws new weights in place, for "reinit"; by default ``reset_parameters`` of each module.
    seed : int
        Of new weights and random masks, in [0, 2**64).
    **options
        As for `masks`; the default scope prunes each target by itself.

    Yields
    ------
    Level
        As it is done: levels 0 to `rounds`.

    Raises
    ------
    TypeError, ValueError
        If something is not as said above, before anything is trained; as from `masks`.

    Notes
    -----
    The rule is that of [1]_, rewinding to a later step that of [2]_. Counts are exact: of `k` entries kept a
    round prunes ``round(rate * k)``. Weights, biases, buffers, optimizer, schedules and random state restart,
    so levels see the same data in the same order; controls leave no trace in the levels that follow.

    References
    ----------
    .. [1] J. Frankle and M. Carbin, "The lottery ticket hypothesis: finding sparse, trainable neural
       networks", ICLR 2019, arXiv:1803.03635.
    .. [2] J. Frankle, G. K. Dziugaite, D. M. Roy and M. Carbin, "Linear mode connectivity and the lottery
       ticket hypothesis", ICML 2020, arXiv:1912.05671.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.1)
    >>> def train(model, start, stop):
    ...     for _ in range(start, 3 if stop is None else stop):
    ...         optimizer.zero_grad()
    ...         model(torch.randn(16, 8)).square().mean().backward()
    ...         optimizer.step()
    >>> levels = rpt.iterate(model, rounds=2, rate=0.5, train=train, optimizer=optimizer)
    >>> [level.masks.num_kept for level in levels]
    [40, 20, 10]
    """
    rounds, seed = whole("rounds", rounds), whole("seed", seed)
    steps = 0 if rewind == "init" else whole("rewind", rewind)
    if odd := sorted({*controls} - {*get_args(Control)}):
        raise ValueError(f"controls must be among {', '.join(get_args(Control))}, got {odd[0]!r}")
    if "reinit" in controls and initialize is None:
        initialize = _initializer(model)
    if held(model):
        raise ValueError("model: expected one that holds no masks, got one that does")
    everything = masks(model, 0.0, regrow=True, **options)
    masks(
        model, rate=rate, regrow=True, **options
    )  # what is wrong with the request is so before any training
    lottery = _Lottery(model, rate, train, optimizer, stateful, generators, initialize, seed, options)
    return lottery.levels(rounds, steps, everything, [one for one in get_args(Control) if one in controls])


@dataclass(frozen=True, slots=True)
class _Lottery(Generic[T]):
    """What stays the same from level to level."""

    model: nn.Module
    rate: float | Mapping[str, float]
    train: Train[T]
    optimizer: Optimizer
    stateful: Sequence[Stateful]
    generators: Sequence[torch.Generator]
    initialize: Callable[[nn.Module], object] | None
    seed: int
    options: MaskOptions

    def levels(
        self, rounds: int, steps: int, everything: Masks, controls: Sequence[Control]
    ) -> Iterator[Level[T]]:
        """Train level after level, and the controls of each."""
        first = self._moment()
        hold(self.model, everything, self.optimizer)
        if steps:
            self.train(self.model, 0, steps)
        rewound = self._moment() if steps else first
        result = self.train(self.model, steps, None)
        dense = {name: self.model.get_parameter(name).detach().clone() for name in everything}
        yield Level(0, everything, report(self.model), result)
        for level in range(1, rounds + 1):
            chosen = masks(self.model, rate=self.rate, **self.options)
            result = self._run(rewound, chosen, steps)
            done = Level(level, chosen, report(self.model), result)
            if controls:
                trained = self._moment()
                for control in controls:
                    match control:
                        case "reinit":
                            done.controls[control] = self._run(first, chosen, 0, self.seed + level)
                        case "random_mask":
                            others = self._sized_like(chosen, dense, By("random", seed=self.seed + level))
                            done.controls[control] = self._run(rewound, others, steps)
                        case "one_shot":
                            others = self._sized_like(chosen, dense, By())
                            done.controls[control] = self._run(rewound, others, steps)
                trained.restore()
                hold(self.model, chosen, self.optimizer)
            yield done

    def _moment(self) -> Moment:
        return Moment(self.model, self.optimizer, self.stateful, self.generators)

    def _run(self, moment: Moment, chosen: Masks, steps: int, seed: int | None = None) -> T:
        """Go back to a moment, draw new weights if there is a seed for them, and train with masks."""
        moment.restore()
        if seed is not None and self.initialize is not None:
            torch.manual_seed(seed)
            self.initialize(self.model)
            moment.restore_random()
        hold(self.model, chosen, self.optimizer)
        return self.train(self.model, steps, None)

    def _sized_like(self, chosen: Masks, weights: Mapping[str, Tensor], by: By) -> Masks:
        """Return masks that keep as many entries of each target, or of all if they share a budget."""
        if by.score == "magnitude" and self.options.get("scope") == "global":
            return Masks.of_bits(choose(weights, Together(chosen.num_pruned, {}), by), chosen.shapes)
        kept, shapes = chosen.kept_counts(), chosen.shapes
        counts = {name: (None, shape.numel() - kept[name]) for name, shape in shapes.items()}
        return Masks.of_bits(choose(weights, PerTensor(counts), by), shapes)


def _initializer(model: nn.Module) -> Callable[[nn.Module], object]:
    """Return what draws all weights of a model anew, if every module that has any knows how."""
    for name, module in model.named_modules():
        if not _resets(module) and next(module.parameters(recurse=False), None) is not None:
            kind = type(module).__name__
            raise ValueError(
                f"initialize must be given: {name or 'the model'}, {kind}, has no reset_parameters"
            )

    def initialize(model: nn.Module) -> None:
        for module in model.modules():
            for reset in _resets(module):
                reset()

    return initialize


def _resets(module: nn.Module) -> list[Callable[[], object]]:
    names = ("reset_parameters", "_reset_parameters")  # the second is MultiheadAttention's
    return [getattr(module, name) for name in names if hasattr(module, name)][:1]
