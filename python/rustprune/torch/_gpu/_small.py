"""Contests that one program decides: rows and small tensors, and N:M groups. Masks are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rustprune.torch._gpu._kernels import rows as kernels
from rustprune.torch._gpu._tables import is_aligned, on_device, steps_for, tiles

if TYPE_CHECKING:
    from torch import Tensor

    from rustprune.torch._gpu._formats import KeySpace

ENTRIES = 2048
"""Entries of a program, if its rows are shorter."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows, or groups `stride` apart, that are decided each on its own."""

    weights: Tensor
    mask: Tensor
    where: Tensor | None
    code: int
    row_len: int
    num_kept: int
    stride: int = 1

    @property
    def num_rows(self) -> int:
        """How many rows, or groups, there are."""
        return self.weights.numel() // self.row_len


class Small:
    """Matrices that are decided side by side; their rows are of similar length."""

    def __init__(self, matrices: Sequence[Matrix], space: KeySpace, *, nan: str, nan_flag: Tensor) -> None:
        self._alive, self.nan_flag = matrices, nan_flag
        longest = max(one.row_len for one in matrices)
        self.columns = 1 << (longest - 1).bit_length()
        self.rows = max(1, ENTRIES // self.columns)
        starts, self.programs = tiles([one.num_rows for one in matrices], self.rows)
        self.table = on_device(
            [
                starts,
                [one.weights.data_ptr() for one in matrices],
                [one.mask.data_ptr() for one in matrices],
                [0 if one.where is None else one.where.data_ptr() for one in matrices],
                [one.num_rows for one in matrices],
                [one.num_kept for one in matrices],
                [one.code for one in matrices],
                [one.row_len for one in matrices],
                [one.stride for one in matrices],
            ],
            nan_flag.device,
        )
        self.count = len(matrices)
        self.kind: dict[str, Any] = {
            "code": space.code,
            "limit": space.limit,
            "top": space.top,
            "base": space.base,
            "signed": space.base > 0,
            "nan": nan,
            "masked": matrices[0].where is not None,
            "rows": self.rows,
            "columns": self.columns,
        }

    def run_rows(self) -> None:
        """Write the masks of rows, each with its own number of entries kept."""
        kernels.keep_rows[(self.programs,)](
            self.table,
            self.count,
            steps_for(self.count),
            self.nan_flag,
            **self.kind,
            num_warps=16 if self.rows * self.columns > 8192 else 8 if self.rows * self.columns > 2048 else 4,
        )

    def run_groups(self, kept: int, group: int) -> None:
        """Write the masks of groups, all of the same pattern."""
        matrices = self._alive
        kernels.keep_groups[(self.programs,)](
            self.table,
            self.count,
            steps_for(self.count),
            self.nan_flag,
            **self.kind,
            group=group,
            kept=kept,
            strided=any(one.stride > 1 for one in matrices),
            full=self.kind["code"] >= 0
            and group == self.columns
            and all(one.stride == 1 and one.num_rows % self.rows == 0 for one in matrices)
            and is_aligned([one.weights for one in matrices] + [one.mask for one in matrices]),
        )
