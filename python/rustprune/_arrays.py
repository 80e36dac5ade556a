"""Weights and masks of every kind and container as the flat unsigned entries the extension takes, and back.

Views, copies and allocation only: nothing here reads an entry. torch is never imported, only looked for
among the modules that are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Shape: TypeAlias = tuple[int, ...]
Bools: TypeAlias = NDArray[np.bool_]
Bytes: TypeAlias = NDArray[np.uint8]
Words: TypeAlias = NDArray[np.unsignedinteger]

FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

_WORDS = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
_CPU = 1  # kDLCPU of dlpack.h


class Array(Protocol):
    """A NumPy array, a torch tensor, or anything else that speaks DLPack."""

    def __dlpack__(self) -> object:
        """Return a capsule."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the kind and the number of the device."""


Arrays: TypeAlias = Array | Mapping[str, Array] | Sequence[Array]


class Batch(NamedTuple):
    """One array, or the arrays of a container, with the names that messages give them."""

    word: str
    names: list[str]
    items: list[object]
    container: type[dict[str, object] | list[object] | tuple[object, ...]] | None

    @classmethod
    def of(cls, word: str, value: object) -> Batch:
        """Take ``value`` apart; ``word`` is the parameter that it was given for."""
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{word}: expected keys of type str, got {type(key).__name__}")
            return cls(word, list(value), list(value.values()), dict)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            names = [f"{word}[{position}]" for position in range(len(value))]
            return cls(word, names, list(value), tuple if isinstance(value, tuple) else list)
        return cls(word, [word], [value], None)

    def match(self, word: str, value: object) -> list[object]:
        """Return the arrays of ``value``, a container like this one, in the order of this one."""
        if self.container is None:
            return [value]
        other = Batch.of(word, value)
        if other.container is None or (self.container is dict) != (other.container is dict):
            kind = "mapping" if self.container is dict else "sequence"
            raise TypeError(f"{word}: expected a {kind} like {self.word}, got {type(value).__name__}")
        if self.container is dict:
            if odd := sorted({*self.names} ^ {*other.names}):
                raise ValueError(f"{word}: expected the keys of {self.word}, got a difference in {odd}")
            by_name = dict(zip(other.names, other.items, strict=True))
            return [by_name[name] for name in self.names]
        if len(other.items) != len(self.items):
            raise ValueError(f"{word}: expected {len(self.items)} arrays, got {len(other.items)}")
        return other.items

    def rebuild(self, results: list[T]) -> T | dict[str, T] | list[T] | tuple[T, ...]:
        """Return one result per array in a container like the one given."""
        if self.container is None:
            return results[0]
        if self.container is dict:
            return dict(zip(self.names, results, strict=True))
        return tuple(results) if self.container is tuple else results


def floats(batch: Batch) -> tuple[list[str], list[Words]]:
    """Return the format and the entries of each array, in its own layout and memory."""
    pairs = [words_of(name, item, FLOATS) for name, item in zip(batch.names, batch.items, strict=True)]
    return [dtype for dtype, _ in pairs], [words for _, words in pairs]


def flat(words: Words) -> Words:
    """Return the entries in row-major and native byte order: a view where the layout allows, else a copy."""
    return np.ascontiguousarray(words, _WORDS[words.itemsize]).reshape(-1)


@contextmanager
def in_place(batch: Batch) -> Iterator[tuple[list[str], list[Words], list[Shape]]]:
    """Give formats, flat entries and shapes of arrays to change.

    What had to be copied is written back when the block succeeds, and torch is told of the change, so that
    a gradient that needs the old values raises instead of being wrong.
    """
    dtypes, arrays = floats(batch)
    for name, words in zip(batch.names, arrays, strict=True):
        if not words.flags.writeable:
            raise TypeError(f"{name}: expected a writable array, got a read-only one")
    entries = [flat(words) for words in arrays]
    yield dtypes, entries, [words.shape for words in arrays]
    for item, words, changed in zip(batch.items, arrays, entries, strict=True):
        if not np.may_share_memory(words, changed):
            words[...] = changed.reshape(words.shape)
        if is_tensor(item):
            sys.modules["torch"].autograd.graph.increment_version(item)


def masks(batch: Batch, word: str, value: object, shapes: list[Shape]) -> tuple[list[Bytes], list[bool]]:
    """Return the bytes of one mask per array, and whether each is packed."""
    pairs = [
        _mask(f"{word} of {name}", item, shape, ("bool", "uint8"))
        for name, item, shape in zip(batch.names, batch.match(word, value), shapes, strict=True)
    ]
    return [flat(words) for _, words in pairs], [dtype == "uint8" for dtype, _ in pairs]


def mask_outputs(
    batch: Batch, out: object, shapes: list[Shape], *, packed: bool
) -> tuple[object, list[Bytes]]:
    """Return what holds one mask per array, `out` or something new and unwritten, and the bytes to write."""
    dtype = "uint8" if packed else "bool"
    if out is None:
        arrays = [np.empty(packed_shape(shape) if packed else shape, dtype) for shape in shapes]
        results = [like(item, array) for item, array in zip(batch.items, arrays, strict=True)]
        return batch.rebuild(results), [array.reshape(-1).view(np.uint8) for array in arrays]
    outputs = []
    for name, item, shape in zip(batch.names, batch.match("out", out), shapes, strict=True):
        _, words = _mask(f"out of {name}", item, shape, (dtype,))
        if not (words.flags.c_contiguous and words.flags.writeable):
            raise TypeError(f"out of {name}: expected a writable array in row-major order, got another")
        outputs.append(words.reshape(-1))
    return out, outputs


def packed_shape(shape: Shape) -> Shape:
    """Return the shape of the packed mask of an array."""
    *outer, last = shape or (1,)
    return (*outer, -(-last // 8))


def like(item: object, array: NDArray[np.generic]) -> object:
    """Return ``array`` as a tensor if ``item`` is one, sharing its memory."""
    return sys.modules["torch"].from_numpy(array) if is_tensor(item) else array


def is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """Return whether ``value`` is a torch tensor."""
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def words_of(name: str, value: object, dtypes: tuple[str, ...]) -> tuple[str, Words]:
    """Return the dtype of an array and its entries, in its own layout and memory.

    Raises
    ------
    TypeError
        If ``value`` is no dense array in CPU memory, or of a dtype that is not among ``dtypes``.
    """
    if is_tensor(value):
        if not value.is_cpu or value.layout is not sys.modules["torch"].strided:
            raise TypeError(f"{name}: expected a dense CPU tensor, got {value.layout} on {value.device}")
        dtype, word = _torch_format(value.dtype)
        if dtype in dtypes:
            return dtype, value.detach().view(word).numpy()
    else:
        array = np.asarray(value) if isinstance(value, np.ndarray) else _from_dlpack(name, value)
        dtype, native = _numpy_format(array.dtype)
        if dtype in dtypes:
            return dtype, array.view(native)
    raise TypeError(f"{name}: expected dtype {' or '.join(dtypes)}, got {dtype}")


def _mask(name: str, value: object, shape: Shape, dtypes: tuple[str, ...]) -> tuple[str, Words]:
    dtype, words = words_of(name, value, dtypes)
    if words.shape != (expected := packed_shape(shape) if dtype == "uint8" else shape):
        raise ValueError(f"{name}: expected shape {expected} for {dtype}, got {words.shape}")
    return dtype, words


def _from_dlpack(name: str, value: object) -> NDArray[np.generic]:
    if not (hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__")):
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}")
    if (device := value.__dlpack_device__())[0] != _CPU:
        raise TypeError(f"{name}: expected an array in CPU memory, got one on DLPack device {device}")
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError) as error:
        raise TypeError(f"{name}: expected an array that NumPy can read, got: {error}") from error


@cache
def _numpy_format(dtype: np.dtype[np.generic]) -> tuple[str, np.dtype[np.unsignedinteger]]:
    """Return the name of a dtype, and the unsigned dtype of its entries if they are 1, 2, 4 or 8 bytes."""
    return dtype.name, _WORDS.get(dtype.itemsize, _WORDS[1]).newbyteorder(dtype.byteorder)


@cache
def _torch_format(dtype: torch.dtype) -> tuple[str, torch.dtype]:
    """Return the same of a torch dtype."""
    return str(dtype).removeprefix("torch."), getattr(
        sys.modules["torch"], f"uint{8 * min(dtype.itemsize, 8)}"
    )
