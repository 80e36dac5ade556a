"""Tensors of which each process has a part: where it lies in the whole, and counts over all parts.

Such a tensor is a ``DTensor``, as FSDP2's ``fully_shard`` and tensor parallelism make them. What is said of
it (its shape, the order of its entries) is of the whole; what this process reads and writes is its part.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeGuard

import torch
from torch import Tensor, nn

from rustprune.torch import _bits

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import Placement


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the part of this process lies in a tensor.

    Parameters
    ----------
    shape : torch.Size
        The shape of the whole.
    mesh : DeviceMesh
        The processes.
    placements : tuple of Placement
        How it is cut, for each axis of the mesh.
    """

    shape: torch.Size
    mesh: DeviceMesh
    placements: tuple[Placement, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> Self | None:
        """Return the layout of a tensor, None if this process has all of it.

        Raises
        ------
        ValueError
            If it is a sum that has not been taken yet.
        """
        if not _is_distributed(tensor):
            return None
        if any(placement.is_partial() for placement in tensor.placements):
            raise ValueError(f"expected a tensor cut into shards or replicated, got {tensor.placements}")
        if all(placement.is_replicate() for placement in tensor.placements):
            return None
        return cls(tensor.shape, tensor.device_mesh, tensor.placements)

    @property
    def axes(self) -> set[int]:
        """The axes of the tensor that are cut."""
        return {_axis(placement) for placement in self.placements if not placement.is_replicate()}

    def coordinates(self) -> list[Tensor]:
        """Return, axis by axis, the indices in the whole of what this process has."""
        from torch.distributed.tensor import Replicate, distribute_tensor  # noqa: PLC0415

        found = []
        for axis, length in enumerate(self.shape):
            # The same cuts as those of this axis, of the list of its indices: no rule of theirs is written
            # here. Nothing is sent, since every process has the whole list.
            cuts = [
                _of_axis_0(placement) if not placement.is_replicate() and _axis(placement) == axis else None
                for placement in self.placements
            ]
            every = torch.arange(length, device=self.mesh.device_type)
            placements = [cut or Replicate() for cut in cuts]
            found.append(distribute_tensor(every, self.mesh, placements, src_data_rank=None).to_local())
        return found

    def part_shape(self) -> torch.Size:
        """Return the shape of the part of this process."""
        return torch.Size(len(indices) for indices in self.coordinates())

    def part(self, whole: Tensor) -> Tensor:
        """Return what this process has of a tensor that lies so, out of all of it."""
        for axis, indices in enumerate(self.coordinates()):
            if axis in self.axes:
                whole = whole.index_select(axis, indices.to(whole.device))
        return whole

    def distributed(self, part: Tensor) -> DTensor:
        """Return the parts as one tensor."""
        from torch.distributed.tensor import DTensor  # noqa: PLC0415

        stride = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        return DTensor.from_local(
            part, self.mesh, self.placements, run_check=False, shape=self.shape, stride=tuple(stride)
        )

    def whole(self, part: Tensor) -> Tensor:
        """Gather a tensor of bool from its parts; called by all processes."""
        gathered = self.distributed(part.view(torch.uint8).to(self.mesh.device_type)).full_tensor()
        return gathered.to(part.device).view(torch.bool)

    def gathered(self, bits: Tensor) -> Tensor:
        """Return the bits of the whole from those of the parts; called by all processes."""
        return _bits.pack(self.whole(_bits.unpack(bits, self.part_shape())))

    def sliced(self, bits: Tensor) -> Tensor:
        """Return the bits of the part from those of the whole."""
        return _bits.pack(self.part(_bits.unpack(bits, self.shape)))

    def reduce_(self, counts: Tensor, *, least: bool) -> Tensor:
        """Add up counts over the parts, or take the least; called by all processes."""
        import torch.distributed as dist  # noqa: PLC0415

        counts = counts.to(self.mesh.device_type)
        for axis, placement in enumerate(self.placements):
            if not placement.is_replicate():
                group = self.mesh.get_group(axis)
                dist.all_reduce(counts, dist.ReduceOp.MIN if least else dist.ReduceOp.SUM, group=group)
        return counts.cpu()


def local(tensor: Tensor) -> Tensor:
    """Return what this process has of a tensor: the memory itself."""
    return tensor.to_local() if _is_distributed(tensor) else tensor


def layouts(tensors: Mapping[str, Tensor]) -> dict[str, Layout]:
    """Return the layouts of those of which this process has a part only."""
    found = {name: Layout.of(tensor) for name, tensor in tensors.items()}
    return {name: layout for name, layout in found.items() if layout is not None}


def reduced(parts: Sequence[tuple[Layout | None, Tensor]], *, least: bool = False) -> Tensor:
    """Return the sum of counts of parts, or the least, on the CPU and the same on all processes.

    Parameters
    ----------
    parts : sequence of (Layout or None, Tensor)
        Of each part its layout and int64 counts, all of one shape. Called by all processes, with the same
        layouts in the same order: one message for each way in which they are cut.
    """
    sums: dict[object, tuple[Layout | None, Tensor]] = {}
    for layout, counts in parts:
        key = layout and (layout.mesh, tuple(one.is_replicate() for one in layout.placements))
        sums[key] = (
            layout,
            _joined(sums[key][1], counts.cpu(), least=least) if key in sums else counts.cpu(),
        )
    totals = [
        counts if layout is None else layout.reduce_(counts, least=least) for layout, counts in sums.values()
    ]
    first, *others = totals
    for counts in others:
        first = _joined(first, counts, least=least)
    return first


def totals(counts: Mapping[str, int], found: Mapping[str, Layout]) -> dict[str, int]:
    """Return the sums over all processes of a count for each name; called by all where there are layouts."""
    if not found:
        return dict(counts)
    rows = torch.diag(torch.tensor(list(counts.values()), dtype=torch.int64))
    return dict(
        zip(
            counts,
            reduced([(found.get(name), row) for name, row in zip(counts, rows, strict=True)]).tolist(),
            strict=True,
        )
    )


def all_succeed(found: Sequence[Layout], error: Exception | None, others: Exception) -> None:
    """Raise the error; without one raise `others` if another process has one, so that none waits for it."""
    fine = torch.tensor([error is None], dtype=torch.int64)
    everywhere = reduced([(layout, fine) for layout in found], least=True) if found else fine
    if error is not None:
        raise error
    if not everywhere.item():
        raise others


def reshard(model: nn.Module) -> None:
    """Put parameters that FSDP2 has gathered for a forward pass back into shards."""
    if (fsdp := sys.modules.get("torch.distributed.fsdp")) is not None:
        for module in model.modules():
            if isinstance(module, fsdp.FSDPModule):
                module.reshard()


def class_name(module: nn.Module) -> str:
    """Return the name of the class of a module: FSDP2 gives it one of its own, made from that."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is not None and isinstance(module, fsdp.FSDPModule):
        return type(module).__bases__[-1].__name__
    return type(module).__name__


def _is_distributed(tensor: Tensor) -> TypeGuard[DTensor]:
    # There is no tensor of a class that nobody has imported.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def _axis(placement: Placement) -> int:
    axis: int = placement.dim  # type: ignore[attr-defined]
    return axis


def _of_axis_0(placement: Placement) -> Placement:
    """Return the cut of the first axis that is like this one of another."""
    from torch.distributed.tensor import Shard  # noqa: PLC0415

    if isinstance(placement, Shard):
        return Shard(0)
    # The cut of two-dimensional parallelism, which has no public name.
    return type(placement)(0, split_factor=placement.split_factor)  # type: ignore[attr-defined, call-arg]


def _joined(one: Tensor, other: Tensor, *, least: bool) -> Tensor:
    return torch.minimum(one, other) if least else one + other
