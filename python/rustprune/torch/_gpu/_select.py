"""Masks by score: one request over many tensors, prepared once, run any number of times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from rustprune.torch import _bits
from rustprune.torch._gpu import _operations
from rustprune.torch._gpu._backend import Backend, backend_of
from rustprune.torch._gpu._formats import FORMATS, KeySpace
from rustprune.torch._gpu._tables import new_mask
from rustprune.torch._gpu._tuning import DEFAULT, Tuning

if TYPE_CHECKING:
    from rustprune.torch._gpu._large import Contest, Segment
    from rustprune.torch._gpu._small import Matrix

Nan: TypeAlias = Literal["raise", "keep", "prune"]

TOGETHER = 256
"""Contests that are decided side by side: each has histograms of its own."""


class Selection:
    """A request for the entries of highest score.

    Parameters
    ----------
    weights : sequence of Tensor
        Contiguous, on one device, of dtype float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
    num_pruned : sequence of int, or int
        Entries to prune of each tensor (of each of its rows if `rows`), or of all together. Left out with a
        pattern.
    score : {"magnitude", "value"}
        What ranks an entry: its absolute value, or its value.
    rows : bool
        Whether each row of the matrix view ``(shape[0], -1)`` is a contest of its own.
    pattern : (kept, group), optional
        Keep `kept` of every `group` entries, instead.
    strides : sequence of int, optional
        With a pattern, how far apart the entries of a group lie: 1 along the last axis; ``height * width``
        along the input channels of a convolution.
    where : sequence of bits, optional
        An existing mask: what it prunes stays pruned and counts. No contest may be asked to prune fewer.
    nan : {"raise", "keep", "prune"}
        ``"raise"`` waits for the device to say whether there is NaN; the others wait for nothing.
    packed : bool
        Bits, 8 entries to a byte, or flat masks of bool.
    names : sequence of str, optional
        What errors call the tensors.

    Notes
    -----
    The kept set is that of `rustprune.mask`, bit for bit: score descending, then tensor and index ascending.
    Masks are new memory of the object and written again by every run. The tensors must stay where they are.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        *,
        num_pruned: Sequence[int] | int | None = None,
        score: Literal["magnitude", "value"] = "magnitude",
        rows: bool = False,
        pattern: tuple[int, int] | None = None,
        strides: Sequence[int] | None = None,
        where: Sequence[Tensor] | None = None,
        nan: Nan = "raise",
        packed: bool = True,
        names: Sequence[str] | None = None,
        backend: Backend | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self.weights, self.where, self.nan, self.packed = weights, where, nan, packed
        self.names = names or [f"weights[{number}]" for number in range(len(weights))]
        self.device = weights[0].device if weights else torch.device("cpu")
        self.backend: Backend = backend or backend_of(self.device)
        self.lengths = [weight.numel() for weight in weights]
        self.strides = list(strides or [1] * len(weights))
        if pattern is not None:
            kept, group = pattern
            self.row_lens = [group] * len(weights)
            self.num_kept: list[int] | int = [kept] * len(weights)
        else:
            is_row = [rows and weight.ndim > 1 and weight.numel() > 0 for weight in weights]
            self.row_lens = [
                length // len(weight) if row else length
                for weight, length, row in zip(weights, self.lengths, is_row, strict=True)
            ]
            if isinstance(num_pruned, int):
                self.num_kept = sum(self.lengths) - num_pruned
            else:
                pairs = zip(self.row_lens, num_pruned or (), strict=True)
                self.num_kept = [length - pruned for length, pruned in pairs]
        self.pattern = pattern
        self.signed = score == "value"
        self.nan_flag = torch.zeros(1, dtype=torch.int32, device=self.device)
        self._steps: list[Callable[[], None]] = []
        if self.backend == "triton":
            self.masks = [new_mask(length, self.device, packed=packed) for length in self.lengths]
            self._prepare(tuning)
        else:
            self.masks = []

    def _space(self, dtypes: Sequence[torch.dtype]) -> KeySpace:
        return KeySpace.of(dtypes, signed=self.signed)

    def _prepare(self, tuning: Tuning | None) -> None:
        from rustprune.torch._gpu._large import Contest, Segment  # noqa: PLC0415

        tuning = tuning or DEFAULT
        filled = [number for number, length in enumerate(self.lengths) if length]
        if isinstance(self.num_kept, int):
            segments = [
                Segment(self._flat(number), self.masks[number], self._code(number), self._where(number))
                for number in filled
            ]
            if segments:
                space = self._space([self.weights[number].dtype for number in filled])
                self._add_large([Contest(segments, self.num_kept)], space, tuning, packed=self.packed)
            return
        # Rows may begin inside a byte or a word: then their masks are bytes first.
        straight = {number: not self.packed or self._begins_words(number, tuning) for number in filled}
        made = {
            number: self.masks[number]
            if straight[number]
            else new_mask(self.lengths[number], self.device, packed=False)
            for number in filled
        }
        matrices: dict[tuple[int, torch.dtype], list[Matrix]] = {}
        contests: dict[tuple[bool, torch.dtype], list[Contest]] = {}
        for number in filled:
            dtype, mask, kept = self.weights[number].dtype, made[number], self.num_kept[number]
            if self._is_small(number, tuning):
                key = ((self.row_lens[number] - 1).bit_length(), dtype)
                matrices.setdefault(key, []).append(self._matrix(number, mask, kept))
            else:
                packed = self.packed and straight[number]
                rows = contests.setdefault((packed, dtype), [])
                rows += [Contest([row], kept) for row in self._rows(number, mask, packed=packed)]
        for (packed, dtype), some in contests.items():
            for start in range(0, len(some), TOGETHER):
                part = some[start : start + TOGETHER]
                self._add_large(part, self._space([dtype]), tuning, packed=packed)
        for (_, dtype), ones in matrices.items():
            self._add_small(ones, self._space([dtype]))
        if loose := [number for number in filled if not straight[number]]:
            from rustprune.torch._gpu._bits import Masks  # noqa: PLC0415

            pairs = [made[number] for number in loose], [self.masks[number] for number in loose]
            self._steps.append(Masks(*pairs).pack)

    def _is_small(self, number: int, tuning: Tuning) -> bool:
        return self.pattern is not None or self.row_lens[number] <= tuning.in_registers

    def _begins_words(self, number: int, tuning: Tuning) -> bool:
        row_len = self.row_lens[number]
        is_whole = row_len == self.lengths[number] or row_len % 128 == 0
        return is_whole and not self._is_small(number, tuning)

    def _matrix(self, number: int, mask: Tensor, kept: int) -> Matrix:
        from rustprune.torch._gpu._small import Matrix  # noqa: PLC0415

        return Matrix(
            self._flat(number),
            mask,
            self._where(number),
            self._code(number),
            self.row_lens[number],
            kept,
            self.strides[number],
        )

    def _rows(self, number: int, mask: Tensor, *, packed: bool) -> Iterator[Segment]:
        from rustprune.torch._gpu._large import Segment  # noqa: PLC0415

        flat, where, row_len = self._flat(number), self._where(number), self.row_lens[number]
        for start in range(0, self.lengths[number], row_len):
            row = flat[start : start + row_len]
            yield Segment(row, mask[start // 8 if packed else start :], self._code(number), where, start)

    def _flat(self, number: int) -> Tensor:
        return self.weights[number].detach().view(-1)

    def _where(self, number: int) -> Tensor | None:
        return None if self.where is None else self.where[number]

    def _code(self, number: int) -> int:
        return FORMATS[self.weights[number].dtype].code

    def _add_large(
        self, contests: Sequence[Contest], space: KeySpace, tuning: Tuning, *, packed: bool
    ) -> None:
        from rustprune.torch._gpu._large import Large  # noqa: PLC0415

        large = Large(contests, space, nan=self.nan, packed=packed, nan_flag=self.nan_flag, tuning=tuning)
        self._steps.append(large.run)

    def _add_small(self, matrices: Sequence[Matrix], space: KeySpace) -> None:
        from rustprune.torch._gpu._small import Small  # noqa: PLC0415

        small = Small(matrices, space, nan=self.nan, nan_flag=self.nan_flag)
        if self.pattern is None:
            self._steps.append(small.run_rows)
        else:
            kept, group = self.pattern
            self._steps.append(lambda: small.run_groups(kept, group))

    def run(self) -> list[Tensor]:
        """Return the masks; where NaN is an error, `check` says whether there was one.

        Launches alone: no wait, no memory, under Triton.
        """
        if self.backend == "triton":
            self.nan_flag.zero_()
            for step in self._steps:
                step()
            return self.masks if self.packed else [mask.view(torch.bool) for mask in self.masks]
        if not self.weights:
            return []
        if isinstance(self.num_kept, int):
            spaces = [self._space([weight.dtype for weight in self.weights])] * len(self.weights)
        else:
            spaces = [self._space([weight.dtype]) for weight in self.weights]
        masks, bad = _operations.select(
            self.weights,
            self.num_kept,
            where=self.where,
            row_lens=self.row_lens,
            strides=self.strides,
            spaces=spaces,
            nan=self.nan,
        )
        self.nan_flag.copy_(bad)
        return [_bits.pack(mask) for mask in masks] if self.packed else masks

    def check(self) -> None:
        """Raise for NaN if the last run met some and that is an error. Waits for the device.

        Raises
        ------
        ValueError
            That names the first tensor with NaN, and the first index there.
        """
        if self.nan != "raise" or not self.nan_flag.item():
            return
        for number, weight in enumerate(self.weights):
            is_nan = weight.detach().reshape(-1).isnan()
            if self.where is not None:
                is_nan &= _bits.unpack(self.where[number], is_nan.shape)
            if is_nan.any():
                index = int(is_nan.to(torch.uint8).argmax())
                raise ValueError(
                    f"{self.names[number]}: expected no NaN, got one at flat index {index}; "
                    'pass nan="keep" or nan="prune" to rank it'
                )


def select_(
    weights: Sequence[Tensor],
    *,
    num_pruned: Sequence[int] | int | None = None,
    score: Literal["magnitude", "value"] = "magnitude",
    rows: bool = False,
    pattern: tuple[int, int] | None = None,
    strides: Sequence[int] | None = None,
    where: Sequence[Tensor] | None = None,
    nan: Nan = "raise",
    packed: bool = True,
    names: Sequence[str] | None = None,
    backend: Backend | None = None,
    tuning: Tuning | None = None,
) -> list[Tensor]:
    """Return the masks of a `Selection`, which has the parameters, run once and checked."""
    selection = Selection(
        weights,
        num_pruned=num_pruned,
        score=score,
        rows=rows,
        pattern=pattern,
        strides=strides,
        where=where,
        nan=nan,
        packed=packed,
        names=names,
        backend=backend,
        tuning=tuning,
    )
    masks = selection.run()
    selection.check()
    return masks
