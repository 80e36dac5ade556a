"""The rule of each torch module (section 6.14 of the theory page): what it adds to a network to certify.

Long since the table of rules is: one function each, and the table at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import numpy as np

from rustprune._arrays import FLOATS, words_of
from rustprune.bounds._activations import parsed
from rustprune.bounds._files import Stored, widened
from rustprune.bounds._steps import Affine, Map, Node, affine, length
from rustprune.bounds._torch import ACTIVATION_MODULES, activation_of, kind_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from rustprune._rustprune import _Geometry, _Map
    from rustprune.bounds._steps import Step

    Floats: TypeAlias = NDArray[np.float64]

Pair: TypeAlias = tuple[int, int]


class Value(NamedTuple):
    """A tensor of the model: its state, its shape without the batch, whether nothing else takes it.

    Tensors that may share memory have the same `storage`; `version` counts what is written there in place.
    """

    state: int
    shape: tuple[int, ...]
    single: bool
    storage: int
    version: int = 0

    @property
    def size(self) -> int:
        """How many numbers it holds of each example."""
        return math.prod(self.shape)


class Builder:
    """The layers found so far."""

    def __init__(self, masks: Mapping[str, object]) -> None:
        self.masks = masks
        self.nodes: list[Node] = []
        self.names: set[str] = set()

    def add(self, step: Step, inputs: list[Value], shape: tuple[int, ...]) -> Value:
        """Add a layer, and return what it gives."""
        self.nodes.append(Node(step, [value.state for value in inputs]))
        return Value(len(self.nodes), shape, single=False, storage=len(self.nodes))

    def add_map(self, name: str, words: _Map, value: Value, shape: tuple[int, ...]) -> Value:
        """Add a layer without weights."""
        return self.add(Map(name, words), [value], shape)

    def foldable(self, value: Value) -> Affine | None:
        """Return the layer with weights that gives a tensor nothing else takes, before any activation."""
        step = self.nodes[value.state - 1].step if value.single and value.state else None
        return step if isinstance(step, Affine) and step.activation == "identity" else None

    def fold(self, value: Value, step: Affine) -> Value:
        """Put another layer in the place of the one that gives a tensor."""
        self.nodes[value.state - 1] = self.nodes[value.state - 1]._replace(step=step)
        return value

    def copied(self, name: str, value: Value, call: Callable[[torch.Tensor], object]) -> Value:
        """Add what only copies entries, by where it takes them from.

        Of two examples with the numbers of their entries, 0 for zeros: each must come out alike, on its own.
        """
        import torch

        count = value.size
        numbers = torch.arange(1, 2 * count + 1, dtype=torch.float64).reshape(2, *value.shape)
        with torch.no_grad():
            found = call(numbers)
        if not isinstance(found, torch.Tensor) or found.ndim == 0 or len(found) != 2:
            raise ValueError(f"{name}: expected a tensor whose first axis is still that of the examples")
        one, two = found.reshape(2, -1)
        if not torch.equal(two, torch.where(one > 0, one + count, 0)) or bool((one > count).any()):
            raise ValueError(f"{name}: expected each example to be treated on its own")
        copies = one.long().numpy() - 1
        shape = tuple(found.shape[1:])
        if copies.size == count and bool((copies == np.arange(count)).all()):
            return value._replace(shape=shape)
        return self.add_map(name, {"copies": copies}, value, shape)


Rule: TypeAlias = Callable[[Builder, str, "torch.nn.Module", Value], Value]


def applied(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Return what a module makes of a tensor.

    Raises
    ------
    ValueError
        If there is no rule for modules of its kind, which is named, or for its settings.
    """
    kind = kind_of(module)
    if kind not in RULES:
        raise ValueError(f"{name}: expected a layer that section 6.14 has a rule for, got {kind}")
    if module._forward_hooks:  # noqa: SLF001 - there is no public name
        raise ValueError(f"{name}: expected a layer without forward hooks, got {module}")
    return RULES[kind](builder, name, module, value)


def passed_over(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:  # noqa: ARG001
    """Return the tensor itself: dropout is that of evaluation."""
    return value


def copies(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Flatten, shuffles, nearest up-sampling, padding."""
    if getattr(module, "mode", "nearest") != "nearest":
        raise ValueError(f"{name}: expected mode='nearest', got {module}")
    return builder.copied(name, value, module)


def activation(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Take an activation into the layer before it, or by itself."""
    word = activation_of(name, module)
    step = builder.foldable(value)
    if step is not None:
        return builder.fold(value, step._replace(activation=word))
    return activated(builder, name, word, value)


def activated(builder: Builder, name: str, word: str, value: Value) -> Value:
    """Add an activation by itself."""
    return builder.add_map(name, {"activation": parsed(word)}, value, value.shape)


def linear(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Linear, along the last axis."""
    layer = cast("torch.nn.Linear", module)
    step = weighted(builder, name, layer)
    *places, features = value.shape
    if features != layer.in_features:
        raise ValueError(f"{step.name}: expected {layer.in_features} features, got shape {value.shape}")
    if not places:
        return builder.add(step, [value], (layer.out_features,))
    # A convolution of one tap over all places, between two transpositions.
    first = builder.copied(name, value, lambda x: x.movedim(-1, 1))
    geometry = geometry_of((1, 1), (math.prod(places), 1))
    middle = builder.add(step._replace(geometry=geometry), [first], (layer.out_features, *places))
    return builder.copied(name, middle, lambda x: x.movedim(1, -1))


def weighted(
    builder: Builder, name: str, layer: torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d
) -> Affine:
    """Return the weights and the bias of a layer, with its mask."""
    key = f"{name}.weight" if name else "weight"
    builder.names.add(key)
    stored = words_of(key, layer.weight, FLOATS)
    return affine(key, stored, builder.masks.get(key), parameter(layer, "bias"))


def convolution(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Conv1d and Conv2d."""
    conv = cast("torch.nn.Conv1d | torch.nn.Conv2d", module)
    step = weighted(builder, name, conv)
    axes = len(conv.kernel_size)
    channels, *lengths = image(step.name, value, axes)
    if channels != conv.in_channels:
        raise ValueError(f"{step.name}: expected images of {conv.in_channels} channels, got {value.shape}")
    if conv.padding_mode not in ("zeros", "circular"):
        raise ValueError(f"{step.name}: expected padding_mode 'zeros' or 'circular', got {conv}")
    reach = [gap * (taps - 1) for gap, taps in zip(conv.dilation, conv.kernel_size, strict=True)]
    if conv.padding == "same":
        padding = [(most // 2, most - most // 2) for most in reach]
    else:
        padding = [(pad, pad) for pad in per_axis(0 if conv.padding == "valid" else conv.padding, axes)]
    circular = conv.padding_mode == "circular"
    if circular and any(sum(pads) > most for pads, most in zip(padding, reach, strict=True)):
        raise ValueError(f"{step.name}: expected circular padding of {reach} together at most, got {conv}")
    rows = zip(lengths, padding, reach, conv.stride, strict=True)
    made = [(len_ + sum(pads) - most - 1) // gap + 1 for len_, pads, most, gap in rows]
    if min(made) < 1:
        raise ValueError(f"{step.name}: expected images as large as the kernel, got {value.shape}")
    geometry = geometry_of(
        planar(conv.kernel_size),
        planar(tuple(lengths)),
        groups=conv.groups,
        stride=planar(conv.stride),
        dilation=planar(conv.dilation),
        padding=((0, 0), padding[0]) if axes == 1 else (padding[0], padding[1]),
        circular=circular,
    )
    return builder.add(step._replace(geometry=geometry), [value], (conv.out_channels, *made))


def batch_norm(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """BatchNorm1d and BatchNorm2d in evaluation mode: into the weights before it, or by itself.

    The factors, ``weight / sqrt(running_var + eps)``, go through three roundings, the weights through four;
    the shifts, ``bias - running_mean * factor``, through eight at most of the sum of their magnitudes.
    """
    norm = cast("torch.nn.BatchNorm2d", module)
    mean, variance = parameter(norm, "running_mean"), parameter(norm, "running_var")
    if norm.training or mean is None or variance is None:
        raise ValueError(
            f"{name}: expected batch normalisation in evaluation mode with running statistics; "
            "call model.eval() first"
        )
    channels, *places = value.shape
    if channels != norm.num_features:
        raise ValueError(f"{name}: expected {norm.num_features} channels, got shape {value.shape}")
    gain, shift = parameter(norm, "weight"), parameter(norm, "bias")
    gain = np.ones(channels) if gain is None else gain
    shift = np.zeros(channels) if shift is None else shift
    factors = gain / np.sqrt(variance + norm.eps)
    step = builder.foldable(value)
    if step is not None and step.roundings == 0 and step.words.shape[0] == channels:
        return builder.fold(value, folded(step, layer_weights(step), factors, shift, mean))
    shifts = shift - mean * factors
    sizes = np.abs(shift) + np.abs(mean * factors)
    count = math.prod(places)
    words: _Map = {
        "factors": np.repeat(factors, count),
        "shifts": np.repeat(shifts, count),
        "roundings": 3,
        "shift_error": rounded(sizes) * math.sqrt(count) * (1 + 1e-15),
    }
    return builder.add_map(name, words, value, value.shape)


def folded(step: Affine, weights: Floats, factors: Floats, shift: Floats, mean: Floats) -> Affine:
    """Return a layer with a batch normalisation taken in; the mask stays, and prunes the same weights."""
    scaled = weights * factors.reshape(-1, *[1] * (weights.ndim - 1))
    bias = np.zeros(len(factors)) if step.bias is None else step.bias
    sizes = np.abs(factors) * (np.abs(bias) + np.abs(mean)) + np.abs(shift)
    return step._replace(
        dtype="float64",
        words=scaled.view(np.uint64),
        bias=factors * (bias - mean) + shift,
        roundings=4,
        bias_error=rounded(sizes),
    )


def layer_weights(step: Affine) -> Floats:
    """Return the weights of a layer as numbers."""
    return widened(Stored(step.name, step.dtype, step.words))


def rounded(sizes: Floats) -> float:
    """Return at least the norm of what eight roundings change in numbers of these magnitudes."""
    return length(sizes) * 16 * 2.0**-53


def layer_norm(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """LayerNorm and RMSNorm, over the last axes."""
    norm = cast("torch.nn.LayerNorm", module)
    own = tuple(norm.normalized_shape)
    if value.shape[len(value.shape) - len(own) :] != own:
        raise ValueError(f"{name}: expected the last axes to be {own}, got shape {value.shape}")
    eps: float | None = norm.eps
    centered = kind_of(module) == "LayerNorm"
    count = value.size // math.prod(own)
    words: _Map = {
        "len": math.prod(own),
        "centered": centered,
        "epsilon": resolution(module) if eps is None else eps,
        "gain": spread(parameter(norm, "weight"), lambda it: np.tile(it, count)),
        "shift": spread(parameter(norm, "bias"), lambda it: np.tile(it, count)),
    }
    return builder.add_map(name, words, value, value.shape)


def group_norm(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """GroupNorm, over groups of channels."""
    norm = cast("torch.nn.GroupNorm", module)
    channels, *places = value.shape
    if channels != norm.num_channels:
        raise ValueError(f"{name}: expected {norm.num_channels} channels, got shape {value.shape}")
    count = math.prod(places)
    words: _Map = {
        "len": value.size // norm.num_groups,
        "centered": True,
        "epsilon": norm.eps,
        "gain": spread(parameter(norm, "weight"), lambda it: np.repeat(it, count)),
        "shift": spread(parameter(norm, "bias"), lambda it: np.repeat(it, count)),
    }
    return builder.add_map(name, words, value, value.shape)


def spread(numbers: Floats | None, over: Callable[[Floats], Floats]) -> Floats | None:
    """Return one number for each entry, where there are any."""
    return None if numbers is None else over(numbers.reshape(-1))


def resolution(module: torch.nn.Module) -> float:
    """Return what RMSNorm takes for `eps` where it has none: the spacing of its numbers at one."""
    import torch

    weight = module.weight
    dtype = weight.dtype if isinstance(weight, torch.Tensor) else torch.get_default_dtype()
    return torch.finfo(dtype).eps


def softmax(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """Softmax and LogSoftmax, along any axis but that of the examples."""
    axes = len(value.shape)
    dim = module.dim
    if not isinstance(dim, int) or dim in (0, -axes - 1):
        raise ValueError(f"{name}: expected dim to be an axis of the example, got {module}")
    first = builder.copied(name, value, lambda x: x.movedim(dim, -1))
    words: _Map = {"softmax": (first.shape[-1], kind_of(module) == "LogSoftmax")}
    middle = builder.add_map(name, words, first, first.shape)
    return builder.copied(name, middle, lambda x: x.movedim(-1, dim))


def max_pool(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """MaxPool of one axis or more."""
    pool = cast("torch.nn.MaxPool2d", module)
    if pool.return_indices:
        raise ValueError(f"{name}: expected return_indices=False, got {module}")
    lengths, made = pooled(name, module, value)
    settings = [
        per_axis(it, len(lengths)) for it in (pool.kernel_size, pool.stride, pool.dilation, pool.padding)
    ]
    axes = [*zip(lengths, *settings, made[1:], strict=True)]
    return builder.add_map(name, {"maxima": axes}, value, made)


def average_pool(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """AvgPool of one axis or more."""
    pool = cast("torch.nn.AvgPool2d", module)
    if pool.ceil_mode or getattr(pool, "divisor_override", None) is not None:
        raise ValueError(f"{name}: expected pooling without ceil_mode and divisor_override, got {module}")
    lengths, made = pooled(name, module, value)
    settings = [per_axis(it, len(lengths)) for it in (pool.kernel_size, pool.stride, pool.padding)]
    axes = [*zip(lengths, *settings, strict=True)]
    return builder.add_map(name, {"means": (axes, pool.count_include_pad)}, value, made)


def adaptive_pool(builder: Builder, name: str, module: torch.nn.Module, value: Value) -> Value:
    """AdaptiveAvgPool of one axis or more; to one place it is the global mean."""
    lengths, made = pooled(name, module, value)
    return builder.add_map(name, {"adaptive_means": [*zip(lengths, made[1:], strict=True)]}, value, made)


def pooled(name: str, module: torch.nn.Module, value: Value) -> tuple[list[int], tuple[int, ...]]:
    """Return the lengths of the axes that a pooling layer works on, and the shape of what it gives."""
    import torch

    _, *lengths = image(name, value, int(kind_of(module)[-2]))
    made: torch.Tensor = module(torch.empty(1, *value.shape, device="meta"))
    return lengths, tuple(made.shape[1:])


def image(name: str, value: Value, axes: int) -> tuple[int, ...]:
    """Return the shape of a tensor that has channels and so many axes."""
    if len(value.shape) != axes + 1:
        words = "channels, length" if axes == 1 else "channels, height, width"
        raise ValueError(f"{name}: expected input_shape=({words}), got {value.shape}")
    return value.shape


def geometry_of(
    kernel: Pair,
    size: Pair,
    *,
    groups: int = 1,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
    circular: bool = False,
) -> _Geometry:
    """Return how a convolution lies in images of that size."""
    return {
        "kernel": kernel,
        "groups": groups,
        "stride": stride,
        "dilation": dilation,
        "image": size,
        "padding": padding,
        "circular": circular,
    }


def parameter(module: torch.nn.Module, name: str) -> Floats | None:
    """Return a parameter or buffer in double precision, which is exact; None where there is none."""
    tensor: torch.Tensor | None = getattr(module, name, None)
    return None if tensor is None else cast("Floats", tensor.detach().cpu().double().numpy())


def per_axis(value: object, axes: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    return tuple(value) if isinstance(value, tuple | list) else (cast("int", value),) * axes


def planar(lengths: tuple[int, ...]) -> Pair:
    """Return two lengths, the first of which is 1 where there is only one."""
    first, second = (1, *lengths)[-2:]
    return first, second


RULES: dict[str, Rule] = {
    **dict.fromkeys(ACTIVATION_MODULES, activation),
    **dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout", "Identity"), passed_over),
    **dict.fromkeys(("ChannelShuffle", "Flatten", "PixelShuffle", "PixelUnshuffle", "Unflatten"), copies),
    **dict.fromkeys(("Upsample", "UpsamplingNearest2d"), copies),
    **dict.fromkeys(("ZeroPad1d", "ZeroPad2d"), copies),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), batch_norm),
    **dict.fromkeys(("Conv1d", "Conv2d"), convolution),
    **dict.fromkeys(("LayerNorm", "RMSNorm"), layer_norm),
    **dict.fromkeys(("LogSoftmax", "Softmax"), softmax),
    **dict.fromkeys(("MaxPool1d", "MaxPool2d"), max_pool),
    **dict.fromkeys(("AvgPool1d", "AvgPool2d"), average_pool),
    **dict.fromkeys(("AdaptiveAvgPool1d", "AdaptiveAvgPool2d"), adaptive_pool),
    "GroupNorm": group_norm,
    "Linear": linear,
}
"""By the name of the module's class."""
