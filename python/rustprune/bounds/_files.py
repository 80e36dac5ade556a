"""Tensors of checkpoints where they lie in their files."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rustprune._checkpoint.files import Tensor, find

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rustprune._arrays import Words

_WORDS = {"float64": "<u8", "float32": "<u4", "float16": "<u2", "bfloat16": "<u2"}


class Stored(NamedTuple):
    """A tensor where it lies in its file, as unsigned words of its float format."""

    name: str
    dtype: str
    words: Words


def read(src: Path) -> dict[str, Stored]:
    """Return the tensors of floating point, by name."""
    files = find(src)
    _, shards = files.open()
    return {
        stored.name: stored
        for path, tensors in zip(files.paths(), shards, strict=True)
        for stored in stored_in(path, tensors)
    }


def stored_in(path: Path, tensors: list[Tensor]) -> Iterator[Stored]:
    """Yield the tensors of a file whose header has been checked."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    for tensor in tensors:
        if tensor.format is None:
            continue
        word = np.dtype(_WORDS.get(tensor.format, "u1"))
        start, _ = header[tensor.name]["data_offsets"]
        words = np.empty(tensor.shape, word)
        if words.size:
            words = np.memmap(path, word, "r", 8 + length + start, tensor.shape)
        yield Stored(tensor.name, tensor.format, words)


def chain_of(tensors: Mapping[str, Stored]) -> tuple[list[Stored], str]:
    """Return the linear layers of a fully connected network in their order, and why it is none.

    Those are the tensors of two axes or more named ``weight`` or ``*.weight``, by their names, digits as
    numbers. A tensor that is none of them and no bias of one belongs to a layer that nobody knows.
    """
    names = [name for name in sorted(tensors, key=natural) if name.rpartition(".")[2] == "weight"]
    layers = [tensors[name] for name in names if tensors[name].words.ndim >= 2]
    return layers, next((f"no chain of linear layers: {reason}" for reason in breaks(tensors, layers)), "")


def breaks(tensors: Mapping[str, Stored], layers: list[Stored]) -> Iterator[str]:
    """Yield what speaks against a chain of linear layers."""
    if not layers:
        yield "no matrix is named *.weight"
    for layer in layers:
        if layer.words.ndim != 2:
            yield f"{layer.name} has shape {[*layer.words.shape]}"
    for one, two in itertools.pairwise(layers):
        if two.words.shape[1] != one.words.shape[0]:
            shapes = [*two.words.shape], [*one.words.shape]
            yield f"{two.name} {shapes[0]} cannot follow {one.name} {shapes[1]}"
    known = {name for it in layers for name in (it.name, bias_name(it))}
    yield from (f"{name} is neither a matrix nor a bias of one" for name in tensors if name not in known)


def bias_name(weights: Stored) -> str:
    """Return what the bias of a layer is called."""
    return weights.name.removesuffix("weight") + "bias"


def bias_of(tensors: Mapping[str, Stored], weights: Stored) -> NDArray[np.float64] | None:
    """Return the bias of a layer, if there is one."""
    found = tensors.get(bias_name(weights))
    return None if found is None else widened(found)


def widened(stored: Stored) -> NDArray[np.float64]:
    """Return the values of a small tensor."""
    if stored.dtype == "bfloat16":
        return (stored.words.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if stored.dtype not in _WORDS:
        raise ValueError(f"{stored.name}: expected a bias of 16 bits or more, got {stored.dtype}")
    return np.asarray(stored.words).view(stored.dtype).astype(np.float64)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with their digits as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
