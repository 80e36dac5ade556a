"""Weights and masks of every kind and container as the flat unsigned entries the extension takes, and back.

Views, copies and allocation only: nothing here reads an entry. torch is never imported, only looked for
among the modules that are.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds
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
_BOOL, _BYTE = np.dtype(np.bool_), np.dtype(np.uint8)
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
        """Take `value` apart; `word` is the parameter that it was given for."""
        if isinstance(value, Mapping):
            if odd := [key for key in value if not isinstance(key, str)]:
                raise TypeError(f"{word}: expected keys of type str, got {odd[0]!r}")
            return cls(word, list(value), list(value.values()), dict)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            names = [f"{word}[{position}]" for position in range(len(value))]
            return cls(word, names, list(value), tuple if isinstance(value, tuple) else list)
        return cls(word, [word], [value], None)

    def match(self, word: str, value: object) -> Batch:
        """Take `value`, one array for each of these in a container like theirs, apart in their order."""
        if self.container is None:
            return Batch(word, [f"{word} of {self.word}"], [value], None)
        other = Batch.of(word, value)
        if other.kind != self.kind:
            raise TypeError(f"{word}: expected a {self.kind} like {self.word}, got {type(value).__name__}")
        items = other.items
        if self.container is dict:
            if odd := sorted({*self.names} ^ {*other.names}):
                raise ValueError(f"{word}: expected the keys of {self.word}, got a difference in {odd}")
            by_name = dict(zip(other.names, items, strict=True))
            items = [by_name[name] for name in self.names]
        elif len(items) != len(self.items):
            raise ValueError(f"{word}: expected {len(self.items)} arrays, got {len(items)}")
        return Batch(word, [f"{word} of {name}" for name in self.names], items, self.container)

    @property
    def kind(self) -> str:
        """What the container is, in words."""
        if self.container is None:
            return "array"
        return "mapping" if self.container is dict else "sequence"

    def label(self, prefix: str, arrays: Sequence[Words | None]) -> dict[str, Words]:
        """Return the arrays that there are by what messages call them."""
        pairs = zip(self.names, arrays, strict=True)
        return {prefix + name: words for name, words in pairs if words is not None}

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


def writable_floats(batch: Batch) -> tuple[list[str], list[Words]]:
    """Return the same of arrays to change."""
    dtypes, arrays = floats(batch)
    for name, words in zip(batch.names, arrays, strict=True):
        if not words.flags.writeable:
            raise TypeError(f"{name}: expected a writable array, got a read-only one")
    return dtypes, arrays


def flat(words: Words) -> Words:
    """Return the entries in row-major and native byte order: the array itself if it is so, else a copy."""
    flags = words.flags
    if flags.c_contiguous and flags.aligned and words.dtype.isnative:
        return words
    aligned = words if flags.aligned else words.copy()
    return np.ascontiguousarray(aligned, _WORDS[words.itemsize])


def write_back(batch: Batch, arrays: list[Words], entries: list[Words]) -> None:
    """Write what `flat` had to copy of `arrays`, changed by now, where it came from.

    torch is told of the change, so that a gradient that needs the old values raises instead of being wrong.
    """
    for item, words, changed in zip(batch.items, arrays, entries, strict=True):
        if not np.may_share_memory(words, changed):
            words[...] = changed.reshape(words.shape)
        if is_tensor(item):
            sys.modules["torch"].autograd.graph.increment_version(item)


def masks(batch: Batch, shapes: list[Shape]) -> tuple[list[Bytes], list[bool]]:
    """Return the bytes of the masks of arrays of these shapes, and whether each is packed."""
    dtypes = ("bool", "uint8")
    pairs = [
        _mask(name, item, shape, dtypes)
        for name, item, shape in zip(batch.names, batch.items, shapes, strict=True)
    ]
    return [flat(words) for _, words in pairs], [dtype == "uint8" for dtype, _ in pairs]


def existing_masks(batch: Batch, where: object, shapes: list[Shape]) -> list[Bytes | None]:
    """Return a byte per entry of the existing mask of each array, None where there is none."""
    if where is None:
        return [None] * len(shapes)
    bits, packed = masks(batch.match("where", where), shapes)
    return [
        unpacked(entries.reshape(packed_shape(shape)), shape).reshape(-1) if is_packed else entries
        for entries, is_packed, shape in zip(bits, packed, shapes, strict=True)
    ]


def new_masks(batch: Batch, shapes: list[Shape], *, packed: bool) -> tuple[object, list[Bytes]]:
    """Return an unwritten mask for each array, in the container, and the bytes to write.

    NumPy masks of several arrays lie in one block, each from a multiple of 64 bytes on: the system gives one
    large block in large pages, at half the time that it takes for many of middling size. Tensors get memory
    of their own, since saving one saves all the memory that it is a part of.
    """
    if len(shapes) > 1 and not any(map(is_tensor, batch.items)):
        made, dtype = ([packed_shape(shape) for shape in shapes], _BYTE) if packed else (shapes, _BOOL)
        ends = list(itertools.accumulate((-(-math.prod(shape) // 64) * 64 for shape in made), initial=0))
        block = np.empty(ends[-1], _BYTE)
        arrays = [np.ndarray(shape, dtype, block, start) for shape, start in zip(made, ends, strict=False)]
        return batch.rebuild(arrays), [block]
    arrays = [new_mask(shape, packed=packed) for shape in shapes]
    results = [like(item, array) for item, array in zip(batch.items, arrays, strict=True)]
    return batch.rebuild(results), [array.view(_BYTE) for array in arrays]


def given_masks(batch: Batch, shapes: list[Shape], *, packed: bool) -> list[Bytes]:
    """Return the bytes to write of masks of arrays of these shapes."""
    dtypes = ("uint8",) if packed else ("bool",)
    outputs = []
    for name, item, shape in zip(batch.names, batch.items, shapes, strict=True):
        _, words = _mask(name, item, shape, dtypes)
        if not (words.flags.c_contiguous and words.flags.writeable):
            raise TypeError(f"{name}: expected a writable array in row-major order, got another")
        outputs.append(words)
    return outputs


def check_disjoint(written: dict[str, Words], read: dict[str, Words]) -> None:
    """Check that no array to be written shares memory with another array."""
    spans = [(*byte_bounds(words), name, words) for name, words in (written | read).items()]
    # Those that began before and may reach here; that two which are only read share memory does not matter.
    writers: list[tuple[int, int, str, Words]] = []
    readers: list[tuple[int, int, str, Words]] = []
    for span in sorted(spans, key=itemgetter(0)):
        start, _, name, words = span
        writers = [other for other in writers if other[1] > start]
        if name in written:
            readers = [other for other in readers if other[1] > start]
        for _, _, other, other_words in writers + readers if name in written else writers:
            if np.shares_memory(words, other_words):
                raise ValueError(f"{name}: expected memory of its own, got some that {other} has too")
        (writers if name in written else readers).append(span)


def new_mask(shape: Shape, *, packed: bool) -> Bools | Bytes:
    """Return an unwritten mask."""
    return np.empty(packed_shape(shape), np.uint8) if packed else np.empty(shape, np.bool_)


def packed_shape(shape: Shape) -> Shape:
    """Return the shape of the packed mask of an array; an array without axes counts as one of shape (1,)."""
    *outer, last = shape or (1,)
    return (*outer, -(-last // 8))


def unpacked(bits: Bytes, shape: Shape) -> Bytes:
    """Return a byte per entry, 0 or 1, of a packed mask."""
    return np.unpackbits(bits, axis=-1, count=shape[-1] if shape else 1, bitorder="little").reshape(shape)


def like(item: object, array: NDArray[np.generic]) -> object:
    """Return `array` as a tensor if `item` is one, sharing its memory."""
    return sys.modules["torch"].from_numpy(array) if is_tensor(item) else array


def is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """Return whether `value` is a torch tensor."""
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def words_of(name: str, value: object, dtypes: tuple[str, ...]) -> tuple[str, Words]:
    """Return the dtype of an array and its entries, in its own layout and memory.

    Raises
    ------
    TypeError
        If `value` is no dense array in CPU memory, or of a dtype that is not among `dtypes`.
    """
    if type(value) is not np.ndarray and is_tensor(value):
        if not value.is_cpu or value.layout is not sys.modules["torch"].strided:
            hint = "; rustprune.torch.masks takes it" if value.is_cuda else ""
            raise TypeError(
                f"{name}: expected a dense CPU tensor, got {value.layout} on {value.device}{hint}"
            )
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
    word = f"uint{8 * min(dtype.itemsize, 8)}"
    return str(dtype).removeprefix("torch."), getattr(sys.modules["torch"], word)
