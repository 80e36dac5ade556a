"""The layers of a network to certify, as the extension takes them, and which states each of them takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from rustprune._arrays import FLOATS, flat, words_of
from rustprune.bounds._activations import parsed
from rustprune.bounds._norms import mask_of, matrix_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from rustprune._arrays import Words
    from rustprune._rustprune import _Affine, _Geometry, _Layer, _Map


class Affine(NamedTuple):
    """A layer with weights, as entries of a float format; `row_len` is that of a packed mask.

    A linear layer has no geometry. `roundings` is what each weight went through, and `bias_error` at least
    the norm of the difference of the bias to the exact one.
    """

    name: str
    dtype: str
    words: Words
    mask: NDArray[np.uint8] | None
    row_len: int | None
    bias: NDArray[np.float64] | None
    activation: str
    geometry: _Geometry | None = None
    roundings: int = 0
    bias_error: float = 0.0

    def as_extension(self) -> _Affine:
        """Return the layer as the extension takes it."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "weights": flat(self.words).reshape(-1),
            "shape": matrix_shape(self.words.shape),
            "mask": self.mask,
            "row_len": self.row_len,
            "bias": self.bias,
            "roundings": self.roundings,
            "bias_error": self.bias_error,
            "geometry": self.geometry,
            "activation": parsed(self.activation),
        }


class Map(NamedTuple):
    """A layer without weights, by the words of the extension (6.14 of the theory page)."""

    name: str
    words: _Map

    def as_extension(self) -> _Layer:
        """Return the layer as the extension takes it."""
        return self.words


Step: TypeAlias = Affine | Map


class Node(NamedTuple):
    """A layer, and the states it takes: 0 is the input, `n + 1` what layer `n` gives."""

    step: Step
    inputs: list[int]


class Graph(NamedTuple):
    """A network: how many numbers it takes, and its layers, the last of which gives the output."""

    inputs: int
    nodes: list[Node]

    @property
    def steps(self) -> list[Step]:
        """Its layers."""
        return [node.step for node in self.nodes]

    @property
    def is_chain(self) -> bool:
        """Whether each layer takes what the one before gives."""
        return all(node.inputs == [at] for at, node in enumerate(self.nodes))


def chain(layers: Sequence[Affine]) -> Graph:
    """Return the network of linear layers that follow each other, at least one."""
    _, inputs = matrix_shape(layers[0].words.shape)
    return Graph(inputs, [Node(layer, [at]) for at, layer in enumerate(layers)])


def linear(
    name: str, weights: object, mask: object, bias: ArrayLike | None, activation: str = "identity"
) -> Affine:
    """Return one linear layer, checked."""
    stored = words_of(name, weights, FLOATS)
    if stored[1].ndim != 2:
        raise ValueError(f"{name}: expected (out_features, in_features), got shape {stored[1].shape}")
    return affine(name, stored, mask, bias, activation)


def affine(
    name: str,
    stored: tuple[str, Words],
    mask: object,
    bias: ArrayLike | None,
    activation: str = "identity",
) -> Affine:
    """Return one layer of a dtype and its entries, with the mask checked; no geometry yet."""
    dtype, words = stored
    bits, row_len = mask_of(name, mask, words.shape)
    offset = None if bias is None else np.ascontiguousarray(bias, np.float64).reshape(-1)
    return Affine(name, dtype, words, bits, row_len, offset, activation)


def length(vector: NDArray[np.float64] | None) -> float:
    """Return the Euclidean norm, rounded up."""
    return 0.0 if vector is None else math.sqrt(math.fsum(vector**2)) * (1 + 1e-15)
