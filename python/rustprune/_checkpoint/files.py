"""What a checkpoint consists of: a safetensors file, or a Hugging Face directory with or without an index."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rustprune._rustprune import Checkpoint

WEIGHTS = ".safetensors"
MASKS = ".mask.safetensors"
INDEX = ".safetensors.index.json"

# Weights of other formats, which would come out unpruned beside the pruned ones.
OTHER_WEIGHTS = (".bin", ".bin.index.json", ".pt", ".pth", ".msgpack", ".h5")

_SHARD = re.compile(r"(?P<stem>.*)-\d+-of-(?P<total>\d+)\.safetensors")
_LEFTOVER = re.compile(r"\..*\.rustprune-\d+(-\d+)?\.tmp")


class Tensor(NamedTuple):
    """A tensor of a file; `format` is its float format, None where it cannot be pruned."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    format: str | None


@dataclass(frozen=True)
class Files:
    """The files of a checkpoint, by their paths under `root`."""

    root: Path
    shards: tuple[str, ...]
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    index: str | None = None
    weight_map: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> list[Path]:
        """Return where the shards are."""
        return [self.root / shard for shard in self.shards]

    def open(self) -> tuple[Checkpoint, list[list[Tensor]]]:
        """Return the shards, open, and the tensors of each, after a check against the index."""
        checkpoint = Checkpoint(self.paths())
        tensors = [
            [Tensor(name, dtype, tuple(shape), kind) for name, dtype, shape, kind in shard]
            for shard in checkpoint.tensors()
        ]
        self._check([{tensor.name for tensor in shard} for shard in tensors])
        return checkpoint, tensors

    def _check(self, names: list[set[str]]) -> None:
        owners: dict[str, str] = {}
        for shard, own in zip(self.shards, names, strict=True):
            for name in sorted(own):
                if name in owners:
                    raise ValueError(f"{self.root / shard}: tensor {name!r} is in {owners[name]} as well")
                owners[name] = shard
        for name, shard in self.weight_map.items():
            if owners.get(name) != shard:
                raise ValueError(f"{self.root / shard}: tensor {name!r} is missing, which {self.index} lists")


def find(src: Path) -> Files:
    """Return the files of the checkpoint at ``src``."""
    if src.is_dir():
        return _directory(src)
    if not src.exists():
        raise FileNotFoundError(f"{src}: no such file or directory")
    if src.suffix != WEIGHTS:
        raise ValueError(f"{src}: expected a {WEIGHTS} file or a directory of them")
    return Files(src.parent, (src.name,))


def _directory(root: Path) -> Files:
    entries = sorted(path.name for path in root.iterdir())
    top = [name for name in entries if (root / name).is_file() and not _LEFTOVER.fullmatch(name)]
    weights = [name for name in top if name.endswith(WEIGHTS) and not name.endswith(MASKS)]
    index = _choose_index(root, [name for name in top if name.endswith(INDEX)])
    weight_map = {} if index is None else _read_index(root / index)
    shards = sorted(set(weight_map.values())) if index else weights
    if not shards:
        raise ValueError(f"{root}: expected {WEIGHTS} files, got none")
    for shard in shards:
        if shard not in weights:
            raise ValueError(f"{root / shard}: the shard is missing, which {index} lists")
    unlisted = [name for name in weights if name not in shards]
    for name in unlisted:
        if _family(name) in {_family(shard) for shard in shards}:
            raise ValueError(f"{root / name}: the shard is missing from {index}")
    left_out = {*unlisted, *(name for name in top if name.endswith(OTHER_WEIGHTS))}
    hidden = [name for name in entries if name.startswith(".") and (root / name).is_dir()]
    others = [name for name in top if name not in {*shards, *left_out}]
    others += [
        inner
        for name in entries
        if (root / name).is_dir() and name not in hidden
        for inner in sorted(_inner_files(root, name))
    ]
    warnings = [f"{name}: left out, other weights than those pruned" for name in sorted(left_out)]
    warnings += [f"{name}: left out, a hidden directory" for name in hidden]
    return Files(root, tuple(shards), tuple(others), tuple(warnings), index, weight_map)


def _inner_files(root: Path, name: str) -> list[str]:
    return [
        os.path.relpath(os.path.join(folder, file), root)  # noqa: PTH118 - `os.walk` gives strings
        for folder, _, files in os.walk(root / name)
        for file in files
    ]


def _choose_index(root: Path, indices: list[str]) -> str | None:
    preferred = f"model{INDEX}"
    if len(indices) > 1 and preferred not in indices:
        raise ValueError(f"{root}: expected one index of shards, got {', '.join(indices)}")
    return preferred if preferred in indices else next(iter(indices), None)


def _family(shard: str) -> tuple[str, str] | None:
    """Return what the names of the shards of one checkpoint share."""
    match = _SHARD.fullmatch(shard)
    return (match["stem"], match["total"]) if match else None


def _read_index(path: Path) -> dict[str, str]:
    try:
        index = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict):
        raise ValueError(f"{path}: expected an object with a weight_map of names to files")  # noqa: TRY004
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(WEIGHTS):
            raise ValueError(f"{path}: tensor {name!r} must be in a {WEIGHTS} file beside it, got {shard!r}")
    return weight_map
