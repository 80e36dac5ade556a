"""The steps of a network to certify, as the extension takes them; and those of a torch model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import numpy as np

from rustprune import _rustprune
from rustprune._arrays import FLOATS, flat, words_of
from rustprune.bounds._activations import parsed
from rustprune.bounds._norms import mask_of, matrix_shape
from rustprune.bounds._torch import ACTIVATION_MODULES, PASSED_OVER, activation_of, modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import ArrayLike, NDArray

    from rustprune._arrays import Words
    from rustprune._rustprune import _Layer

Pair: TypeAlias = tuple[int, int]


class Linear(NamedTuple):
    """A linear layer, as entries of a float format; `row_len` is that of a packed mask."""

    name: str
    dtype: str
    words: Words
    mask: NDArray[np.uint8] | None
    row_len: int | None
    bias: NDArray[np.float64] | None
    activation: str

    def as_extension(self) -> _Layer:
        """Return the layer as the extension takes it."""
        word, parameter = parsed(self.activation)
        shape, entries = matrix_shape(self.words.shape), flat(self.words).reshape(-1)
        return self.name, self.dtype, entries, shape, self.mask, self.row_len, self.bias, word, parameter


class Convolution(NamedTuple):
    """A convolution of images of one size."""

    linear: Linear
    groups: int
    stride: Pair
    dilation: Pair
    domain: str
    size: Pair
    places: int

    @property
    def name(self) -> str:
        """Its name."""
        return self.linear.name

    def as_extension(self) -> _Layer:
        """Return the layer as the extension takes it."""
        it = self.linear
        steps, domain = (self.groups, self.stride, self.dilation), (self.domain, self.size)
        shape = cast("tuple[int, int, int, int]", it.words.shape)
        # Rows of a packed mask are those of the last axis.
        words = it.name, it.dtype, flat(it.words).reshape(-1), shape, it.mask, it.row_len
        return *words, steps, domain, it.bias, self.places, parsed(it.activation)


class Map(NamedTuple):
    """A step without weights: its Lipschitz constant, and a bound of its value at zero."""

    name: str
    lipschitz: float
    at_zero: float = 0.0

    def as_extension(self) -> _Layer:
        """Return the step as the extension takes it."""
        return self.lipschitz, self.at_zero, math.inf


Step: TypeAlias = Linear | Convolution | Map


def linear(
    name: str, weights: object, mask: object, bias: ArrayLike | None, activation: str, *, ndim: int = 2
) -> Linear:
    """Return one layer, checked."""
    dtype, words = words_of(name, weights, FLOATS)
    if words.ndim != ndim:
        raise ValueError(f"{name}: expected (out_features, in_features), got shape {words.shape}")
    bits, row_len = mask_of(name, mask, words.shape)
    offset = None if bias is None else np.ascontiguousarray(bias, np.float64).reshape(-1)
    return Linear(name, dtype, words, bits, row_len, offset, activation)


def steps_of_model(
    model: torch.nn.Module, masks: Mapping[str, object], input_shape: tuple[int, ...] | None
) -> list[Step]:
    """Return the steps of a torch model of `Sequential` containers (6.12 and 6.14 of the theory page).

    Raises
    ------
    ValueError
        If there is a module of another kind, which is named.
    """
    steps: list[Step] = []
    shape = input_shape
    names = set()
    for name, module in modules(model):
        kind = type(module).__name__
        if kind in ("Linear", "Conv2d"):
            key = f"{name}.weight" if name else "weight"
            names.add(key)
            found, shape = affine(key, module, masks.get(key), shape)
            steps.append(found)
        elif kind in ACTIVATION_MODULES:
            steps[-1:] = activated(steps[-1] if steps else None, name, activation_of(name, module), shape)
        elif kind in _POOLS:
            norm, shape = pooled(name, module, shape)
            steps.append(Map(name, norm))
        elif kind not in PASSED_OVER:
            raise ValueError(f"{name or 'model'}: expected layers that chain Linear and Conv2d, got {kind}")
        elif kind == "Flatten" and shape is not None:
            shape = (math.prod(shape),)
    if unknown := {*masks} - names:
        raise ValueError(f"masks: expected names of the model's weights, got {sorted(unknown)}")
    if not names:
        raise ValueError("model: expected one Linear or Conv2d or more, got none")
    return steps


_POOLS = ("AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d")


def affine(
    key: str, module: torch.nn.Module, mask: object, shape: tuple[int, ...] | None
) -> tuple[Step, tuple[int, ...] | None]:
    """Return a linear layer or convolution, and the shape of what it gives."""
    tensor: torch.Tensor | None = module.bias  # type: ignore[assignment]
    bias = None if tensor is None else tensor.detach().cpu().double().numpy()
    if type(module).__name__ == "Linear":
        features = cast("int", module.out_features)
        return linear(key, module.weight, mask, bias, "identity"), None if shape is None else (features,)
    conv = cast("torch.nn.Conv2d", module)
    channels, height, width = image(key, shape)
    kernel, stride, dilation = pair(conv.kernel_size), pair(conv.stride), pair(conv.dilation)
    padding = (0, 0) if isinstance(conv.padding, str) else pair(conv.padding)
    if isinstance(conv.padding, str) or conv.padding_mode not in ("zeros", "circular"):
        raise ValueError(f"{key}: expected padding by numbers, of zeros or circular, got {conv}")
    reach = [step * (taps - 1) for step, taps in zip(dilation, kernel, strict=True)]
    circular = conv.padding_mode == "circular"
    if any(pad > most for pad, most in zip(padding, reach, strict=True)):
        raise ValueError(f"{key}: expected padding within the reach of the kernel, {reach}, got {padding}")
    if circular and any(2 * pad != most for pad, most in zip(padding, reach, strict=True)):
        raise ValueError(
            f"{key}: expected circular padding of half the kernel's reach, {reach}, got {padding}"
        )
    given = linear(key, conv.weight, mask, bias, "identity", ndim=4)
    if channels != conv.in_channels:
        raise ValueError(f"{key}: expected images of {conv.in_channels} channels, got shape {shape}")
    made = [
        (length + 2 * pad - most - 1) // step + 1
        for length, pad, most, step in zip((height, width), padding, reach, stride, strict=True)
    ]
    domain = "circular" if circular else "zero"
    found = Convolution(given, conv.groups, stride, dilation, domain, (height, width), math.prod(made))
    return found, (conv.out_channels, *made)


def activated(last: Step | None, name: str, activation: str, shape: tuple[int, ...] | None) -> list[Step]:
    """Return the last step with an activation, or both where the step has one or no weights."""
    if isinstance(last, Linear) and last.activation == "identity":
        return [last._replace(activation=activation)]
    if isinstance(last, Convolution) and last.linear.activation == "identity":
        return [last._replace(linear=last.linear._replace(activation=activation))]
    if shape is None:
        raise ValueError(f"{name}: expected input_shape for an activation that follows no weights")
    lipschitz, at_zero = _rustprune.activation_data(*parsed(activation))
    step = Map(name, lipschitz, at_zero * math.sqrt(math.prod(shape)) * (1 + 1e-15))
    return [step] if last is None else [last, step]


def pooled(
    name: str, module: torch.nn.Module, shape: tuple[int, ...] | None
) -> tuple[float, tuple[int, ...]]:
    """Return the norm of a pooling layer, and the shape of what it gives."""
    channels, *lengths = image(name, shape)
    kind = type(module).__name__
    if kind == "AdaptiveAvgPool2d":
        outputs = pair(module.output_size)
        made = [out or length for length, out in zip(lengths, outputs, strict=True)]
        return _rustprune.adaptive_pool_norm([*zip(lengths, made, strict=True)]), (channels, *made)
    if module.ceil_mode or (kind == "AvgPool2d" and module.divisor_override is not None):
        raise ValueError(f"{name}: expected pooling without ceil_mode and divisor_override, got {module}")
    sizes = pair(module.kernel_size)
    stride = pair(module.stride)
    padding = pair(module.padding)
    dilation = pair(module.dilation) if kind == "MaxPool2d" else (1, 1)
    axes = [*zip(lengths, sizes, stride, padding, dilation, strict=True)]
    made = [(length + 2 * pad - gap * (size - 1) - 1) // step + 1 for length, size, step, pad, gap in axes]
    if kind == "MaxPool2d":
        norm = _rustprune.max_pool_norm([(size, step, gap) for _, size, step, _, gap in axes])
    else:
        windows = [(length, size, step, pad, pad) for length, size, step, pad, _ in axes]
        norm = _rustprune.average_pool_norm(windows, bool(module.count_include_pad))
    return norm, (channels, *made)


def image(name: str, shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return the channels, height and width of an image."""
    if shape is None or len(shape) != 3:
        raise ValueError(f"{name}: expected input_shape=(channels, height, width), got {shape}")
    channels, height, width = shape
    return channels, height, width


def pair(value: object) -> Pair:
    """Return one number for both axes, or two."""
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return first, second
