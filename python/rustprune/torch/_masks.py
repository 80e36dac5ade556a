"""The masks of a model: a bit per weight, by the name of the parameter."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._shards import Layout, all_succeed, layouts, local, totals

_FORMAT, _SHAPES, _NUM_KEPT = "rustprune.format", "rustprune.shapes", "rustprune.num_kept"


class Masks(Mapping[str, Tensor]):
    """Masks by the names of their parameters; True = kept.

    A mapping to masks of bool, each made when it is asked for; what is stored is a bit per entry, on the
    device of the weights.

    Of weights that are sharded over processes each process stores the bits of its shards: `shapes` and counts
    are of all, and a mask is a ``DTensor``. Whatever makes such masks, or writes them, is called by all
    processes; reading counts is not.

    Parameters
    ----------
    masks : mapping of str to Tensor
        A mask of bool for each name, of the shape of the parameter.

    Raises
    ------
    TypeError
        If a mask is no tensor of bool.

    Examples
    --------
    >>> import torch
    >>> import rustprune.torch as rpt
    >>> masks = rpt.Masks({"fc.weight": torch.tensor([[True, False], [True, True]])})
    >>> masks.num_kept, masks.sparsity, (~masks)["fc.weight"].tolist()
    (3, 0.25, [[False, True], [False, False]])
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        for name, mask in masks.items():
            if mask.dtype is not torch.bool:
                raise TypeError(f"{name}: expected a mask of torch.bool, got {mask.dtype}")
        self._shapes = {name: mask.shape for name, mask in masks.items()}
        self._layouts = layouts(masks)
        self._bits = {name: _bits.pack(local(mask)) for name, mask in masks.items()}
        # Counting what others have takes all processes, so it is done once, while they are all here.
        self._kept = self._counted() if self._layouts else None

    @classmethod
    def of_bits(
        cls,
        bits: Mapping[str, Tensor],
        shapes: Mapping[str, torch.Size],
        cuts: Mapping[str, Layout] | None = None,
    ) -> Masks:
        """Return masks of these bits, shared and not copied.

        Parameters
        ----------
        bits : mapping of str to Tensor
            For each name ``ceil(n / 8)`` bytes: entry `i` in row-major order is bit ``i % 8`` of byte
            ``i // 8``, and bits beyond the last entry are 0.
        shapes : mapping of str to torch.Size
            The shape of each mask.
        cuts : mapping of str to Layout, optional
            How those lie in the processes whose bits are of a part.
        """
        masks = cls({})
        masks._bits.update(bits)
        masks._shapes.update({name: torch.Size(shapes[name]) for name in bits})
        masks._layouts.update({name: layout for name, layout in (cuts or {}).items() if name in bits})
        masks._kept = masks._counted() if masks._layouts else None
        return masks

    def __getitem__(self, name: str) -> Tensor:
        """Return the mask of bool of that name."""
        if (layout := self._layouts.get(name)) is None:
            return _bits.unpack(self._bits[name], self._shapes[name])
        return layout.distributed(_bits.unpack(self._bits[name], layout.part_shape()))

    def __iter__(self) -> Iterator[str]:
        """Iterate over names."""
        return iter(self._bits)

    def __len__(self) -> int:
        """Return how many masks there are."""
        return len(self._bits)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a mask of that name."""
        return name in self._bits

    def __eq__(self, other: object) -> bool:
        """Return whether names, shapes and bits are the same, in whatever order and on whatever device.

        Of shards, whether those of this process are.
        """
        if not isinstance(other, Masks):
            return NotImplemented
        return (self._shapes, self._layouts) == (other._shapes, other._layouts) and all(
            torch.equal(bits, other.bits[name].to(bits.device)) for name, bits in self._bits.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Masks) -> Masks:
        """Return masks that keep what both keep."""
        return self._combined(other, torch.bitwise_and)

    def __or__(self, other: Masks) -> Masks:
        """Return masks that keep what either keeps."""
        return self._combined(other, torch.bitwise_or)

    def __invert__(self) -> Masks:
        """Return masks that keep what these prune."""
        shapes = {name: layout.part_shape() for name, layout in self._layouts.items()}
        return self._map(lambda name, bits: _bits.clear_padding(~bits, shapes.get(name, self._shapes[name])))

    def __repr__(self) -> str:
        """Return how much is kept."""
        return f"Masks({len(self)} parameters, {self.num_kept} of {self.num_entries} kept)"

    @property
    def bits(self) -> dict[str, Tensor]:
        """What is stored, not a copy: see `of_bits`. Of shards, those of this process."""
        return dict(self._bits)

    @property
    def cuts(self) -> dict[str, Layout]:
        """How the masks of sharded weights lie in the processes."""
        return dict(self._layouts)

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """The shape of each mask."""
        return dict(self._shapes)

    @property
    def num_entries(self) -> int:
        """How many entries there are."""
        return sum(map(math.prod, self._shapes.values()))

    @property
    def num_kept(self) -> int:
        """How many entries are kept."""
        return sum(self.kept_counts().values())

    @property
    def num_pruned(self) -> int:
        """How many entries are pruned."""
        return self.num_entries - self.num_kept

    @property
    def sparsity(self) -> float:
        """The fraction of entries pruned, 0 of no entries."""
        return self.num_pruned / self.num_entries if self.num_entries else 0.0

    def kept_counts(self) -> dict[str, int]:
        """Return how many entries of each parameter are kept."""
        return self._counted() if self._kept is None else dict(self._kept)

    def overlap(self, other: Masks) -> float:
        """Return the share of what either keeps that both keep, the Jaccard index; 1 if neither keeps any.

        Raises
        ------
        ValueError
            If names or shapes differ.
        """
        union = (self | other).num_kept
        return (self & other).num_kept / union if union else 1.0

    def to(self, device: torch.device | str) -> Masks:
        """Return the masks on a device."""
        return self._map(lambda _, bits: bits.to(device))

    def copy(self) -> Masks:
        """Return masks with memory of their own."""
        return self._map(lambda _, bits: bits.clone())

    def like(self, tensors: Mapping[str, Tensor]) -> Masks:
        """Return the masks as these tensors lie: on their devices, and of a sharded one its shards.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            A tensor for each name; of the same shape, if it is sharded.
        """
        wanted = layouts({name: tensors[name] for name in self})

        def moved(name: str, bits: Tensor) -> Tensor:
            here, there = self._layouts.get(name), wanted.get(name)
            if here != there:
                bits = bits if here is None else here.gathered(bits)
                bits = bits if there is None else there.sliced(bits)
            return bits.to(tensors[name].device)

        return self.of_bits(
            {name: moved(name, bits) for name, bits in self._bits.items()}, self._shapes, wanted
        )

    def gathered(self) -> Masks:
        """Return the masks of whole weights, on the CPU, whether sharded or not."""
        return self.like(dict.fromkeys(self, torch.empty(0)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a mask side file, of the layout that ``rustprune prune --masks`` writes.

        It is written under a temporary name and renamed when it is whole. Sharded masks are gathered, one
        after the other, and written by the process of rank 0.

        Parameters
        ----------
        path : path
            A ``.safetensors`` file: for each name a ``U8`` tensor, bit ``j`` of byte ``b`` of a row the
            column ``8 * b + j`` of the matrix view ``(shape[0], -1)``, 1 = kept. Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._layouts:
            self._save_gathered(path)
            return
        rows = {name: _to_rows(bits.cpu(), self._shapes[name]) for name, bits in self._bits.items()}
        metadata = {
            _FORMAT: "mask/1",
            _SHAPES: json.dumps({name: list(shape) for name, shape in self._shapes.items()}),
            _NUM_KEPT: json.dumps(self.kept_counts()),
        }
        path = Path(path)
        part = path.with_name(path.name + ".part")
        try:
            save_file(rows, part, metadata=metadata)
            part.replace(path)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Masks:
        """Read a mask side file, in the order of its list of shapes.

        Parameters
        ----------
        path : path
            What `save` or ``rustprune prune --masks`` wrote.

        Raises
        ------
        ValueError
            If the file is no mask side file, or its bits are not those its metadata counts.
        OSError
            If it cannot be read.
        """
        try:
            with safe_open(path, framework="pt") as file:
                notes = file.metadata() or {}
                if (found := notes.get(_FORMAT)) != "mask/1":
                    raise ValueError(f"{path}: expected the format 'mask/1', got {found!r}")
                shapes = {name: torch.Size(shape) for name, shape in json.loads(notes[_SHAPES]).items()}
                num_kept = json.loads(notes[_NUM_KEPT])
                rows = {name: file.get_tensor(name) for name in shapes}
        except SafetensorError as error:
            raise ValueError(f"{path}: {error}") from error
        except KeyError as error:
            raise ValueError(f"{path}: expected {error.args[0]} in its metadata, got none") from error
        masks = cls.of_bits({name: _from_rows(name, rows[name], shapes[name]) for name in shapes}, shapes)
        for name, kept in masks.kept_counts().items():
            if kept != num_kept.get(name):
                raise ValueError(f"{path}: {name}: expected {num_kept.get(name)} entries kept, got {kept}")
        return masks

    def _save_gathered(self, path: str | os.PathLike[str]) -> None:
        whole, failure = self.gathered(), None
        if torch.distributed.get_rank() == 0:
            try:
                whole.save(path)
            except OSError as error:
                failure = error
        others = OSError(f"{path}: the process of rank 0 could not write it")
        all_succeed(list(self._layouts.values()), failure, others)

    def _counted(self) -> dict[str, int]:
        return totals({name: _bits.count(bits) for name, bits in self._bits.items()}, self._layouts)

    def _combined(self, other: Masks, operation: Callable[[Tensor, Tensor], Tensor]) -> Masks:
        if self._shapes != other._shapes:
            odd = sorted({*self._shapes.items()} ^ {*other._shapes.items()})
            raise ValueError(f"masks: expected the same names and shapes, got a difference in {odd}")
        if self._layouts != other._layouts:
            other = other.like({name: self[name] for name in self})
        others = other.bits
        return self._map(lambda name, bits: operation(bits, others[name].to(bits.device)))

    def _map(self, change: Callable[[str, Tensor], Tensor]) -> Masks:
        changed = {name: change(name, bits) for name, bits in self._bits.items()}
        return self.of_bits(changed, self._shapes, self._layouts)


def _matrix(shape: torch.Size) -> tuple[int, int]:
    """Return the rows and columns of the matrix view."""
    rows = shape[0] if len(shape) > 1 else 1
    return rows, math.prod(shape[1:] if len(shape) > 1 else shape)


def _to_rows(bits: Tensor, shape: torch.Size) -> Tensor:
    """Return the bits with each row of the matrix view from a byte on."""
    rows, columns = _matrix(shape)
    if columns % 8 == 0:
        return bits.view(rows, columns // 8)
    mask = torch.nn.functional.pad(_bits.unpack(bits, (rows, columns)), (0, -columns % 8))
    return _bits.pack(mask).view(rows, -(-columns // 8))


def _from_rows(name: str, packed: Tensor, shape: torch.Size) -> Tensor:
    """Return the bits of what `_to_rows` gave."""
    rows, columns = _matrix(shape)
    width = -(-columns // 8)
    if packed.dtype is not torch.uint8 or packed.shape != (rows, width):
        raise ValueError(
            f"{name}: expected uint8 of shape {(rows, width)}, got {packed.dtype} {tuple(packed.shape)}"
        )
    if columns % 8 == 0:
        return packed.reshape(-1)
    mask = _bits.unpack(packed.reshape(-1), (rows, 8 * width))
    if mask[:, columns:].any():
        raise ValueError(f"{name}: expected padding bits of 0, got others")
    return _bits.pack(mask[:, :columns])
