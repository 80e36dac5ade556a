"""What a bound needs to know of a network: shapes, laws, activations (Definitions 1.1 and 1.4)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from rustprune._request import number, whole
from rustprune._rustprune import BoundNetwork, bound_largest_use
from rustprune.bounds._activations import parsed
from rustprune.bounds._files import bias_of, chain_of, read
from rustprune.bounds._steps import Affine, length

if TYPE_CHECKING:
    import torch

    from rustprune._rustprune import _RandomLayer
    from rustprune.bounds._laws import Law
    from rustprune.bounds._steps import Step

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layer:
    """An affine layer of independent weights, and the activation after it.

    Parameters
    ----------
    shape : tuple of int
        ``(out_features, in_features)``, or ``(out_channels, in_channels, height, width)`` of a convolution.
    weights : Law
        The law of its weights.
    activation : str
        A name of `ACTIVATIONS`, with the number that two of them take: ``"leaky_relu(0.2)"``, ``"elu(1.5)"``.
    bias_norm : float
        Euclidean norm of its bias, a fixed vector.
    stride, dilation : tuple of int
        Of a convolution, along height and width.
    positions : int
        Of a convolution with a bias: how many places its output image has.
    name : str
        What messages call it.

    Raises
    ------
    TypeError, ValueError
        If one of them is not as said.
    """

    shape: tuple[int, ...]
    weights: Law
    activation: str = "identity"
    bias_norm: float = 0.0
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    positions: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        lengths = tuple(whole("shape", length) for length in self.shape)
        if len(lengths) not in (2, 4) or 0 in lengths:
            raise ValueError(f"shape must be 2 or 4 lengths above 0, got {self.shape}")
        object.__setattr__(self, "shape", lengths)
        parsed(self.activation)
        if not 0 <= number("bias_norm", self.bias_norm) < math.inf:
            raise ValueError(f"bias_norm must be finite and not negative, got {self.bias_norm!r}")

    @property
    def num_weights(self) -> int:
        """How many weights it has."""
        return math.prod(self.shape)

    @property
    def fans(self) -> tuple[int, int]:
        """How many weights lead out of each input, and into each output."""
        fan_out, fan_in, *taps = self.shape
        return fan_out * math.prod(taps), fan_in * math.prod(taps)

    def facts(self, law: int) -> _RandomLayer:
        """Return the layer as the extension takes it; `law` is the number of its law."""
        rows, cols, *taps = self.shape
        word, parameter = parsed(self.activation)
        steps = zip(taps, self.stride, self.dilation, strict=False)
        return {
            "rows": rows,
            "cols": cols,
            "taps": (taps[0], taps[1]) if taps else (1, 1),
            "circular": None,
            "positions": self.positions,
            "uses": math.prod(bound_largest_use(*axis) for axis in steps),
            "law": law,
            "activation": word,
            "parameter": parameter,
            "bias": float(self.bias_norm),
        }


@dataclass(frozen=True, slots=True)
class Network:
    """A network of layers, each applied to the result of the one before.

    Parameters
    ----------
    layers : sequence of Layer
        Each takes as many features or channels as the one before gives; at least one.
    pruned : sequence of int, optional
        Positions of the layers that may be pruned; all by default.
    dimension : int, optional
        Dimension of a subspace in which all inputs lie, if it is less than their own.

    Raises
    ------
    TypeError, ValueError
        If one of them is not as said.
    """

    layers: tuple[Layer, ...]
    pruned: tuple[int, ...]
    dimension: int | None

    def __init__(
        self, layers: Iterable[Layer], pruned: Iterable[int] | None = None, dimension: int | None = None
    ) -> None:
        made = tuple(layers)
        if not made or not all(isinstance(layer, Layer) for layer in made):
            raise ValueError("layers must be one Layer or more")
        for position, (before, after) in enumerate(itertools.pairwise(made), 1):
            if not fits(before.shape, after.shape):
                message = f"layer {position} must take the {before.shape[0]} features of the one before"
                raise ValueError(f"{message}, got shape {after.shape}")
        chosen = range(len(made)) if pruned is None else pruned
        positions = tuple(sorted({whole("pruned", position) for position in chosen}))
        if positions and positions[-1] >= len(made):
            raise ValueError(f"pruned must be positions below {len(made)}, got {positions[-1]}")
        object.__setattr__(self, "layers", made)
        object.__setattr__(self, "pruned", positions)
        object.__setattr__(self, "dimension", None if dimension is None else whole("dimension", dimension))

    @classmethod
    def mlp(
        cls,
        sizes: Sequence[int],
        *,
        weights: Law | Sequence[Law],
        activation: str = "relu",
        output_activation: str = "identity",
        bias_norm: float | Sequence[float] = 0.0,
        pruned: Iterable[int] | None = None,
        dimension: int | None = None,
    ) -> Self:
        """Return a fully connected network.

        Parameters
        ----------
        sizes : sequence of int
            Number of inputs, of hidden neurons of each layer, and of outputs.
        weights : Law, or sequence of them
            The law of the weights of all layers, or of each.
        activation, output_activation : str
            Of hidden layers, and of the last.
        bias_norm : float, or sequence of float
            Euclidean norm of the bias of all layers, or of each.
        pruned : sequence of int, optional
            Positions of the layers that may be pruned, 0 the first; all by default.
        dimension : int, optional
            Dimension of a subspace in which all inputs lie, if it is less than ``sizes[0]``.

        Returns
        -------
        Network
            With a layer between each two sizes.

        Raises
        ------
        TypeError, ValueError
            If something is not as said.

        Examples
        --------
        >>> from rustprune import bounds
        >>> net = bounds.Network.mlp([784, 300, 10], weights=bounds.Uniform(k=1.0))
        >>> [layer.shape for layer in net.layers]
        [(300, 784), (10, 300)]
        """
        shapes = [(after, before) for before, after in itertools.pairwise(sizes)]
        if not shapes:
            raise ValueError(f"sizes must be two numbers or more, got {sizes!r}")
        count = len(shapes)
        laws: list[Law] = each("weights", weights, count)
        norms = each("bias_norm", bias_norm, count)
        names = [activation] * (count - 1) + [output_activation]
        layers = [
            Layer(shape, law, name, norm)
            for shape, law, name, norm in zip(shapes, laws, names, norms, strict=True)
        ]
        return cls(layers, pruned, dimension)

    @classmethod
    def from_torch(
        cls,
        model: torch.nn.Module,
        *,
        weights: Law | Sequence[Law],
        input_shape: tuple[int, int, int] | None = None,
    ) -> Self:
        """Return the network of a torch model's shapes, biases and activations, with weights of a law.

        The values of its weights are not looked at: that a law is theirs is an assumption, and for trained
        weights a wrong one (see `certify` for those).

        Parameters
        ----------
        model : torch.nn.Module
            ``Linear`` and ``Conv2d`` layers, each followed by at most one activation and taking what the one
            before gives; ``Flatten``, ``Dropout`` and ``Identity`` are passed over.
        weights : Law, or sequence of them
            The law of the weights of all layers, or of each.
        input_shape : tuple of int, optional
            Of a model with convolutions: ``(channels, height, width)`` of its images.

        Returns
        -------
        Network
            Its layers carry the names of the model's weights.

        Raises
        ------
        ValueError
            If there is a module of another kind, which is named, or a convolution in groups.

        Examples
        --------
        >>> import torch
        >>> from rustprune import bounds
        >>> model = torch.nn.Sequential(torch.nn.Linear(64, 32, bias=False), torch.nn.ReLU())
        >>> bounds.Network.from_torch(model, weights=bounds.Normal(gain=1.0)).layers[0].activation
        'relu'
        """
        from rustprune.bounds._graph import graph_of_model  # noqa: PLC0415 - only who has torch needs it

        graph = graph_of_model(model, {}, input_shape)
        if not graph.is_chain:
            raise ValueError("model: expected layers that each take what the one before gives, got branches")
        laws: list[Law] = each("weights", weights, len(graph.nodes))
        return cls(layer_of(step, law) for step, law in zip(graph.steps, laws, strict=True))

    @classmethod
    def from_checkpoint(
        cls,
        src: str | Path,
        *,
        weights: Law | Sequence[Law],
        activation: str = "relu",
        output_activation: str = "identity",
    ) -> Self:
        """Return the network of a checkpoint's shapes and bias norms, with weights of a law.

        The values of its weights are not looked at: that a law is theirs is an assumption, and for trained
        weights a wrong one (see `certify_checkpoint` for those).

        Parameters
        ----------
        src : path
            A safetensors file or a Hugging Face directory of a fully connected network: its tensors named
            ``*.weight`` follow each other in the order of their names, digits as numbers.
        weights : Law, or sequence of them
            The law of the weights of all layers, or of each.
        activation, output_activation : str
            Of hidden layers, and of the last.

        Returns
        -------
        Network
            Its layers carry the names of the tensors.

        Raises
        ------
        FileNotFoundError, OSError
            If a file is missing or cannot be read.
        ValueError
            If a file is malformed, or the tensors are no chain of linear layers.

        Examples
        --------
        >>> import pathlib, rustprune
        >>> from rustprune import bounds
        >>> digits = pathlib.Path(rustprune.__file__).parent / "data" / "digits.safetensors"
        >>> net = bounds.Network.from_checkpoint(digits, weights=bounds.Uniform(k=1.0))
        >>> [layer.shape for layer in net.layers]
        [(300, 64), (100, 300), (10, 100)]
        """
        tensors = read(Path(src))
        found, reason = chain_of(tensors)
        if reason:
            raise ValueError(f"{src}: {reason}")
        laws: list[Law] = each("weights", weights, len(found))
        acts = [activation] * (len(found) - 1) + [output_activation]
        layers = [
            Layer(it.words.shape, law, act, length(bias_of(tensors, it)), name=it.name)
            for it, law, act in zip(found, laws, acts, strict=True)
        ]
        return cls(layers)

    def as_extension(self) -> BoundNetwork:
        """Return the network as the extension takes it."""
        laws = [layer.weights.spec(*layer.fans) for layer in self.layers]
        facts = [layer.facts(number) for number, layer in enumerate(self.layers)]
        return BoundNetwork(laws, facts, self.dimension)


def layer_of(step: Step, law: Law) -> Layer:
    """Return a layer of a torch model as one of random weights."""
    if not isinstance(step, Affine) or not is_plain(step):
        wanted = "Linear or Conv2d without groups and normalisation, and one activation at most"
        raise ValueError(f"{step.name}: expected {wanted}")
    layer = Layer(step.words.shape, law, step.activation, length(step.bias), name=step.name)
    if step.geometry is None:
        return layer
    it = step.geometry
    sizes = zip(it["image"], it["padding"], it["dilation"], it["kernel"], it["stride"], strict=True)
    places = [(size + sum(pads) - gap * (taps - 1) - 1) // by + 1 for size, pads, gap, taps, by in sizes]
    return replace(layer, stride=it["stride"], dilation=it["dilation"], positions=math.prod(places))


def is_plain(step: Affine) -> bool:
    """Return whether a layer has a law of its own: no other is folded in, no groups, two axes in space."""
    groups = 1 if step.geometry is None else step.geometry["groups"]
    return step.roundings == 0 and len(step.words.shape) != 3 and groups == 1


def fits(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether a layer takes what one of shape `before` gives; a linear one takes a flattened image."""
    if len(after) < len(before):
        return after[1] % before[0] == 0
    return len(after) == len(before) and after[1] == before[0]


def each(word: str, value: T | Sequence[T], count: int) -> list[T]:
    """Return one value for each of so many layers."""
    values: list[T] = list(value) if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        raise ValueError(f"{word} must be one for all of {count} layers, or one for each, got {len(values)}")
    return values
