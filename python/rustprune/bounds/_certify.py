"""How far one pruned network can be from the original, for the weights and masks at hand (Theorem 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from rustprune import _rustprune
from rustprune._arrays import Batch
from rustprune._request import number, whole
from rustprune.bounds._norms import Norm, norm_of
from rustprune.bounds._steps import chain, linear
from rustprune.bounds._torch import is_model

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike, NDArray

    from rustprune._arrays import Arrays
    from rustprune.bounds._steps import Affine, Graph


@dataclass(frozen=True, slots=True)
class CertifiedLayer:
    """One layer of a certificate; norms of states are weighted where diagonal weights were better (6.15).

    Parameters
    ----------
    name : str
        Its name.
    weights, kept, removed : Norm or None
        Bounds of the spectral norm of the weights, of what is kept and of what is removed; None for a layer
        without weights.
    state, pruned_state : float
        At least the norm of any state after the layer, of the original and of the pruned network.
    gap : float
        At least the norm of the difference of both.
    rule : str
        The inequality of Theorem 5 that gave it.
    """

    name: str
    weights: Norm | None
    kept: Norm | None
    removed: Norm | None
    state: float
    pruned_state: float
    gap: float
    rule: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A bound of the largest Euclidean distance between the outputs of two networks over a ball of inputs.

    Parameters
    ----------
    epsilon : Norm
        The bound, and what it promises: certified, or probabilistic where a matrix is too large for more.
    radius : float
        Of the ball.
    centered : bool
        Whether its centre was given; the origin otherwise.
    layers : tuple of CertifiedLayer
        How it came about.
    """

    epsilon: Norm
    radius: float
    centered: bool
    layers: tuple[CertifiedLayer, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the certificate as what JSON can hold; infinity is the string "inf"."""
        layers = [{name: plain(getattr(it, name)) for name in it.__slots__} for it in self.layers]
        return {
            "epsilon": plain(self.epsilon),
            "radius": self.radius,
            "centered": self.centered,
            "layers": layers,
        }

    def __str__(self) -> str:
        """Return the bound, what it promises, and a table of the layers."""
        where = "the centre given" if self.centered else "the origin"
        kind = self.epsilon.kind + (f", delta {self.epsilon.delta:g}" if self.epsilon.delta else "")
        wide = max([20, *(len(it.name) for it in self.layers)])
        lines = [
            f"gap <= {self.epsilon.value:.6g} for every input within {self.radius:g} of {where} ({kind})",
            f"{'layer':{wide}} {'weights':>10} {'kept':>10} {'removed':>10} {'gap after':>10}  rule",
        ]
        for it in self.layers:
            parts = (it.weights, it.kept, it.removed)
            norms = " ".join(f"{'' if norm is None else format(norm.value, '.4g'):>10}" for norm in parts)
            lines.append(f"{it.name:{wide}} {norms} {it.gap:>10.4g}  {it.rule}")
        return "\n".join(lines)


def plain(value: object) -> object:
    """Return what JSON can hold of a norm or a number."""
    if isinstance(value, Norm):
        return {name: plain(part) for name, part in value._asdict().items()}
    return "inf" if value == math.inf else value


def certify(
    weights: Arrays | torch.nn.Module,
    masks: Arrays,
    *,
    activation: str | Sequence[str] = "relu",
    output_activation: str = "identity",
    biases: Sequence[ArrayLike | None] | None = None,
    input_shape: tuple[int, ...] | None = None,
    radius: float = 1.0,
    center: ArrayLike | None = None,
    joint: bool = True,
    sweeps: int = 3,
    delta: float = 1e-9,
    slack: float = 0.01,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Certificate:
    """Bound the gap between a network and its pruned form over a ball, for these weights and these masks.

    Nothing is assumed of the weights: they may be trained.

    Parameters
    ----------
    weights : mapping or sequence of arrays, or torch.nn.Module
        Of each layer in the order in which they are applied, ``(out_features, in_features)``; or a model that
        ``torch.fx`` can trace, which says its activations and biases itself, in evaluation mode. Of it there
        are rules for ``Linear``, ``Conv1d`` and ``Conv2d`` with padding by zeros or circular, ``BatchNorm``,
        ``LayerNorm``, ``GroupNorm``, ``RMSNorm``, activations, ``Softmax``, ``LogSoftmax``, ``MaxPool``,
        ``AvgPool``, ``AdaptiveAvgPool``, nearest ``Upsample``, ``PixelShuffle``, ``Flatten`` and others that
        only move entries, ``Dropout``, and for branches that are added or concatenated.
    masks : mapping or sequence of arrays
        True = kept, plain or packed, one for each of the weights in a container like theirs; of a model a
        mapping by the names of its weights, such as ``"0.weight"``, of those that are pruned.
    activation : str, or sequence of str
        Of hidden layers, or of each of them; see ``bounds.ACTIVATIONS``.
    output_activation : str
        Of the last layer.
    biases : sequence of arrays, optional
        Of each layer, None where there is none.
    input_shape : tuple of int, optional
        Of what a model takes, without the axis of the examples; not needed where the first layer tells.
    radius : float
        Of the ball of inputs, in Euclidean norm; 0 asks for one input.
    center : array, optional
        Its centre; the origin by default.
    joint : bool
        Try the norm of both parts together too (6.13), which costs a few more matrices.
    sweeps : int
        Sweeps of diagonal weights to try too (6.15).
    delta : float
        With what probability a bound that is not certified may be too low: those of matrices whose smaller
        side is over 2,048.
    slack : float
        By what fraction the norms of those may be too high.
    seed : int
        Of their random starts, in [0, 2**64).
    progress : callable, optional
        Called with the number of entries passed, a few times a second.

    Returns
    -------
    Certificate
        The bound, what it promises, and how it came about. Certified: true of the network in real arithmetic
        with the stored weights, all rounding of the certificate included.

    Raises
    ------
    TypeError, ValueError
        If something is not as said, layers do not follow each other, there is NaN among the weights, or a
        model has something without a rule, which is named, or batch normalisation in training mode.

    Notes
    -----
    Theorem 5 of the theory page, with Propositions 6.3 to 6.5, 6.12 to 6.15 and the rounding of 6.16. Batch
    normalisation is taken into the weights before it, of both networks: the mask prunes the same weights.

    Examples
    --------
    >>> import numpy as np
    >>> import rustprune
    >>> from rustprune import bounds
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.standard_normal((16, 8)) / 4, rng.standard_normal((4, 16)) / 4]
    >>> masks = rustprune.mask(weights, 0.25)
    >>> found = bounds.certify(weights, masks, radius=2.0)
    >>> found.epsilon.kind, 0.25 < found.epsilon.value < 4
    ('certified', True)
    """
    if is_model(weights):
        from rustprune.bounds._graph import graph_of_model  # noqa: PLC0415 - only who has torch needs it

        if not isinstance(masks, dict):
            raise TypeError(f"masks must be a dict by names of weights, got {type(masks).__name__}")
        graph = graph_of_model(weights, masks, input_shape)
    else:
        given = cast("Arrays", weights)
        graph = chain(linear_layers(given, masks, activation, output_activation, biases))
    middle = None if center is None else np.ascontiguousarray(center, np.float64).reshape(-1)
    return certified(
        graph,
        number("radius", radius),
        middle,
        joint=joint,
        sweeps=sweeps,
        delta=delta,
        slack=slack,
        seed=seed,
        progress=progress,
    )


def certified(
    graph: Graph,
    radius: float,
    center: NDArray[np.float64] | None,
    *,
    joint: bool = True,
    sweeps: int = 3,
    delta: float = 1e-9,
    slack: float = 0.01,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Certificate:
    """Return the certificate of a network."""
    epsilon, steps = _rustprune.certify(
        graph.inputs,
        [(node.step.as_extension(), node.inputs) for node in graph.nodes],
        radius,
        center,
        joint,
        whole("sweeps", sweeps),
        delta,
        slack,
        2,
        whole("seed", seed),
        progress,
    )
    found = []
    for layer, (norms, state, pruned_state, gap, rule) in zip(graph.steps, steps, strict=True):
        whole_norm, kept, removed = [None] * 3 if norms is None else map(norm_of, norms)
        found.append(CertifiedLayer(layer.name, whole_norm, kept, removed, state, pruned_state, gap, rule))
    return Certificate(norm_of(epsilon), radius, center is not None, tuple(found))


def linear_layers(
    weights: Arrays,
    masks: Arrays,
    activation: str | Sequence[str],
    output_activation: str,
    biases: Sequence[ArrayLike | None] | None,
) -> list[Affine]:
    """Return the layers that a caller gave as arrays."""
    batch = Batch.of("weights", weights)
    given = batch.match("masks", masks)
    count = len(batch.items)
    hidden = [activation] * (count - 1) if isinstance(activation, str) else list(activation)
    if len(hidden) != count - 1:
        raise ValueError(f"activation must be one, or {count - 1} for the hidden layers, got {len(hidden)}")
    offsets = [None] * count if biases is None else list(biases)
    if len(offsets) != count:
        raise ValueError(f"biases must be one for each of {count} layers, got {len(offsets)}")
    acts = [*hidden, output_activation]
    rows = zip(batch.names, batch.items, given.items, offsets, acts, strict=True)
    return [linear(name, item, mask, bias, act) for name, item, mask, bias, act in rows]
