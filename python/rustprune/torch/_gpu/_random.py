"""Random masks of a seed: drawn on the device by Triton, or by the core and copied there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import rustprune
from rustprune.torch import _bits
from rustprune.torch._gpu._backend import Backend, backend_of
from rustprune.torch._gpu._tables import new_mask


class Drawing:
    """A request for random masks.

    Parameters
    ----------
    lengths : sequence of int
        Entries of each array.
    labels : sequence of str, or of int
        The name of each array, or its position.
    num_pruned : sequence of int, or int
        Entries to prune of each array, or of all together. Left out with a pattern.
    seed : int
        In [0, 2**64).
    device : torch.device
        Where the masks are wanted.
    pattern : (kept, group), optional
        Keep `kept` of every `group` entries, instead.
    strides : sequence of int, optional
        With a pattern, how far apart the entries of a group lie.
    where : sequence of bits, optional
        An existing mask: what it prunes stays pruned and counts. No array may be asked to prune fewer.
    packed : bool
        Bits, 8 entries to a byte, or flat masks of bool.

    Notes
    -----
    The masks are those of ``rustprune.mask(..., method="random", seed=seed)``, bit for bit. Where there is no
    Triton the core draws them on the CPU: they do not depend on weights.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        labels: Sequence[str | int],
        *,
        num_pruned: Sequence[int] | int | None = None,
        seed: int,
        device: torch.device,
        pattern: tuple[int, int] | None = None,
        strides: Sequence[int] | None = None,
        where: Sequence[Tensor] | None = None,
        packed: bool = True,
        backend: Backend | None = None,
    ) -> None:
        self.lengths, self.labels, self.seed, self.device = lengths, labels, seed, device
        self.num_pruned, self.pattern, self.where, self.packed = num_pruned, pattern, where, packed
        self.strides = list(strides or [1] * len(lengths))
        self.backend: Backend = backend or backend_of(device)
        self.masks = [new_mask(length, device, packed=packed) for length in lengths]
        self._steps: list[Callable[[], None]] = []
        if lengths:
            self._steps = self._prepare() if self.backend == "triton" else [self._draw_by_core]

    def _prepare(self) -> list[Callable[[], None]]:
        from rustprune.torch._gpu._bits import Masks  # noqa: PLC0415
        from rustprune.torch._gpu._draw import Draw, DrawGroups  # noqa: PLC0415

        # Coins fall on bits, groups on bytes.
        by_bits = self.pattern is None
        drawn = self.masks
        if self.packed != by_bits:
            drawn = [new_mask(length, self.device, packed=by_bits) for length in self.lengths]
        if self.pattern is not None:
            groups = DrawGroups(
                drawn, self.labels, self.pattern, strides=self.strides, where=self.where, seed=self.seed
            )
            if not self.packed:
                return [groups.run]
            return [groups.run, Masks(drawn, self.masks).pack]
        if isinstance(self.num_pruned, int):
            num_kept: list[int] | int = sum(self.lengths) - self.num_pruned
        else:
            pairs = zip(self.lengths, self.num_pruned or (), strict=True)
            num_kept = [length - pruned for length, pruned in pairs]
        draw = Draw(drawn, self.lengths, self.labels, num_kept, where=self.where, seed=self.seed)
        return [draw.run] if self.packed else [draw.run, Masks(self.masks, drawn).unpack]

    def run(self) -> list[Tensor]:
        """Return the masks. Launches alone: no wait, no memory, under Triton."""
        for step in self._steps:
            step()
        return self.masks if self.packed else [mask.view(torch.bool) for mask in self.masks]

    def _draw_by_core(self) -> None:
        where = None
        if self.where is not None:
            where = [
                _bits.unpack(bits.cpu(), (length,))
                for bits, length in zip(self.where, self.lengths, strict=True)
            ]
        if isinstance(self.num_pruned, int):
            # Values do not matter, and memory that is not written costs nothing.
            weights = [torch.empty(length, dtype=torch.float8_e5m2) for length in self.lengths]
            drawn = self._ask(weights, where, {"count": self.num_pruned, "scope": "global"})
        else:
            drawn, counts = [], list(self.num_pruned or ())
            for number, length in enumerate(self.lengths):
                # Empty arrays in front keep the position.
                weights = [torch.empty(0, dtype=torch.float8_e5m2)] * number
                own = None if where is None else [torch.empty(0, dtype=torch.bool)] * number + [where[number]]
                if self.pattern is None:
                    ratio = counts[number] / max(length, 1)
                    array = torch.empty(length, dtype=torch.float8_e5m2)
                    drawn.append(self._ask([*weights, array], own, {"ratio": ratio}, number)[-1])
                else:
                    kept, group = self.pattern
                    shape = (-1, group, self.strides[number])
                    weights = [one.view(0, group, 1) for one in weights]
                    if own is not None:
                        own = [*(one.view(0, group, 1) for one in own[:-1]), own[-1].view(shape)]
                    array = torch.empty(length, dtype=torch.float8_e5m2).view(shape)
                    pattern = rustprune.NofM(kept, group, axis=1)
                    drawn.append(self._ask([*weights, array], own, {"pattern": pattern}, number)[-1])
        for mask, one in zip(self.masks, drawn, strict=True):
            flat = one.reshape(-1)
            mask.copy_(_bits.pack(flat) if self.packed else flat.view(torch.uint8))

    def _ask(
        self,
        weights: list[Tensor],
        masks: list[Tensor] | None,
        options: dict[str, Any],
        last: int | None = None,
    ) -> list[Tensor]:
        """Return the masks that the core draws; of names, those of all, or of the `last` alone."""
        labels = self.labels if last is None else self.labels[last : last + 1]
        if isinstance(labels[0], str):
            names = [str(label) for label in labels]
            named = dict(zip(names, weights[-len(names) :], strict=True))
            if masks is not None:
                options["where"] = dict(zip(names, masks[-len(names) :], strict=True))
            return list(rustprune.mask(named, method="random", seed=self.seed, **options).values())
        if masks is not None:
            options["where"] = masks
        return list(rustprune.mask(weights, method="random", seed=self.seed, **options))


def random_(
    lengths: Sequence[int],
    labels: Sequence[str | int],
    *,
    num_pruned: Sequence[int] | int | None = None,
    seed: int,
    device: torch.device,
    pattern: tuple[int, int] | None = None,
    strides: Sequence[int] | None = None,
    where: Sequence[Tensor] | None = None,
    packed: bool = True,
    backend: Backend | None = None,
) -> list[Tensor]:
    """Return the masks of a `Drawing`, which has the parameters, run once."""
    return Drawing(
        lengths,
        labels,
        num_pruned=num_pruned,
        seed=seed,
        device=device,
        pattern=pattern,
        strides=strides,
        where=where,
        packed=packed,
        backend=backend,
    ).run()
